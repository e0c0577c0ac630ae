//! Reading one job and what belongs to it.

use bytes::Bytes;
use graphmill_core::{DocumentId, ErrorCode, JobEvent, JobId, JobStatus, JobType, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{
    Held, job_record, json, optional_time, record_by_key, select_jobs, signed, stages, time, unsigned, word,
};
use super::work::level_rank;
use crate::records::{AttemptRecord, JobDetail, JobErrorRecord, JobRecord, LogLevel, LogPage, LogRecord};
use crate::requests::{LogQuery, Output};
use crate::{Error, Result};

pub(crate) fn detail(conn: &Connection, job: JobId, now: Timestamp) -> Result<JobDetail> {
    let key = Held::find(conn, job)?.key;
    let params = conn.prepare_cached("SELECT params FROM job WHERE key = ?1")?.query_row([key], |row| json(row, 0))?;
    Ok(JobDetail {
        job: record_by_key(conn, key)?,
        params,
        stages: stages(conn, key, now)?.into_iter().map(|(stage, _)| stage).collect(),
        errors: errors(conn, key)?,
        attempts: attempts(conn, key)?,
    })
}

fn errors(conn: &Connection, key: i64) -> Result<Vec<JobErrorRecord>> {
    let mut statement = conn.prepare_cached(
        "SELECT code, message, hint, stage, attempt, at, chunk_id, page FROM job_error WHERE job = ?1 ORDER BY number",
    )?;
    let rows = statement.query_map([key], |row| {
        Ok(JobErrorRecord {
            code: word::<ErrorCode>(row, 0)?,
            message: row.get(1)?,
            hint: row.get(2)?,
            stage: row.get(3)?,
            attempt: row.get(4)?,
            timestamp: time(row, 5)?,
            chunk_id: row.get(6)?,
            page: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn attempts(conn: &Connection, key: i64) -> Result<Vec<AttemptRecord>> {
    let mut statement = conn.prepare_cached(
        "SELECT number, started_at, ended_at, outcome, stages FROM attempt WHERE job = ?1 ORDER BY number",
    )?;
    let rows = statement.query_map([key], |row| {
        let stages = serde_json::from_str(row.get_ref(4)?.as_str()?)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(e)))?;
        Ok(AttemptRecord {
            number: row.get(0)?,
            started_at: time(row, 1)?,
            ended_at: optional_time(row, 2)?,
            outcome: row.get(3)?,
            stages,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn events(conn: &Connection, job: JobId, after: u64, limit: u32) -> Result<Vec<JobEvent>> {
    let key = Held::find(conn, job)?.key;
    let mut statement =
        conn.prepare_cached("SELECT seq, at, kind FROM event WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
    let rows = statement.query_map(params![key, signed(after), limit], |row| {
        let kind = serde_json::from_str(row.get_ref(2)?.as_str()?)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(e)))?;
        Ok(JobEvent { kind, job_id: job, timestamp: time(row, 1)?, seq: unsigned(row, 0)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn logs(conn: &Connection, job: JobId, query: &LogQuery) -> Result<LogPage> {
    let key = Held::find(conn, job)?.key;
    let level = query.level.map_or(0, level_rank);
    let after = query.after.map_or(i64::MIN, Timestamp::as_millis);
    let condition = "job = ?1 AND level >= ?2 AND at > ?3";
    let total: i64 = conn
        .prepare_cached(&format!("SELECT count(*) FROM log WHERE {condition}"))?
        .query_row(params![key, level, after], |row| row.get(0))?;
    let order = if query.descending { "DESC" } else { "ASC" };
    let sql = format!("SELECT at, level, message, context FROM log WHERE {condition} ORDER BY number {order} LIMIT ?4");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(params![key, level, after, query.limit], |row| {
        Ok(LogRecord {
            timestamp: time(row, 0)?,
            level: match row.get::<_, i64>(1)? {
                0 => LogLevel::Debug,
                1 => LogLevel::Info,
                2 => LogLevel::Warning,
                _ => LogLevel::Error,
            },
            message: row.get(2)?,
            context: json(row, 3)?,
        })
    })?;
    Ok(LogPage { logs: rows.collect::<rusqlite::Result<_>>()?, total: total.unsigned_abs() })
}

pub(crate) fn finished_units(conn: &Connection, job: JobId, stage: &str) -> Result<Vec<u32>> {
    let Some((key, position)) = stage_of(conn, job, stage)? else { return Ok(Vec::new()) };
    let mut statement =
        conn.prepare_cached("SELECT number FROM unit WHERE job = ?1 AND position = ?2 ORDER BY number")?;
    let rows = statement.query_map([key, position], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn unit_outputs(
    conn: &Connection,
    job: JobId,
    stage: &str,
    from: u32,
    limit: u32,
) -> Result<Vec<(u32, Output)>> {
    let Some((key, position)) = stage_of(conn, job, stage)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(
        "SELECT number, output, blob FROM unit WHERE job = ?1 AND position = ?2 AND number >= ?3 ORDER BY number LIMIT ?4",
    )?;
    let rows = statement.query_map(params![key, position, from, limit], |row| {
        let output = match row.get::<_, Option<String>>(2)? {
            Some(blob) => Output::Blob(blob),
            None => Output::Inline(Bytes::from(row.get::<_, Vec<u8>>(1)?)),
        };
        Ok((row.get(0)?, output))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn stage_of(conn: &Connection, job: JobId, stage: &str) -> Result<Option<(i64, i64)>> {
    let key = Held::find(conn, job)?.key;
    let position = conn
        .prepare_cached("SELECT position FROM stage WHERE job = ?1 AND name = ?2")?
        .query_row(params![key, stage], |row| row.get(0))
        .optional()?;
    match position {
        Some(position) => Ok(Some((key, position))),
        None => Err(Error::Invalid(format!("{job} has no stage {stage:?}"))),
    }
}

/// One entry for each state, also those with no job.
pub(crate) fn counts(conn: &Connection) -> Result<Vec<(JobStatus, u64)>> {
    let mut statement = conn.prepare_cached("SELECT coalesce(sum(n), 0) FROM job_count WHERE status = ?1")?;
    let count = |status: &JobStatus| -> Result<(JobStatus, u64)> {
        let n: i64 = statement.query_row([status.as_str()], |row| row.get(0))?;
        Ok((*status, n.unsigned_abs()))
    };
    JobStatus::ALL.iter().map(count).collect()
}

pub(crate) fn latest_job_of(conn: &Connection, document: DocumentId) -> Result<Option<JobRecord>> {
    let sql = select_jobs("WHERE document = ?1 ORDER BY seq DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([document.as_bytes()], job_record).optional()?)
}

/// Time until the next pending job of a type that is not paused is due. Those that only wait for an exclusive key wait for an end, not for a time.
pub(crate) fn next_due(conn: &Connection, now: Timestamp) -> Result<Option<std::time::Duration>> {
    let ready: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE queue = 'ready' AND job_type NOT IN (SELECT job_type FROM paused_type))")?
        .query_row([], |row| row.get(0))?;
    if ready {
        return Ok(Some(std::time::Duration::ZERO));
    }
    let next = conn
        .prepare_cached("SELECT run_at FROM job WHERE queue = 'later' AND job_type NOT IN (SELECT job_type FROM paused_type) ORDER BY run_at LIMIT 1")?
        .query_row([], |row| time(row, 0))
        .optional()?;
    Ok(next.map(|at| at.since(now)))
}

/// Age of the oldest due job of each type.
pub(crate) fn queue_ages(conn: &Connection, now: Timestamp) -> Result<Vec<(JobType, std::time::Duration)>> {
    let mut statement = conn.prepare_cached(
        "SELECT job_type, min(run_at) FROM (SELECT job_type, run_at FROM job WHERE queue = 'ready' \
         UNION ALL SELECT job_type, run_at FROM job WHERE queue = 'parked' \
         UNION ALL SELECT job_type, run_at FROM job WHERE queue = 'later' AND run_at <= ?1) GROUP BY job_type",
    )?;
    let ages = statement.query_map([now.as_millis()], |row| Ok((word(row, 0)?, now.since(time(row, 1)?))))?;
    Ok(ages.collect::<rusqlite::Result<_>>()?)
}
