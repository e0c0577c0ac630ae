//! Serving connections: limits on time and size below HTTP, and an end in good order.

mod addresses;
mod connection;
mod own_errors;
mod pace;
mod patience;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::addresses::Addresses;
pub(crate) use self::addresses::network_of;
use self::connection::Connections;
pub use self::tls::Tls;
use crate::{AppState, Error, Result, router};

/// Serves `listener` until `shutdown`; then takes no new connection, lets open requests end for the configured grace, tells open streams that
/// the server stops, and returns.
///
/// # Errors
/// The listener is broken for good.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: CancellationToken) -> Result<()> {
    let limits = &state.config.limits;
    let common = Arc::new(Connections::new(router(state.clone()), state.config.tls.clone(), limits));
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::new(limits.connections_per_address);
    let result = loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => break Err(e),
        };
        let _ = stream.set_nodelay(true);
        let Some(held) = addresses.take(peer.ip()) else {
            if common.tls.is_none() {
                connections.spawn(async move {
                    let _place = place;
                    too_many(stream).await;
                });
            }
            continue;
        };
        let (common, stop, abort) = (common.clone(), shutdown.clone(), abort.clone());
        connections.spawn(async move {
            let _places = (place, held);
            tokio::select! {
                () = common.serve(stream, peer, stop) => {}
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
) -> Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(|e| Error::Listen(io::Error::other(e)))?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok((stream, peer, place)),
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

/// An address that holds its most connections.
async fn too_many(mut stream: TcpStream) {
    const BODY: &str = r#"{"error":"this address holds too many connections","code":"too_many_requests","hint":"close some, or raise connections_per_address in the server's settings"}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 5\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use graphmill_core::SystemClock;
    use tokio::io::AsyncReadExt;
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
        start_with(Limits { file_bytes: 1024 * 1024, ..Limits::default() }).await
    }

    async fn start_with(limits: Limits) -> Served {
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
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("\"headers_too_large\""), "{answer}");
        for broken in [&b"\x16\x03\x01 not HTTP\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            let answer = served.talk(broken).await;
            assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"bad_request\""), "{answer}");
        }
        let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
        assert!(served.talk(many.as_bytes()).await.contains("\"headers_too_large\""));
    }

    #[tokio::test]
    async fn a_search_for_4000_characters_of_three_bytes_fits() {
        let served = start().await;
        let query = "%E6%B0%B4%E6%B3%B5".repeat(2_000);
        let request = format!("GET /api/search?mode=text&q={query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = served.talk(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{}", &answer[..answer.len().min(300)]);
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_answered_after_the_idle_time() {
        let served = start_with(Limits { idle: Duration::from_millis(300), ..Limits::default() }).await;
        let json = "POST /api/jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        for head in [json.to_owned(), upload_head(900_000)] {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 600];
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(
                answer.starts_with("HTTP/1.1 408 ") && answer.contains("nothing was received for 0.3 s"),
                "{answer}"
            );
        }
    }

    #[tokio::test]
    async fn idle_clients_and_slow_heads_are_cut() {
        let served = start_with(Limits { idle: Duration::from_millis(300), ..Limits::default() }).await;
        for said in
            ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nhost: x\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"]
        {
            // Returns only because the server closes.
            let answer = served.talk(said.as_bytes()).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), said.ends_with("\r\n\r\n"), "{said:?}: {answer}");
        }
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
