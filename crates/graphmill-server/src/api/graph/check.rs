//! `GET /api/graph/check?collection=&limit=100`: counts the folds of a collection anew from the facts of its live chunks and says where they differ
//! (`findings`, at most `limit`; none = whole). Reads everything: takes about as long as an export. 404: a collection that the key does not reach.

use axum::Json;
use axum::extract::State;
use graphmill_core::CollectionId;
use serde::Serialize;

use crate::openapi::{And, BadParameter, NoSuchCollection};
use crate::params::Params;
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = GraphCheck)]
pub(crate) struct Answer {
    collection: CollectionId,
    /// At most `limit`; none: the graph is whole.
    findings: Vec<FindingShape>,
    /// Whether there are more.
    truncated: bool,
}

/// Something that is not as it should be.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = GraphFinding)]
struct FindingShape {
    /// What is wrong, for programs.
    kind: &'static str,
    /// The id of what it is wrong with.
    subject: String,
    /// A sentence for a person.
    detail: String,
}

/// Counts the folds anew from the facts.
///
/// Reads the whole collection and says where entities and relations differ from what its live chunks say; takes about as long as an export.
#[utoipa::path(
    get,
    path = "/api/graph/check",
    tag = "graph",
    operation_id = "check_graph",
    params(
        ("collection" = Option<CollectionId>, Query, description = "The collection; without it the caller's own or `default`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The most findings; 100 without it"),
    ),
    responses(
        (
            status = 200,
            description = "What was found",
            body = Answer,
            example = json!({"collection": "default", "findings": [], "truncated": false})
        ),
        And<BadParameter, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<Answer>> {
    let collection = scope.writing(params.parsed("collection")?)?;
    let limit = params.limit(100)?;
    let mut found = state.graph().check(&collection, limit + 1).await?;
    let truncated = found.len() > limit as usize;
    found.truncate(limit as usize);
    let findings = found.into_iter().map(|f| FindingShape { kind: f.kind, subject: f.subject, detail: f.detail });
    Ok(Json(Answer { collection, findings: findings.collect(), truncated }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::TestServer;

    #[tokio::test]
    async fn a_whole_graph_has_no_findings() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        let answer = server.get("/api/graph/check").await;
        assert_eq!(answer.json(), json!({"collection": "default", "findings": [], "truncated": false}));
        assert_eq!(server.get("/api/graph/check?limit=0").await.error().0, 400);
    }
}
