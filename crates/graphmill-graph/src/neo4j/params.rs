//! Values on their way to the server.

use std::collections::HashMap;

use bytes::Bytes;
use neo4j::ValueSend;

use crate::{Error, Result};

/// The parameters of a query, or one row of an `UNWIND` list.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: HashMap<&'static str, ValueSend>,
    /// The first value that cannot be sent; told when the query is run, so that building one needs no `?`.
    wrong: Option<String>,
}

impl Params {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; `None` is sent as null.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: impl ToValue) -> Self {
        match value.to_value() {
            Ok(value) => {
                self.values.insert(name, value);
            }
            Err(error) => {
                self.wrong.get_or_insert_with(|| format!("${name}: {error}"));
            }
        }
        self
    }

    pub(super) fn checked(self) -> Result<HashMap<&'static str, ValueSend>> {
        match self.wrong {
            None => Ok(self.values),
            Some(wrong) => Err(Error::Invalid(wrong)),
        }
    }
}

/// What can be sent.
pub trait ToValue {
    /// The value as the driver sends it.
    ///
    /// # Errors
    /// The server has no such value: a whole number from 2^63 on.
    fn to_value(self) -> Result<ValueSend>;
}

macro_rules! sent_as {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl ToValue for $type {
            fn to_value(self) -> Result<ValueSend> {
                Ok(ValueSend::$variant(self.into()))
            }
        }
    )*};
}

sent_as! {
    bool => Boolean, i64 => Integer, i32 => Integer, u32 => Integer, u16 => Integer,
    f64 => Float, f32 => Float, String => String, &str => String, Vec<u8> => Bytes, Bytes => Bytes,
}

impl ToValue for u64 {
    fn to_value(self) -> Result<ValueSend> {
        let value = i64::try_from(self);
        value.map(ValueSend::Integer).map_err(|_| Error::Invalid(format!("{self} is above 2^63 - 1, Neo4j's largest")))
    }
}

impl ToValue for usize {
    fn to_value(self) -> Result<ValueSend> {
        (self as u64).to_value()
    }
}

impl ToValue for &String {
    fn to_value(self) -> Result<ValueSend> {
        Ok(ValueSend::String(self.clone()))
    }
}

/// A vector, without a copy of the caller's.
impl ToValue for &[f32] {
    fn to_value(self) -> Result<ValueSend> {
        Ok(ValueSend::List(self.iter().map(|&x| ValueSend::Float(f64::from(x))).collect()))
    }
}

impl ToValue for Params {
    fn to_value(self) -> Result<ValueSend> {
        let values = self.checked()?;
        Ok(ValueSend::Map(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(self) -> Result<ValueSend> {
        self.map_or(Ok(ValueSend::Null), ToValue::to_value)
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(self) -> Result<ValueSend> {
        self.into_iter().map(ToValue::to_value).collect::<Result<Vec<_>>>().map(ValueSend::List)
    }
}

/// Whether values take at least so many bytes on the wire; looks no further than that.
pub(super) fn are_larger_than(values: &HashMap<&'static str, ValueSend>, limit: usize) -> bool {
    let mut left = limit;
    values.values().any(|value| take(value, &mut left).is_none())
}

fn take(value: &ValueSend, left: &mut usize) -> Option<()> {
    let own = match value {
        ValueSend::Bytes(bytes) => bytes.len(),
        ValueSend::String(text) => text.len(),
        ValueSend::List(values) => {
            values.iter().try_for_each(|value| take(value, left))?;
            1
        }
        ValueSend::Map(values) => {
            values.values().try_for_each(|value| take(value, left))?;
            1
        }
        _ => 9,
    };
    *left = left.checked_sub(own)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_told_by_name() {
        let row = Params::new().set("seq", u64::MAX);
        let error = Params::new().set("rows", vec![row]).checked().unwrap_err();
        assert!(error.to_string().contains("$rows: $seq: 18446744073709551615"), "{error}");
        assert_eq!(Params::new().set("n", 7_u64).checked().unwrap()["n"], ValueSend::Integer(7));
    }

    #[test]
    fn sizes_are_those_of_the_wire() {
        let of = |value: Vec<f32>| Params::new().set("v", value).checked().unwrap();
        assert!(!are_larger_than(&of(vec![0.0; 100]), 1_000));
        assert!(are_larger_than(&of(vec![0.0; 120]), 1_000));
        assert!(are_larger_than(&Params::new().set("t", "x".repeat(1_001)).checked().unwrap(), 1_000));
    }
}
