//! `GET /api/documents?collection=&limit=50&offset=0`: published documents, newest first. 400: a bad number or collection name.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::shape::DocumentShape;
use crate::params::Params;
use crate::{AppState, Result, Scope};

#[derive(Serialize)]
pub(crate) struct Answer {
    documents: Vec<DocumentShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<Answer>> {
    let collection = scope.reading(params.parsed("collection")?)?;
    let (limit, offset) = (params.limit(50)?, params.offset()?);
    let (documents, total) = state.graph().documents(collection.as_ref(), offset, limit).await?;
    let has_more = offset.saturating_add(documents.len() as u64) < total;
    let documents = documents.into_iter().map(DocumentShape::from).collect();
    Ok(Json(Answer { documents, total, limit, offset, has_more }))
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
}
