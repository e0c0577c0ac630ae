//! `GET /api/jobs/{job_id}/stream` (WebSocket): what a job says, as it happens. Each message is a JSON text with `type`, `job_id`, `timestamp`, `seq`.
//!
//! A new stream first gets `stage_complete` for each finished stage and the present `progress`, then goes on live; `?since=SEQ` instead replays what came
//! after that seq. Messages come by rising `seq`, none twice. After the last one (`completed`, `cancelled`, `deleted`, or `error` with `will_retry`
//! false) the server closes with 1000. `?logs=true` adds `log` messages: the job's log from its first line, with `since` from the time of the
//! newest event seen. A server that stops closes with 1001, a key that is revoked with 1008. Before the upgrade: 404 there is no such job, 400 a bad parameter or no WebSocket request.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use graphmill_core::{ErrorCode, JobId};
use utoipa::IntoParams;

use crate::caller::Caller;
use crate::openapi::{And, BadParameter, NoSuchJob};
use crate::params::Params;
use crate::path::JobPath;
use crate::stream::{Start, run};
use crate::{AppState, Error, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Replay what came after the message with this `seq`, instead of a snapshot.
    #[param(minimum = 0)]
    since: Option<u64>,
    /// Send the job's log too.
    #[param(default = false)]
    logs: Option<bool>,
}

/// Read buffer of a stream, in bytes: clients have nothing to say.
const READ_BUFFER: usize = 1024;

/// Longest message of a client, in bytes.
const MOST_RECEIVED: usize = 4096;

/// Real-time job progress updates via WebSocket.
#[utoipa::path(
    get,
    path = "/api/jobs/{job_id}/stream",
    tag = "jobs",
    operation_id = "stream_job",
    params(("job_id" = JobId, Path, description = "The job"), Query),
    responses(
        (
            status = 101,
            description = "The connection is a WebSocket. Each message from the server is a JSON text of the schema `StreamMessage`; the server \
                listens to nothing but a close. It closes with 1000 after the last message of the job, with 1001 when it stops."
        ),
        And<BadParameter, NoSuchJob>,
    ),
    extensions(("x-websocket" = json!({"messages": {"$ref": "#/components/schemas/StreamMessage"}})))
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    caller: Caller,
    JobPath(job): JobPath,
    params: Params,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let start = Start { since: params.number("since", 0..=u64::MAX)?, logs: params.flag("logs")? };
    state.visible_job(&scope, job).await?;
    let upgrade = upgrade.map_err(|e| {
        Error::new(ErrorCode::InvalidParameter, format!("this path takes a WebSocket request: {e}"))
            .hint("open ws://…/stream with a WebSocket client; GET /api/jobs/{job_id} answers plain requests")
    })?;
    if state.stopping.is_cancelled() {
        return Err(Error::new(ErrorCode::Unavailable, "the server is stopping"));
    }
    let config = state.config.stream.clone();
    let subscription = state.streams.follow(job, config.pause);
    // Counted from here, so that a stopping server waits for the upgrade too.
    let open = state.sockets.token();
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(MOST_RECEIVED)
        .max_frame_size(MOST_RECEIVED);
    Ok(upgrade.on_upgrade(move |socket| async move {
        run(socket, subscription, state.services.jobs.clone(), start, config, state.stopping.clone(), caller).await;
        drop(open);
    }))
}
