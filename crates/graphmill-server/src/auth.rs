//! Authentication: who makes a request, and what a request without authority gets.
//!
//! A token comes in `Authorization: Bearer`; on the paths of streams, which browsers open without headers of their own, also as `?token=`. It is taken
//! out of the request before anything else sees it, so that no log, trace, error or link can hold it.

mod ending;
mod failures;

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use graphmill_core::ErrorCode;

pub(crate) use self::failures::Failures;
use crate::caller::{Caller, Peer};
use crate::key_ring::Denied;
use crate::{AppState, Error};

/// Open to everyone: they say that the process lives, whether its stores answer and which version it is; nothing of the data.
pub(crate) const OPEN: &[&str] = &["/livez", "/readyz", "/version"];

/// What a request has shown, until [`authenticate`] has looked at it.
#[derive(Clone)]
struct Shown {
    token: Option<String>,
}

/// A token stood in the query of a path that does not take one there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MisplacedToken;

/// Takes the token out of the request. The outermost layer.
pub(crate) async fn hide_token(mut request: Request, next: Next) -> Response {
    let in_query = take_from_query(&mut request);
    let in_header = take_from_headers(request.headers_mut());
    if in_query.is_some() && !is_stream(request.uri().path()) {
        request.extensions_mut().insert(MisplacedToken);
    }
    let in_query = in_query.filter(|_| is_stream(request.uri().path()));
    request.extensions_mut().insert(Shown { token: in_header.or(in_query) });
    next.run(request).await
}

/// Lets a request in, with what its caller may see, or answers 401, 403 or 429.
pub(crate) async fn authenticate(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let token = request.extensions_mut().remove::<Shown>().and_then(|shown| shown.token);
    let peer = request.extensions().get::<Peer>().copied();
    let caller = match state.services.keys.caller(token.as_deref()) {
        Ok(caller) => caller,
        Err(denied) => {
            crate::body::drain(request.into_body());
            return refusal(&state, denied, peer);
        }
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && let Err(error) = caller.check_writes() {
        crate::body::drain(request.into_body());
        return error.into_response();
    }
    tracing::trace!(key.name = caller.key_name(), "let in");
    request.extensions_mut().insert(caller.scope());
    request.extensions_mut().insert(caller.clone());
    tokio::select! {
        biased;
        response = next.run(request) => ending::end_with(response, &caller),
        () = caller.ended.cancelled() => ended(&caller),
    }
}

/// The authority of the caller ended while the request was carried out.
fn ended(caller: &Caller) -> Response {
    unauthorized(caller.end_reason(), "invalid_token")
}

fn refusal(state: &AppState, denied: Denied, peer: Option<Peer>) -> Response {
    if denied == Denied::Missing {
        let error = Error::new(ErrorCode::Unauthorized, "this server asks for a key, and the request has none")
            .hint("send the header Authorization: Bearer gm_…; `graphmill key create NAME` on its machine makes a key");
        return challenge(error, "Bearer");
    }
    let address = peer.map(|Peer(address)| address.ip().to_canonical());
    if let Some(wait) = address.and_then(|a| state.failures.note(a, state.services.clock.now())) {
        let seconds = wait.as_secs().max(1);
        let error = Error::new(ErrorCode::TooManyRequests, "too many wrong tokens came from this address")
            .hint(format!("a right token is let in at all times; try another one in {seconds} s"));
        let mut response = error.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    tracing::warn!(client.address = address.map(tracing::field::display), "a token was refused");
    unauthorized("the token is not known: it is wrong, cut short, or its key was revoked", "invalid_token")
}

fn unauthorized(message: &str, kind: &str) -> Response {
    let error = Error::new(ErrorCode::Unauthorized, message)
        .hint("`graphmill key list` on the server's machine names the keys; `graphmill key create NAME` makes one");
    challenge(error, &format!("Bearer error=\"{kind}\""))
}

fn challenge(error: Error, scheme: &str) -> Response {
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::try_from(scheme) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// The paths that take `?token=`: WebSockets and Server-Sent Events.
pub(crate) fn is_stream(path: &str) -> bool {
    path.starts_with("/api/") && (path.ends_with("/stream") || path.ends_with("/events"))
}

/// Another scheme than Bearer is not ours (a proxy's, perhaps): it shows nothing.
fn take_from_headers(headers: &mut HeaderMap) -> Option<String> {
    let value = headers.remove(header::AUTHORIZATION)?;
    let text = value.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// On any path: what is no token there must not be passed on either.
fn take_from_query(request: &mut Request) -> Option<String> {
    let query = request.uri().query()?;
    // `%74oken` is the same name.
    let is_token = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == "token");
    let (tokens, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_token);
    let token = url::form_urlencoded::parse(tokens.first()?.as_bytes()).next().map(|(_, value)| value.into_owned());
    let path = request.uri().path();
    let path = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    let clean = Uri::from_parts(parts).unwrap_or_default();
    *request.uri_mut() = clean.clone();
    request.extensions_mut().insert(OriginalUri(clean));
    token.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
