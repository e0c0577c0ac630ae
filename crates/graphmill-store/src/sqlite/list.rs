//! Pages of the job list, newest first by (created_at, id).
//!
//! Ids rise with keys, so that (created_at, key) is the same order and every index has it at its end by itself. A filter becomes one or
//! more ranges of an index (a cell is one collection, type and state); several ranges are merged in order. Pages are found in the
//! index alone; whole rows are read for the jobs of the page only. Totals come from counters.

use graphmill_core::{JobStatus, JobType};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};

use super::row::record_by_key;
use crate::records::JobPage;
use crate::requests::{JobFilter, PageStart};
use crate::{Error, Result};

/// Where counting by walking stops.
const TOTAL_CAP: i64 = 10_000;

/// A row's place in the order.
type Place = (i64, i64);

pub(crate) fn list(conn: &Connection, filter: &JobFilter, start: &PageStart, limit: u32) -> Result<JobPage> {
    let cells = cells(conn, filter)?;
    let counted: i64 = cells.iter().map(|cell| cell.jobs).sum();
    let walked = filter.q.is_some() || filter.created_after.is_some() || filter.created_before.is_some();
    let query = Query { ranges: sources(conn, filter, &cells)?, filter };
    // One more than asked says whether anything follows.
    let take = i64::from(limit) + 1;
    let (mut places, found) = match start {
        PageStart::Offset(offset) => {
            let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
            match (walked, filter.q.is_some() && offset < TOTAL_CAP - take) {
                // Looking through texts is slow: the walk that counts finds the page as well.
                (true, true) => page_and_count(conn, &query, offset, take)?,
                (true, false) => (query.places(conn, None, offset, take, false)?, query.count(conn, TOTAL_CAP + 1)?),
                (false, _) if offset > counted / 2 => (from_the_end(conn, &query, offset, take, counted)?, counted),
                (false, _) => (query.places(conn, None, offset, take, false)?, counted),
            }
        }
        PageStart::Cursor(cursor) => {
            let below = Some(decode(cursor)?);
            let found = if walked { query.count(conn, TOTAL_CAP + 1)? } else { counted };
            (query.places(conn, below, 0, take, false)?, found)
        }
    };
    let total_capped = walked && found > TOTAL_CAP;
    let total = if total_capped { TOTAL_CAP } else { found };
    let more = places.len() as i64 == take;
    places.truncate(limit as usize);
    let jobs = places.iter().map(|(_, key)| record_by_key(conn, *key)).collect::<Result<Vec<_>>>()?;
    let next_cursor = places.last().filter(|_| more).map(|place| encode(*place));
    Ok(JobPage { jobs, total: total.unsigned_abs(), total_capped, next_cursor })
}

/// The page and, up to the cap, how many there are.
fn page_and_count(conn: &Connection, query: &Query<'_>, offset: i64, take: i64) -> Result<(Vec<Place>, i64)> {
    let mut places = query.places(conn, None, 0, TOTAL_CAP + 1, false)?;
    let found = places.len();
    let skip = usize::try_from(offset).map_or(found, |offset| offset.min(found));
    places.drain(..skip);
    places.truncate(usize::try_from(take).unwrap_or(usize::MAX));
    Ok((places, found as i64))
}

/// A deep page is nearer to the oldest job than to the newest: walk from there.
fn from_the_end(conn: &Connection, query: &Query<'_>, offset: i64, take: i64, counted: i64) -> Result<Vec<Place>> {
    let take = (counted - offset).clamp(0, take);
    if take == 0 {
        return Ok(Vec::new());
    }
    let skip = counted - offset - take;
    let mut places = query.places(conn, None, skip, take, true)?;
    places.reverse();
    Ok(places)
}

/// Jobs of one collection, type and state.
struct Cell {
    status: JobStatus,
    job_type: JobType,
    jobs: i64,
}

/// The cells that the filter shows, by type and state; empty ones are left out.
fn cells(conn: &Connection, filter: &JobFilter) -> Result<Vec<Cell>> {
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(sum(n), 0) FROM job_count WHERE status = ?1 AND job_type = ?2 AND (?3 IS NULL OR collection = ?3)",
    )?;
    let collection = filter.collection.as_ref().map(|c| c.as_str());
    let mut cells = Vec::new();
    for &job_type in JobType::ALL.iter().filter(|t| filter.job_type.is_none_or(|wanted| wanted == **t)) {
        for &status in JobStatus::ALL.iter().filter(|s| filter.status.is_none_or(|wanted| wanted == **s)) {
            let jobs = statement
                .query_row(rusqlite::params![status.as_str(), job_type.as_str(), collection], |row| row.get(0))?;
            if jobs > 0 {
                cells.push(Cell { status, job_type, jobs });
            }
        }
    }
    Ok(cells)
}

/// Where rows come from: a range of an index and what its first columns equal, or the few jobs that have the trigrams of `q`.
struct Range {
    from: &'static str,
    equal: Vec<(&'static str, String)>,
}

/// A rare `q` is looked up by its trigrams; a common one (or one too short to have any) is met soon on a walk from the newest job.
fn sources(conn: &Connection, filter: &JobFilter, cells: &[Cell]) -> Result<Vec<Range>> {
    let Some(trigrams) = filter.q.as_deref().and_then(trigrams) else { return Ok(ranges(filter, cells)) };
    let candidates: i64 = conn
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM job_trigrams WHERE job_trigrams MATCH ?1 LIMIT ?2)")?
        .query_row(rusqlite::params![trigrams, TOTAL_CAP + 1], |row| row.get(0))?;
    if candidates > TOTAL_CAP {
        return Ok(ranges(filter, cells));
    }
    let mut equal = vec![("job_trigrams", trigrams)];
    equal.extend(filter.collection.as_ref().map(|c| ("job.collection", c.as_str().to_owned())));
    equal.extend(filter.status.map(|s| ("job.status", s.as_str().to_owned())));
    equal.extend(filter.job_type.map(|t| ("job.job_type", t.as_str().to_owned())));
    Ok(vec![Range { from: "job_trigrams CROSS JOIN job ON job.key = job_trigrams.rowid", equal }])
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

fn ranges(filter: &JobFilter, cells: &[Cell]) -> Vec<Range> {
    if filter.collection.is_none() && filter.status.is_none() && filter.job_type.is_none() {
        return vec![Range { from: "job INDEXED BY job_by_age", equal: Vec::new() }];
    }
    let range = |cell: &Cell| {
        let mut equal =
            vec![("job.job_type", cell.job_type.as_str().to_owned()), ("job.status", cell.status.as_str().to_owned())];
        let from = match &filter.collection {
            Some(collection) => {
                equal.insert(0, ("job.collection", collection.as_str().to_owned()));
                "job INDEXED BY job_by_collection"
            }
            None => "job INDEXED BY job_by_type",
        };
        Range { from, equal }
    };
    cells.iter().map(range).collect()
}

struct Query<'f> {
    ranges: Vec<Range>,
    filter: &'f JobFilter,
}

impl Query<'_> {
    /// `SELECT created_at, key` of every range, and its parameters. With `below`, only rows after that place of the list.
    fn select(&self, below: Option<Place>) -> (String, Vec<SqlValue>) {
        let mut parts = Vec::new();
        let mut values = Vec::new();
        for range in &self.ranges {
            let mut conditions: Vec<String> = Vec::new();
            let mut condition = |sql: &str, value: SqlValue| {
                conditions.push(sql.to_owned());
                values.push(value);
            };
            for (column, value) in &range.equal {
                // On an FTS5 table `=` is MATCH.
                condition(&format!("{column} = ?"), value.clone().into());
            }
            if let Some(after) = self.filter.created_after {
                condition("job.created_at >= ?", after.as_millis().into());
            }
            if let Some(before) = self.filter.created_before {
                condition("job.created_at < ?", before.as_millis().into());
            }
            if let Some((created_at, key)) = below {
                condition("(job.created_at, job.key) < (?", created_at.into());
                condition("?)", key.into());
            }
            if let Some(q) = &self.filter.q {
                condition(
                    "EXISTS (SELECT 1 FROM job_text WHERE job_text.job = job.key AND instr(job_text.words, ?) > 0)",
                    q.to_lowercase().into(),
                );
            }
            let mut sql = conditions.join(" AND ").replace(" AND ?)", ", ?)");
            if sql.is_empty() {
                sql.push('1');
            }
            parts.push(format!("SELECT job.created_at AS at, job.key AS key FROM {} WHERE {sql}", range.from));
        }
        (parts.join(" UNION ALL "), values)
    }

    fn places(
        &self,
        conn: &Connection,
        below: Option<Place>,
        skip: i64,
        take: i64,
        oldest_first: bool,
    ) -> Result<Vec<Place>> {
        if self.ranges.is_empty() {
            return Ok(Vec::new());
        }
        let (select, mut values) = self.select(below);
        let order = if oldest_first { "at, key" } else { "at DESC, key DESC" };
        let sql = format!("{select} ORDER BY {order} LIMIT ? OFFSET ?");
        values.extend([take.into(), skip.into()]);
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn count(&self, conn: &Connection, cap: i64) -> Result<i64> {
        if self.ranges.is_empty() {
            return Ok(0);
        }
        let (select, mut values) = self.select(None);
        values.push(cap.into());
        let sql = format!("SELECT count(*) FROM ({select} LIMIT ?)");
        Ok(conn.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
    }
}

fn encode((created_at, key): Place) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&created_at.to_be_bytes());
    bytes[8..].copy_from_slice(&key.to_be_bytes());
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

fn decode(cursor: &str) -> Result<Place> {
    let bytes = data_encoding::BASE32_NOPAD.decode(cursor.to_ascii_uppercase().as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).ok_or_else(|| {
        let shown: String = cursor.chars().take(80).collect();
        Error::Invalid(format!(
            "cursor {shown:?} is none of ours; use the one that a page's `Link` header gave, or leave it out"
        ))
    })?;
    let number = |half: &[u8]| half.iter().fold(0_i64, |n, byte| (n << 8) | i64::from(*byte));
    Ok((number(&bytes[..8]), number(&bytes[8..])))
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

    #[test]
    fn a_cursor_survives_its_text_form() {
        for place in [(0, 1), (1_705_336_220_123, 999_999), (-5, 7)] {
            assert_eq!(decode(&encode(place)).unwrap(), place);
        }
        for bad in ["", "abc", "!", "aaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let message = decode(bad).unwrap_err().to_string();
            assert!(message.contains("cursor"), "{message}");
        }
    }
}
