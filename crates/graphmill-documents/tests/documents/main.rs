//! Tests of the crate from outside: real children, real files.

mod pdf;
mod pdf_builder;
mod pool;
mod text_files;
