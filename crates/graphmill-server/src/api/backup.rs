//! `GET /api/backup`: jobs, graph, vectors, cache and blobs of one moment as a tar archive (`graphmill backup` writes and checks it, `graphmill restore` reads it).
//! Jobs go on meanwhile. When it cannot be finished, the connection is cut: a whole archive ends with the entry that counts. 409 `backup_running`: one at
//! a time. 507: no room for the copies of the databases. Not for keys that may only read (403) or are bound to a collection (404).

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use graphmill_core::ErrorCode;

use crate::caller::Caller;
use crate::openapi::refusals;
use crate::{AppState, BackupRefused, Error, Result, Scope};

refusals! {
    /// There is a backup under way, or the key is bound to a collection or may only read.
    CannotBackUp {
        BackupRunning => "a backup is being made already",
        GraphElsewhere => "the graph is on a Neo4j server, which makes its own backups",
        NotFound => "there is no path /api/backup",
        Forbidden => "the key reader may only read, and a backup needs a key that may do everything",
    }
}

/// The archive.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "a description")]
struct Archive(Vec<u8>);

/// Jobs, graph, vectors, cache and blobs of one moment.
#[utoipa::path(
    get,
    path = "/api/backup",
    tag = "server",
    operation_id = "backup",
    responses(
        (
            status = 200,
            description = "A tar archive. One that cannot be finished is cut off: a whole one ends with the entry that counts",
            body = Archive,
            content_type = "application/x-tar"
        ),
        CannotBackUp,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, caller: Caller, scope: Scope) -> Result<Response> {
    if scope.bound().is_some() {
        return Err(Error::not_found("there is no path /api/backup")
            .hint("a backup holds all collections; use a key that is bound to none"));
    }
    caller.check_backs_up()?;
    let pieces = state.services.backup.begin().await.map_err(refused)?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"graphmill-backup.tar\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn refused(why: BackupRefused) -> Error {
    let message = why.to_string();
    match why {
        BackupRefused::Running => Error::new(ErrorCode::BackupRunning, message).hint("wait for its end"),
        BackupRefused::Elsewhere => Error::new(ErrorCode::GraphElsewhere, message).hint(
            "stop graphmill, dump the database (neo4j-admin database dump) and copy the data folder; or copy the graph into an \
             embedded one (graphmill graph copy) and back that up",
        ),
        BackupRefused::Full(_) => {
            Error::new(ErrorCode::StorageFull, message).hint("free space on the disk of the data folder")
        }
        BackupRefused::Failed(_) => Error::new(ErrorCode::StorageFailed, format!("no backup can be made: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn pieces_as_the_source_gives_them() {
        let server = TestServer::start().await;
        let answer = server.get("/api/backup").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "an archive"));
        assert_eq!(answer.headers["content-type"], "application/x-tar");
        let error = server.get("/api/backup").await.error();
        assert_eq!((error.0, error.1.as_str()), (409, "backup_running"));
    }
}
