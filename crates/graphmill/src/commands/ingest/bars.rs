//! A bar a file and stage on a terminal, with rate and time left; nothing where there is none.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::Value;

use super::sources::Source;
use crate::output;

/// Widths of a line.
const NAME: usize = 28;

/// All bars, and the one over all files.
pub(crate) struct Bars {
    all: MultiProgress,
    files: ProgressBar,
    /// Of the files that are done.
    bytes: Arc<AtomicU64>,
    shown: bool,
}

impl Bars {
    /// For these files.
    pub(crate) fn new(files: &[Source], detach: bool) -> Self {
        let shown = std::io::stderr().is_terminal() && !output::json() && !detach;
        let all = MultiProgress::with_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let bar = all.add(ProgressBar::new(files.len() as u64));
        let (bytes, total) = (Arc::new(AtomicU64::new(0)), files.iter().map(|file| file.bytes).sum());
        let done = bytes.clone();
        let tempo = move |state: &ProgressState, out: &mut dyn Write| {
            let _ = out.write_str(&tempo(done.load(Ordering::Relaxed), total, state.elapsed()));
        };
        bar.set_style(style("{prefix:28} {bar:24} {pos}/{len} files, {elapsed} gone{tempo}").with_key("tempo", tempo));
        bar.set_prefix("all");
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { all, files: bar, bytes, shown }
    }

    /// A bar for a file whose job is followed.
    pub(crate) fn file(&self, name: &str) -> FileBar {
        let bar = self.all.insert_before(&self.files, ProgressBar::new(1000));
        bar.set_style(style("{prefix:28} {bar:24} {msg}"));
        bar.set_prefix(output::visible(&output::cut(name, NAME)).into_owned());
        FileBar { bar, pace: None }
    }

    /// A file is done, one way or the other; its line stays above the bars.
    pub(crate) fn line(&self, file: &Source, line: &str) {
        self.bytes.fetch_add(file.bytes, Ordering::Relaxed);
        self.files.inc(1);
        let say = || if output::json() { output::as_it_is(line) } else { output::line(format_args!("{line}")) };
        if self.shown { self.all.suspend(say) } else { say() }
    }

    /// Takes the bars out of the way, or brings them back.
    pub(crate) fn aside(&self, away: bool) {
        if !self.shown {
            return;
        }
        if away {
            let _ = self.all.clear();
        }
        self.all.set_draw_target(if away { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
    }

    /// Takes the bars away.
    pub(crate) fn clear(&self) {
        // Drawn once more, so that what a person saw last is how it ended.
        self.files.abandon();
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

/// Rate and time left of all files, once there is one to go by.
fn tempo(done: u64, total: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64();
    if done == 0 || !rate.is_normal() {
        return String::new();
    }
    let left = Duration::from_secs_f64((total.saturating_sub(done) as f64 / rate).min(1e9).round());
    format!(", {}/s, {} left", output::size(rate as u64), HumanDuration(left))
}

/// The bar of one file.
pub(crate) struct FileBar {
    bar: ProgressBar,
    pace: Option<Pace>,
}

impl FileBar {
    /// A message of the job's stream.
    pub(crate) fn event(&mut self, event: &Value) {
        if let Some(progress) = event["progress"].as_f64() {
            self.bar.set_position((progress * 1000.0) as u64);
            let message = event["message"].as_str().unwrap_or("");
            let message = Pace::shown(&mut self.pace, message, Instant::now());
            self.bar.set_message(output::visible(&message).into_owned());
        }
    }
}

impl Drop for FileBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How fast a stage goes, from the counts in its messages: `Processing chunks (95/147)`.
struct Pace {
    what: String,
    since: Instant,
    first: u64,
}

impl Pace {
    /// The message with rate and time left, once two counts of the same stage are known.
    fn shown(pace: &mut Option<Self>, message: &str, now: Instant) -> String {
        let Some((what, done, total)) = counts(message) else {
            *pace = None;
            return message.to_owned();
        };
        match pace {
            Some(known) if known.what == what && done >= known.first => {
                let seconds = now.duration_since(known.since).as_secs_f64();
                let rate = (done - known.first) as f64 / seconds;
                if seconds < 0.2 || rate <= 0.0 {
                    return message.to_owned();
                }
                let left = Duration::from_secs_f64(((total.saturating_sub(done)) as f64 / rate).min(1e9).round());
                format!("{message}, {rate:.0}/s, {} left", HumanDuration(left))
            }
            _ => {
                *pace = Some(Self { what: what.to_owned(), since: now, first: done });
                message.to_owned()
            }
        }
    }
}

/// `Processing chunks (95/147)` → what, 95, 147.
fn counts(message: &str) -> Option<(&str, u64, u64)> {
    let (what, counts) = message.strip_suffix(')')?.rsplit_once(" (")?;
    let (done, total) = counts.split_once('/')?;
    Some((what, done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        assert_eq!(tempo(0, 10_000_000, Duration::from_secs(3)), "");
        assert_eq!(tempo(2_000_000, 10_000_000, Duration::ZERO), "");
        assert_eq!(tempo(2_000_000, 10_000_000, Duration::from_secs(2)), ", 1.0 MB/s, 8 seconds left");
    }

    #[test]
    fn rate_and_time_left_come_from_the_counts_of_one_stage() {
        let (mut pace, begun) = (None, Instant::now());
        let mut at =
            |message: &str, seconds: u64| Pace::shown(&mut pace, message, begun + Duration::from_secs(seconds));
        assert_eq!(at("Embedding chunks (10/110)", 0), "Embedding chunks (10/110)");
        assert_eq!(at("Embedding chunks (60/110)", 10), "Embedding chunks (60/110), 5/s, 10 seconds left");
        assert_eq!(
            at("Extracting entities (50/110)", 11),
            "Extracting entities (50/110)",
            "another stage, another rate"
        );
        assert_eq!(at("Waiting for a worker", 12), "Waiting for a worker");
    }
}
