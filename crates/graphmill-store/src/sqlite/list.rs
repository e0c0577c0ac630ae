//! Pages of the job list, newest first by (created_at, id).
//!
//! Ids rise with keys, so that (created_at, key) is the same order and every index has it at its end by itself. A filter becomes one or
//! more ranges of an index (a cell is one collection, type and state); several ranges are merged in order. Pages are found in the
//! index alone; whole rows are read for the jobs of the page only. Totals come from counters. A text (`q`) is looked for in `list_by_text.rs`.

use graphmill_core::{JobStatus, JobType};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::list_by_text;
use super::row::record_by_key;
use super::wanted::Wanted;
use crate::records::JobPage;
use crate::requests::{JobFilter, PageStart};
use crate::{Error, Result};

/// Where counting by walking stops.
const TOTAL_CAP: i64 = 10_000;

/// Up to so many jobs are looked at one by one.
const FEW: i64 = 1_000;

/// A row's place in the order.
pub(super) type Place = (i64, i64);

pub(crate) fn list(conn: &Connection, filter: &JobFilter, start: &PageStart, limit: u32) -> Result<JobPage> {
    let cells = cells(conn, filter)?;
    let counted: i64 = cells.iter().map(|cell| cell.jobs).sum();
    let walked = filter.q.is_some()
        || filter.created_after.is_some()
        || filter.created_before.is_some()
        || filter.aged_before.is_some();
    let wanted = filter.q.as_deref().map(Wanted::of);
    let query = Query { ranges: ranges(filter, &cells), filter, wanted };
    // One more than asked says whether anything follows.
    let take = i64::from(limit) + 1;
    let below = match start {
        PageStart::Offset(_) => None,
        PageStart::Cursor(cursor) => Some(decode(cursor)?),
    };
    let offset = match start {
        PageStart::Offset(offset) => i64::try_from(*offset).unwrap_or(i64::MAX),
        PageStart::Cursor(_) => 0,
    };
    let by_text = match &query.wanted {
        // Looking into the few jobs of the cells is less work than looking for the text among all.
        Some(wanted) if !query.picks() || counted > FEW => {
            list_by_text::page(conn, &query, wanted, list_by_text::Page { below, offset, take, cap: TOTAL_CAP })?
        }
        _ => None,
    };
    let (mut places, found) = match by_text {
        Some(found) => found,
        None if walked && below.is_none() && offset < TOTAL_CAP - take => page_and_count(conn, &query, offset, take)?,
        None if walked => (query.places(conn, below, offset, take, false)?, query.count(conn, TOTAL_CAP + 1)?),
        None if below.is_none() && offset > counted / 2 => {
            (from_the_end(conn, &query, offset, take, counted)?, counted)
        }
        None => (query.places(conn, below, offset, take, false)?, counted),
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
            let jobs =
                statement.query_row(params![status.as_str(), job_type.as_str(), collection], |row| row.get(0))?;
            if jobs > 0 {
                cells.push(Cell { status, job_type, jobs });
            }
        }
    }
    Ok(cells)
}

/// A range of an index: its first columns equal these.
struct Range {
    from: &'static str,
    equal: Vec<(&'static str, String)>,
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

pub(super) struct Query<'f> {
    ranges: Vec<Range>,
    pub(super) filter: &'f JobFilter,
    /// What the filter's `q` means.
    wanted: Option<Wanted>,
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
                condition(&format!("{column} = ?"), value.clone().into());
            }
            if let Some(after) = self.filter.created_after {
                condition("job.created_at >= ?", after.as_millis().into());
            }
            if let Some(before) = self.filter.created_before {
                condition("job.created_at < ?", before.as_millis().into());
            }
            if let Some(before) = self.filter.aged_before {
                condition("coalesce(job.completed_at, job.created_at) <= ?", before.as_millis().into());
            }
            if let Some((created_at, key)) = below {
                condition("(job.created_at, job.key) < (?", created_at.into());
                condition("?)", key.into());
            }
            if let Some((has, sought)) = self.wanted.as_ref().map(Wanted::condition) {
                conditions.push(has.to_owned());
                values.extend(sought);
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

    /// Whether collection, type, state or age are asked for.
    pub(super) fn picks(&self) -> bool {
        let JobFilter { status, job_type, collection, aged_before, q: _, created_after: _, created_before: _ } =
            self.filter;
        status.is_some() || job_type.is_some() || collection.is_some() || aged_before.is_some()
    }

    /// The places of those of `keys` that have the collection, type, state and age asked for, in the order given.
    pub(super) fn narrowed(&self, conn: &Connection, keys: &[i64]) -> Result<Vec<Place>> {
        let mut statement = conn.prepare_cached(
            "SELECT created_at, key FROM job WHERE key = ?1 AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR job_type = ?3) \
             AND (?4 IS NULL OR collection = ?4) AND (?5 IS NULL OR coalesce(completed_at, created_at) <= ?5)",
        )?;
        let filter = self.filter;
        let (status, job_type) = (filter.status.map(JobStatus::as_str), filter.job_type.map(JobType::as_str));
        let collection = filter.collection.as_ref().map(|c| c.as_str());
        let aged = filter.aged_before.map(graphmill_core::Timestamp::as_millis);
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            let values = params![key, status, job_type, collection, aged];
            let place = statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
            places.extend(place.optional()?);
        }
        Ok(places)
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
