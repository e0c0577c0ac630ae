//! The SQLite backend against the suite that every backend must pass, and what is its own: files, disks, speed of opening.

mod file;
mod migrations;
mod sqlite;
