//! Serving connections: limits on time and size below HTTP, and an end in good order.

mod patience;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::patience::Patience;
use crate::{AppState, Error, Result, router};

/// Longest wait for the head of a request; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time in which a client may read nothing of what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Buffer of a connection, in bytes: bounds the head of a request, and how much of a body is held before a handler takes it.
const BUFFER_BYTES: usize = 64 * 1024;

/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 32 * 1024;

/// Most headers of a request.
const MOST_HEADERS: usize = 100;

/// Serves `listener` until `shutdown`; then takes no new connection, lets open requests end for the configured grace, tells open streams that
/// the server stops, and returns.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: CancellationToken) -> Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(MOST_HEADERS);
    let app = router(state.clone());
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let places = Arc::new(Semaphore::new(state.config.limits.connections));
    let result = loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => break Err(e),
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection =
            http.serve_connection(TokioIo::new(Patience::new(stream, WRITE_TIMEOUT)), service).with_upgrades();
        let (stop, abort) = (shutdown.clone(), abort.clone());
        connections.spawn(async move {
            let _place = place;
            let mut connection = pin!(connection);
            // What a client does to its connection is no error of ours: nothing is logged.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = abort.cancelled() => return,
                () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            tokio::select! {
                _ = connection => {}
                () = abort.cancelled() => {}
            }
        });
    };
    drop(listener);
    state.stopping.cancel();
    connections.close();
    state.sockets.close();
    let ended = async {
        connections.wait().await;
        state.sockets.wait().await;
    };
    if tokio::time::timeout(state.config.shutdown_grace, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            streams = state.sockets.len(),
            "requests were cut off at the end"
        );
        abort.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), connections.wait()).await;
    }
    result
}

/// The next connection and its place among those that are allowed at once.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(|e| Error::Listen(io::Error::other(e)))?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, place)),
            // The client is gone already.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
                ) => {}
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(Error::Listen(e)),
            Err(error) => {
                // Out of file descriptors or memory: others will be given back.
                tracing::warn!(%error, "a connection could not be accepted; trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use graphmill_core::SystemClock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::test_server::{BOUNDARY, TestServer};
    use crate::{Limits, ServerConfig};

    struct Served {
        server: TestServer,
        address: std::net::SocketAddr,
        stop: CancellationToken,
        ended: JoinHandle<Result<()>>,
    }

    async fn start() -> Served {
        let limits = Limits { file_bytes: 1024 * 1024, ..Limits::default() };
        let config = ServerConfig { limits, shutdown_grace: Duration::from_secs(1), ..ServerConfig::default() };
        let server = TestServer::with(config, Arc::new(SystemClock)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let ended = tokio::spawn(serve(listener, server.state.clone(), stop.clone()));
        Served { server, address, stop, ended }
    }

    impl Served {
        /// Sends bytes and reads to the end of the connection.
        async fn talk(&self, bytes: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        }
    }

    fn upload_head(length: usize) -> String {
        format!(
            "POST /api/upload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n\
             content-length: {length}\r\n\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn a_client_that_sends_all_before_it_reads_gets_the_refusal() {
        let served = start().await;
        // Like many clients: the whole body first, 20 times the limit, then the answer.
        let mut request = upload_head(20 * 1024 * 1024).into_bytes();
        request.resize(request.len() + 20 * 1024 * 1024, b'x');
        let answer = served.talk(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("limit of 1 MB"), "{answer}");
        served.server.no_blobs_left().await;
    }

    #[tokio::test]
    async fn a_long_json_body_is_refused_over_the_wire() {
        let served = start().await;
        let mut request =
            b"POST /api/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 30000000\r\n\r\n"
                .to_vec();
        request.resize(request.len() + 30_000_000, b'[');
        let answer = served.talk(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too_large"), "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_vanishes_in_an_upload_leaves_nothing() {
        let served = start().await;
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(upload_head(900_000).as_bytes()).await.unwrap();
        stream.write_all(&[b'x'; 400_000]).await.unwrap();
        let begun = Instant::now();
        while served.server.blob_files().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(5), "the upload is on its way");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(stream);
        served.server.no_blobs_left().await;
        assert_eq!(served.server.get("/api/jobs").await.json()["total"], 0);
    }

    #[tokio::test]
    async fn heads_that_are_too_large_or_broken_are_refused() {
        let served = start().await;
        let large =
            format!("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n", "y".repeat(100_000));
        let answer = served.talk(large.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(served.talk(b"\x16\x03\x01 not HTTP\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test]
    async fn the_end_waits_for_requests_and_not_for_idle_or_stuck_clients() {
        let served = start().await;
        let mut idle = TcpStream::connect(served.address).await.unwrap();
        idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        idle.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut stuck = TcpStream::connect(served.address).await.unwrap();
        stuck.write_all(upload_head(900_000).as_bytes()).await.unwrap();
        let begun = Instant::now();
        while served.server.state.jobs().counts().await.is_err() || begun.elapsed() < Duration::from_millis(50) {
            tokio::task::yield_now().await;
        }
        served.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), served.ended).await.expect("the end").unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
