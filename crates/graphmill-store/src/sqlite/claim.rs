//! Taking jobs: by priority, then fair between collections, then age; and taking them back from workers that are gone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use bytes::Bytes;
use graphmill_core::{Epoch, ErrorCode, EventKind, Fence, JobType, StageStatus, Timestamp, Transition, next_state};
use rusqlite::{Connection, OptionalExtension, params};

use super::accept::{end_stage, recharge};
use super::journal::JobsTx;
use super::parking::{holder, park, park_others, promote_due};
use super::row::{Held, JOB_COLUMN_COUNT, JOB_COLUMNS, job_record, json, stages};
use super::transition::{Change, change_state};
use super::types::paused;
use crate::Result;
use crate::records::{ClaimedJob, Lost, StageCheckpoint};
use crate::requests::{ClaimRequest, NewJobError};

/// Deaths of the process in a row, without a finished unit, that fail a job.
pub(crate) const DEATHS_MAX: u32 = 20;

/// A ready job at the head of its collection: fewest running first, then the oldest.
type Head = Reverse<(i64, i64, String)>;

pub(crate) fn claim(tx: &mut JobsTx<'_>, request: &ClaimRequest) -> Result<Vec<ClaimedJob>> {
    void_old_leases(tx)?;
    promote_due(tx)?;
    let paused = paused(tx.conn)?;
    let mut running = tx.state.counters.running(tx.conn)?;
    let mut claimed = Vec::new();
    for (job_type, places) in request.free.iter().filter(|(job_type, _)| !paused.contains(job_type)) {
        let mut places = *places;
        while places > 0 {
            let Some(priority) = top_priority(tx.conn, *job_type)? else { break };
            places -= claim_of_priority(tx, request, (*job_type, priority, places), &mut running, &mut claimed)?;
        }
    }
    Ok(claimed)
}

fn top_priority(conn: &Connection, job_type: JobType) -> Result<Option<i32>> {
    Ok(conn
        .prepare_cached(
            "SELECT priority FROM job WHERE queue = 'ready' AND job_type = ?1 \
             AND collection NOT IN (SELECT name FROM collection WHERE delete_seq IS NOT NULL) ORDER BY priority DESC LIMIT 1",
        )?
        .query_row([job_type.as_str()], |row| row.get(0))
        .optional()?)
}

/// Claims up to `places` ready jobs of one priority. Every job that it meets leaves the ready ones, claimed or parked, so that the
/// caller's loop ends.
fn claim_of_priority(
    tx: &mut JobsTx<'_>,
    request: &ClaimRequest,
    (job_type, priority, places): (JobType, i32, u32),
    running: &mut HashMap<String, i64>,
    claimed: &mut Vec<ClaimedJob>,
) -> Result<u32> {
    let mut heads: BinaryHeap<Head> = BinaryHeap::new();
    let mut after = String::new();
    // One seek a collection, not one step a job.
    while let Some((collection, key)) = next_collection(tx.conn, job_type, priority, &after)? {
        heads.push(Reverse((running.get(&collection).copied().unwrap_or(0), key, collection.clone())));
        after = collection;
    }
    let mut taken = 0;
    while taken < places {
        let Some(Reverse((count, key, collection))) = heads.pop() else { break };
        let got = claim_one(tx, request, key)?;
        let count = count + i64::from(got.is_some());
        if let Some(job) = got {
            running.insert(collection.clone(), count);
            claimed.push(job);
            taken += 1;
        }
        if let Some(next) = next_key(tx.conn, job_type, priority, &collection, key)? {
            heads.push(Reverse((count, next, collection)));
        }
    }
    Ok(taken)
}

fn next_collection(conn: &Connection, job_type: JobType, priority: i32, after: &str) -> Result<Option<(String, i64)>> {
    Ok(conn
        .prepare_cached(
            "SELECT collection, key FROM job WHERE queue = 'ready' AND job_type = ?1 AND priority = ?2 AND collection > ?3 \
             AND collection NOT IN (SELECT name FROM collection WHERE delete_seq IS NOT NULL) ORDER BY collection, key LIMIT 1",
        )?
        .query_row(params![job_type.as_str(), priority, after], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

fn next_key(conn: &Connection, job_type: JobType, priority: i32, collection: &str, after: i64) -> Result<Option<i64>> {
    Ok(conn
        .prepare_cached(
            "SELECT key FROM job WHERE queue = 'ready' AND job_type = ?1 AND priority = ?2 AND collection = ?3 AND key > ?4 \
             ORDER BY key LIMIT 1",
        )?
        .query_row(params![job_type.as_str(), priority, collection, after], |row| row.get(0))
        .optional()?)
}

/// Claims a ready job, or parks it when another job with its exclusive key runs.
fn claim_one(tx: &mut JobsTx<'_>, request: &ClaimRequest, key: i64) -> Result<Option<ClaimedJob>> {
    let mut held = Held::by_key(tx.conn, key)?;
    if let Some(other) = holder(tx.conn, held.exclusive_key.as_deref())? {
        park(tx, key, other)?;
        return Ok(None);
    }
    let now = tx.now();
    let status = next_state(held.status, Transition::Claim)?;
    let first = held.attempts == 0;
    held.attempts += 1;
    let message = if first { "Started" } else { "Going on" };
    tx.state_event(&mut held, status, message)?;
    let lease_until = Some(now.plus(request.lease));
    let epoch = change_state(tx, &held, &Change { lease_until, ..Change::new(Transition::Claim, message) })?;
    park_others(tx, &held)?;
    tx.begin_attempt(key, held.attempts, &request.worker)?;
    claimed_job(tx.conn, &held, epoch, now).map(Some)
}

fn claimed_job(conn: &Connection, held: &Held, epoch: Epoch, now: Timestamp) -> Result<ClaimedJob> {
    let sql = format!("SELECT {JOB_COLUMNS}, params FROM job WHERE key = ?1");
    let (job, params) =
        conn.prepare_cached(&sql)?.query_row([held.key], |row| Ok((job_record(row)?, json(row, JOB_COLUMN_COUNT)?)))?;
    let mut checkpoints: Vec<StageCheckpoint> = stages(conn, held.key, now)?
        .into_iter()
        .map(|(stage, units_total)| StageCheckpoint { stage, plan: None, units_total, output: None })
        .collect();
    if held.attempts > 1 {
        let mut statement = conn.prepare_cached("SELECT position, plan, output FROM stage_data WHERE job = ?1")?;
        let mut rows = statement.query([held.key])?;
        while let Some(row) = rows.next()? {
            if let Some(checkpoint) = checkpoints.get_mut(row.get::<_, u32>(0)? as usize) {
                checkpoint.plan = Some(Bytes::from(row.get::<_, Vec<u8>>(1)?));
                checkpoint.output = row.get::<_, Option<Vec<u8>>>(2)?.map(Bytes::from);
            }
        }
    }
    Ok(ClaimedJob {
        fence: Fence { job: held.id, epoch },
        job,
        params,
        attempt: held.attempts,
        failures: held.failures,
        max_attempts: held.max_attempts,
        stages: checkpoints,
    })
}

/// The first look at the leases after opening: the owner of the file is new, so that all of them are void.
fn void_old_leases(tx: &mut JobsTx<'_>) -> Result<()> {
    if std::mem::take(&mut tx.state.old_leases) {
        for held in Held::running(tx.conn)? {
            let found = take_back(tx, held)?;
            tx.state.found_lost.requeued += found.requeued;
            tx.state.found_lost.failed += found.failed;
        }
    }
    Ok(())
}

pub(crate) fn requeue_lost(tx: &mut JobsTx<'_>) -> Result<Lost> {
    void_old_leases(tx)?;
    let mut lost = std::mem::take(&mut tx.state.found_lost);
    super::events::sweep(tx.conn, tx.now())?;
    super::answers::sweep(tx.conn, tx.now())?;
    let now = tx.now().as_millis();
    for held in Held::running(tx.conn)? {
        if held.lease_until.is_none_or(|until| until < now) {
            let found = take_back(tx, held)?;
            lost.requeued += found.requeued;
            lost.failed += found.failed;
        }
    }
    Ok(lost)
}

fn take_back(tx: &mut JobsTx<'_>, mut held: Held) -> Result<Lost> {
    // When it died is not known; it lived at most until its lease ended.
    let now = tx.now();
    let ended = held.lease_until.map_or(now, |until| Timestamp::from_millis(until.min(now.as_millis())));
    tx.end_attempt(&held, "lost", ended)?;
    held.deaths += 1;
    if held.deaths >= DEATHS_MAX {
        fail_crash_loop(tx, held)?;
        return Ok(Lost { requeued: 0, failed: 1 });
    }
    let status = next_state(held.status, Transition::Requeue)?;
    let message = "Interrupted; waiting to go on";
    tx.state_event(&mut held, status, message)?;
    let run_at = Some(now);
    change_state(tx, &held, &Change { run_at, ..Change::new(Transition::Requeue, message) })?;
    rest_stage(tx, held.key)?;
    Ok(Lost { requeued: 1, failed: 0 })
}

fn fail_crash_loop(tx: &mut JobsTx<'_>, mut held: Held) -> Result<()> {
    let error = NewJobError {
        code: ErrorCode::CrashLoop,
        message: format!(
            "The process ended {DEATHS_MAX} times in a row while it worked on this job, and no unit of work was finished in between"
        ),
        hint: Some("Look at the server's log for why it ended; when the cause is removed, retry the job".to_owned()),
        stage: running_stage(tx.conn, held.key)?,
        chunk_id: None,
        page: None,
    };
    fail(tx, &mut held, &error)
}

/// The stage that is under way.
pub(crate) fn running_stage(conn: &Connection, key: i64) -> Result<Option<String>> {
    Ok(conn
        .prepare_cached("SELECT name FROM stage WHERE job = ?1 AND status = 'running' ORDER BY position LIMIT 1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

/// The stage under way waits with its job; what it has done stays.
pub(crate) fn rest_stage(tx: &JobsTx<'_>, key: i64) -> Result<()> {
    tx.conn
        .prepare_cached("UPDATE stage SET status = 'pending', since = NULL WHERE job = ?1 AND status = 'running'")?
        .execute([key])?;
    Ok(())
}

/// Ends a running job as failed. Its attempt is closed already.
pub(crate) fn fail(tx: &mut JobsTx<'_>, held: &mut Held, error: &NewJobError) -> Result<()> {
    tx.error_row(held, error)?;
    end_stage(tx, held.key, StageStatus::Failed)?;
    tx.event(held, &EventKind::Error { error: error.message.clone(), code: error.code, will_retry: false })?;
    change_state(tx, held, &Change::new(Transition::Fail, &error.message))?;
    recharge(tx, held)
}
