//! The measures of this process. Each crate owns those of what it does and records into them; the one registry here knows them all and writes them
//! in Prometheus' text format 0.0.4. Process-wide, since that is what a scrape asks for; nothing has to be handed down.
//!
//! Labels have few values, known when the program is written (job types, stages, codes, routes): never a collection, a document, a job or a name that
//! somebody chose.

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{Encoder, HistogramOpts, Opts, Registry, TextEncoder};

pub use prometheus::{HistogramVec as Histograms, IntCounterVec as Counters, IntGaugeVec as LiveGauges};

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Bounds, in seconds, of what takes as long as an answer to a request.
pub const REQUEST_SECONDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Bounds, in seconds, of calls of models.
pub const CALL_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Bounds, in seconds, of stages of jobs.
pub const STAGE_SECONDS: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// Counters that live as long as the process: made once (in a `static`), a child for each combination of label values.
pub fn counters(name: &str, help: &str, labels: &[&str]) -> Counters {
    kept(Counters::new(Opts::new(name, help), labels))
}

/// Histograms that live as long as the process.
pub fn histograms(name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> Histograms {
    kept(Histograms::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), labels))
}

/// Gauges that live as long as the process, for what is counted up and down as it happens.
pub fn live_gauges(name: &str, help: &str, labels: &[&str]) -> LiveGauges {
    kept(LiveGauges::new(Opts::new(name, help), labels))
}

fn kept<C: Collector + Clone + 'static>(made: prometheus::Result<C>) -> C {
    let made = made.expect("names, labels and bounds are right in the source");
    REGISTRY.register(Box::new(made.clone())).expect("no two measures have one name");
    made
}

/// Everything that was recorded, as text.
pub fn recorded() -> String {
    text(&REGISTRY)
}

fn text(registry: &Registry) -> String {
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("names, help and labels are text")
}

/// Values that are looked up for one answer and then forgotten.
#[derive(Default)]
pub struct Readings(Registry);

impl Readings {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A measure that goes up and down: its value for each combination of label values.
    pub fn gauges<'v>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = (Vec<&'v str>, f64)>,
    ) {
        let gauges = prometheus::GaugeVec::new(Opts::new(name, help), labels).expect("names are right in the source");
        for (labels, value) in values {
            gauges.with_label_values(&labels).set(value);
        }
        self.0.register(Box::new(gauges)).expect("no two measures have one name");
    }

    /// A measure without labels that goes up and down.
    pub fn gauge(&self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, &[], [(Vec::new(), value)]);
    }

    /// A measure without labels that only rises, counted by somebody else.
    pub fn counter(&self, name: &str, help: &str, value: f64) {
        let counter = prometheus::Counter::new(name, help).expect("names are right in the source");
        counter.inc_by(value.max(0.0));
        self.0.register(Box::new(counter)).expect("no two measures have one name");
    }

    /// As text.
    pub fn text(&self) -> String {
        text(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_text_of_format_0_0_4() {
        let readings = Readings::new();
        readings.gauges("graphmill_things", "How many.", &["kind"], [(vec!["a\"b\\c\nd"], 2.5), (vec!["e"], 0.0)]);
        readings.counter("graphmill_turns_total", "How often.", 7.0);
        let expected = "# HELP graphmill_things How many.\n# TYPE graphmill_things gauge\n\
                        graphmill_things{kind=\"a\\\"b\\\\c\\nd\"} 2.5\ngraphmill_things{kind=\"e\"} 0\n\
                        # HELP graphmill_turns_total How often.\n# TYPE graphmill_turns_total counter\n\
                        graphmill_turns_total 7\n";
        assert_eq!(readings.text(), expected);
    }

    #[test]
    fn what_is_recorded_is_told() {
        let times = histograms("graphmill_test_duration_seconds", "A test.", &["of"], &[1.0, 2.0]);
        times.with_label_values(&["it"]).observe(1.5);
        counters("graphmill_test_total", "A test.", &["of"]).with_label_values(&["it"]).inc_by(3);
        let text = recorded();
        for line in [
            "graphmill_test_duration_seconds_bucket{of=\"it\",le=\"1\"} 0",
            "graphmill_test_duration_seconds_bucket{of=\"it\",le=\"2\"} 1",
            "graphmill_test_duration_seconds_bucket{of=\"it\",le=\"+Inf\"} 1",
            "graphmill_test_duration_seconds_sum{of=\"it\"} 1.5",
            "graphmill_test_duration_seconds_count{of=\"it\"} 1",
            "graphmill_test_total{of=\"it\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
