//! What hyper answers by itself (a broken request line, too large a head) has no body; here it gets that of every other error.
//!
//! hyper has no hook for these answers. On a connection whose service was not called yet, nothing but such an answer can be written: it is replaced as
//! it goes out. After the first good request a write cannot be told from the body of an answer with certainty, and a guess there could be made
//! use of; so a head that breaks later on a kept connection has hyper's empty answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use graphmill_core::ErrorCode;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long what a refused client still sends is read: closed on unread bytes, the connection would be reset and the answer lost.
const LINGER: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct OwnErrors<T> {
    inner: T,
    /// The service was called: from here on nothing is looked at.
    called: Arc<AtomicBool>,
    replacing: Option<Replacing>,
    lingering: Option<Pin<Box<Sleep>>>,
}

struct Replacing {
    /// What is left of ours.
    left: Bytes,
    /// Length of hyper's.
    instead_of: usize,
}

impl<T> OwnErrors<T> {
    pub(super) fn new(inner: T, called: Arc<AtomicBool>) -> Self {
        Self { inner, called, replacing: None, lingering: None }
    }
}

/// The answer that goes out instead of this one.
fn replacement(head: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(head).ok()?;
    let line = text.strip_prefix("HTTP/1.")?.get(2..)?.split("\r\n").next()?;
    let status: u16 = line.get(..3)?.parse().ok()?;
    let (code, message, hint) = match status {
        431 => (ErrorCode::HeadersTooLarge, "the head of the request is too large", "send fewer or shorter headers"),
        414 => (ErrorCode::HeadersTooLarge, "the path and query of the request are too long", "shorten them"),
        400..=499 => (
            ErrorCode::BadRequest,
            "the head of the request is not HTTP/1.1 that this server understands",
            "look at the request line and the headers; curl -v shows what is sent",
        ),
        _ => return None,
    };
    let body = json!({"error": message, "code": code, "hint": hint}).to_string();
    let head = format!(
        "HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Some(Bytes::from(head + &body))
}

impl<T: AsyncWrite + Unpin> OwnErrors<T> {
    /// `None`: not to be replaced.
    fn replace(&mut self, cx: &mut Context<'_>, first: &[u8], whole: usize) -> Option<Poll<io::Result<usize>>> {
        if self.replacing.is_none() {
            if self.called.load(Ordering::Relaxed) {
                return None;
            }
            self.replacing = Some(Replacing { left: replacement(first)?, instead_of: whole });
        }
        Some(self.write_ours(cx))
    }

    fn write_ours(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(replacing) = &mut self.replacing else { return Poll::Ready(Ok(0)) };
        while replacing.left.has_remaining() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &replacing.left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            replacing.left.advance(written);
        }
        Poll::Ready(Ok(std::mem::take(&mut replacing.instead_of)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for OwnErrors<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OwnErrors<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.replace(cx, buf, buf.len()) {
            Some(written) => written,
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|b| !b.is_empty()).map_or(&[][..], |b| &**b);
        match self.replace(cx, first, bufs.iter().map(|b| b.len()).sum()) {
            Some(written) => written,
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            if self.replacing.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let lingering = this.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    // A client that never stops sending does not keep the connection.
                    if lingering.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return lingering.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HYPERS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    async fn written(called: bool, bytes: &[u8]) -> String {
        let (ours, mut theirs) = duplex(16);
        let mut ours = OwnErrors::new(ours, Arc::new(AtomicBool::new(called)));
        let reading = tokio::spawn(async move {
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            text
        });
        ours.write_all(bytes).await.unwrap();
        ours.flush().await.unwrap();
        drop(ours);
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_of_hyper_gets_a_body_and_one_of_ours_stays() {
        let text = written(false, HYPERS).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], "bad_request");
        assert_eq!(written(true, HYPERS).await.as_bytes(), HYPERS, "a body may look like that");
        for other in [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\xff"] {
            assert_eq!(replacement(other), None);
        }
    }
}
