#![doc = include_str!("../README.md")]

mod error;
pub mod leiden;
pub mod neighbours;

pub use error::{Error, Result};
