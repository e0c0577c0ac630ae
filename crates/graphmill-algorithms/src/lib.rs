#![doc = include_str!("../README.md")]

mod error;
pub mod neighbours;

pub use error::{Error, Result};
