//! What the worker of a running job writes: stages, units, progress, metadata, errors, logs, blobs, intent. Every write is fenced.

use bytes::Bytes;
use graphmill_core::{EventKind, Fence, StageStatus};
use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};

use super::accept::name_blob;
use super::journal::JobsTx;
use super::row::{Held, exactly_one, json, signed, text, unsigned, word};
use crate::records::{BlobRole, LogLevel};
use crate::requests::{NewJobError, NewLog, Output, Progress};
use crate::{Error, Result};

/// Most that a job or a stage that has not ended shows.
const BEFORE_END: f64 = 0.9999;
/// Newest log lines that a job keeps.
const LOGS_MAX: i64 = 10_000;

/// A stage that is written to.
struct HeldStage {
    position: i64,
    status: StageStatus,
    units_total: u32,
    ran_ms: u64,
    since: Option<i64>,
}

fn find_stage(tx: &JobsTx<'_>, held: &Held, name: &str) -> Result<HeldStage> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT position, status, units_total, ran_ms, since FROM stage WHERE job = ?1 AND name = ?2",
    )?;
    let stage = statement.query_row(params![held.key, name], |row| {
        Ok(HeldStage {
            position: row.get(0)?,
            status: word(row, 1)?,
            units_total: row.get(2)?,
            ran_ms: unsigned(row, 3)?,
            since: row.get(4)?,
        })
    });
    stage.optional()?.ok_or_else(|| Error::Invalid(format!("{} has no stage {name:?}", held.id)))
}

/// The stage, which must have been started in this claim.
fn under_way(tx: &JobsTx<'_>, held: &Held, name: &str) -> Result<HeldStage> {
    let stage = find_stage(tx, held, name)?;
    if stage.since.is_some() {
        return Ok(stage);
    }
    Err(Error::Invalid(format!("stage {name:?} of {} is {} and not under way; start it first", held.id, stage.status)))
}

/// Writes what [`Held`] carries back to the row, guarded.
fn save(tx: &mut JobsTx<'_>, held: &Held, message: Option<&str>) -> Result<()> {
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE job SET version = ?1, progress = ?2, deaths = ?3, message = coalesce(?4, message) \
             WHERE key = ?5 AND status = 'running' AND epoch = ?6",
        )?
        .execute(params![signed(held.version), held.progress, held.deaths, message, held.key, held.epoch])?;
    exactly_one(changed, held.id)?;
    tx.changed(held, held.status, held.epoch());
    Ok(())
}

fn part(progress: f64) -> f64 {
    if progress.is_nan() { 0.0 } else { progress.clamp(0.0, BEFORE_END) }
}

/// Progress of stage and job; neither falls, neither reaches 1 by itself. Returns without saving the job's row.
fn advance(tx: &JobsTx<'_>, held: &mut Held, stage: &HeldStage, progress: &Progress) -> Result<()> {
    held.progress = held.progress.max(part(progress.job));
    tx.conn
        .prepare_cached("UPDATE stage SET progress = max(progress, ?1) WHERE job = ?2 AND position = ?3")?
        .execute(params![part(progress.stage), held.key, stage.position])?;
    Ok(())
}

pub(crate) fn start_stage(tx: &mut JobsTx<'_>, fence: Fence, name: &str, plan: &Bytes, units: u32) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    let stage = find_stage(tx, &held, name)?;
    if stage.status == StageStatus::Completed {
        return Err(Error::Invalid(format!("stage {name:?} of {} is completed already", held.id)));
    }
    let now = tx.now().as_millis();
    let planned = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO stage_data (job, position, plan) VALUES (?1, ?2, ?3)")?
        .execute(params![held.key, stage.position, &plan[..]])?;
    let units = if planned == 1 { units } else { stage.units_total };
    tx.conn
        .prepare_cached(
            "UPDATE stage SET status = 'running', since = coalesce(since, ?1), units_total = ?2 WHERE job = ?3 AND position = ?4",
        )?
        .execute(params![now, units, held.key, stage.position])?;
    tx.conn
        .prepare_cached(
            "UPDATE attempt SET stages = json_insert(stages, '$[#]', ?1) WHERE job = ?2 AND number = ?3 \
             AND NOT EXISTS (SELECT 1 FROM json_each(stages) WHERE value = ?1)",
        )?
        .execute(params![name, held.key, held.attempts])?;
    held.version += 1;
    save(tx, &held, None)
}

pub(crate) fn record_units(
    tx: &mut JobsTx<'_>,
    fence: Fence,
    name: &str,
    units: &[(u32, Output)],
    progress: &Progress,
) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    let stage = under_way(tx, &held, name)?;
    check_units(&held, &stage, name, units)?;
    for (number, output) in units {
        let (inline, blob) = match output {
            Output::Inline(bytes) => (Some(&bytes[..]), None),
            Output::Blob(key) => (None, Some(key.as_str())),
        };
        let new = tx
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO unit (job, position, number, output, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![held.key, stage.position, number, inline, blob])?;
        if new == 1 {
            held.deaths = 0;
            if let Some(blob) = blob {
                name_blob(tx, held.key, BlobRole::Output, blob)?;
            }
        }
    }
    advance(tx, &mut held, &stage, progress)?;
    held.version += 1;
    save(tx, &held, Some(&progress.message))
}

/// Before anything is written.
fn check_units(held: &Held, stage: &HeldStage, name: &str, units: &[(u32, Output)]) -> Result<()> {
    for (number, output) in units {
        if *number >= stage.units_total {
            return Err(Error::Invalid(format!(
                "stage {name:?} of {} has no unit {number}; it has {}",
                held.id, stage.units_total
            )));
        }
        if let Output::Inline(bytes) = output
            && bytes.len() > Output::INLINE_MAX
        {
            return Err(Error::Invalid(format!(
                "output of unit {number} has {} bytes; over {} it belongs in a blob",
                bytes.len(),
                Output::INLINE_MAX
            )));
        }
    }
    Ok(())
}

pub(crate) fn report(tx: &mut JobsTx<'_>, fence: Fence, name: &str, progress: &Progress) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    let stage = under_way(tx, &held, name)?;
    advance(tx, &mut held, &stage, progress)?;
    held.version += 1;
    save(tx, &held, Some(&progress.message))
}

pub(crate) fn finish_stage(
    tx: &mut JobsTx<'_>,
    fence: Fence,
    name: &str,
    output: &Bytes,
    progress: &Progress,
) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    let stage = under_way(tx, &held, name)?;
    let run = stage.since.map_or(0, |since| tx.now().as_millis().saturating_sub(since).max(0));
    let ran_ms = stage.ran_ms + run.unsigned_abs();
    tx.conn
        .prepare_cached(
            "UPDATE stage SET status = 'completed', progress = 1, ran_ms = ?1, since = NULL \
             WHERE job = ?2 AND position = ?3 AND status = 'running'",
        )?
        .execute(params![signed(ran_ms), held.key, stage.position])?;
    tx.conn.prepare_cached("UPDATE stage_data SET output = ?1 WHERE job = ?2 AND position = ?3")?.execute(params![
        &output[..],
        held.key,
        stage.position
    ])?;
    held.deaths = 0;
    held.progress = held.progress.max(part(progress.job));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a stage stay far below 2^53")]
    let duration_seconds = ran_ms as f64 / 1000.0;
    tx.event(&mut held, &EventKind::StageComplete { stage: name.to_owned(), duration_seconds })?;
    save(tx, &held, Some(&progress.message))
}

pub(crate) fn merge_metadata(tx: &mut JobsTx<'_>, fence: Fence, patch: &Map<String, Value>) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    let merged = merged_metadata(tx, held.key, patch)?;
    tx.conn.prepare_cached("UPDATE job SET metadata = ?1 WHERE key = ?2")?.execute(params![text(&merged), held.key])?;
    held.version += 1;
    save(tx, &held, None)
}

/// The job's metadata with the patch: `null` removes a key.
pub(crate) fn merged_metadata(tx: &JobsTx<'_>, key: i64, patch: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut merged =
        tx.conn.prepare_cached("SELECT metadata FROM job WHERE key = ?1")?.query_row([key], |row| json(row, 0))?;
    for (name, value) in patch {
        if value.is_null() {
            merged.shift_remove(name);
        } else {
            merged.insert(name.clone(), value.clone());
        }
    }
    Ok(merged)
}

pub(crate) fn add_errors(tx: &mut JobsTx<'_>, fence: Fence, errors: &[NewJobError]) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    for error in errors {
        tx.error_row(&held, error)?;
        tx.event(&mut held, &EventKind::Error { error: error.message.clone(), code: error.code, will_retry: true })?;
    }
    save(tx, &held, None)
}

pub(crate) fn append_logs(tx: &mut JobsTx<'_>, fence: Fence, logs: &[NewLog]) -> Result<()> {
    let held = Held::fenced(tx.conn, fence)?;
    let mut number: i64 = tx
        .conn
        .prepare_cached("SELECT coalesce(max(number), 0) FROM log WHERE job = ?1")?
        .query_row([held.key], |row| row.get(0))?;
    let now = tx.now().as_millis();
    for log in logs {
        number += 1;
        tx.conn
            .prepare_cached(
                "INSERT INTO log (job, number, at, level, message, context) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![held.key, number, now, level_rank(log.level), log.message, text(&log.context)])?;
    }
    if number > LOGS_MAX {
        tx.conn
            .prepare_cached("DELETE FROM log WHERE job = ?1 AND number <= ?2")?
            .execute(params![held.key, number - LOGS_MAX])?;
    }
    // Those who follow the logs look; nothing else of the job has changed.
    tx.changed(&held, held.status, held.epoch());
    Ok(())
}

/// How a level is stored: its severity.
pub(crate) fn level_rank(level: LogLevel) -> i64 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Warning => 2,
        LogLevel::Error => 3,
    }
}

pub(crate) fn name_blobs(tx: &mut JobsTx<'_>, fence: Fence, blobs: &[(BlobRole, String)]) -> Result<()> {
    let held = Held::fenced(tx.conn, fence)?;
    for (role, blob) in blobs {
        name_blob(tx, held.key, *role, blob)?;
    }
    Ok(())
}

pub(crate) fn commit_intent(tx: &mut JobsTx<'_>, fence: Fence) -> Result<()> {
    let mut held = Held::fenced(tx.conn, fence)?;
    if held.intent {
        return Ok(());
    }
    tx.conn.prepare_cached("UPDATE job SET intent = 1 WHERE key = ?1")?.execute([held.key])?;
    held.version += 1;
    save(tx, &held, None)
}
