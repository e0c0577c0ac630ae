#![doc = include_str!("../README.md")]

pub mod ingestion;
mod interruption;
pub mod layers;
pub mod maintenance;
pub mod page_text;
