//! Errors of parsers, models and graph as outcomes of a stage: the one place that says which of them may pass.

use std::time::Duration;

use graphmill_core::ErrorCode;
use graphmill_models::ErrorClass;
use graphmill_runtime::Interruption;

/// How long a job sleeps when the graph does not answer and does not say when it will.
const GRAPH_PAUSE: Duration = Duration::from_secs(5);

/// How long it sleeps when the graph server must be set right by somebody first: rarer, since some servers lock out who asks too often.
const SETTINGS_PAUSE: Duration = Duration::from_secs(30);

/// A parser's error.
pub(crate) fn of_document(error: &graphmill_documents::Error) -> Interruption {
    use graphmill_documents::Error as E;
    let code = match error {
        E::EmptyFile => ErrorCode::EmptyFile,
        E::UnsupportedFormat { .. } => ErrorCode::UnsupportedFormat,
        E::NoText { .. } => ErrorCode::NoText,
        E::Encrypted { .. } => ErrorCode::Encrypted,
        E::NoPages | E::Damaged { .. } => ErrorCode::Damaged,
        E::Read { .. } => ErrorCode::StorageFailed,
        E::ParserCrashed { .. } | E::ParserProtocol { .. } | E::ParserStart { .. } | E::PoolClosed => {
            ErrorCode::ParserCrashed
        }
        E::ParserTimeout { .. } | E::ParserCpu { .. } => ErrorCode::ParserTimeout,
        E::ParserMemory { .. } => ErrorCode::ParserMemory,
        E::ChunkSize { .. } | E::ChunkOverlap { .. } | E::ChunkStrategy { .. } => ErrorCode::InvalidParameter,
        _ => ErrorCode::Internal,
    };
    if error.is_retryable() {
        Interruption::retry(code, error.to_string())
    } else {
        Interruption::fail(code, error.to_string(), error.hint().map(str::to_owned))
    }
}

/// A model's error that concerns more than one chunk.
pub(crate) fn of_model(error: &graphmill_models::Error) -> Interruption {
    match error.class() {
        ErrorClass::Snooze { after, code, reason } => Interruption::Snooze { after, code, reason },
        ErrorClass::Retry { code } | ErrorClass::Quarantine { code } => Interruption::retry(code, error.to_string()),
        ErrorClass::Fatal { code, hint } => Interruption::fail(code, error.to_string(), hint),
    }
}

/// A graph store's error.
pub(crate) fn of_graph(error: graphmill_graph::Error) -> Interruption {
    use graphmill_graph::Error as E;
    match error {
        E::Unavailable { ref message, retry_after } => Interruption::Snooze {
            after: retry_after.unwrap_or(GRAPH_PAUSE),
            code: ErrorCode::GraphUnavailable,
            reason: message.clone(),
        },
        // Whoever runs the server sets it right and the job goes on by itself.
        E::ReadOnly(_) | E::WrongPassword(_) | E::WrongDatabase(_) => {
            Interruption::Snooze { after: SETTINGS_PAUSE, code: ErrorCode::GraphUnavailable, reason: error.to_string() }
        }
        E::Full(message) => Interruption::storage_full(message),
        E::StaleRun { .. } => Interruption::Stopped,
        E::CollectionRemoved(_) => {
            Interruption::Overtaken { message: "Overtaken by the deletion of the collection".to_owned() }
        }
        E::Backend(_) => Interruption::retry(ErrorCode::StorageFailed, error.to_string()),
        E::WrongJobStore { .. } | E::Invalid(_) | E::Unusable(_) | E::UnsupportedServer(_) => {
            Interruption::fail(ErrorCode::StorageFailed, error.to_string(), None)
        }
    }
}
