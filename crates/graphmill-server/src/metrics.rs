//! What is measured of requests and streams.

use std::sync::LazyLock;
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use graphmill_core::metrics::{Counters, Histograms, LiveGauges, REQUEST_SECONDS, counters, histograms, live_gauges};

static REQUESTS: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Answered requests by template of the route (unknown: there is no such path), method and class of the status. A request whose caller \
                left before the answer has the class gone.";
    counters("graphmill_http_requests_total", help, &["route", "method", "status"])
});

static DURATIONS: LazyLock<Histograms> = LazyLock::new(|| {
    let help = "Time from the head of a request to the head of its answer.";
    histograms("graphmill_http_request_duration_seconds", help, &["route", "method"], REQUEST_SECONDS)
});

static READERS: LazyLock<LiveGauges> = LazyLock::new(|| {
    live_gauges("graphmill_stream_readers", "Clients that follow jobs at this moment.", &["transport"])
});

/// One request under way. Counted when it goes, so that callers that leave are seen too.
pub(crate) struct Measured {
    route: Option<MatchedPath>,
    method: &'static str,
    status: &'static str,
    begun: Instant,
}

impl Measured {
    /// The request has come; `route` is the one that the router found.
    pub(crate) fn new(method: &Method, route: Option<&MatchedPath>) -> Self {
        Self { route: route.cloned(), method: word(method), status: "gone", begun: Instant::now() }
    }

    /// It is answered.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = class(status);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("unknown", MatchedPath::as_str);
        REQUESTS.with_label_values(&[route, self.method, self.status]).inc();
        DURATIONS.with_label_values(&[route, self.method]).observe(self.begun.elapsed().as_secs_f64());
    }
}

/// A method is whatever a client writes; a label is one of these.
pub(crate) fn word(method: &Method) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| method.as_str() == *known)
        .unwrap_or("other")
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

/// A client that follows, counted until this is dropped.
pub(crate) struct Reader(&'static str);

impl Reader {
    /// One that follows over a WebSocket.
    pub(crate) fn websocket() -> Self {
        Self::new("websocket")
    }

    /// One that follows by Server-Sent Events.
    pub(crate) fn sse() -> Self {
        Self::new("sse")
    }

    fn new(transport: &'static str) -> Self {
        READERS.with_label_values(&[transport]).inc();
        Self(transport)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        READERS.with_label_values(&[self.0]).dec();
    }
}

/// So that readers are told of as 0 before the first one comes.
pub(crate) fn show_readers() {
    for transport in ["websocket", "sse"] {
        READERS.with_label_values(&[transport]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few() {
        let strange = Method::from_bytes(b"BREW-7").unwrap();
        assert_eq!([word(&Method::GET), word(&strange)], ["GET", "other"]);
        let status = |n| class(StatusCode::from_u16(n).unwrap());
        assert_eq!([101, 204, 307, 404, 503, 999].map(status), ["1xx", "2xx", "3xx", "4xx", "5xx", "5xx"]);
    }
}
