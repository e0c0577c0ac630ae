use graphmill_core::{CollectionId, JobId, job::Forbidden};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What a store can say other than the answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such job.
    #[error("there is no job {0}")]
    NotFound(JobId),
    /// No such collection.
    #[error("there is no collection {0}")]
    NoCollection(CollectionId),
    /// The collection is being deleted and takes nothing new. Nothing was changed.
    #[error("the collection {0} is being deleted")]
    CollectionDeleting(CollectionId),
    /// The collection would hold more than its quota. Nothing was changed.
    #[error("the collection {collection} would hold {wanted} {what}; its quota is {quota}, and it holds {used}")]
    QuotaExceeded {
        /// The collection.
        collection: CollectionId,
        /// `documents` or `bytes`.
        what: &'static str,
        /// What it would hold.
        wanted: u64,
        /// What it may hold.
        quota: u64,
        /// What it holds, accepted uploads included.
        used: u64,
    },
    /// The write carried an epoch that is no longer the job's: another claim, a cancel or a retry came between. Nothing was changed.
    #[error("job {0} has gone on without this worker")]
    Fenced(JobId),
    /// The job is not in a state in which this can happen. Nothing was changed.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// A cursor, filter or stored value that cannot be read.
    #[error("{0}")]
    Invalid(String),
    /// No room on the disk.
    #[error("the disk of the data folder is full: {0}")]
    Full(String),
    /// The file is no database of ours, is damaged, or was written by a newer version. Says what to do.
    #[error("{0}")]
    Unusable(String),
    /// Anything else that the backend says.
    #[error("the job store failed: {0}")]
    Backend(String),
    /// A blob cannot be read or written.
    #[error("blob {key}: {message}")]
    Blob {
        /// Key of the blob.
        key: String,
        /// What the system said.
        message: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full(_) | Self::Backend(_) | Self::Blob { .. } => true,
            Self::NotFound(_)
            | Self::NoCollection(_)
            | Self::CollectionDeleting(_)
            | Self::QuotaExceeded { .. }
            | Self::Fenced(_)
            | Self::Forbidden(_)
            | Self::Invalid(_)
            | Self::Unusable(_) => false,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        // Growing the shared-memory file of the WAL reports a full disk as an I/O error of its own.
        let shm_cannot_grow = e.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        match e.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full(e.to_string()),
            _ if shm_cannot_grow => Self::Full(e.to_string()),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Unusable(format!(
                "the database file is damaged ({e}); stop the server, keep a copy of the file, then restore a backup or run \
                 `sqlite3 FILE .recover` on it"
            )),
            _ => Self::Backend(e.to_string()),
        }
    }
}

impl Error {
    /// A blob's I/O error; no room is [`Error::Full`].
    pub(crate) fn blob(key: &str, e: &std::io::Error) -> Self {
        if is_full(e) { Self::Full(e.to_string()) } else { Self::Blob { key: key.to_owned(), message: e.to_string() } }
    }
}

/// Whether the system says that the disk or the quota is full.
pub(crate) fn is_full(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
