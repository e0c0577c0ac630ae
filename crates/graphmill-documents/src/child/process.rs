//! The child's side.

use super::limits::{confine, confine_document};
use super::protocol::{Answer, Request, VERSION, read_frame, write_frame};
use crate::{DocumentInfo, Error, Page, PageSink, Warning};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Exit code when the pool has gone or said something that is no request.
const EXIT_PIPE: i32 = 2;
/// Exit code after a panic: the document was answered, but the state of the process is not known.
const EXIT_PANIC: i32 = 3;

/// Parses the documents that standard input names until that ends; returns the exit code.
///
/// To be called at the very start of a process that was started for this, before any thread or file is opened.
#[must_use]
pub fn main() -> i32 {
    // The parent's death must be ours: it is the only one who reads us.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    confine();
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    if write_frame(&mut output, &Answer::Ready { version: VERSION }).is_err() {
        return EXIT_PIPE;
    }
    loop {
        let request = match read_frame::<Request>(&mut input) {
            Ok(Some(request)) => request,
            Ok(None) => return 0,
            Err(_) => return EXIT_PIPE,
        };
        confine_document(request.memory_bytes, request.cpu_seconds);
        let result = catch_unwind(AssertUnwindSafe(|| parse(&request, &mut output)));
        let panicked = result.is_err();
        let answer = match result {
            Ok(Ok(info)) => Answer::End { info, resident_bytes: resident_bytes() },
            Ok(Err(error)) => Answer::Failed(error),
            Err(payload) => Answer::Failed(Error::ParserCrashed { cause: format!("panic: {}", words_of(&*payload)) }),
        };
        if write_frame(&mut output, &answer).is_err() {
            return EXIT_PIPE;
        }
        if panicked {
            return EXIT_PANIC;
        }
    }
}

fn parse(request: &Request, output: &mut impl Write) -> Result<DocumentInfo, Error> {
    #[cfg(feature = "fault-points")]
    if let Some(fault) = request.fault {
        fault.strike(output);
    }
    crate::parse_file(&request.path, request.format, &mut FrameSink(output))
}

fn words_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// Memory held now, from Linux's statm (second number, in pages); 0 where that is not known.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

struct FrameSink<'a, W>(&'a mut W);

impl<W: Write> FrameSink<'_, W> {
    fn send(&mut self, answer: &Answer) -> Result<(), Error> {
        let failed = |error: io::Error| Error::ParserProtocol { detail: format!("cannot answer: {error}") };
        write_frame(self.0, answer).map_err(failed)
    }
}

impl<W: Write> PageSink for FrameSink<'_, W> {
    fn opened(&mut self, page_count: u32) -> Result<(), Error> {
        self.send(&Answer::Opened { page_count })
    }

    fn page(&mut self, page: Page) -> Result<(), Error> {
        self.send(&Answer::Page(page))
    }

    fn warning(&mut self, warning: Warning) -> Result<(), Error> {
        self.send(&Answer::Warning(warning))
    }
}
