//! Serving connections: limits on time and size below HTTP, and an end in good order.

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

use crate::{AppState, Error, Result, router};

/// Longest wait for the head of a request; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Buffer of a connection, in bytes: bounds the head of a request, and how much of a body is held before a handler takes it.
const BUFFER_BYTES: usize = 64 * 1024;

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
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
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
