//! Tests of the product as a whole: the real binary, real documents, real kills.

mod access;
mod backup;
mod cancel;
mod cases;
mod cli;
mod clustering;
mod clustering_faults;
mod clustering_summaries;
mod collections;
mod commands;
mod contract;
mod disk;
mod documents;
mod events;
mod faults;
mod graph_reading;
mod job_control;
mod kill;
mod models;
mod parser;
mod purge;
mod reindex;
mod replace;
mod search;
mod support;
mod upkeep;
