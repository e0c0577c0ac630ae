//! One connection: TLS if it is wanted, then HTTP/1.1 or HTTP/2, with their limits.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::own_errors::OwnErrors;
use super::pace::{Activity, Answer, Paced};
use super::patience::Patience;
use super::tls::Tls;
use crate::Limits;
use crate::body::Silence;
use crate::caller::Peer;

/// Buffer of a connection, in bytes: bounds the head of a request, and how much of a body is held before a handler takes it.
const BUFFER_BYTES: usize = 64 * 1024;

/// Longest head of a request, in bytes: a search for 4,000 characters of three bytes, percent-encoded, is 36,000 and fits.
const HEAD_BYTES: u32 = 48 * 1024;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Requests at once on a connection of HTTP/2.
const MOST_STREAMS: u32 = 128;

/// Between two pings on a connection of HTTP/2, and the longest wait for the answer.
const PING: Duration = Duration::from_secs(20);

/// What all connections have in common.
pub(super) struct Connections {
    pub(super) app: Router,
    pub(super) tls: Option<Arc<Tls>>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    idle: Duration,
}

impl Connections {
    pub(super) fn new(app: Router, tls: Option<Arc<Tls>>, limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(HEAD_BYTES as usize)
            .max_headers(MOST_HEADERS);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buf_size(BUFFER_BYTES)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self { app, tls, http1, http2, idle: limits.idle }
    }

    /// Serves a connection to its end. What a client does to it is no error of ours: nothing is logged.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        let Some(tls) = &self.tls else { return self.http1(stream, peer, stop).await };
        let mut first = [0];
        let greeted = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await;
        if !matches!(greeted, Ok(Ok(1))) {
            return;
        }
        if first[0].is_ascii_uppercase() {
            return speaks_https(stream).await;
        }
        let accepted = tokio::time::timeout(HANDSHAKE, tls.acceptor().accept(stream)).await;
        let Ok(Ok(stream)) = accepted else { return };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.http2(stream, peer, stop).await,
            _ => self.http1(stream, peer, stop).await,
        }
    }

    async fn http1(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        stop: CancellationToken,
    ) {
        let called = Arc::new(AtomicBool::new(false));
        let io = OwnErrors::new(Patience::new(io, self.idle), called.clone());
        let answer = self.service(peer, Activity::new(), called);
        let connection = self.http1.serve_connection(TokioIo::new(io), hyper::service::service_fn(answer));
        let mut connection = pin!(connection.with_upgrades());
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    /// An idle connection has no head that could be waited for: it is ended when nothing was answered for as long.
    async fn http2(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        stop: CancellationToken,
    ) {
        let activity = Activity::new();
        let answer = self.service(peer, activity.clone(), Arc::default());
        let io = TokioIo::new(Patience::new(io, self.idle));
        let mut connection = pin!(self.http2.serve_connection(io, hyper::service::service_fn(answer)));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            () = activity.idle_for(self.idle) => connection.as_mut().graceful_shutdown(),
        }
        // A client that does not close now is not waited for without end.
        tokio::select! {
            _ = connection => {}
            () = activity.idle_for(self.idle) => {}
        }
    }

    fn service(
        &self,
        peer: SocketAddr,
        activity: Activity,
        called: Arc<AtomicBool>,
    ) -> impl Fn(Request<Incoming>) -> Answering + Send + 'static {
        let (app, idle) = (self.app.clone(), self.idle);
        move |request| {
            called.store(true, Ordering::Relaxed);
            let (app, answering) = (app.clone(), activity.begin());
            let mut request = request.map(|body| Body::new(Paced::new(body)));
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(Silence(idle));
            Box::pin(async move { Ok(app.oneshot(request).await?.map(|body| Answer::new(body, answering))) })
        }
    }
}

/// An answer that is being made.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// A client that speaks HTTP where TLS is spoken.
async fn speaks_https(mut stream: TcpStream) {
    const BODY: &str =
        r#"{"error":"this address speaks https","code":"bad_request","hint":"write https:// instead of http://"}"#;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let talk = async {
        let mut scratch = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut scratch).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(HANDSHAKE, talk).await;
}
