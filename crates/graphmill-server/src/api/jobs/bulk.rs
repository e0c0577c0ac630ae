//! What `POST /api/jobs/cancel`, `retry` and `delete` have in common: the filter, the walk in pages, the tally.
//!
//! The body is `{"filter": {"status","job_type","collection","q","created_after","created_before","older_than_days"}, "all": false, "dry_run": false}`.
//! All conditions must hold; an age counts from the end of a job, of one that has not ended from its making. A filter without any condition is refused
//! unless `all` is true. Every job that matches is done or refused, by itself: a call that is cut off has done a part, and may be sent again.

use std::time::Duration;

use futures::{StreamExt, stream};
use graphmill_core::{CollectionId, ErrorCode, JobId, JobStatus, JobType, Timestamp};
use graphmill_store::records::JobRecord;
use graphmill_store::requests::{JobFilter, PageStart};
use serde::Serialize;

use crate::body::Fields;
use crate::{AppState, Error, Result, Scope};

/// Jobs read at once.
const PAGE: u32 = 500;

/// Jobs under way at once: their writes share transactions, and other writers get their turn between.
const AT_ONCE: usize = 32;

/// Refused jobs that an answer names.
const NAMED: usize = 20;

/// Which jobs, and whether anything is done.
#[derive(utoipa::ToSchema)]
#[schema(as = BulkRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `Bulk::read` reads the fields")]
pub(super) struct Request {
    filter: Option<Conditions>,
    /// Every job is meant; needed when the filter has no condition.
    #[schema(default = false)]
    all: Option<bool>,
    /// Only say what would be done.
    #[schema(default = false)]
    dry_run: Option<bool>,
}

/// All must hold.
#[derive(utoipa::ToSchema)]
#[schema(as = BulkFilter)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `conditions` reads the fields")]
struct Conditions {
    status: Option<JobStatus>,
    job_type: Option<JobType>,
    collection: Option<CollectionId>,
    /// A text in file name or source; or the beginning of a job's or document's id, `job-…` or `doc-…` with 8 or more characters. Not blank.
    #[schema(min_length = 1, pattern = "[^ ]")]
    q: Option<String>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    /// Days since a job ended; of one that has not, since it was made.
    #[schema(minimum = 0, maximum = 36_500)]
    older_than_days: Option<u32>,
}

const FIELDS: &[&str] = &["filter", "all", "dry_run"];
const CONDITIONS: &[&str] =
    &["status", "job_type", "collection", "q", "created_after", "created_before", "older_than_days"];

/// A job that was not done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RefusedJob)]
pub(crate) struct Refused {
    job_id: JobId,
    error: String,
    code: ErrorCode,
}

/// What became of the jobs that matched.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) matched: u64,
    pub(super) done: u64,
    /// The first of them.
    pub(super) refused: Vec<Refused>,
    pub(super) refused_total: u64,
}

/// A decoded request.
#[derive(Debug)]
pub(super) struct Bulk {
    filter: JobFilter,
    /// Nothing is done; the tally says what would be, by the present states.
    pub(super) dry_run: bool,
}

impl Bulk {
    pub(super) fn read(state: &AppState, scope: &Scope, mut fields: Fields) -> Result<Self> {
        let filter = fields.object("filter")?.unwrap_or_default();
        let all = fields.flag("all")?.unwrap_or(false);
        let dry_run = fields.flag("dry_run")?.unwrap_or(false);
        fields.finish(FIELDS)?;
        let empty = filter.values().all(serde_json::Value::is_null);
        let filter = conditions(scope, state.services.clock.now(), Fields::within("filter", filter))?;
        if empty && !all {
            return Err(Error::invalid("the filter has no condition; it would match every job")
                .hint("name what is meant, or say \"all\": true; \"dry_run\": true shows what would be done"));
        }
        Ok(Self { filter, dry_run })
    }

    /// Does `act` to every job that matches; newest first, each once, whatever comes and goes meanwhile.
    pub(super) async fn walk<A, F>(&self, state: &AppState, act: A) -> Result<Tally>
    where
        A: Fn(JobRecord) -> F,
        F: Future<Output = Result<()>>,
    {
        let mut tally = Tally::default();
        let mut start = PageStart::Offset(0);
        loop {
            let page = state.jobs().list(&self.filter, start, PAGE).await?;
            let mut outcomes = stream::iter(page.jobs)
                .map(|job| {
                    let (id, act) = (job.id, act(job));
                    async move { (id, act.await) }
                })
                .buffered(AT_ONCE);
            while let Some((job, outcome)) = outcomes.next().await {
                tally.note(job, outcome)?;
            }
            match page.next_cursor {
                Some(cursor) => start = PageStart::Cursor(cursor),
                None => return Ok(tally),
            }
        }
    }
}

impl Tally {
    /// A failing store ends the call; what is wrong with one job concerns that job.
    fn note(&mut self, job: JobId, outcome: Result<()>) -> Result<()> {
        self.matched += 1;
        match outcome {
            Ok(()) => self.done += 1,
            Err(error) if crate::error::status_of(error.code()).is_server_error() => return Err(error),
            Err(error) => {
                self.refused_total += 1;
                if self.refused.len() < NAMED {
                    self.refused.push(Refused { job_id: job, error: error.to_string(), code: error.code() });
                }
            }
        }
        Ok(())
    }
}

fn conditions(scope: &Scope, now: Timestamp, mut fields: Fields) -> Result<JobFilter> {
    let collection: Option<CollectionId> = parsed(&mut fields, "collection")?;
    let days = fields.number("older_than_days", 0, 36_500)?;
    let age = days.map(|days| Duration::from_secs(days.unsigned_abs() * 24 * 3600));
    let filter = JobFilter {
        status: parsed::<JobStatus>(&mut fields, "status")?,
        job_type: parsed::<JobType>(&mut fields, "job_type")?,
        collection: scope.reading(collection)?,
        q: text(&mut fields)?,
        created_after: parsed::<Timestamp>(&mut fields, "created_after")?,
        created_before: parsed::<Timestamp>(&mut fields, "created_before")?,
        aged_before: age.map(|age| {
            let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(millis))
        }),
    };
    fields.finish(CONDITIONS)?;
    Ok(filter)
}

/// The text that is looked for. A blank one would be a condition that every job meets.
fn text(fields: &mut Fields) -> Result<Option<String>> {
    let q = fields.text("q")?;
    if q.as_ref().is_some_and(|q| q.trim().is_empty()) {
        return Err(Error::invalid("the field filter.q is blank; it would match every job")
            .hint("give a text, leave it out, or say \"all\": true to mean every job"));
    }
    Ok(q)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(fields: &mut Fields, name: &str) -> Result<Option<T>> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|e| Error::invalid(format!("the field filter.{name}: {e}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use graphmill_core::ManualClock;
    use serde_json::{Value, json};

    use super::*;
    use crate::ServerConfig;
    use crate::test_server::{TestServer, completed, failed};

    fn ids(answer: &Value) -> Vec<String> {
        answer["refused"].as_array().unwrap().iter().map(|r| r["job_id"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_blank_text_is_no_condition_and_a_piece_of_an_id_matches_nothing() {
        let server = TestServer::start().await;
        let mut jobs = Vec::new();
        for n in 0..3 {
            jobs.push(server.upload(&format!("{n}.txt"), "Pumps pump.").await.to_string());
            server.end(server.claim().await.fence, failed()).await;
        }
        for call in ["cancel", "retry", "delete"] {
            for blank in ["", " ", "\t \n", "\u{3000}"] {
                let body = json!({"filter": {"q": blank}});
                let (status, code, error) = server.post(&format!("/api/jobs/{call}"), body).await.error();
                assert_eq!((status, code.as_str()), (400, "invalid_parameter"), "{call} {blank:?}");
                assert!(error.contains("filter.q is blank"), "{error}");
            }
            // Hexadecimal digits that stand in every id.
            for piece in [&jobs[0][4..8], &jobs[0][..8], "7", "job-"] {
                let body = json!({"filter": {"q": piece}, "dry_run": true});
                let matched = server.post(&format!("/api/jobs/{call}"), body).await.json()["matched"].clone();
                assert_eq!(matched, 0, "{call} {piece}");
            }
        }
        assert_eq!(server.get("/api/jobs?q=").await.json()["total"], 3);
        assert_eq!(server.get("/api/jobs?q=%20").await.json()["total"], 3, "blank is no filter in a list");
        let answer = server.post("/api/jobs/delete", json!({"filter": {"q": jobs[1]}})).await.json();
        assert_eq!((&answer["matched"], &answer["deleted"]), (&json!(1), &json!(1)));
    }

    #[tokio::test]
    async fn every_matching_job_is_done_or_refused_once() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let server = TestServer::with(ServerConfig::default(), clock.clone()).await;
        for n in 0..30 {
            server.upload(&format!("old-{n}.txt"), "Pumps pump.").await;
            let fence = server.claim().await.fence;
            server.end(fence, if n % 2 == 0 { completed() } else { failed() }).await;
        }
        clock.advance(Duration::from_secs(3 * 24 * 3600));
        for n in 0..5 {
            server.upload(&format!("new-{n}.txt"), "Pumps pump.").await;
        }
        let total = async |query: &str| server.get(&format!("/api/jobs?{query}")).await.json()["total"].clone();
        // Nothing is done by a dry run.
        let body = json!({"filter": {"status": "pending"}, "dry_run": true});
        let answer = server.post("/api/jobs/cancel", body).await.json();
        assert_eq!(answer, json!({"matched": 5, "cancelled": 5, "refused": [], "refused_total": 0}));
        assert_eq!(total("status=pending").await, 5);
        let answer = server.post("/api/jobs/cancel", json!({"filter": {"q": "NEW-"}})).await.json();
        assert_eq!(answer, json!({"matched": 5, "cancelled": 5, "refused": [], "refused_total": 0}));
        // Those that have ended are refused, twenty of them by name.
        let answer = server.post("/api/jobs/cancel", json!({"all": true})).await.json();
        assert_eq!(
            (&answer["matched"], &answer["cancelled"], &answer["refused_total"]),
            (&json!(35), &json!(0), &json!(35))
        );
        assert_eq!(ids(&answer).len(), 20);
        assert_eq!(answer["refused"][0]["code"], "cannot_cancel");
        // Retry: failed ones wait again; those without anything to retry are refused.
        for dry_run in [true, false] {
            let body = json!({"filter": {"older_than_days": 2}, "dry_run": dry_run});
            let answer = server.post("/api/jobs/retry", body).await.json();
            assert_eq!(
                (&answer["matched"], &answer["retried"], &answer["refused_total"]),
                (&json!(30), &json!(15), &json!(15))
            );
            assert_eq!(total("status=pending").await, if dry_run { 0 } else { 15 });
        }
        // Delete: the old completed ones; those that wait are refused.
        let body = json!({"filter": {"job_type": "ingestion", "older_than_days": 2}});
        let answer = server.post("/api/jobs/delete", body).await.json();
        assert_eq!(
            (&answer["matched"], &answer["deleted"], &answer["refused_total"]),
            (&json!(30), &json!(15), &json!(15))
        );
        assert_eq!(answer["refused"][0]["code"], "cannot_delete");
        assert_eq!((total("").await, total("status=completed").await), (json!(20), json!(0)));
        let none = server.post("/api/jobs/delete", json!({"filter": {"collection": "elsewhere"}})).await;
        assert_eq!(none.json(), json!({"matched": 0, "deleted": 0, "refused": [], "refused_total": 0}));
    }

    #[tokio::test]
    async fn a_filter_that_says_nothing_or_something_unknown_is_refused() {
        let server = TestServer::start().await;
        for (body, part) in [
            (Value::Null, "no condition"),
            (json!({}), "no condition"),
            (json!({"filter": {}}), "no condition"),
            (json!({"filter": {"status": null}}), "no condition"),
            (json!({"filter": {}, "all": false}), "no condition"),
            (json!({"filter": {"state": "failed"}}), "\"filter.state\" is not known"),
            (json!({"filter": {"status": "done"}}), "filter.status"),
            (json!({"filter": {"created_after": "now"}}), "filter.created_after"),
            (json!({"filter": {"older_than_days": -1}}), "from 0 to 36500"),
            (json!({"filter": "all"}), "an object"),
            (json!({"filters": {}}), "\"filters\" is not known"),
        ] {
            for verb in ["cancel", "retry", "delete"] {
                let (status, _, error) = server.post(&format!("/api/jobs/{verb}"), body.clone()).await.error();
                assert!(status == 400 && error.contains(part), "{verb} {body}: {error}");
            }
        }
    }
}
