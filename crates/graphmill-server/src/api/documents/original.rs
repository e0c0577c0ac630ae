//! `GET /api/documents/{document_id}/original`: the file as it was uploaded. `ETag` is the hash of its content; `Range`, `If-Range` and `If-None-Match` are
//! understood (206, 416, 304). It comes as an attachment and as nothing that a browser would run. 404: there is no such document, or it is not published.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use graphmill_core::{DocumentId, ErrorCode};
use graphmill_store::BlobReader;

use super::published;
use crate::api::byte_range::{Wanted, wanted};
use crate::openapi::{And, NoSuchDocument, refusals};
use crate::path::DocumentPath;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// The range begins behind the end of the file.
    BehindTheEnd { RangeNotSatisfiable => "the file has 11 bytes; the range begins behind them" }
}

/// The bytes of a file.
#[derive(utoipa::ToSchema)]
#[schema(as = Original, value_type = String, format = Binary)]
#[expect(dead_code, reason = "a description")]
struct File(Vec<u8>);

/// The file as it was uploaded.
#[utoipa::path(
    get,
    path = "/api/documents/{document_id}/original",
    tag = "documents",
    operation_id = "get_document_original",
    params(
        ("document_id" = DocumentId, Path, description = "The document"),
        ("Range" = Option<String>, Header, description = "Bytes that are wanted"),
        ("If-Range" = Option<String>, Header, description = "The range only of this ETag"),
        ("If-None-Match" = Option<String>, Header, description = "Not if it still has this ETag")
    ),
    responses(
        (status = 200, description = "The file as it was uploaded", body = File, content_type = "*/*"),
        (status = 206, description = "The bytes that were wanted", body = File, content_type = "*/*"),
        (status = 304, description = "It still has this ETag"),
        And<NoSuchDocument, BehindTheEnd>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    DocumentPath(id): DocumentPath,
    request: HeaderMap,
) -> Result<Response> {
    let (document, blob) = published(&state, &scope, id, |document| &document.properties.original).await?;
    let (size, properties) = (blob.size(), &document.properties);
    let tag = format!("\"{}\"", properties.content_hash);
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    set(header::ETAG, &tag);
    set(header::ACCEPT_RANGES, "bytes");
    // A shared cache must not hand one caller's document to another.
    set(header::CACHE_CONTROL, "private, no-cache");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    match wanted(&request, &tag, size) {
        Wanted::Nothing => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Wanted::Beyond => {
            set(header::CONTENT_RANGE, &format!("bytes */{size}"));
            let refused = Error::new(
                ErrorCode::RangeNotSatisfiable,
                format!("the file has {size} bytes; the range begins behind them"),
            );
            return Ok((headers, refused).into_response());
        }
        Wanted::Whole | Wanted::Bytes(..) => {}
    }
    set(header::CONTENT_TYPE, &properties.mime_type);
    set(header::CONTENT_DISPOSITION, &attachment(&properties.filename));
    if let Wanted::Bytes(first, last) = wanted(&request, &tag, size) {
        set(header::CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"));
        set(header::CONTENT_LENGTH, &(last - first + 1).to_string());
        return Ok((StatusCode::PARTIAL_CONTENT, headers, body(blob.only(first..last + 1))).into_response());
    }
    set(header::CONTENT_LENGTH, &size.to_string());
    Ok((headers, body(blob)).into_response())
}

fn body(blob: BlobReader) -> Body {
    let pieces = futures::stream::try_unfold(blob, BlobReader::next);
    Body::from_stream(pieces.inspect_err(|error| tracing::error!(%error, "an original was cut off")))
}

/// `Content-Disposition` (RFC 6266): a name for old clients in ASCII, and the whole name (RFC 8187, which was RFC 5987).
fn attachment(filename: &str) -> String {
    let plain: String = filename
        .chars()
        .map(|c| if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{TestServer, no_document};

    #[test]
    fn any_name_is_a_header() {
        assert_eq!(attachment("a b.pdf"), "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf");
        assert_eq!(
            attachment("Über \"x\"\r\n.md"),
            "attachment; filename=\"_ber _x___.md\"; filename*=UTF-8''%C3%9Cber%20%22x%22%0D%0A.md"
        );
        assert!(HeaderValue::try_from(attachment("泵\u{7f}\0.txt")).is_ok());
    }

    #[tokio::test]
    async fn what_is_not_published_has_no_original_and_a_lost_file_is_said() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let id = server.record(job).await.document.unwrap();
        let paths = |id| [format!("/api/documents/{id}/original"), format!("/api/documents/{id}/pages/1")];
        for path in paths(no_document()).into_iter().chain(paths(id)) {
            assert_eq!(server.get(&path).await.error().1, "not_found", "{path}");
        }
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        // What the test server publishes names blobs that are not there.
        for path in paths(id) {
            let (status, code, said) = server.get(&path).await.error();
            assert_eq!((status, code.as_str()), (500, "storage_failed"), "{path}");
            assert!(said.contains("missing"), "{said}");
        }
    }
}
