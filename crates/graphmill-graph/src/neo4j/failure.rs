//! What the driver says, as errors of the graph store.

use neo4j::Neo4jError;
use neo4j::error::ServerError;

use crate::Error;

/// An error of the driver, and whether the same transaction may be run again at once.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) again: Again,
}

/// Whether a transaction may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It was rolled back and may go through the next time, as the server says: a deadlock, a leader that changed.
    Later,
    /// There was no connection, or it was lost before the commit: on another one at once, or when somebody starts the server.
    Reconnected,
    /// The connection was lost while it was committed: it may be there, so only work that changes nothing the second time is repeated.
    ReconnectedIfIdempotent,
    /// It would fail in the same way.
    No,
}

impl Failure {
    pub(super) fn of(error: Neo4jError, address: &str, routing: bool) -> Self {
        match error {
            Neo4jError::ServerError { error, .. } => of_server(&error, address, routing),
            Neo4jError::Disconnect { ref source, during_commit, .. } => {
                let cause = source.as_ref().map(ToString::to_string).unwrap_or_default();
                let message = if cause.contains("certificate") || cause.contains("UnknownIssuer") {
                    format!(
                        "the graph server at {address} shows a certificate that is not trusted ({cause}); name its authority in \
                         SSL_CERT_FILE, or use the scheme +ssc, which trusts any"
                    )
                } else {
                    format!("the graph server at {address}: {error}")
                };
                let again = if during_commit { Again::ReconnectedIfIdempotent } else { Again::Reconnected };
                Self { error: unavailable(message), again }
            }
            Neo4jError::Timeout { message, .. } => {
                Self { error: unavailable(format!("the graph server at {address}: {message}")), again: Again::No }
            }
            Neo4jError::InvalidConfig { message, .. } => {
                let error = Error::UnsupportedServer(format!(
                    "what answers at {address} speaks no Bolt that is understood here ({message}): it must be a Neo4j {} or later, and its \
                     Bolt port (7687), not the one for HTTP",
                    super::MINIMUM_VERSION
                ));
                Self { error, again: Again::No }
            }
            other => Self { error: Error::Backend(other.to_string()), again: Again::No },
        }
    }
}

fn of_server(error: &ServerError, address: &str, routing: bool) -> Failure {
    let said = format!("{} ({})", error.message(), error.code());
    let no = |error| Failure { error, again: Again::No };
    match (error.classification(), error.category(), error.title()) {
        (_, "Security", "Unauthorized" | "AuthenticationRateLimit" | "CredentialsExpired" | "TokenExpired") => {
            no(Error::WrongPassword(format!(
                "{said}; set GRAPHMILL_GRAPH_USER and GRAPHMILL_GRAPH_PASSWORD for {address}"
            )))
        }
        (_, "Security", "AuthorizationExpired") => Failure { error: unavailable(said), again: Again::Later },
        (_, "Security", _) => {
            no(Error::ReadOnly(format!("{said}; the user needs the right to write data and to manage indexes")))
        }
        (_, "Database", "DatabaseNotFound") => no(Error::WrongDatabase(format!(
            "{said}; name one that exists: ?database=NAME in GRAPHMILL_GRAPH_URL, or none"
        ))),
        (_, "Cluster", "NotALeader") => Failure { error: unavailable(said), again: Again::Later },
        // In a cluster the leader has changed; a single server was set to read-only.
        (_, "General", "ForbiddenOnReadOnlyDatabase" | "WriteOnReadOnlyAccessDatabase") => {
            let again = if routing { Again::Later } else { Again::No };
            let error = Error::ReadOnly(format!("{said}; make the database writable (server.databases.read_only)"));
            Failure { error, again }
        }
        _ if is_full(error.message()) => no(Error::Full(said)),
        ("TransientError", ..) => Failure { error: unavailable(said), again: Again::Later },
        // The server ended it: an operator did, or its own time limit.
        (_, "Transaction", title) if title.contains("Terminated") || title.contains("TimedOut") => {
            no(unavailable(said))
        }
        (_, _, "DatabaseUnavailable") => no(unavailable(said)),
        _ if error.message().contains("panic") => no(unavailable(format!("{said}; the server must be started again"))),
        _ => no(Error::Backend(said)),
    }
}

fn is_full(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("no space left on device")
        || message.contains("not enough space")
        || message.contains("disk is full")
}

/// No answer now.
pub(super) fn unavailable(message: String) -> Error {
    Error::Unavailable { message, retry_after: None }
}
