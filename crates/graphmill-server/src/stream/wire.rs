//! How messages reach a client: over a WebSocket, or as Server-Sent Events.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::metrics::Reader;

/// The stream is over: the client is gone, silent or does not read.
#[derive(Debug)]
pub(super) struct Gone;

/// How long a client may take to answer our close.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Messages that may lie between a stream and the connection; a client that reads slowly makes the stream wait, not the memory grow.
const BUFFERED: usize = 4;

/// How long an `EventSource` waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The way to one client.
pub(super) trait Wire: Send {
    /// Sends a message; `id` is where a client that comes back goes on.
    fn message(&mut self, id: Option<&str>, text: Utf8Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Shows that the server lives; `id` as above, if there is a new one.
    fn heartbeat(&mut self, id: Option<&str>) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Waits until the client says something (which is ignored) or is gone.
    fn listen(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// A WebSocket. Ids are not sent: every message has its `seq`.
pub(super) struct SocketWire {
    socket: WebSocket,
    /// When the client last said anything.
    heard: Instant,
    silence: Duration,
    _counted: Reader,
}

impl SocketWire {
    /// A client that says and takes nothing for `silence` is gone.
    pub(super) fn new(socket: WebSocket, silence: Duration) -> Self {
        Self { socket, heard: Instant::now(), silence, _counted: Reader::websocket() }
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Gone> {
        match timeout(self.silence, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// Says goodbye and waits a moment for the client's, so that nothing that was sent is lost with the connection.
    pub(super) async fn close(&mut self, frame: CloseFrame) {
        let goodbye = async {
            if self.socket.send(Frame::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        let _ = timeout(CLOSE_WAIT, goodbye).await;
    }
}

impl Wire for SocketWire {
    async fn message(&mut self, _: Option<&str>, text: Utf8Bytes) -> Result<(), Gone> {
        self.send(Frame::Text(text)).await
    }

    async fn heartbeat(&mut self, _: Option<&str>) -> Result<(), Gone> {
        if self.heard.elapsed() > self.silence {
            return Err(Gone);
        }
        self.send(Frame::Ping(Bytes::new())).await
    }

    async fn listen(&mut self) -> Result<(), Gone> {
        match self.socket.recv().await {
            Some(Ok(Frame::Close(_))) => {
                // Our answer to it is written by the next read.
                let _ = timeout(CLOSE_WAIT, self.socket.recv()).await;
                Err(Gone)
            }
            Some(Ok(_)) => {
                self.heard = Instant::now();
                Ok(())
            }
            Some(Err(_)) | None => Err(Gone),
        }
    }
}

/// Server-Sent Events. Messages have no `event:` name, so that `onmessage` gets them all; their `type` is in the JSON.
pub(super) struct EventsWire {
    out: mpsc::Sender<Bytes>,
    silence: Duration,
    _counted: Reader,
}

impl EventsWire {
    /// The wire and the response that it feeds. The response ends when the wire is dropped.
    pub(super) fn open(silence: Duration) -> (Self, Response) {
        let (out, pieces) = mpsc::channel(BUFFERED);
        // There is room: it is the first piece.
        let _ = out.try_send(Bytes::from(format!("retry: {}\n\n", RETRY.as_millis())));
        let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
            pieces.recv().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), pieces))
        });
        let mut response = Response::new(Body::from_stream(pieces));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A proxy that gathers an answer before it passes it on would make a stream of it no stream.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        (Self { out, silence, _counted: Reader::sse() }, response)
    }

    async fn send(&self, piece: String) -> Result<(), Gone> {
        match timeout(self.silence, self.out.send(piece.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

impl Wire for EventsWire {
    async fn message(&mut self, id: Option<&str>, text: Utf8Bytes) -> Result<(), Gone> {
        // JSON has no line breaks of its own.
        match id {
            Some(id) => self.send(format!("id: {id}\ndata: {text}\n\n")).await,
            None => self.send(format!("data: {text}\n\n")).await,
        }
    }

    async fn heartbeat(&mut self, id: Option<&str>) -> Result<(), Gone> {
        // An event without data is not dispatched, but its id counts.
        match id {
            Some(id) => self.send(format!(": alive\nid: {id}\n\n")).await,
            None => self.send(": alive\n\n".to_owned()).await,
        }
    }

    async fn listen(&mut self) -> Result<(), Gone> {
        self.out.closed().await;
        Err(Gone)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_stands_still_holds_the_stream_and_not_the_memory() {
        let (mut wire, response) = EventsWire::open(Duration::from_millis(100));
        let mut taken = 0;
        let text = || Utf8Bytes::from_static("{}");
        while wire.message(Some("1"), text()).await.is_ok() {
            taken += 1;
            assert!(taken <= BUFFERED, "messages pile up");
        }
        // One that reads again gets what was taken, and the end.
        drop(wire);
        let pieces: Vec<_> = response.into_body().into_data_stream().collect().await;
        assert_eq!(pieces.len(), taken + 1);
        assert_eq!(pieces[0].as_ref().unwrap(), "retry: 2000\n\n");
        assert_eq!(pieces[1].as_ref().unwrap(), "id: 1\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn a_reader_that_left_is_noticed() {
        let (mut wire, response) = EventsWire::open(Duration::from_secs(60));
        let left = async {
            drop(response);
        };
        let (heard, ()) = tokio::join!(wire.listen(), left);
        assert!(heard.is_err() && wire.heartbeat(None).await.is_err());
    }
}
