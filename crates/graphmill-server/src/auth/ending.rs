//! Answers that go on for long end with their caller's authority.

use std::convert::identity;

use axum::body::{Body, HttpBody as _};
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use graphmill_core::ErrorCode;
use serde_json::json;

use crate::caller::Caller;

/// The response, cut off when the caller's key is revoked. A stream of events says why as its last one; any other answer breaks off, so that it
/// cannot be taken for whole. One that is in memory already stays as it is.
pub(super) fn end_with(response: Response, caller: &Caller) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let last = kind.starts_with("text/event-stream").then(|| last_event(caller.end_reason()));
    let ended = caller.ended.clone();
    response.map(|body| {
        let pieces = body.into_data_stream().take_until(ended.clone().cancelled_owned());
        let end = async move {
            let broken = || axum::Error::new(std::io::Error::other("the caller's key was revoked"));
            ended.is_cancelled().then(|| last.ok_or_else(broken))
        };
        Body::from_stream(pieces.chain(stream::once(end).filter_map(async |end| identity(end))))
    })
}

fn last_event(reason: &str) -> Bytes {
    let data = json!({"type": "unauthorized", "error": reason, "code": ErrorCode::Unauthorized});
    format!("event: unauthorized\ndata: {data}\n\n").into()
}
