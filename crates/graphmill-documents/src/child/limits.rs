//! What a child may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// Limits of the parser pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParserLimits {
    /// Address space of a child, in bytes.
    pub memory_bytes: u64,
    /// Processor time for one document.
    pub cpu: Duration,
    /// Longest time without a sign of progress: a page, a warning, the end.
    pub page: Duration,
    /// Children that parse at once; one document each.
    pub children: usize,
    /// Documents after which a child is replaced.
    pub documents_per_child: u32,
    /// Memory in use after a document above which a child is replaced, in bytes.
    pub retire_bytes: u64,
    /// How long an unused child is kept.
    pub idle: Duration,
}

impl Default for ParserLimits {
    /// 2 GiB, 10 minutes of processor time, 60 s a page, a child for each core.
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpu: Duration::from_secs(600),
            page: Duration::from_secs(60),
            children: std::thread::available_parallelism().map_or(2, usize::from),
            documents_per_child: 500,
            retire_bytes: 128 << 20,
            idle: Duration::from_secs(30),
        }
    }
}

/// Limits that hold for the life of a child: it writes no file, leaves no core, opens few files.
pub(super) fn confine() {
    for (resource, limit) in [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 64)] {
        let _ = setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    }
}

/// Limits for the next document. Only the soft ones move, so that the next document can have others.
pub(super) fn confine_document(memory_bytes: u64, cpu_seconds: u64) {
    for resource in [Resource::As, Resource::Data] {
        lower(resource, memory_bytes);
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    lower(Resource::Cpu, used.tv_sec.max(0) as u64 + cpu_seconds.max(1) + 1);
}

fn lower(resource: Resource, wanted: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = Some(maximum.map_or(wanted, |maximum| wanted.min(maximum)));
    let _ = setrlimit(resource, Rlimit { current, maximum });
}
