//! `GET /api/jobs/{job_id}/events` (Server-Sent Events): the messages of the WebSocket, each with its `seq` as id. `Last-Event-ID`, or `?since=SEQ`, replays
//! what came after; without them a stream begins with a snapshot. `?logs=true` adds log lines. The stream ends after the last message; a client that
//! comes back after that with its `Last-Event-ID` gets 204, which tells an `EventSource` to stay away. 404: there is no such job. 400: a bad parameter.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use graphmill_core::{ErrorCode, JobId};

use crate::error::shortened;
use crate::openapi::{And, BadParameter, NoSuchJob};
use crate::params::Params;
use crate::path::JobPath;
use crate::stream::{Start, respond};
use crate::{AppState, Error, Result, Scope};

/// What a job says, as Server-Sent Events.
#[utoipa::path(
    get,
    path = "/api/jobs/{job_id}/events",
    tag = "jobs",
    operation_id = "get_job_events",
    params(
        ("job_id" = JobId, Path, description = "The job"),
        ("since" = Option<u64>, Query, description = "Replay what came after the message with this `seq`", minimum = 0),
        ("logs" = Option<bool>, Query, description = "Send the job's log too"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message that was seen; goes before `since`")
    ),
    responses(
        (
            status = 200,
            description = "Server-Sent Events; the data of each is a JSON text of the schema `StreamMessage`",
            body = String,
            content_type = "text/event-stream"
        ),
        (status = 204, description = "The job has ended and the last message was seen"),
        And<BadParameter, NoSuchJob>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    JobPath(job): JobPath,
    headers: HeaderMap,
    params: Params,
) -> Result<Response> {
    let known = last_event_id(&headers)?.map(|id| seq(&id)).transpose()?;
    let since = params.number("since", 0..=u64::MAX)?;
    let logs = params.flag("logs")?;
    let record = state.visible_job(&scope, job).await?.job;
    if record.status.is_ended() && known.is_some_and(|known| known >= record.version) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if state.stopping.is_cancelled() {
        return Err(Error::new(ErrorCode::Unavailable, "the server is stopping"));
    }
    let config = state.config.stream.clone();
    let subscription = state.streams.follow(job, config.pause);
    // The header is newer: an `EventSource` connects again to the address that it was opened with.
    let start = Start { since: known.or(since), logs };
    let (store, stopping, open) = (state.services.jobs.clone(), state.stopping.clone(), state.sockets.token());
    Ok(respond(subscription, store, start, config, stopping, open))
}

/// What a client that comes back has seen; an empty one is none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

fn seq(id: &str) -> Result<u64> {
    id.parse().map_err(|_| {
        Error::invalid(format!("the header Last-Event-ID is {:?}; it must be the id of a message", shortened(id)))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use serde_json::Value;

    use crate::test_server::{Answer, NO_JOB, TestServer, completed, failed};

    async fn read(server: &TestServer, uri: &str, last: Option<u64>) -> Answer {
        let mut request = Request::get(uri);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let answer = server.send(request.body(Body::empty()).unwrap());
        tokio::time::timeout(std::time::Duration::from_secs(20), answer).await.expect("the stream ends")
    }

    /// Id and JSON of each message.
    fn messages(answer: &Answer) -> Vec<(Option<u64>, Value)> {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(answer.text.starts_with("retry: 2000\n\n"), "{}", answer.text);
        let blocks = answer.text.split("\n\n").filter(|block| block.contains("data: "));
        let message = |block: &str| {
            let id = block.lines().find_map(|l| l.strip_prefix("id: ")).map(|id| id.parse().unwrap());
            let data = block.lines().find_map(|l| l.strip_prefix("data: ")).unwrap();
            (id, serde_json::from_str(data).unwrap())
        };
        blocks.map(message).collect()
    }

    /// c26 for Server-Sent Events, as a kind: whenever a reader comes, it gets exactly one end, and with its last id nothing again.
    #[tokio::test(flavor = "multi_thread")]
    async fn c26_a_reader_gets_exactly_one_end_whenever_it_comes() {
        let server = TestServer::start().await;
        for (n, way) in ["completed", "failed", "cancelled", "deleted"].iter().enumerate().cycle().take(60) {
            let job = server.upload(&format!("{n}.txt"), "Pumps pump.").await;
            let fence = server.claim().await.fence;
            server.stage(fence, "loading", 0.1).await;
            let uri = format!("/api/jobs/{job}/events");
            let reader = async { read(&server, &uri, None).await };
            let end = async {
                tokio::time::sleep(std::time::Duration::from_micros(u64::try_from(n).unwrap() * 700)).await;
                match *way {
                    "completed" => server.end(fence, completed()).await,
                    "failed" => server.end(fence, failed()).await,
                    "cancelled" => drop(server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await),
                    _ => {
                        server.end(fence, completed()).await;
                        server.delete(&format!("/api/jobs/{job}")).await;
                    }
                }
            };
            let (answer, ()) = tokio::join!(reader, end);
            if answer.status == 404 {
                assert_eq!(*way, "deleted");
                continue;
            }
            let messages = messages(&answer);
            let last = |m: &Value| {
                let kind = m["type"].as_str().unwrap();
                matches!(kind, "completed" | "cancelled" | "deleted") || (kind == "error" && m["will_retry"] != true)
            };
            assert_eq!(messages.iter().filter(|(_, m)| last(m)).count(), 1, "{messages:#?}");
            assert!(last(&messages.last().unwrap().1), "{messages:#?}");
            for (id, message) in &messages {
                assert_eq!(*id, message["seq"].as_u64(), "the id is the seq");
            }
            assert!(messages.windows(2).all(|pair| pair[0].0 < pair[1].0), "{messages:#?}");
            if *way != "deleted" {
                let seen = messages.last().unwrap().0;
                assert_eq!(read(&server, &uri, seen).await.status, 204);
                let since = read(&server, &format!("{uri}?since={}", seen.unwrap()), None).await;
                assert_eq!(super::tests::messages(&since), [], "an open end, without anything again");
                let part = read(&server, &format!("{uri}?since={}", seen.unwrap()), Some(seen.unwrap() - 1)).await;
                assert_eq!(super::tests::messages(&part).len(), 1, "the header counts more than the address");
            }
        }
    }

    #[tokio::test]
    async fn bad_ids_and_unknown_jobs_are_refused() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        assert_eq!(server.get(&format!("/api/jobs/{NO_JOB}/events")).await.error().0, 404);
        assert_eq!(server.get(&format!("/api/jobs/{job}/events?since=x")).await.error().0, 400);
        let request = Request::get(format!("/api/jobs/{job}/events")).header("Last-Event-ID", "abc");
        let (status, _, error) = server.send(request.body(Body::empty()).unwrap()).await.error();
        assert!(status == 400 && error.contains("\"abc\""), "{error}");
    }
}
