#![doc = include_str!("../README.md")]

pub mod context;
pub mod cpu;
pub mod handler;
mod metrics;
pub mod occupancy;
pub mod outcome;
pub mod stage;
mod supervise;
mod watch;
pub mod worker;

pub use context::{JobContext, Services};
pub use cpu::CpuPool;
pub use handler::{JobHandler, Registry};
pub use occupancy::Occupancy;
pub use outcome::{Completed, Interruption};
pub use stage::{Stage, StageRun, UnitDone};
pub use worker::{Runtime, RuntimeConfig};
