//! Which `Host` and `Origin` are accepted. A web page on another site must not reach a server on this machine: neither by a name that its
//! owner lets point to 127.0.0.1 (hence the check of `Host`) nor by a request or WebSocket that a browser sends for it (`Origin`).

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use graphmill_core::ErrorCode;

use crate::error::shortened;
use crate::{AppState, Error, Result};

/// Who may call.
#[derive(Debug, Clone)]
pub struct AccessPolicy {
    /// `None`: every `Host` is accepted.
    hosts: Option<Vec<HostName>>,
    /// The port that a `Host` without one means.
    default_port: u16,
    /// Foreign origins that are allowed, as `scheme://host[:port]` in lower case.
    origins: Vec<String>,
}

/// A name under which the server is called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostName {
    name: String,
    /// `None`: any port.
    port: Option<u16>,
}

impl AccessPolicy {
    /// Every `Host`, no foreign `Origin`.
    pub fn any() -> Self {
        Self { hosts: None, default_port: 80, origins: Vec::new() }
    }

    /// For a server that listens on `address`. On loopback only `127.0.0.1`, `localhost`, `[::1]` and the address itself with that port, and the
    /// names in `extra` (`name` with any port or `name:port`), are accepted as `Host`.
    pub fn for_address(address: SocketAddr, extra: &[String], allowed_origins: &[String]) -> Self {
        let port = Some(address.port());
        let hosts = address.ip().is_loopback().then(|| {
            let own = match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            };
            let mut ours = vec!["127.0.0.1", "localhost", "[::1]"];
            if !ours.contains(&own.as_str()) {
                ours.push(&own);
            }
            let ours = ours.into_iter().map(|name| HostName { name: name.to_owned(), port });
            ours.chain(extra.iter().map(|text| HostName::parse(text))).collect()
        });
        let origins = allowed_origins.iter().map(|o| o.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { hosts, default_port: 80, origins }
    }

    /// The same for a server that speaks https.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { default_port: 443, ..self }
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<()> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let given = host_of(headers, uri);
        let named = given.as_deref().map(HostName::parse);
        // Without a port a client means the scheme's own.
        let fits = |h: &HostName, n: &HostName| {
            h.name == n.name && h.port.is_none_or(|p| n.port.unwrap_or(self.default_port) == p)
        };
        if named.is_some_and(|n| hosts.iter().any(|h| fits(h, &n))) {
            return Ok(());
        }
        let shown = given.map_or("missing".to_owned(), |h| format!("{:?}", shortened(&h)));
        let names: Vec<String> = hosts.iter().map(HostName::shown).collect();
        Err(Error::new(
            ErrorCode::HostNotAllowed,
            format!("the header Host is {shown}; this server is called by {}", names.join(", ")),
        )
        .hint("call it by one of these names, or add the name to allowed_hosts in its settings"))
    }

    /// `Ok(Some)`: a foreign origin that is allowed and wants to be told so.
    fn check_origin(&self, headers: &HeaderMap, uri: &Uri) -> Result<Option<HeaderValue>> {
        let Some(value) = headers.get(header::ORIGIN) else { return Ok(None) };
        let origin = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return Ok(Some(value.clone()));
        }
        // The page comes from this server itself when its origin is the host that was called.
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let own = host_of(headers, uri).is_some_and(|host| page == Some(host.to_ascii_lowercase().as_str()));
        if own {
            return Ok(None);
        }
        Err(Error::new(
            ErrorCode::OriginNotAllowed,
            format!("requests from the origin {:?} are not allowed", shortened(&origin)),
        )
        .hint("start the server with --allowed-origin and this origin if its pages may use the API"))
    }
}

impl HostName {
    fn parse(text: &str) -> Self {
        let text = text.trim().to_ascii_lowercase();
        match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => match port.parse() {
                Ok(port) => Self { name: name.to_owned(), port: Some(port) },
                Err(_) => Self { name: text, port: None },
            },
            _ => Self { name: text, port: None },
        }
    }

    fn shown(&self) -> String {
        self.port.map_or_else(|| self.name.clone(), |port| format!("{}:{port}", self.name))
    }
}

/// The request's authority: in the request line when it is absolute (RFC 9112, 3.2.2), else in `Host`.
fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    if hosts.next().is_some() {
        return None;
    }
    uri.authority().map(|a| a.as_str().to_owned()).or(host)
}

/// The middleware that carries the policy out, preflights of allowed origins included.
pub(crate) async fn enforce(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let policy = &state.config.access;
    let checked = policy
        .check_host(request.headers(), request.uri())
        .and_then(|()| policy.check_origin(request.headers(), request.uri()));
    let origin = match checked {
        Ok(origin) => origin,
        Err(error) => {
            crate::body::drain(request.into_body());
            return error.into_response();
        }
    };
    let Some(origin) = origin else { return next.run(request).await };
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { preflight() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// Headers of answers that scripts of allowed origins may read beside the usual ones.
const EXPOSED: &str = "content-disposition, content-range, etag, idempotency-replayed, link, location, retry-after";

fn preflight() -> Response {
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, idempotency-key, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> AccessPolicy {
        let extra = ["mill.example".to_owned(), "tunnel:9000".to_owned()];
        AccessPolicy::for_address("127.0.0.1:8000".parse().unwrap(), &extra, &["https://App.example/".to_owned()])
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn host_ok(host: &str) -> bool {
        policy().check_host(&headers(&[(header::HOST, host)]), &Uri::from_static("/")).is_ok()
    }

    #[test]
    fn only_our_names_on_loopback() {
        for ours in [
            "127.0.0.1:8000",
            "localhost:8000",
            "LOCALHOST:8000",
            "[::1]:8000",
            "mill.example",
            "mill.example:1",
            "tunnel:9000",
        ] {
            assert!(host_ok(ours), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8000",
            "localhost",
            "localhost:80",
            "localhost:8001",
            "tunnel:9001",
            "",
            "localhost:8000.evil",
        ] {
            assert!(!host_ok(foreign), "{foreign}");
        }
        assert!(policy().check_host(&HeaderMap::new(), &Uri::from_static("/")).is_err());
        let two = headers(&[(header::HOST, "localhost:8000")]);
        let absolute = Uri::from_static("http://evil.example/livez");
        assert!(policy().check_host(&two, &absolute).is_err(), "the request line counts");
    }

    #[test]
    fn a_public_address_takes_every_host() {
        let policy = AccessPolicy::for_address("0.0.0.0:8000".parse().unwrap(), &[], &[]);
        assert!(policy.check_host(&headers(&[(header::HOST, "anything")]), &Uri::from_static("/")).is_ok());
    }

    #[test]
    fn a_foreign_origin_needs_permission() {
        let check = |origin: &str| {
            let h = headers(&[(header::HOST, "localhost:8000"), (header::ORIGIN, origin)]);
            policy().check_origin(&h, &Uri::from_static("/"))
        };
        assert!(check("http://localhost:8000").unwrap().is_none());
        assert!(check("https://localhost:8000").unwrap().is_none(), "behind a proxy that ends TLS");
        assert!(check("https://app.example").unwrap().is_some());
        for foreign in [
            "https://evil.example",
            "null",
            "http://localhost:3000",
            "http://localhost:8000.evil.example",
            "https://app.example:444",
        ] {
            assert_eq!(check(foreign).unwrap_err().code(), ErrorCode::OriginNotAllowed, "{foreign}");
        }
    }

    #[tokio::test]
    async fn the_policy_holds_for_every_path() {
        let config = crate::ServerConfig { access: policy(), ..crate::ServerConfig::default() };
        let server =
            crate::test_server::TestServer::with(config, std::sync::Arc::new(graphmill_core::SystemClock)).await;
        let call = async |method: &str, uri: &str, pairs: &[(&str, &str)]| {
            let request = pairs.iter().fold(Request::builder().method(method).uri(uri), |r, (k, v)| r.header(*k, *v));
            server.send(request.body(axum::body::Body::empty()).unwrap()).await
        };
        let (ours, app) = (("host", "localhost:8000"), ("origin", "https://app.example"));
        assert_eq!(call("GET", "/livez", &[ours]).await.status, 200);
        assert_eq!(call("GET", "/livez", &[("host", "evil.example")]).await.error().1, "host_not_allowed");
        for uri in ["/api/jobs", "/nothing", "/api/jobs/job-x/stream"] {
            let answer = call("GET", uri, &[ours, ("origin", "https://evil.example")]).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (403, "origin_not_allowed"), "{uri}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
        let answer = call("GET", "/nothing", &[ours, app]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers["access-control-allow-origin"].to_str().unwrap()),
            (404, "https://app.example")
        );
        let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
        for name in
            ["etag", "content-range", "content-disposition", "location", "idempotency-replayed", "retry-after", "link"]
        {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{name} in {exposed}");
        }
        let answer = call("OPTIONS", "/api/jobs", &[ours, app, ("access-control-request-method", "POST")]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers["access-control-allow-methods"].to_str().unwrap()),
            (204, "GET, POST, PATCH, DELETE")
        );
        assert_eq!(call("OPTIONS", "/api/jobs", &[ours]).await.error().0, 405);
    }
}
