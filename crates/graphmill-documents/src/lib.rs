#![doc = include_str!("../README.md")]

mod charset;
pub mod child;
pub mod chunk;
mod document;
mod error;
mod format;
mod parse;

pub use document::{
    Collected, DocumentInfo, Mark, MarkKind, PAGE_SEPARATOR, Page, PageSink, Warning, document_text, is_blank,
};
pub use error::Error;
pub use format::{ACCEPTED, Format, HEAD_BYTES, detect};
pub use parse::parse_file;
