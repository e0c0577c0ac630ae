//! `POST /api/jobs` with `{"job_type","params":{},"collection","priority","run_at","max_attempts"}`: puts a job of any type into the queue.
//!
//! `ingestion` ingests the stored original of a published document again (`params.document_id`; of a document that the graph has lost: of its latest
//! completed job). `priority` (0, higher goes first), `run_at` (an instant; the job waits for it) and `max_attempts` hold for every type.
//!
//! 202 with the job as `GET /api/jobs/{job_id}` shows it, and its path in `Location`. 200 instead: an identical request (same type, collection, params
//! and `run_at`) is pending; the answer is its job. 400: a bad or unknown field. 404: no such document or collection. 409 `overtaken`: something
//! else of the document has not ended. Takes an `Idempotency-Key`.

mod ingestion;
pub(in crate::api) mod reindex;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use graphmill_core::{CollectionId, JobType, Timestamp};
use graphmill_jobs::USUAL_ATTEMPTS;
use graphmill_jobs::clustering::ClusteringOptions;
use graphmill_jobs::reindex::ReindexOptions;
use graphmill_store::records::{Acceptance, AcceptedJob, KeptAnswer};
use graphmill_store::requests::NewJob;
use serde_json::{Map, Value, json};

use super::retry::overtaken;
use crate::api::shape::JobDetailShape;
use crate::api::upload::MOST_PRIORITY;
use crate::body::Fields;
use crate::idempotency::{Ticket, kept, meaning, respond};
use crate::openapi::{And, BadBody, NoSuchCollection, NoSuchDocument, Overtaken, ReusedKey};
use crate::scope::no_such_collection;
use crate::{AppState, Error, Result, Scope};

/// What is to be done: one of the types of jobs with its params.
#[derive(utoipa::ToSchema)]
#[schema(as = SubmitRequest)]
#[serde(untagged)]
#[expect(dead_code, reason = "a description: the handler reads the fields")]
enum Request {
    Ingestion(SubmitIngestion),
    Reindex(SubmitReindex),
    Clustering(SubmitClustering),
}

/// The fields of a request for one type of job.
macro_rules! request_of {
    ($name:ident, $word:ident::$variant:ident, $params:ty) => {
        #[derive(utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "a description: the handler reads the fields")]
        struct $name {
            #[schema(inline)]
            job_type: $word,
            params: $params,
            /// The collection that the job works on.
            collection: Option<CollectionId>,
            /// Higher is earlier.
            #[schema(minimum = -1000, maximum = 1000, default = 0)]
            priority: Option<i32>,
            /// Not before this instant, ten years ahead at most.
            run_at: Option<Timestamp>,
            /// How often it is tried.
            #[schema(minimum = 1, maximum = 100)]
            max_attempts: Option<u32>,
        }

        #[derive(utoipa::ToSchema)]
        #[schema(rename_all = "lowercase")]
        #[expect(dead_code, reason = "a description: `job_type` reads the word")]
        enum $word {
            $variant,
        }
    };
}

request_of!(SubmitIngestion, WordIngestion::Ingestion, ingestion::Params);
request_of!(SubmitReindex, WordReindex::Reindex, Option<reindex::Params>);
request_of!(SubmitClustering, WordClustering::Clustering, Option<ClusteringParams>);

/// How communities are found.
#[derive(utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `ClusteringOptions` reads the fields")]
struct ClusteringParams {
    /// Above 1 communities are smaller, below 1 larger.
    #[schema(minimum = 0.000001, maximum = 100, default = 1.0)]
    resolution: Option<f64>,
    /// The same seed over the same graph gives the same communities.
    #[schema(minimum = 0, default = 42)]
    seed: Option<u64>,
    /// At most so many levels are kept, the coarsest.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    max_levels: Option<u32>,
    /// Describes each community.
    #[schema(default = false)]
    generate_summaries: Option<bool>,
}

const FIELDS: &[&str] = &["job_type", "params", "collection", "priority", "run_at", "max_attempts"];

/// Most attempts that can be asked for.
const MOST_ATTEMPTS: i64 = 100;

/// How far ahead `run_at` may lie.
const FARTHEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// When and how a job of any type runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Schedule {
    /// Higher goes first.
    pub(crate) priority: i32,
    /// Not before this instant.
    pub(crate) run_at: Option<Timestamp>,
    /// Instead of the type's own.
    pub(crate) max_attempts: Option<u32>,
}

/// A request for a job, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// The type.
    pub(crate) job_type: JobType,
    /// What the type takes.
    pub(crate) params: Option<Map<String, Value>>,
    /// As it was asked for.
    pub(crate) collection: Option<CollectionId>,
    /// When and how.
    pub(crate) schedule: Schedule,
}

/// Put a job into the queue.
#[utoipa::path(
    post,
    path = "/api/jobs",
    tag = "jobs",
    operation_id = "submit_job",
    params(("Idempotency-Key" = Option<String>, Header, description = "Carried out once for each key", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")),
    request_body(
        content = Request,
        description = "What to do",
        example = json!({"job_type": "ingestion", "params": {"document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"}})
    ),
    responses(
        (
            status = 202,
            description = "The job, which now waits",
            body = JobDetailShape,
            headers(("Location" = String, description = "The path of the job"))
        ),
        (
            status = 200,
            description = "The job of an identical request, which waits already",
            body = JobDetailShape,
            headers(("Location" = String, description = "The path of the job"))
        ),
        And<And<BadBody, ReusedKey>, And<NoSuchDocument, And<NoSuchCollection, Overtaken>>>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response> {
    let submission = Submission {
        job_type: job_type(fields.text("job_type")?)?,
        params: fields.object("params")?,
        collection: collection(fields.text("collection")?)?,
        schedule: schedule(&mut fields)?,
    };
    fields.finish(FIELDS)?;
    submit(&state, &scope, &headers, submission).await
}

/// Carries out a decoded request, once for each `Idempotency-Key`.
pub(crate) async fn submit(
    state: &AppState,
    scope: &Scope,
    headers: &HeaderMap,
    submission: Submission,
) -> Result<Response> {
    let ticket = Ticket::take(state, scope, headers)?;
    let request = submission.meaning(scope);
    if let Some(earlier) = ticket.earlier(state, &request).await? {
        return Ok(earlier);
    }
    let Submission { job_type, params, collection, schedule } = submission;
    let job = new_job(state, scope, job_type, collection, params).await?;
    let job = scheduled(job, schedule, state.services.clock.now())?;
    let key = ticket.key(request, |accepted| accepted.first().map_or_else(nothing, answer));
    match ticket.outcome(state.jobs().enqueue_all(vec![job], key).await?)? {
        Err(earlier) => Ok(earlier),
        Ok(Acceptance::Overtaken { by, .. }) => Err(overtaken(&by)),
        Ok(Acceptance::Accepted(accepted)) => Ok(respond(accepted.first().map_or_else(nothing, answer), false)),
    }
}

/// 202 for a new job, 200 for one that was pending already.
fn answer(accepted: &AcceptedJob) -> KeptAnswer {
    let status = if accepted.existing { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/api/jobs/{}", accepted.detail.job.id);
    kept(status, Some(location), &JobDetailShape::from(accepted.detail.clone()))
}

/// Of no job; one job in is one job out.
fn nothing() -> KeptAnswer {
    kept(StatusCode::OK, None, &Map::new())
}

impl Submission {
    /// What a repeated request must agree in: what it asks for with every default filled in, so that leaving a field out and giving its default are one.
    fn meaning(&self, scope: &Scope) -> [u8; 32] {
        let Schedule { priority, run_at, max_attempts } = self.schedule;
        let given: Map<String, Value> =
            self.params.iter().flatten().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
        // What cannot be carried out is refused later, and no answer is kept of it.
        let params = match self.job_type {
            JobType::Ingestion => None, // the defaults are the document's own
            JobType::Reindex => ReindexOptions::from_params(&given).ok().map(|options| json!(options)),
            JobType::Clustering => ClusteringOptions::from_params(&given).ok().map(|options| json!(options)),
        };
        let collection = match self.job_type {
            JobType::Ingestion => self.collection.clone(), // the default is the document's
            JobType::Reindex | JobType::Clustering => {
                scope.writing(self.collection.clone()).ok().or_else(|| self.collection.clone())
            }
        };
        meaning(
            "submit",
            &[
                json!(self.job_type),
                params.unwrap_or_else(|| Value::Object(given)),
                json!(collection),
                json!(priority),
                json!(run_at),
                json!(max_attempts.unwrap_or(USUAL_ATTEMPTS)),
            ],
        )
    }
}

/// The job of a request, made by its type's own function.
async fn new_job(
    state: &AppState,
    scope: &Scope,
    job_type: JobType,
    collection: Option<CollectionId>,
    params: Option<Map<String, Value>>,
) -> Result<NewJob> {
    match job_type {
        JobType::Ingestion => ingestion::new_job(state, scope, collection, params).await,
        JobType::Reindex => reindex::new_job(state, scope, collection, params).await,
        JobType::Clustering => {
            let collection = known_collection(state, scope, collection).await?;
            let options = ClusteringOptions::from_params(&params.unwrap_or_default());
            Ok(options.map_err(|e| Error::invalid(format!("params: {e}")))?.into_job(collection))
        }
    }
}

/// The collection of a job over its layers: `default` unless named, and there.
async fn known_collection(state: &AppState, scope: &Scope, asked: Option<CollectionId>) -> Result<CollectionId> {
    let collection = scope.writing(asked)?;
    let known = state.jobs().collection(&collection).await?;
    known.map(|_| collection.clone()).ok_or_else(|| no_such_collection(collection.as_str()))
}

fn scheduled(mut job: NewJob, schedule: Schedule, now: Timestamp) -> Result<NewJob> {
    job.priority = schedule.priority;
    if let Some(max_attempts) = schedule.max_attempts {
        job.max_attempts = max_attempts;
    }
    if let Some(run_at) = schedule.run_at {
        job.delay = run_at.since(now);
        if job.delay > FARTHEST {
            return Err(Error::invalid(format!("the field run_at is {run_at}; it may lie ten years ahead at most")));
        }
        // A request for tonight is not the same as one for now.
        job.dedupe_key = job.dedupe_key.map(|key| format!("{key}@{}", run_at.as_millis()));
    }
    Ok(job)
}

fn job_type(word: Option<String>) -> Result<JobType> {
    let types = || JobType::ALL.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(", ");
    let word =
        word.ok_or_else(|| Error::invalid(format!("the field job_type is missing; it is one of {}", types())))?;
    word.parse().map_err(|e| Error::invalid(format!("the field job_type: {e}")))
}

pub(crate) fn collection(name: Option<String>) -> Result<Option<CollectionId>> {
    name.map(|name| name.parse().map_err(|e| Error::invalid(format!("the field collection: {e}")))).transpose()
}

fn schedule(fields: &mut Fields) -> Result<Schedule> {
    let priority = fields.number("priority", -MOST_PRIORITY, MOST_PRIORITY)?.unwrap_or(0);
    let run_at = fields.text("run_at")?.map(|text| instant(&text)).transpose()?;
    let max_attempts = fields.number("max_attempts", 1, MOST_ATTEMPTS)?;
    Ok(Schedule {
        priority: i32::try_from(priority).unwrap_or(0),
        run_at,
        max_attempts: max_attempts.and_then(|n| u32::try_from(n).ok()),
    })
}

fn instant(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|e| Error::invalid(format!("the field run_at: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{TestServer, completed, no_document};

    #[tokio::test]
    async fn a_published_document_is_ingested_again_with_its_settings() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        let body = json!({
            "job_type": "ingestion", "params": {"document_id": document, "chunk_overlap": 10}, "collection": "default",
            "priority": 7, "max_attempts": 2, "run_at": "2999-01-01T00:00:00Z",
        });
        assert_eq!(server.post("/api/jobs", body.clone()).await.error().0, 400, "too far ahead");
        let last = json!({"job_type": "reindex", "run_at": "9999-12-31T23:59:59Z"});
        let (_, _, error) = server.post("/api/jobs", last).await.error();
        assert_eq!(error, "the field run_at is 9999-12-30T22:00:00.999Z; it may lie ten years ahead at most");
        let soon = graphmill_core::Clock::now(&graphmill_core::SystemClock).plus(std::time::Duration::from_secs(3600));
        let body = json!({
            "job_type": "ingestion", "params": {"document_id": document, "chunk_overlap": 10}, "collection": "default",
            "priority": 7, "max_attempts": 2, "run_at": soon,
        });
        assert_eq!(server.post("/api/jobs", body.clone()).await.error().1, "overtaken");
        server.end(claimed.fence, completed()).await;
        let answer = server.post("/api/jobs", body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let job = answer.json()["job_id"].as_str().unwrap().to_owned();
        assert_eq!(answer.headers["location"], format!("/api/jobs/{job}"));
        assert_eq!(answer.json(), server.get(&format!("/api/jobs/{job}")).await.json());
        assert_eq!(answer.json()["metadata"]["document_id"], document.to_string());
        let detail = server.state.jobs().job(job.parse().unwrap()).await.unwrap();
        let params = detail.params;
        assert_eq!(
            (&params["chunk_size"], &params["chunk_overlap"], &params["force"]),
            (&json!(700), &json!(10), &json!(true))
        );
        assert_eq!(detail.job.priority, 7);
        let off = detail.job.run_at.as_millis() - soon.as_millis();
        assert!((0..5_000).contains(&off), "the store's clock and the server's differ by {off} ms");
    }

    #[tokio::test]
    async fn what_is_not_usual_is_shown_and_another_time_is_another_request() {
        let server = TestServer::start().await;
        let now = graphmill_core::Clock::now(&graphmill_core::SystemClock);
        let tonight = now.plus(std::time::Duration::from_secs(3600));
        let later = json!({"job_type": "reindex", "run_at": tonight, "priority": 3, "max_attempts": 2});
        let answer = server.post("/api/jobs", later.clone()).await;
        let job = answer.json();
        assert_eq!((answer.status.as_u16(), &job["priority"], &job["max_attempts"]), (202, &json!(3), &json!(2)));
        let run_at: graphmill_core::Timestamp = job["run_at"].as_str().unwrap().parse().unwrap();
        assert!((run_at.as_millis() - tonight.as_millis()).abs() < 5_000, "{job:#}");
        assert_eq!(job["message"], format!("Waiting until {run_at}"));
        assert_eq!(server.post("/api/jobs", later).await.json()["job_id"], job["job_id"], "identical, the time too");
        let other = json!({"job_type": "reindex", "run_at": now.plus(std::time::Duration::from_secs(7200))});
        assert_eq!(server.post("/api/jobs", other).await.status, 202);
        let usual = server.post("/api/jobs", json!({"job_type": "reindex", "priority": 0, "max_attempts": 5})).await;
        assert_eq!(usual.status, 202, "one for now is not the one for tonight");
        for absent in ["run_at", "priority", "max_attempts"] {
            assert_eq!(usual.json().get(absent), None, "{}", usual.text);
        }
        server.post("/api/job-types/reindex/pause", serde_json::Value::Null).await;
        let page = server.get(&format!("/api/jobs/{}", usual.json()["job_id"].as_str().unwrap())).await.json();
        assert_eq!(page["message"], "Waiting: jobs of this type are paused");
        // A cancelled one keeps the time that it was meant for; a retry does not wait for it.
        let path = format!("/api/jobs/{}", job["job_id"].as_str().unwrap());
        server.post(&format!("{path}/cancel"), serde_json::Value::Null).await;
        assert_eq!(server.get(&path).await.json()["run_at"], job["run_at"]);
        assert_eq!(server.post(&format!("{path}/retry"), serde_json::Value::Null).await.status, 202);
        let retried = server.get(&path).await.json();
        assert_eq!((retried.get("run_at"), &retried["priority"]), (None, &json!(3)), "{retried:#}");
    }

    #[tokio::test]
    async fn a_bad_request_is_named() {
        let server = TestServer::start().await;
        let document = no_document();
        for (body, status, part) in [
            (json!({}), 400, "job_type is missing"),
            (json!({"job_type": "import"}), 400, "ingestion, reindex, clustering"),
            (json!({"job_type": "ingestion"}), 400, "params is missing"),
            (json!({"job_type": "ingestion", "params": {}}), 400, "document_id is missing"),
            (json!({"job_type": "ingestion", "params": {"document_id": "doc-x"}}), 404, "there is no document doc-x"),
            (json!({"job_type": "ingestion", "params": {"document_id": document}}), 404, "there is no document"),
            (json!({"job_type": "ingestion", "params": {}, "parms": 1}), 400, "\"parms\" is not known"),
            (
                json!({"job_type": "ingestion", "params": {}, "run_at": "soon"}),
                400,
                "the field run_at: \"soon\" is not a time",
            ),
            (json!({"job_type": "ingestion", "params": {}, "max_attempts": 0}), 400, "from 1 to 100"),
            (json!({"job_type": "ingestion", "params": {}, "collection": "A b"}), 400, "the field collection"),
        ] {
            let (found, _, error) = server.post("/api/jobs", body).await.error();
            assert_eq!(found, status, "{error}");
            assert!(error.contains(part), "{error}");
        }
    }
}
