//! The guarded parser: documents are parsed in child processes, so that one that crashes, hangs or eats memory costs that
//! document alone.
//!
//! A child is the same program started again; it calls [`main`]. It is told one document after the other over its
//! standard input and answers in frames over its standard output: a length (32 bits, little endian) and that many bytes
//! of MessagePack. It opens the document itself, read-only, since documents can be larger than memory; pages go back as
//! they are parsed.

#[cfg(feature = "fault-points")]
mod fault;
mod limits;
mod pool;
mod process;
mod protocol;
mod spawner;
mod stream;

#[cfg(feature = "fault-points")]
pub use fault::Fault;
pub use limits::ParserLimits;
pub use pool::{ParserCommand, ParserPool};
pub use process::main;
pub use stream::{PageStream, ParseEvent};
