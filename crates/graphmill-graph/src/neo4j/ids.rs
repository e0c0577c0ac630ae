//! Public ids as properties: as people see them, and as they sort.

use std::fmt::Write;
use std::str::FromStr;

use super::Row;
use crate::{Error, Result};

/// An id's bytes in an alphabet that sorts as they do (the public form's does not).
pub(super) fn order(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Takes a column that holds an id (or a hash, or a time) in its public form.
pub(super) fn take<T: FromStr<Err: std::fmt::Display>>(row: &mut Row, name: &str) -> Result<T> {
    let text: String = row.take(name)?;
    parse(&text, name)
}

/// Reads what such a column held.
pub(super) fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str, name: &str) -> Result<T> {
    text.parse()
        .map_err(|error| Error::Unusable(format!("the graph is damaged: column {name} holds {text:?} ({error})")))
}
