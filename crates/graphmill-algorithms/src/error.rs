/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a computation refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A component of a vector is no finite number.
    #[error("component {component} of row {row} is {value}; only finite numbers can be compared")]
    NotFinite {
        /// Number of the row, from 0.
        row: usize,
        /// Number of the component, from 0.
        component: usize,
        /// What it is.
        value: f32,
    },
    /// A vector of another length than the others.
    #[error("row {row} has {found} components, the others have {wanted}")]
    Dimension {
        /// Number of the row, from 0.
        row: usize,
        /// How many it has.
        found: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// Numbers that are not a whole number of rows.
    #[error("{length} numbers are no whole number of rows of {dimension} components")]
    Length {
        /// How many numbers.
        length: usize,
        /// Components of a row.
        dimension: usize,
    },
    /// The stop flag was set.
    #[error("the computation was stopped")]
    Stopped,
}
