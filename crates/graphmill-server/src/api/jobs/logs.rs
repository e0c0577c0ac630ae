//! `GET /api/jobs/{job_id}/logs?level=&limit=100&after=&order=asc`: log lines, oldest first. `level` is the least severity shown, `after` an instant;
//! `total` counts all that match, whatever the limit. 400: an unknown word, a bad number or time. 404: there is no such job.

use axum::Json;
use axum::extract::State;
use graphmill_core::{JobId, Timestamp};
use graphmill_store::records::{LogLevel, LogRecord};
use graphmill_store::requests::LogQuery;
use serde::Serialize;
use utoipa::IntoParams;

use crate::error::shortened;
use crate::openapi::{And, BadParameter, NoSuchJob};
use crate::params::Params;
use crate::path::JobPath;
use crate::{AppState, Error, Result, Scope};

/// Which lines come first.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: `order` reads the words")]
enum Order {
    /// The oldest.
    Asc,
    /// The newest.
    Desc,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Least severity shown.
    level: Option<LogLevel>,
    /// Most lines in the answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Only lines after this instant.
    after: Option<Timestamp>,
    /// Which lines come first.
    #[param(inline, default = "asc")]
    order: Option<Order>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobLogs)]
pub(crate) struct Answer {
    job_id: JobId,
    logs: Vec<LogRecord>,
    /// All that match, whatever the limit.
    total: u64,
}

/// Get detailed logs for a job.
#[utoipa::path(
    get,
    path = "/api/jobs/{job_id}/logs",
    tag = "jobs",
    operation_id = "get_job_logs",
    params(("job_id" = JobId, Path, description = "The job"), Query),
    responses(
        (
            status = 200,
            description = "Log lines, and how many match in all",
            body = Answer,
            example = json!({
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "logs": [{
                    "timestamp": "2024-01-15T16:30:08.456Z",
                    "level": "info",
                    "message": "Loaded 350 pages",
                    "context": {"duration_seconds": 3.2}
                }],
                "total": 47
            })
        ),
        And<BadParameter, NoSuchJob>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    JobPath(job): JobPath,
    params: Params,
) -> Result<Json<Answer>> {
    let query = LogQuery {
        level: params.text("level")?.map(level).transpose()?,
        after: params.parsed("after")?,
        descending: params.text("order")?.map_or(Ok(false), order)?,
        limit: params.limit(100)?,
    };
    state.check_job(&scope, job).await?;
    let page = state.jobs().logs(job, &query).await?;
    Ok(Json(Answer { job_id: job, logs: page.logs, total: page.total }))
}

fn level(word: &str) -> Result<LogLevel> {
    match word {
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warning" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        _ => Err(Error::invalid(format!(
            "the parameter level: {:?} is none of debug, info, warning, error",
            shortened(word)
        ))),
    }
}

/// Whether the newest come first.
fn order(word: &str) -> Result<bool> {
    match word {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(Error::invalid(format!("the parameter order: {:?} is none of asc, desc", shortened(word)))),
    }
}

#[cfg(test)]
mod tests {
    use graphmill_store::requests::NewLog;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::test_server::{NO_JOB, TestServer};

    #[tokio::test]
    async fn the_least_severity_the_order_and_the_total() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        let line = |level, message: &str| NewLog {
            level,
            message: message.into(),
            context: Map::from_iter([("n".to_owned(), json!(1))]),
        };
        let lines = [(LogLevel::Debug, "d"), (LogLevel::Info, "i"), (LogLevel::Warning, "w"), (LogLevel::Error, "e")];
        server.state.jobs().append_logs(fence, lines.map(|(l, m)| line(l, m)).into()).await.unwrap();
        let messages = |json: &Value| -> String {
            json["logs"].as_array().unwrap().iter().map(|l| l["message"].as_str().unwrap()).collect()
        };
        let get = async |query: &str| server.get(&format!("/api/jobs/{job}/logs?{query}")).await;
        let all = get("").await.json();
        assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["job_id", "logs", "total"]);
        assert_eq!(
            all["logs"][0].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["timestamp", "level", "message", "context"]
        );
        assert!(messages(&all).ends_with("diwe"), "{all}");
        let some = get("level=warning&limit=1").await.json();
        assert_eq!(
            (messages(&some).as_str(), &some["total"], &some["logs"][0]["level"]),
            ("w", &json!(2), &json!("warning"))
        );
        assert_eq!(messages(&get("level=info&order=desc&limit=3").await.json()), "ewi");
        assert_eq!(messages(&get("after=2999-01-01T00:00:00Z").await.json()), "");
        for query in ["level=loud", "order=up", "limit=0", "after=now"] {
            assert_eq!(get(query).await.error().1, "invalid_parameter", "{query}");
        }
        assert_eq!(server.get(&format!("/api/jobs/{NO_JOB}/logs")).await.error().0, 404);
    }
}
