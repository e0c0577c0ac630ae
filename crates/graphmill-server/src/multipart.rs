//! `multipart/form-data` (RFC 7578) as a stream: one part at a time, its bytes in pieces, never more than a few hundred KB in memory, whatever the
//! client sends. Headers, preamble and pauses have limits.

mod disposition;

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use graphmill_core::ErrorCode;
use memchr::memmem;

use crate::body::timeout;
use crate::error::shortened;
use crate::{Error, Result};

pub(crate) use disposition::Disposition;

/// Longest head of a part, and longest preamble, in bytes.
const HEAD_MOST: usize = 16 * 1024;

/// Pieces of a part's data are about this long, in bytes, when it is longer.
const PIECE: usize = 128 * 1024;

/// A body that is read part by part.
pub(crate) struct Multipart {
    stream: BodyDataStream,
    buffer: BytesMut,
    /// CR LF, two hyphens and the boundary.
    delimiter: Vec<u8>,
    /// How long the client may be silent.
    silence: Duration,
    /// No delimiter begins before this index of the buffer.
    searched: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Within the data of a part.
    Data,
    /// Right behind a delimiter.
    Delimiter,
    /// Behind the last delimiter.
    End,
}

impl Multipart {
    /// The reader of a body with these headers.
    pub(crate) fn new(headers: &HeaderMap, body: Body, silence: Duration) -> Result<Self> {
        let boundary = boundary(headers)?;
        // The first delimiter may stand at the very beginning, without the line end that belongs to all others.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Self { stream: body.into_data_stream(), buffer, delimiter, silence, searched: 0, state: State::Preamble })
    }

    /// What is left of the body.
    pub(crate) fn into_rest(self) -> Body {
        Body::from_stream(self.stream)
    }

    /// The next part; what was not read of the one before is skipped. `None` after the last one.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Disposition>> {
        while self.state == State::Data {
            self.data().await?;
        }
        if self.state == State::Preamble {
            self.skip_preamble().await?;
        }
        if self.state == State::End {
            return Ok(None);
        }
        // Two hyphens end the body; else white space and a line end follow, then the head.
        while self.buffer.len() < 2 {
            self.read("behind a boundary").await?;
        }
        if self.buffer.starts_with(b"--") {
            self.state = State::End;
            return Ok(None);
        }
        let line = self.take_until(b"\r\n").await?;
        if !line.iter().all(|b| matches!(b, b' ' | b'\t')) {
            return Err(broken("a boundary is followed by something else than a line end"));
        }
        let head = self.take_head().await?;
        self.state = State::Data;
        self.searched = 0;
        Disposition::parse(&head).map(Some)
    }

    /// The next piece of the present part's data, not empty; `None` at its end.
    pub(crate) async fn data(&mut self) -> Result<Option<Bytes>> {
        if self.state != State::Data {
            return Ok(None);
        }
        loop {
            if let Some(at) = self.find_delimiter() {
                let data = self.buffer.split_to(at).freeze();
                self.searched = 0;
                if data.is_empty() {
                    let _ = self.buffer.split_to(self.delimiter.len());
                    self.state = State::Delimiter;
                    return Ok(None);
                }
                return Ok(Some(data)); // the delimiter, now in front, is found again at once
            }
            if self.searched >= PIECE {
                let data = self.buffer.split_to(self.searched).freeze();
                self.searched = 0;
                return Ok(Some(data));
            }
            self.read("in the middle of a part").await?;
        }
    }

    async fn skip_preamble(&mut self) -> Result<()> {
        loop {
            if let Some(at) = self.find_delimiter() {
                let _ = self.buffer.split_to(at + self.delimiter.len());
                self.state = State::Delimiter;
                return Ok(());
            }
            if self.searched > HEAD_MOST {
                return Err(broken("the boundary that Content-Type names does not occur in the body"));
            }
            self.read("before the first boundary").await?;
        }
    }

    fn find_delimiter(&mut self) -> Option<usize> {
        let found = memmem::find(&self.buffer[self.searched..], &self.delimiter).map(|at| at + self.searched);
        if found.is_none() {
            // The end of the buffer may be the beginning of a delimiter.
            self.searched = self.searched.max((self.buffer.len() + 1).saturating_sub(self.delimiter.len()));
        }
        found
    }

    async fn take_until(&mut self, end: &[u8]) -> Result<Bytes> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, end) {
                let taken = self.buffer.split_to(at).freeze();
                let _ = self.buffer.split_to(end.len());
                return Ok(taken);
            }
            if self.buffer.len() > HEAD_MOST {
                return Err(broken(&format!("the head of a part is longer than {} KiB", HEAD_MOST / 1024)));
            }
            self.read("in the head of a part").await?;
        }
    }

    async fn take_head(&mut self) -> Result<Bytes> {
        while self.buffer.len() < 2 {
            self.read("in the head of a part").await?;
        }
        if self.buffer.starts_with(b"\r\n") {
            let _ = self.buffer.split_to(2);
            return Ok(Bytes::new());
        }
        self.take_until(b"\r\n\r\n").await
    }

    /// Reads one piece of the body into the buffer.
    async fn read(&mut self, place: &str) -> Result<()> {
        match tokio::time::timeout(self.silence, self.stream.next()).await {
            Err(_) => Err(timeout(self.silence)),
            Ok(None) => Err(broken(&format!("the body ends {place}"))),
            Ok(Some(Err(e))) => Err(broken(&format!("the body breaks off {place}: {e}"))),
            Ok(Some(Ok(piece))) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
        }
    }
}

/// A body that is not what RFC 7578 says.
fn broken(what: &str) -> Error {
    Error::new(ErrorCode::InvalidMultipart, format!("the multipart body cannot be read: {what}"))
        .hint("nothing of this request was accepted; curl -F file=@some.pdf makes a body as it should be")
}

fn boundary(headers: &HeaderMap) -> Result<String> {
    let given = headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let parsed = given.as_deref().and_then(|v| v.parse::<mime::Mime>().ok());
    let Some(form) = parsed.filter(|m| m.essence_str() == "multipart/form-data") else {
        let shown = given.map_or("missing".to_owned(), |v| format!("{:?}", shortened(&v)));
        let message = format!("Content-Type is {shown}; this path takes multipart/form-data");
        return Err(Error::new(ErrorCode::WrongContentType, message).hint("curl -F file=@some.pdf sends a file so"));
    };
    let boundary = form.get_param("boundary").map(|b| b.as_str().to_owned()).filter(|b| (1..=200).contains(&b.len()));
    boundary.ok_or_else(|| broken("Content-Type names no boundary"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn reader(body: Body) -> Multipart {
        let headers = [(header::CONTENT_TYPE, "multipart/form-data; boundary=\"b0\"".parse().unwrap())];
        Multipart::new(&headers.into_iter().collect(), body, SILENCE).unwrap()
    }

    /// Parts with name and data, the body cut into pieces of `size` bytes.
    async fn parts(body: &[u8], size: usize) -> Result<Vec<(String, Vec<u8>)>> {
        let pieces: Vec<_> = body.chunks(size).map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c))).collect();
        let mut multipart = reader(Body::from_stream(futures::stream::iter(pieces)));
        let mut parts = Vec::new();
        while let Some(part) = multipart.next_part().await? {
            let mut data = Vec::new();
            while let Some(piece) = multipart.data().await? {
                assert!(!piece.is_empty());
                data.extend_from_slice(&piece);
            }
            parts.push((part.name, data));
        }
        Ok(parts)
    }

    #[tokio::test]
    async fn parts_are_the_same_however_the_body_is_cut() {
        let body = b"preamble\r\n--b0  \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\r\n--b0\r\n\
            content-disposition: form-data; name=b\r\nX: y\r\n\r\n\r\n--b0--\r\nepilogue";
        for size in 1..=body.len() {
            let parts = parts(body, size).await.unwrap();
            assert_eq!(parts, [("a".to_owned(), b"1\r\n--b\r\n".to_vec()), ("b".to_owned(), Vec::new())], "{size}");
        }
    }

    #[tokio::test]
    async fn a_long_part_comes_in_pieces_and_whole() {
        let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut body = b"--b0\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".to_vec();
        body.extend_from_slice(&data);
        body.extend_from_slice(b"\r\n--b0--");
        for size in [1_000, 65_536, body.len()] {
            assert!(parts(&body, size).await.unwrap()[0].1 == data, "{size}");
        }
    }

    #[tokio::test]
    async fn a_part_that_is_not_read_is_skipped() {
        let body = "--b0\r\nContent-Disposition: form-data; name=a\r\n\r\n12345\r\n--b0\r\nContent-Disposition: form-data; name=b\r\n\r\n6\r\n--b0--";
        let mut multipart = reader(Body::from(body));
        assert_eq!(multipart.next_part().await.unwrap().unwrap().name, "a");
        assert_eq!(multipart.next_part().await.unwrap().unwrap().name, "b");
        assert_eq!(multipart.data().await.unwrap().unwrap(), "6");
        assert!(multipart.data().await.unwrap().is_none());
        assert!(multipart.next_part().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn every_cut_is_noticed() {
        let body = b"--b0\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ndata\r\n--b0--";
        for end in 0..body.len() - 1 {
            let error = parts(&body[..end], 7).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidMultipart, "{end}");
        }
    }

    #[tokio::test]
    async fn what_never_ends_is_cut_off() {
        let endless = |text: &'static str| {
            Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(Bytes::from(text))))
        };
        let error = reader(endless("no boundary here ")).next_part().await.unwrap_err();
        assert!(error.to_string().contains("does not occur"), "{error}");
        let head = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("--b0\r\nX: "))]);
        let rest = futures::stream::repeat_with(|| Ok(Bytes::from_static(b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")));
        let error = reader(Body::from_stream(head.chain(rest))).next_part().await.unwrap_err();
        assert!(error.to_string().contains("longer than 16 KiB"), "{error}");
    }

    #[test]
    fn another_content_type_is_refused() {
        let headers: HeaderMap = [(header::CONTENT_TYPE, "application/json".parse().unwrap())].into_iter().collect();
        let error = Multipart::new(&headers, Body::empty(), SILENCE).err().unwrap();
        assert_eq!(error.code(), ErrorCode::WrongContentType);
        let headers: HeaderMap = [(header::CONTENT_TYPE, "multipart/form-data".parse().unwrap())].into_iter().collect();
        assert_eq!(Multipart::new(&headers, Body::empty(), SILENCE).err().unwrap().code(), ErrorCode::InvalidMultipart);
    }
}
