//! Orders of entities and how they are walked. Each is the order of an index: numbers stand in it with the other sign, so that the greatest come first and
//! equal ones go by id.

use super::document_list::with_rank;
use super::entity_rows::{COLUMNS, record};
use super::{Params, Row, Transaction, ids};
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{EntityQuery, EntitySort, Page, PageStart};
use crate::records::EntityRecord;

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

/// A row of a list.
pub(super) struct Listed {
    entity: EntityRecord,
    rank: Rank,
}

/// Where a page begins, and how many rows it has at most.
#[derive(Debug, Clone)]
pub(super) struct Start {
    after: Option<Cursor>,
    skip: i64,
    limit: u32,
}

impl Start {
    pub(super) fn read(start: &PageStart, order: Ordering, limit: u32) -> Result<Self> {
        match start {
            PageStart::Offset(rows) => Ok(Self { after: None, skip: i64::try_from(*rows).unwrap_or(i64::MAX), limit }),
            PageStart::Cursor(cursor) => {
                Ok(Self { after: Some(Cursor::decode(cursor, order.name())?), skip: 0, limit })
            }
        }
    }
}

/// Entities `e` among which a list is read.
pub(super) struct Source {
    /// How they are found when they are few; otherwise the order itself is walked.
    pub(super) few: Option<String>,
    /// What holds of them besides; begins with ` AND ` when there is anything.
    pub(super) conditions: String,
    pub(super) params: Params,
}

impl Ordering {
    pub(super) fn of(query: &EntityQuery) -> Self {
        match query.sort {
            EntitySort::Importance => Self::Importance,
            EntitySort::MentionCount => Self::Mentions,
            EntitySort::Name => Self::Name,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Importance => "gm_by_weight",
            Self::Mentions => "gm_by_mentions",
            Self::Name => "normalised",
        }
    }

    /// Name, for cursors.
    fn name(self) -> &'static str {
        match self {
            Self::Importance => "entities importance",
            Self::Mentions => "entities mention_count",
            Self::Name => "entities name",
        }
    }

    fn listed(self, mut row: Row) -> Result<Listed> {
        let rank = match self {
            Self::Name => Rank::Text(row.take("rank")?),
            Self::Importance | Self::Mentions => Rank::Number(row.take("rank")?),
        };
        Ok(Listed { entity: record(&mut row)?, rank })
    }

    /// A page's rows and one more, in order.
    pub(super) fn rows(self, tx: &mut Transaction<'_, '_>, source: &Source, start: &Start) -> Result<Vec<Listed>> {
        let column = self.column();
        let Source { conditions, params, .. } = source;
        let found = source.few.clone().unwrap_or_else(|| {
            format!("MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, {column}, gm_order)")
        });
        let mut listed = Vec::new();
        let mut read = |tx: &mut Transaction<'_, '_>, beyond: &str, by: &str, params: Params, skip: i64| {
            let limit = i64::from(start.limit) + 1 - listed.len() as i64;
            let query = format!(
                "{found} WHERE e.collection = $collection AND {beyond}{conditions} \
                 WITH e ORDER BY {by} SKIP $skip LIMIT $limit RETURN {COLUMNS}, e.{column} AS rank"
            );
            for row in tx.rows(&query, params.set("skip", skip).set("limit", limit))? {
                listed.push(self.listed(row)?);
            }
            Ok::<_, crate::Error>(())
        };
        // With what is the same for all in front: only then the server sees that the index has the order already.
        let by = format!("e.collection, e.{column}, e.gm_order");
        match &start.after {
            None => {
                let all = format!("e.{column} IS NOT NULL AND e.gm_order IS NOT NULL");
                read(tx, &all, &by, params.clone(), start.skip)?;
            }
            Some(cursor) => {
                // Two ranges of the index: what is equal to the last row, of which there may be very many, and what comes after.
                let after = with_rank(params.clone(), cursor.rank.clone()).set("order", ids::order(&cursor.id));
                let equal = format!("e.{column} = $rank AND e.gm_order > $order");
                read(tx, &equal, &by, after.clone(), 0)?;
                let beyond = format!("e.{column} > $rank AND e.gm_order IS NOT NULL");
                read(tx, &beyond, &by, after, 0)?;
            }
        }
        Ok(listed)
    }

    /// A page of `listed`, which has one more when something follows.
    pub(super) fn page(
        self,
        mut listed: Vec<Listed>,
        start: &Start,
        (total, capped): (u64, bool),
    ) -> Page<EntityRecord> {
        let more = listed.len() > start.limit as usize;
        listed.truncate(start.limit as usize);
        let next_cursor = listed.last().filter(|_| more).map(|last| {
            let cursor = Cursor { rank: last.rank.clone(), id: last.entity.id.as_bytes().to_vec() };
            cursor.encode(self.name())
        });
        let items = listed.into_iter().map(|row| row.entity).collect();
        Page { items, total, total_capped: capped, next_cursor }
    }
}
