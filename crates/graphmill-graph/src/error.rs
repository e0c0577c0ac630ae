use std::time::Duration;

use graphmill_core::CollectionId;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a graph store can say other than the answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer now; the job waits and tries again.
    #[error("the graph store does not answer: {message}")]
    Unavailable {
        /// What was seen.
        message: String,
        /// When to ask again, if the store said so.
        retry_after: Option<Duration>,
    },
    /// No room on the disk; the job waits until there is.
    #[error("the disk of the graph store is full: {0}")]
    Full(String),
    /// The server keeps this user or this database from changing data; says what to set.
    #[error("the graph cannot be changed: {0}")]
    ReadOnly(String),
    /// The server does not know the user or the password; says what to set.
    #[error("the graph server does not let us in: {0}")]
    WrongPassword(String),
    /// The server has no database of this name; says what to set.
    #[error("the graph server has no such database: {0}")]
    WrongDatabase(String),
    /// What answers is no server that can be used, or too old a one; says which is needed.
    #[error("the graph server cannot be used: {0}")]
    UnsupportedServer(String),
    /// This graph belongs to another job store. Writing to it from here would mix two ticket counters.
    #[error(
        "this graph belongs to another job store ({found}, ours is {ours}); start with the data folder that it was made with, \
         or with an empty graph"
    )]
    WrongJobStore {
        /// Id that the graph holds.
        found: String,
        /// Id of the job store that wants to use it.
        ours: String,
    },
    /// A layer write of a run that was given up: a later run of the layer has begun. Nothing was changed.
    #[error("run {run} of the layer was given up; run {current} is the present one")]
    StaleRun {
        /// Number of the run that wrote.
        run: u64,
        /// Number of the present run.
        current: u64,
    },
    /// The collection is being removed and takes nothing more. Nothing was changed.
    #[error("the collection {0} is being deleted")]
    CollectionRemoved(CollectionId),
    /// A value that this store cannot take; says which.
    #[error("{0}")]
    Invalid(String),
    /// The file is no database of ours, is damaged, or was written by a newer version. Says what to do.
    #[error("{0}")]
    Unusable(String),
    /// Anything else that the backend says.
    #[error("the graph store failed: {0}")]
    Backend(String),
}

impl Error {
    /// Whether the same call may succeed later without a change on our side.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Full(_)
            | Self::Backend(_)
            | Self::ReadOnly(_)
            | Self::WrongPassword(_)
            | Self::WrongDatabase(_) => true,
            Self::WrongJobStore { .. }
            | Self::StaleRun { .. }
            | Self::CollectionRemoved(_)
            | Self::Invalid(_)
            | Self::Unusable(_)
            | Self::UnsupportedServer(_) => false,
        }
    }
}
