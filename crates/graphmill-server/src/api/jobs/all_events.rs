//! `GET /api/jobs/events?collection=&job_type=` (Server-Sent Events): what all jobs say, in the order in which it was committed, each message once.
//!
//! Messages are those of a job's own stream with `collection` and `job_type`. The id of a message is an opaque cursor: `Last-Event-ID`, or `?cursor=`, goes
//! on right after it, over restarts of the server too. Without one the stream begins with `hello`, whose `cursor` names this moment. The progress of running
//! jobs comes between, newest state only and without an id. A deletion is a message, and the events of a deleted job stay readable for ten minutes.
//! Heartbeats may move the id on. 410 `cursor_expired`: something after the cursor is gone, or the cursor is of another store or from before a restore: read the list and begin
//! anew. 400: a bad parameter. 404: no such collection.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use graphmill_core::{CollectionId, ErrorCode, JobType};
use graphmill_store::requests::EventFilter;

use super::events::last_event_id;
use crate::error::shortened;
use crate::openapi::{And, BadParameter, NoSuchCollection, refusals};
use crate::params::Params;
use crate::stream::{AllStream, Cursor};
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// Something after the cursor is gone.
    Expired { CursorExpired => "the cursor is too old: events after it are gone" }
}

/// What all jobs say, as Server-Sent Events.
#[utoipa::path(
    get,
    path = "/api/jobs/events",
    tag = "jobs",
    operation_id = "get_all_events",
    params(
        ("collection" = Option<CollectionId>, Query, description = "Only jobs of this collection"),
        ("job_type" = Option<JobType>, Query, description = "Only jobs of this type"),
        ("cursor" = Option<String>, Query, description = "Go on after the message with this id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message that was seen; goes before `cursor`")
    ),
    responses(
        (
            status = 200,
            description = "Server-Sent Events; the data of each is a JSON text of the schema `StreamMessage` with `collection` and `job_type`",
            body = String,
            content_type = "text/event-stream"
        ),
        And<And<BadParameter, NoSuchCollection>, Expired>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    params: Params,
) -> Result<Response> {
    let filter =
        EventFilter { collection: scope.reading(params.parsed("collection")?)?, job_type: params.parsed("job_type")? };
    let asked = params.text("cursor")?.map(str::to_owned);
    let after = match last_event_id(&headers)?.or(asked) {
        None => None,
        Some(cursor) => Some(position(&state, &cursor).await?),
    };
    if state.stopping.is_cancelled() {
        return Err(Error::new(ErrorCode::Unavailable, "the server is stopping"));
    }
    let head = state.jobs().event_head().await?;
    let stream = AllStream {
        store: state.services.jobs.clone(),
        all_jobs: state.all_jobs.clone(),
        clock: state.services.clock.clone(),
        filter,
        after,
        config: state.config.stream.clone(),
        stopping: state.stopping.clone(),
    };
    Ok(stream.respond(head, state.sockets.token()))
}

/// The position that a cursor names, if everything after it can still be read.
async fn position(state: &AppState, text: &str) -> Result<u64> {
    let cursor: Cursor = text.parse().map_err(|_| {
        Error::invalid(format!("the cursor {:?} is none; take the id of a message as it is", shortened(text)))
    })?;
    let own = cursor.order == state.jobs().event_order();
    let readable = own && state.jobs().all_events(&EventFilter::default(), cursor.position, 1).await?.is_some();
    if readable {
        return Ok(cursor.position);
    }
    let why = if own {
        "too old: events after it are gone"
    } else {
        "of another data folder, or from before this one was restored from a backup"
    };
    Err(Error::new(ErrorCode::CursorExpired, format!("the cursor is {why}")).hint(
        "open the stream without Last-Event-ID and cursor, and after its hello read GET /api/jobs: that is the present state",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::{Body, BodyDataStream};
    use axum::http::Request;
    use futures::StreamExt;
    use graphmill_core::{ManualClock, Timestamp};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use crate::ServerConfig;
    use crate::test_server::{TestServer, completed, progress};

    /// An open stream.
    struct Events {
        body: BodyDataStream,
        text: String,
        /// The newest id.
        id: Option<String>,
    }

    impl Events {
        async fn open(server: &TestServer, query: &str, last: Option<&str>) -> Self {
            let mut request = Request::get(format!("/api/jobs/events{query}"));
            if let Some(last) = last {
                request = request.header("Last-Event-ID", last);
            }
            let response = server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            Self { body: response.into_body().into_data_stream(), text: String::new(), id: None }
        }

        /// The next message, with its id if it has one; `None`: the stream has ended.
        async fn next(&mut self) -> Option<(Option<String>, Value)> {
            loop {
                if let Some((block, rest)) = self.text.split_once("\n\n") {
                    let line = |prefix: &str| block.lines().find_map(|l| l.strip_prefix(prefix)).map(str::to_owned);
                    let (id, data) = (line("id: "), line("data: "));
                    self.text = rest.to_owned();
                    self.id = id.clone().or(self.id.take());
                    match data {
                        Some(data) => return Some((id, serde_json::from_str(&data).unwrap())),
                        None => continue,
                    }
                }
                let piece = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
                let piece = piece.expect("the stream says nothing")?.unwrap();
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        }

        /// The next message that is an event (it has an id).
        async fn event(&mut self) -> Value {
            loop {
                if let (Some(_), message) = self.next().await.expect("the stream goes on") {
                    return message;
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_begins_with_hello_and_goes_on_where_it_was_left() {
        let server = TestServer::start().await;
        server.upload("before.txt", "Pumps pump.").await;
        server.claim().await;
        let mut stream = Events::open(&server, "", None).await;
        let hello = stream.event().await;
        assert_eq!(hello.as_object().unwrap().keys().collect::<Vec<_>>(), ["type", "cursor", "timestamp"]);
        assert_eq!((&hello["type"], hello["cursor"].as_str()), (&json!("hello"), stream.id.as_deref()));
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.stage(fence, "loading", 0.1).await;
        let accepted = stream.event().await;
        assert_eq!(
            accepted.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["type", "job_id", "collection", "job_type", "progress", "message", "status", "timestamp", "seq"]
        );
        assert_eq!((&accepted["job_id"], &accepted["status"]), (&json!(job), &json!("pending")));
        assert_eq!((&accepted["collection"], &accepted["job_type"]), (&json!("default"), &json!("ingestion")));
        assert_eq!(stream.event().await["status"], "running");
        assert_eq!(stream.event().await["type"], "stage_complete");
        let left = stream.id.clone().unwrap();
        drop(stream);
        server.end(fence, completed()).await;
        server.delete(&format!("/api/jobs/{job}")).await;
        for (query, header) in [("", Some(left.as_str())), (&*format!("?cursor={left}"), None)] {
            let mut again = Events::open(&server, query, header).await;
            assert_eq!(again.event().await["type"], "completed");
            assert_eq!(again.event().await["type"], "deleted");
        }
        // From hello on: everything that came after it.
        let mut again = Events::open(&server, &format!("?cursor={}", hello["cursor"].as_str().unwrap()), None).await;
        assert_eq!(again.event().await, accepted);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn running_jobs_tell_their_newest_progress_without_an_id() {
        let server = TestServer::start().await;
        let mut stream = Events::open(&server, "", None).await;
        stream.event().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.state.jobs().start_stage(fence, "loading", bytes::Bytes::new(), 1).await.unwrap();
        for n in 1..=900 {
            server.state.jobs().report(fence, "loading", progress(f64::from(n) / 1000.0, 0.5)).await.unwrap();
        }
        let (mut told, mut newest) = (0, 0.0);
        while newest < 0.9 {
            let (id, message) = stream.next().await.unwrap();
            if id.is_none() {
                assert_eq!((&message["type"], &message["job_id"]), (&json!("progress"), &json!(job)));
                let now = message["progress"].as_f64().unwrap();
                assert!(now > newest, "{now} after {newest}");
                (told, newest) = (told + 1, now);
            }
        }
        assert!(told < 200, "{told} messages of 900 changes are not coalesced");
        server.end(fence, completed()).await;
        assert_eq!(stream.event().await["type"], "completed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn filters_and_pings_move_the_id_on() {
        let mut config = ServerConfig::default();
        config.stream.ping_every = Duration::from_millis(50);
        let server = TestServer::with(config, std::sync::Arc::new(graphmill_core::SystemClock)).await;
        let mut stream = Events::open(&server, "?collection=other", None).await;
        let hello = stream.event().await["cursor"].clone();
        server.upload("a.txt", "Pumps pump.").await;
        let form = crate::test_server::form(&[("collection", None, b"other"), ("file", Some("o.txt"), b"Pumps.")]);
        assert_eq!(server.send(form).await.status, 202);
        let event = stream.event().await;
        assert_eq!(event["collection"], "other");
        let seen = stream.id.clone();
        server.upload("b.txt", "Pumps pump.").await;
        // Nothing of it is shown; the id follows all the same.
        let moved = async {
            while stream.id == seen {
                let piece = stream.body.next().await.unwrap().unwrap();
                let text = std::str::from_utf8(&piece).unwrap();
                assert!(!text.contains("data:"), "{text}");
                if let Some(id) = text.lines().find_map(|l| l.strip_prefix("id: ")) {
                    stream.id = Some(id.to_owned());
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), moved).await.expect("the id moves on");
        assert_ne!(json!(stream.id), hello);
        let mut types = Events::open(&server, "?job_type=reindex", None).await;
        assert_eq!(types.event().await["type"], "hello");
        assert_eq!(server.get("/api/jobs/events?job_type=baking").await.error().0, 400);
    }

    #[tokio::test]
    async fn an_old_a_foreign_and_a_false_cursor_are_told_apart() {
        let clock = std::sync::Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let server = TestServer::with(ServerConfig::default(), clock.clone()).await;
        let mut stream = Events::open(&server, "", None).await;
        let old = stream.event().await["cursor"].as_str().unwrap().to_owned();
        server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.end(fence, completed()).await;
        clock.advance(Duration::from_secs(3600));
        server.delete(&format!("/api/jobs/{}", fence.job)).await;
        let foreign = format!("{}{}", "0".repeat(32), &old[32..]);
        let future = format!("{}{}", &old[..32], "0000000000000fff");
        for cursor in [&old, &foreign, &future] {
            let answer = server.get(&format!("/api/jobs/events?cursor={cursor}")).await;
            let (status, code, _) = answer.error();
            assert_eq!((status, code.as_str()), (410, "cursor_expired"), "{cursor}");
            assert!(answer.json()["hint"].as_str().unwrap().contains("GET /api/jobs"));
        }
        assert_eq!(server.get("/api/jobs/events?cursor=abc").await.error().0, 400);
        assert_eq!(server.get("/api/jobs/events?collection=A%20b").await.error().0, 400);
    }
}
