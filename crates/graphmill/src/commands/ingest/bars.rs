//! A bar a file and stage on a terminal, with rate and time left; nothing where there is none.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::output;

/// Widths of a line.
const NAME: usize = 28;

/// All bars, and the one over all files.
pub(crate) struct Bars {
    all: MultiProgress,
    files: ProgressBar,
    shown: bool,
}

impl Bars {
    /// For so many files.
    pub(crate) fn new(files: usize, detach: bool) -> Self {
        let shown = std::io::stderr().is_terminal() && !output::json() && !detach;
        let all = MultiProgress::with_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let bar = all.add(ProgressBar::new(files as u64));
        bar.set_style(style("{prefix:28} {bar:24} {pos}/{len} files, {elapsed} gone, {eta} left"));
        bar.set_prefix("all");
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { all, files: bar, shown }
    }

    /// A bar for a file whose job is followed.
    pub(crate) fn file(&self, name: &str) -> FileBar {
        let bar = self.all.insert_before(&self.files, ProgressBar::new(1000));
        bar.set_style(style("{prefix:28} {bar:24} {msg}"));
        bar.set_prefix(output::cut(name, NAME));
        FileBar { bar, pace: None }
    }

    /// A file is done, one way or the other; its line stays above the bars.
    pub(crate) fn line(&self, line: &str) {
        self.files.inc(1);
        if self.shown {
            self.all.suspend(|| output::line(format_args!("{line}")));
        } else {
            output::line(format_args!("{line}"));
        }
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
        self.files.finish_and_clear();
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
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
            self.bar.set_message(Pace::shown(&mut self.pace, message, Instant::now()));
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
                format!("{message}, {rate:.0}/s, {} left", indicatif::HumanDuration(left))
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
