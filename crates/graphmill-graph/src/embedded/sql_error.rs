//! What SQLite says, in the words of this crate.

use rusqlite::ErrorCode;

use crate::folds::{DamagedFold, Underflow};
use crate::varint::Malformed;
use crate::{Error, Result};

/// What to do about a file that cannot be read.
pub(super) const DAMAGED_HINT: &str = "stop the server, move the file away and restore it from a backup, or start without it and ingest the documents again";

/// Extended result code: the shared-memory file of the write-ahead log could not grow.
const IOERR_SHMSIZE: i32 = 4874;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(sqlite) = error.sqlite_error() else {
            return Self::Backend(error.to_string());
        };
        match sqlite.code {
            ErrorCode::DiskFull => Self::Full(error.to_string()),
            ErrorCode::SystemIoFailure if sqlite.extended_code == IOERR_SHMSIZE => Self::Full(error.to_string()),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure => {
                Self::Unavailable { message: error.to_string(), retry_after: None }
            }
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Unusable(format!("graph.db is damaged ({error}); {DAMAGED_HINT}"))
            }
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::Unusable(format!(
                "graph.db cannot be written ({error}); make the data folder writable for the user that the server runs under"
            )),
            _ => Self::Backend(error.to_string()),
        }
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Self::Unusable(format!("graph.db is damaged ({error}); {DAMAGED_HINT}"))
    }
}

impl From<DamagedFold> for Error {
    fn from(error: DamagedFold) -> Self {
        Self::Unusable(format!("graph.db is damaged ({error}); {DAMAGED_HINT}"))
    }
}

impl From<Underflow> for Error {
    fn from(error: Underflow) -> Self {
        Self::Unusable(format!("graph.db is damaged ({error}); {DAMAGED_HINT}"))
    }
}

impl Error {
    /// The same error for each of the writes that failed together.
    pub(super) fn same(&self) -> Self {
        match self {
            Self::Unavailable { message, retry_after } => {
                Self::Unavailable { message: message.clone(), retry_after: *retry_after }
            }
            Self::Full(message) => Self::Full(message.clone()),
            Self::WrongJobStore { found, ours } => Self::WrongJobStore { found: found.clone(), ours: ours.clone() },
            Self::StaleRun { run, current } => Self::StaleRun { run: *run, current: *current },
            Self::CollectionRemoved(collection) => Self::CollectionRemoved(collection.clone()),
            Self::Invalid(message) => Self::Invalid(message.clone()),
            Self::Unusable(message) => Self::Unusable(message.clone()),
            Self::Backend(message) => Self::Backend(message.clone()),
            Self::ReadOnly(message) => Self::ReadOnly(message.clone()),
            Self::WrongPassword(message) => Self::WrongPassword(message.clone()),
            Self::WrongDatabase(message) => Self::WrongDatabase(message.clone()),
            Self::UnsupportedServer(message) => Self::UnsupportedServer(message.clone()),
        }
    }
}

/// Integers of ours that SQLite keeps signed.
pub(super) fn to_sql(value: u64, what: &str) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::Invalid(format!("{what} {value} is above {}", i64::MAX)))
}
