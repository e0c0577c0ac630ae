//! Tests of the crate from outside: real children, real files.

mod pool;
