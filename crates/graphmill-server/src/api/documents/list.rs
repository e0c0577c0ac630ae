//! `GET /api/documents?q=&mime_type=&source_prefix=&updated_after=&updated_before=&status=&sort=updated_at&order=desc&collection=&limit=50&offset=0&cursor=`:
//! published documents, newest first unless another order is asked for. `cursor` is opaque; the next one stands in the header `Link` (RFC 8288).
//! `total` counts up to 5,000 when something is filtered (`total_capped` says so). 400: an unknown word, a bad number, time or collection name, a
//! cursor that is none or of another order, `cursor` together with `offset`.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::{CollectionId, Timestamp};
use graphmill_graph::listing::{DocumentQuery, DocumentSort, Order};
use serde::Serialize;
use utoipa::IntoParams;

use crate::api::paging::{Paging, with_next};
use crate::api::shape::DocumentShape;
use crate::openapi::BadParameter;
use crate::params::Params;
use crate::{AppState, Error, Result, Scope};

/// The one state that this list shows.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: the handler reads the word")]
enum Published {
    Published,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Only documents of this collection.
    collection: Option<CollectionId>,
    /// Only documents with this text in their source, file name or title.
    q: Option<String>,
    /// Only documents of this media type.
    mime_type: Option<String>,
    /// Only documents whose source begins so.
    source_prefix: Option<String>,
    /// Only documents that were published at or after this instant.
    updated_after: Option<Timestamp>,
    /// Only documents that were published before this instant.
    updated_before: Option<Timestamp>,
    /// The state of the documents: this list has published ones.
    #[param(inline)]
    status: Option<Published>,
    /// By what they are sorted.
    #[param(inline, default = "updated_at")]
    sort: Option<DocumentSort>,
    /// Which end comes first.
    #[param(inline, default = "desc")]
    order: Option<Order>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
    /// Most documents in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DocumentPage)]
pub(crate) struct Answer {
    documents: Vec<DocumentShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
    /// `total` is a floor: more match than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_capped: bool,
}

/// List published documents.
#[utoipa::path(
    get,
    path = "/api/documents",
    tag = "documents",
    operation_id = "list_documents",
    params(Query),
    responses(
        (
            status = 200,
            description = "A page of published documents, newest first",
            body = Answer,
            headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last")),
            example = json!({"documents": [{
            "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "collection": "default",
            "source": "guides/VxRail_Admin_Guide.pdf",
            "filename": "VxRail_Admin_Guide.pdf",
            "status": "published",
            "mime_type": "application/pdf",
            "file_size": 8456192,
            "page_count": 350,
            "chunk_count": 147,
            "quarantined_chunks": 0,
            "content_hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            "created_at": "2024-01-15T16:31:05.789Z",
            "updated_at": "2024-01-15T16:31:05.789Z"
            }], "total": 1, "limit": 50, "offset": 0, "has_more": false})
        ),
        BadParameter,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Response> {
    let query = DocumentQuery {
        collection: scope.reading(params.parsed("collection")?)?,
        q: params.text("q")?.map(str::to_owned),
        mime_type: params.text("mime_type")?.map(str::to_owned),
        source_prefix: params.text("source_prefix")?.map(str::to_owned),
        updated_after: params.parsed("updated_after")?,
        updated_before: params.parsed("updated_before")?,
        sort: params.parsed("sort")?.unwrap_or_default(),
        order: params.parsed("order")?.unwrap_or_default(),
    };
    if let Some(status) = params.text("status")?.filter(|status| *status != "published") {
        let shown = crate::error::shortened(status);
        return Err(Error::invalid(format!(
            "the parameter status is {shown:?}; this list has documents that are published"
        ))
        .hint("GET /api/jobs?job_type=ingestion&status=… lists what is on its way or failed"));
    }
    let paging = Paging::of(&params, 50)?;
    let page = state.graph().documents(&query, &paging.start, paging.limit).await?;
    let answer = Answer {
        documents: page.items.into_iter().map(DocumentShape::from).collect(),
        total: page.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: page.next_cursor.is_some(),
        total_capped: page.total_capped,
    };
    Ok(with_next(answer, "/api/documents", &params, page.next_cursor.as_deref()))
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn published_ones_by_collection() {
        let server = TestServer::start().await;
        for name in ["a.txt", "b.txt", "c.txt"] {
            server.upload(name, "Pumps pump.").await;
        }
        for _ in 0..2 {
            let claimed = server.claim().await;
            server.publish(&claimed.job).await;
        }
        let json = server.get("/api/documents?limit=1").await.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["documents", "total", "limit", "offset", "has_more"]);
        assert_eq!((&json["total"], &json["has_more"]), (&2.into(), &true.into()));
        let document = &json["documents"][0];
        assert_eq!((&document["status"], &document["mime_type"]), (&"published".into(), &"text/plain".into()));
        let json = server.get("/api/documents?offset=1&collection=default").await.json();
        assert_eq!((json["documents"].as_array().unwrap().len(), &json["has_more"]), (1, &false.into()));
        assert_eq!(server.get("/api/documents?collection=other").await.json()["total"], 0);
        assert_eq!(server.get("/api/documents?limit=x").await.error().0, 400);
    }

    #[tokio::test]
    async fn filters_orders_and_links() {
        let server = TestServer::start().await;
        for name in ["Beta pump.txt", "alpha.txt", "gamma.txt"] {
            server.upload(name, "Pumps pump.").await;
            let claimed = server.claim().await;
            server.publish(&claimed.job).await;
        }
        let names = async |query: &str| -> Vec<String> {
            let json = server.get(&format!("/api/documents?{query}")).await.json();
            json["documents"].as_array().unwrap().iter().map(|d| d["filename"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("sort=filename&order=asc").await, ["alpha.txt", "Beta pump.txt", "gamma.txt"]);
        assert_eq!(names("q=PUMP&status=published&mime_type=text/plain").await, ["Beta pump.txt"]);
        assert_eq!(names("source_prefix=ga&updated_after=2020-01-01T00:00:00Z").await, ["gamma.txt"]);
        assert!(names("updated_before=2020-01-01T00:00:00Z").await.is_empty());
        let (mut walked, mut uri) = (Vec::new(), Some("/api/documents?sort=filename&limit=2".to_owned()));
        while let Some(page) = uri.take() {
            let answer = server.get(&page).await;
            let json = answer.json();
            walked.extend(json["documents"].as_array().unwrap().iter().map(|d| d["filename"].to_string()));
            let link = answer.headers.get("link").map(|l| l.to_str().unwrap().to_owned());
            assert_eq!(link.is_some(), json["has_more"] == true);
            uri = link.map(|l| l.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned());
        }
        assert_eq!(walked, ["\"gamma.txt\"", "\"Beta pump.txt\"", "\"alpha.txt\""]);
    }

    #[tokio::test]
    async fn a_bad_parameter_is_named() {
        let server = TestServer::start().await;
        for (query, part) in [
            ("sort=size", "updated_at, created_at, filename, file_size, chunk_count"),
            ("order=up", "asc, desc"),
            ("status=failed", "published"),
            ("updated_after=yesterday", "2024-01-15T16:30:00Z"),
            ("cursor=nonsense", "cursor"),
            ("cursor=00&offset=5", "both"),
            ("limit=0", "from 1 to 1000"),
        ] {
            let (status, code, error) = server.get(&format!("/api/documents?{query}")).await.error();
            assert_eq!((status, code.as_str()), (400, "invalid_parameter"), "{query}");
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
