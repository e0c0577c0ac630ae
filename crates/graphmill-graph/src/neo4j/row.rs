//! Values that came from the server.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use neo4j::ValueReceive;
use neo4j::driver::Record;

use crate::{Error, Result};

/// One row of an answer, by the names of `RETURN … AS name`; or a map in one, by its keys.
pub struct Row(Entries);

enum Entries {
    Record(Record),
    Map(HashMap<String, ValueReceive>),
}

impl Row {
    pub(super) fn new(record: Record) -> Self {
        Self(Entries::Record(record))
    }

    /// A value, taken out of the row; `Option` where it may be null.
    ///
    /// # Errors
    /// [`Error::Backend`]: there is no such column, it was taken already, or it holds something else.
    pub fn take<T: FromValue>(&mut self, name: &str) -> Result<T> {
        let value = match &mut self.0 {
            Entries::Record(record) => record.take_value(name),
            Entries::Map(map) => map.remove(name),
        };
        let value = value.ok_or_else(|| Error::Backend(format!("the row has no column {name:?}")))?;
        T::from_value(value).map_err(|value| {
            // The value itself may be text of a document.
            Error::Backend(format!("column {name:?} holds {}, not {}", kind(&value), std::any::type_name::<T>()))
        })
    }
}

/// Without the values, which may be text of a document.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        match &self.0 {
            Entries::Record(record) => list.entries(record.keys()),
            Entries::Map(map) => list.entries(map.keys()),
        };
        list.finish()
    }
}

/// What a value can be read as.
pub trait FromValue: Sized {
    /// The value, or what came instead.
    ///
    /// # Errors
    /// It is of another kind; given back.
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive>;
}

macro_rules! read_by {
    ($($type:ty => $take:ident),* $(,)?) => {$(
        impl FromValue for $type {
            fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
                value.$take()
            }
        }
    )*};
}

read_by! { bool => try_into_bool, i64 => try_into_int, f64 => try_into_float, String => try_into_string, Vec<u8> => try_into_bytes }

macro_rules! narrowed {
    ($($type:ty),* $(,)?) => {$(
        impl FromValue for $type {
            fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
                let number = value.try_into_int()?;
                Self::try_from(number).map_err(|_| ValueReceive::Integer(number))
            }
        }
    )*};
}

narrowed! { i32, u8, u16, u32, u64, usize }

/// Exact for what was an `f32` when it was sent.
impl FromValue for f32 {
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
        Ok(value.try_into_float()? as Self)
    }
}

impl FromValue for Bytes {
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
        Ok(value.try_into_bytes()?.into())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
        if value.is_null() { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: FromListItem> FromValue for Vec<T> {
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
        value.try_into_list()?.into_iter().map(T::from_value).collect()
    }
}

/// A map: `{id: n.id, …}`, or of a list: `collect({id: n.id, …})`.
impl FromValue for Row {
    fn from_value(value: ValueReceive) -> std::result::Result<Self, ValueReceive> {
        value.try_into_map().map(|map| Self(Entries::Map(map)))
    }
}

/// What a list can hold; all but `u8`, whose list is a byte array.
pub trait FromListItem: FromValue {}

impl FromListItem for bool {}
impl FromListItem for i64 {}
impl FromListItem for u32 {}
impl FromListItem for u64 {}
impl FromListItem for usize {}
impl FromListItem for f32 {}
impl FromListItem for f64 {}
impl FromListItem for String {}
impl FromListItem for Vec<u8> {}
impl<T: FromListItem> FromListItem for Option<T> {}
impl FromListItem for Bytes {}
impl FromListItem for Row {}

fn kind(value: &ValueReceive) -> &'static str {
    match value {
        ValueReceive::Null => "null",
        ValueReceive::Boolean(_) => "a boolean",
        ValueReceive::Integer(_) => "a whole number",
        ValueReceive::Float(_) => "a float",
        ValueReceive::Bytes(_) => "bytes",
        ValueReceive::String(_) => "a string",
        ValueReceive::List(_) => "a list",
        ValueReceive::Map(_) => "a map",
        ValueReceive::Node(_) => "a node",
        ValueReceive::Relationship(_) => "a relationship",
        _ => "another kind of value",
    }
}
