//! `POST /api/jobs/retry`: retries every failed or cancelled job that matches the filter of [`super::bulk`], and makes a new job over the quarantined
//! chunks of each completed one that has some. 200 `{"matched","retried","refused":[{"job_id","error","code"}],"refused_total"}`; the others are
//! refused. Takes an `Idempotency-Key`: the answer is kept when all is done; a call that was cut off before goes on with what is left when it is sent
//! again. 400: a bad field, or a filter without a condition.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use graphmill_core::JobStatus;
use graphmill_store::records::JobRecord;
use serde::Serialize;

use super::bulk::{Bulk, Refused, Request};
use super::retry::{not_retryable, nothing_to_retry, retry};
use crate::body::Fields;
use crate::idempotency::{Ticket, kept, meaning, respond};
use crate::openapi::{And, BadBody, NoSuchCollection, ReusedKey};
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkRetried)]
pub(crate) struct Answer {
    matched: u64,
    retried: u64,
    refused: Vec<Refused>,
    refused_total: u64,
}

/// Try every job again that matches.
#[utoipa::path(
    post,
    path = "/api/jobs/retry",
    tag = "jobs",
    operation_id = "retry_jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Carried out once for each key", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")),
    request_body(content = Request, description = "Which jobs", example = json!({"filter": {"status": "failed"}, "dry_run": true})),
    responses(
        (
            status = 200,
            description = "What became of them",
            body = Answer,
            example = json!({"matched": 3, "retried": 2, "refused": [{
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "error": "Cannot retry this job",
                "code": "cannot_retry"
            }], "refused_total": 1})
        ),
        And<BadBody, And<NoSuchCollection, ReusedKey>>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response> {
    let ticket = Ticket::take(&state, &scope, &headers)?;
    let request = meaning("bulk retry", &[fields.value()]);
    if let Some(earlier) = ticket.earlier(&state, &request).await? {
        return Ok(earlier);
    }
    let bulk = Bulk::read(&state, &scope, fields)?;
    let (dry_run, state_of_all) = (bulk.dry_run, &state);
    let tally = bulk.walk(&state, async |job| {
        if dry_run {
            return retryable(&job);
        }
        let detail = state_of_all.jobs().job(job.id).await?;
        retry(state_of_all, &detail, None).await.map(drop)
    });
    let tally = tally.await?;
    let answer = Answer {
        matched: tally.matched,
        retried: tally.done,
        refused: tally.refused,
        refused_total: tally.refused_total,
    };
    let answer = kept(StatusCode::OK, None, &answer);
    if !dry_run
        && let Some(key) = ticket.key(request, {
            let answer = answer.clone();
            move |_| answer.clone()
        })
        && let Err(earlier) = ticket.outcome(state.jobs().keep_answer(key).await?)?
    {
        return Ok(earlier);
    }
    Ok(respond(answer, false))
}

/// What a retry would say, by the job's state alone; that something later of its document stands in the way shows when it is done.
fn retryable(job: &JobRecord) -> Result<()> {
    let quarantined = job.metadata.get("chunks_quarantined").and_then(serde_json::Value::as_u64).unwrap_or(0);
    match job.status {
        JobStatus::Failed | JobStatus::Cancelled => Ok(()),
        JobStatus::Completed if quarantined > 0 => Ok(()),
        JobStatus::Completed => Err(nothing_to_retry(job.id)),
        status => Err(not_retryable(status)),
    }
}
