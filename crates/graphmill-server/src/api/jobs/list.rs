//! `GET /api/jobs?status=&job_type=&collection=&q=&created_after=&created_before=&limit=50&offset=0&cursor=`: newest first by (created_at, id).
//!
//! `cursor` is opaque; the next one stands in the header `Link` (RFC 8288). A walk by cursor shows each job that stays exactly once, whatever comes
//! and goes meanwhile. 400: an unknown word, a bad number or time, a cursor that is none, `cursor` together with `offset`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use graphmill_core::{CollectionId, JobStatus, JobType, Timestamp};
use graphmill_store::requests::{JobFilter, PageStart};
use serde::Serialize;
use utoipa::IntoParams;

use crate::api::shape::JobShape;
use crate::openapi::BadParameter;
use crate::params::Params;
use crate::{AppState, Error, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Only jobs in this state.
    status: Option<JobStatus>,
    /// Only jobs of this type.
    job_type: Option<JobType>,
    /// Only jobs of this collection.
    collection: Option<CollectionId>,
    /// Only jobs with this text in file name or source; or about the job or document whose id is, or begins with, `job-…` or `doc-…` and 8 or more
    /// characters. Blank: no filter.
    q: Option<String>,
    /// Only jobs accepted at or after this instant.
    created_after: Option<Timestamp>,
    /// Only jobs accepted before this instant.
    created_before: Option<Timestamp>,
    /// Most jobs in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Jobs to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobPage)]
struct Answer {
    jobs: Vec<JobShape>,
    /// All that match.
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
    /// `total` is a floor: more match than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_capped: bool,
}

/// List all background jobs.
#[utoipa::path(
    get,
    path = "/api/jobs",
    tag = "jobs",
    operation_id = "list_jobs",
    params(Query),
    responses(
        (
            status = 200,
            description = "A page of jobs, newest first",
            body = Answer,
            headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last")),
            example = json!({"jobs": [{
            "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
            "job_type": "ingestion",
            "status": "running",
            "progress": 0.65,
            "message": "Processing chunks (95/147)",
            "created_at": "2024-01-15T16:30:00.000Z",
            "started_at": "2024-01-15T16:30:05.000Z",
            "metadata": {"filename": "VxRail_Admin_Guide.pdf", "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"}
            }], "total": 127, "limit": 50, "offset": 0, "has_more": true})
        ),
        BadParameter,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Response> {
    let filter = JobFilter {
        status: params.parsed("status")?,
        job_type: params.parsed("job_type")?,
        collection: scope.reading(params.parsed("collection")?)?,
        // A blank one is no filter.
        q: params.text("q")?.filter(|q| !q.trim().is_empty()).map(str::to_owned),
        created_after: params.parsed("created_after")?,
        created_before: params.parsed("created_before")?,
        aged_before: None,
    };
    let (limit, offset) = (params.limit(50)?, params.offset()?);
    let start = match params.text("cursor")? {
        None => PageStart::Offset(offset),
        Some(_) if offset > 0 => {
            return Err(Error::invalid(
                "cursor and offset were both given; a cursor says by itself where the page begins",
            ));
        }
        Some(cursor) => PageStart::Cursor(cursor.to_owned()),
    };
    let page = state.jobs().list(&filter, start, limit).await?;
    let link = page
        .next_cursor
        .as_ref()
        .map(|c| format!("</api/jobs?{}>; rel=\"next\"", params.with("cursor", c, &["offset"])));
    let answer = Answer {
        jobs: page.jobs.into_iter().map(JobShape::from).collect(),
        total: page.total,
        limit,
        offset,
        has_more: page.next_cursor.is_some(),
        total_capped: page.total_capped,
    };
    let mut response = Json(answer).into_response();
    if let Some(link) = link.and_then(|l| HeaderValue::try_from(l).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use graphmill_core::{ManualClock, Timestamp};

    use crate::ServerConfig;
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn the_five_keys_and_items_without_stages() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let answer = server.get("/api/jobs?status=&job_type=&limit=50&offset=0").await;
        let json = answer.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["jobs", "total", "limit", "offset", "has_more"]);
        let keys: Vec<_> = json["jobs"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["job_id", "job_type", "status", "progress", "message", "created_at", "metadata"]);
        assert_eq!(json["jobs"][0]["progress"].to_string(), "0.0");
        assert_eq!(json["total"], 1);
        assert!(!answer.headers.contains_key("link"));
    }

    #[tokio::test]
    async fn walks_by_offset_and_by_cursor_agree_within_one_millisecond() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let server = TestServer::with(ServerConfig::default(), clock).await;
        for n in 0..30 {
            server.upload(&format!("{n}.txt"), "Pumps pump.").await;
        }
        let ids = |json: &serde_json::Value| -> Vec<String> {
            json["jobs"].as_array().unwrap().iter().map(|j| j["job_id"].to_string()).collect()
        };
        for filter in ["", "&status=pending"] {
            let (mut by_offset, mut by_cursor) = (Vec::new(), Vec::new());
            for offset in (0..30).step_by(7) {
                let page = server.get(&format!("/api/jobs?limit=7&offset={offset}{filter}")).await.json();
                assert_eq!(page["total"], 30);
                assert_eq!(page["has_more"], offset + 7 < 30);
                by_offset.extend(ids(&page));
            }
            let mut next = Some(format!("/api/jobs?limit=7{filter}"));
            while let Some(uri) = next {
                let page = server.get(&uri).await;
                by_cursor.extend(ids(&page.json()));
                next =
                    page.headers.get("link").map(|l| l.to_str().unwrap()).map(|link| {
                        link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned()
                    });
            }
            assert_eq!(by_offset, by_cursor);
            by_cursor.sort();
            by_cursor.dedup();
            assert_eq!(by_cursor.len(), 30);
        }
    }

    #[tokio::test]
    async fn a_bad_parameter_is_named() {
        let server = TestServer::start().await;
        for (query, part) in [
            ("status=done", "pending, running, completed, failed, cancelled"),
            ("job_type=import", "ingestion, reindex, clustering"),
            ("limit=0", "from 1 to 1000"),
            ("limit=1001", "from 1 to 1000"),
            ("limit=ten", "\"ten\""),
            ("offset=-1", "from 0 to 9007199254740991"),
            ("offset=9223372036854775807", "from 0 to 9007199254740991"),
            ("offset=99999999999999999999", "from 0 to 9007199254740991"),
            ("created_after=yesterday", "2024-01-15T16:30:00Z"),
            ("collection=A%20B", "a-z"),
            ("cursor=nonsense", "cursor"),
            ("cursor=x&offset=5", "both"),
        ] {
            let (status, code, error) = server.get(&format!("/api/jobs?{query}")).await.error();
            assert_eq!((status, code.as_str()), (400, "invalid_parameter"), "{query}");
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
