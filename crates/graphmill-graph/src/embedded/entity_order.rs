//! Orders of entities and how they are walked. Importance and mentions change with every publication that says something of an entity; an index over
//! them would be written as often. So indexes have bands: a number up to 16 is a band by itself, above that a band goes to about 1.4 times where it
//! begins, and the lowest one (half of a collection is mentioned once) has no row in the index at all: it is walked by id. Within a band of many
//! numbers a reader sorts.

use graphmill_core::EntityId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use super::document_list::Conditions;
use super::ids::entity_id;
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{EntityQuery, EntitySort, PageStart};

/// Numbers up to this one are bands by themselves.
const SINGLE: i64 = 16;
/// The band that the indexes leave out (their condition in `schema.sql` says so too).
const LOWEST: i64 = 1;

/// The band of a number of mentions, or of a weight.
pub(super) fn band(number: i64) -> i64 {
    if number <= SINGLE {
        return number.max(LOWEST);
    }
    let octave = i64::from(number.ilog2());
    // Whether it is in the upper half of the octave: at or above the root of 2 times its beginning.
    let upper = i64::from(i128::from(number) * i128::from(number) >= 1i128 << (2 * octave + 1));
    SINGLE + 2 * (octave - i64::from(SINGLE.ilog2())) + upper + 1
}

/// A row of the list before it is read whole.
pub(super) struct Listed {
    pub(super) key: i64,
    pub(super) id: EntityId,
    pub(super) rank: Rank,
}

impl Listed {
    /// Reads columns (key, id, what is sorted by).
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let rank = match row.get(2)? {
            Value::Text(text) => Rank::Text(text),
            Value::Integer(number) => Rank::Number(number),
            _ => Rank::Number(0),
        };
        Ok(Self { key: row.get(0)?, id: entity_id(row, 1)?, rank })
    }
}

/// An order of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordering {
    /// The most important first.
    Importance,
    /// The most mentioned first.
    Mentions,
    /// By name.
    Name,
}

/// A page while it is walked to.
struct Walk {
    after: Option<Cursor>,
    /// Rows that are still to be passed over, and to be found.
    skip: usize,
    wanted: usize,
    found: Vec<Listed>,
}

impl Ordering {
    pub(super) fn of(query: &EntityQuery) -> Self {
        match query.sort {
            EntitySort::Importance => Self::Importance,
            EntitySort::MentionCount => Self::Mentions,
            EntitySort::Name => Self::Name,
        }
    }

    /// What is sorted by, before the id.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Importance => "e.weight",
            Self::Mentions => "e.mentions",
            Self::Name => "e.normalised",
        }
    }

    /// Name, for cursors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Importance => "entities importance",
            Self::Mentions => "entities mention_count",
            Self::Name => "entities name",
        }
    }

    pub(super) fn compare(self, a: &Listed, b: &Listed) -> std::cmp::Ordering {
        let by_rank = match (&a.rank, &b.rank) {
            // Large numbers come first, names in their order.
            (Rank::Number(a), Rank::Number(b)) => b.cmp(a),
            (Rank::Text(a), Rank::Text(b)) => a.cmp(b),
            (Rank::Number(_), Rank::Text(_)) => std::cmp::Ordering::Greater,
            (Rank::Text(_), Rank::Number(_)) => std::cmp::Ordering::Less,
        };
        by_rank.then(a.id.cmp(&b.id))
    }

    pub(super) fn cursor(self, start: &PageStart) -> Result<Option<Cursor>> {
        match start {
            PageStart::Offset(_) => Ok(None),
            PageStart::Cursor(cursor) => Cursor::decode(cursor, self.name()).map(Some),
        }
    }

    /// Rows that fulfil the conditions, in order: a page and one more. `join`: a further table that the conditions name.
    pub(super) fn walk(
        self,
        conn: &Connection,
        conditions: &Conditions,
        join: &str,
        start: &PageStart,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        let skip = match start {
            PageStart::Offset(offset) => usize::try_from(*offset).unwrap_or(usize::MAX),
            PageStart::Cursor(_) => 0,
        };
        let mut walk = Walk { after, skip, wanted: limit as usize + 1, found: Vec::new() };
        let (index, column) = match self {
            Self::Name => return by_name(conn, conditions, join, &walk),
            Self::Importance => ("entity_weighed", "e.weight_band"),
            Self::Mentions => ("entity_mentioned", "e.mention_band"),
        };
        let mut below = match &walk.after {
            Some(Cursor { rank: Rank::Number(rank), .. }) => band(*rank).saturating_add(1),
            _ => i64::MAX,
        };
        let highest = format!(
            "SELECT max({column}) FROM entity e INDEXED BY {index} WHERE e.collection = :collection AND {column} > {LOWEST} \
             AND {column} < :below"
        );
        while walk.wanted > 0 && below > LOWEST {
            let next = match conditions.number(":collection") {
                Some(collection) if below > LOWEST + 1 => conn
                    .prepare_cached(&highest)?
                    .query_row(&[(":collection", &collection), (":below", &below)], |row| row.get::<_, Option<i64>>(0))
                    .optional()?
                    .flatten(),
                _ => None,
            };
            below = next.unwrap_or(LOWEST);
            self.walk_band(conn, (index, column), conditions, join, below, &mut walk)?;
        }
        Ok(walk.found)
    }

    /// Rows of one band.
    fn walk_band(
        self,
        conn: &Connection,
        (index, band_column): (&str, &str),
        conditions: &Conditions,
        join: &str,
        band: i64,
        walk: &mut Walk,
    ) -> Result<()> {
        let mut conditions = conditions.clone();
        conditions.with(format!("{band_column} = :band"), ":band", band);
        let index = if band == LOWEST { "entity_id" } else { index };
        if band != LOWEST {
            conditions.add(format!("{band_column} > {LOWEST}"));
        }
        // What is sorted by is the band itself where it is one number: then the index alone has all that is asked for.
        let column = if band <= SINGLE { ":band" } else { self.column() };
        if let Some(cursor) = &walk.after {
            conditions.with(
                format!("({column} < :rank OR ({column} = :rank AND e.id > :id))"),
                ":rank",
                cursor.rank.clone(),
            );
            conditions.value(":id", cursor.id.clone());
        }
        let by = if band <= SINGLE { "e.id".to_owned() } else { format!("{column} DESC, e.id") };
        let limit = i64::try_from(walk.skip.saturating_add(walk.wanted)).unwrap_or(i64::MAX);
        conditions.value(":limit", limit);
        let sql = format!(
            "SELECT e.key, e.id, {column} FROM entity e INDEXED BY {index} {join} WHERE {} ORDER BY {by} LIMIT :limit",
            conditions.text()
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(&conditions.values()[..])?;
        while walk.wanted > 0
            && let Some(row) = rows.next()?
        {
            if walk.skip > 0 {
                walk.skip -= 1;
                continue;
            }
            walk.found.push(Listed::read(row)?);
            walk.wanted -= 1;
        }
        Ok(())
    }

    /// The rows of `keys` that are there.
    pub(super) fn read(self, conn: &Connection, keys: &[i64]) -> Result<Vec<Listed>> {
        let mut one =
            conn.prepare_cached(&format!("SELECT e.key, e.id, {} FROM entity e WHERE e.key = ?1", self.column()))?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            for row in one.query_map([key], Listed::read)? {
                found.push(row?);
            }
        }
        Ok(found)
    }
}

/// A name is one entity's, so that the order needs no id to decide.
fn by_name(conn: &Connection, conditions: &Conditions, join: &str, walk: &Walk) -> Result<Vec<Listed>> {
    let mut conditions = conditions.clone();
    if let Some(cursor) = &walk.after {
        conditions.with("e.normalised > :rank", ":rank", cursor.rank.clone());
    }
    conditions.value(":limit", i64::try_from(walk.wanted).unwrap_or(i64::MAX));
    conditions.value(":offset", i64::try_from(walk.skip).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT e.key, e.id, e.normalised FROM entity e INDEXED BY entity_named {join} WHERE {} ORDER BY e.normalised \
         LIMIT :limit OFFSET :offset",
        conditions.text()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(&conditions.values()[..], Listed::read)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_rise_with_numbers_and_hold_few() {
        assert_eq!(
            (0..=17).map(band).collect::<Vec<_>>(),
            [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]
        );
        assert_eq!([22, 23, 31, 32, 45, 46].map(band), [17, 18, 18, 19, 19, 20]);
        for number in 0..100_000 {
            assert!(band(number) <= band(number + 1), "{number}");
            assert!(number <= SINGLE || band(number * 3 / 2) > band(number), "{number}");
        }
        assert!(band(i64::MAX) > band(i64::MAX / 2));
    }
}
