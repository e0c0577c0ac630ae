/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a request for a job can be refused for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A parameter that is not known, or a value that it cannot have. A sentence with the bad value and what is allowed.
    #[error("{0}")]
    Invalid(String),
}
