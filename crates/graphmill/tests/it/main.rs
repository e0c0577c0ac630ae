//! Tests of the product as a whole: the real binary, real documents, real kills.

mod backup;
mod cancel;
mod cases;
mod cli;
mod contract;
mod disk;
mod documents;
mod faults;
mod kill;
mod models;
mod parser;
mod replace;
mod search;
mod support;
