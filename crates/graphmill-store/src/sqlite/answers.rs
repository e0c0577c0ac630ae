//! Answers that are kept under a caller's key: written in the transaction that accepts, so that the same request can never be accepted twice.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::journal::JobsTx;
use crate::Result;
use crate::records::{AcceptedJob, KeptAnswer, Keyed};
use crate::requests::RequestKey;

/// How long an answer is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Old ones that one sweep removes.
const SWEPT: u32 = 500;

/// The instant, in milliseconds, up to which an answer is too old at `now`.
fn old(now: graphmill_core::Timestamp) -> i64 {
    now.as_millis().saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX))
}

/// What was answered to this key, for which request.
pub(crate) fn find(
    conn: &Connection,
    scope: &str,
    key: &str,
    now: graphmill_core::Timestamp,
) -> Result<Option<([u8; 32], KeptAnswer)>> {
    let mut statement = conn.prepare_cached(
        "SELECT request, status, location, body FROM answer WHERE scope = ?1 AND key = ?2 AND at > ?3",
    )?;
    let found = statement.query_row(params![scope, key, old(now)], |row| {
        Ok((row.get(0)?, KeptAnswer { status: row.get(1)?, location: row.get(2)?, body: row.get(3)? }))
    });
    Ok(found.optional()?)
}

/// What stands under the key of this request: its own answer, or that of another request.
pub(crate) fn earlier<T>(tx: &JobsTx<'_>, key: Option<&RequestKey>) -> Result<Option<Keyed<T>>> {
    let Some(key) = key else { return Ok(None) };
    Ok(find(tx.conn, &key.scope, &key.key, tx.now())?
        .map(|(request, answer)| if request == key.request { Keyed::Replayed(answer) } else { Keyed::Reused }))
}

/// Keeps the answer to what was accepted.
pub(crate) fn keep(tx: &mut JobsTx<'_>, key: Option<&RequestKey>, accepted: &[AcceptedJob]) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    let answer = (key.answer)(accepted);
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO answer (scope, key, at, request, status, location, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            key.scope,
            key.key,
            tx.now().as_millis(),
            key.request,
            answer.status,
            answer.location,
            answer.body
        ])?;
    Ok(())
}

/// Removes answers that are too old, some at a time.
pub(crate) fn sweep(conn: &Connection, now: graphmill_core::Timestamp) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM answer WHERE (scope, key) IN (SELECT scope, key FROM answer WHERE at <= ?1 ORDER BY at LIMIT ?2)",
    )?
    .execute(params![old(now), SWEPT])?;
    Ok(())
}
