//! Pages of the jobs that a `q` means (`wanted.rs`): those that have a text, or an id that begins so.
//!
//! Which jobs may have it is answered by the trigrams of their words, in the order of keys, which is that of the list (`ids.rs`); the words
//! themselves decide. Up to the cap all of them are gathered: the index is read fastest from its beginning, and the page is cut from what was
//! found. Above the cap they are so many that the page is soon met from the newest.

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::list::{Place, Query};
use super::wanted::Wanted;
use crate::Result;

/// Which page.
pub(super) struct Page {
    pub(super) below: Option<Place>,
    pub(super) offset: i64,
    pub(super) take: i64,
    /// Where counting stops.
    pub(super) cap: i64,
}

/// The page and how many there are, at most `cap + 1`. `None`: more have the text than are counted and the filter picks among them, so that a walk
/// through what the filter shows is the better way.
pub(super) fn page(
    conn: &Connection,
    query: &Query<'_>,
    wanted: &Wanted,
    page: Page,
) -> Result<Option<(Vec<Place>, i64)>> {
    let source = Source::new(wanted);
    let Some(keys) = between_dates(conn, query)? else { return Ok(Some((Vec::new(), 0))) };
    let below = page.below.map_or(i64::MAX, |(_, key)| key);
    let mut found = source.keys(conn, keys, source.gathering(), page.cap + 1, 0)?;
    if found.len() as i64 <= page.cap {
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut places = query.narrowed(conn, &found)?;
        let total = places.len() as i64;
        places.retain(|(_, key)| *key < below);
        let skip = usize::try_from(page.offset).unwrap_or(usize::MAX).min(places.len());
        places.drain(..skip);
        places.truncate(usize::try_from(page.take).unwrap_or(usize::MAX));
        return Ok(Some((places, total)));
    }
    if query.picks() {
        return Ok(None);
    }
    let found = source.keys(conn, (keys.0, keys.1.min(below - 1)), "DESC", page.take, page.offset)?;
    Ok(Some((query.narrowed(conn, &found)?, page.cap + 1)))
}

/// First and last key of the jobs that were made between the filter's dates; `None` when there are none.
fn between_dates(conn: &Connection, query: &Query<'_>) -> Result<Option<(i64, i64)>> {
    let key = |sql: &str, at: i64| conn.prepare_cached(sql)?.query_row([at], |row| row.get(0)).optional();
    let (mut first, mut last) = (Some(0), Some(i64::MAX));
    if let Some(after) = query.filter.created_after {
        let sql = "SELECT key FROM job INDEXED BY job_by_age WHERE created_at >= ?1 ORDER BY created_at, key LIMIT 1";
        first = key(sql, after.as_millis())?;
    }
    if let Some(before) = query.filter.created_before {
        let sql = "SELECT key FROM job INDEXED BY job_by_age WHERE created_at < ?1 ORDER BY created_at DESC, key DESC LIMIT 1";
        last = key(sql, before.as_millis())?;
    }
    Ok(first.zip(last))
}

/// Where the jobs that are wanted are found.
struct Source<'q> {
    wanted: &'q Wanted,
    trigrams: Option<String>,
}

impl<'q> Source<'q> {
    fn new(wanted: &'q Wanted) -> Self {
        let trigrams = match wanted {
            Wanted::Text(text) => trigrams(text),
            Wanted::Jobs(..) | Wanted::Documents(..) => None,
        };
        Self { wanted, trigrams }
    }

    /// The order in which all are gathered soonest: trigrams from the beginning; where there are none, the newest words are the likeliest to be in
    /// memory.
    fn gathering(&self) -> &'static str {
        if self.trigrams.is_some() { "ASC" } else { "DESC" }
    }

    fn keys(&self, conn: &Connection, keys: (i64, i64), order: &str, take: i64, skip: i64) -> Result<Vec<i64>> {
        let has = "instr(words, ?) > 0";
        let (sql, mut values) = match (self.wanted, &self.trigrams) {
            (Wanted::Text(_), Some(trigrams)) => {
                let from = "job_trigrams WHERE job_trigrams MATCH ? AND rowid BETWEEN ? AND ?";
                let has = format!("EXISTS (SELECT 1 FROM job_text WHERE job = job_trigrams.rowid AND {has})");
                (format!("SELECT rowid FROM {from} AND {has} ORDER BY rowid"), vec![SqlValue::from(trigrams.clone())])
            }
            (Wanted::Text(_), None) => {
                (format!("SELECT job FROM job_text WHERE job BETWEEN ? AND ? AND {has} ORDER BY job"), Vec::new())
            }
            // The plus sign keeps to the index of the ids: they are few.
            (Wanted::Jobs(..) | Wanted::Documents(..), _) => {
                let has = self.wanted.condition().0;
                (format!("SELECT key FROM job WHERE +key BETWEEN ? AND ? AND {has} ORDER BY +key"), Vec::new())
            }
        };
        values.extend([keys.0.into(), keys.1.into()]);
        values.extend(match self.wanted {
            Wanted::Text(text) => vec![text.clone().into()],
            Wanted::Jobs(..) | Wanted::Documents(..) => self.wanted.condition().1,
        });
        values.extend([take.into(), skip.into()]);
        let mut statement = conn.prepare_cached(&format!("{sql} {order} LIMIT ? OFFSET ?"))?;
        let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// The query that finds the texts which have every three characters in a row of `q`; `None` when it has not even three.
fn trigrams(q: &str) -> Option<String> {
    /// Enough to leave few candidates; the text itself decides.
    const MOST: usize = 16;
    let characters: Vec<char> = q.to_lowercase().chars().collect();
    if characters.len() < 3 || characters.contains(&'\0') {
        return None;
    }
    let mut words: Vec<String> =
        characters.windows(3).map(|w| format!("\"{}\"", w.iter().collect::<String>().replace('"', "\"\""))).collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(MOST);
    Some(words.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigrams_cover_what_is_looked_for() {
        assert_eq!(trigrams("ab"), None);
        assert_eq!(trigrams("ABCd").as_deref(), Some("\"abc\" AND \"bcd\""));
        assert_eq!(trigrams("a\"b").as_deref(), Some("\"a\"\"b\""));
    }
}
