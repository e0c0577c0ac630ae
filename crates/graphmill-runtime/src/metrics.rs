//! What is measured of jobs while they run. (How many there are is the store's to say.)

use std::sync::LazyLock;
use std::time::Duration;

use graphmill_core::JobType;
use graphmill_core::metrics::{Counters, Histograms, STAGE_SECONDS, counters, histograms};
use graphmill_store::requests::Ending;

static STAGES: LazyLock<Histograms> = LazyLock::new(|| {
    let help = "Time from the start of a stage to its end, of stages that were finished in one claim or the rest of them after an interruption.";
    histograms("graphmill_stage_duration_seconds", help, &["job_type", "stage"], STAGE_SECONDS)
});

static ENDINGS: LazyLock<Counters> = LazyLock::new(|| {
    let help =
        "Claims of jobs that ended, by how: completed, failed, overtaken, retry, snooze, released (by a shutdown).";
    counters("graphmill_job_claims_ended_total", help, &["job_type", "outcome"])
});

static SNOOZES: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Times that a job was put back to wait for something outside, without an attempt being used, by reason.";
    counters("graphmill_job_snoozes_total", help, &["job_type", "code"])
});

static RETRIES: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Failures of jobs after which another try was due (when none was left, the job failed), by reason.";
    counters("graphmill_job_retries_total", help, &["job_type", "code"])
});

static FAILURES: LazyLock<Counters> =
    LazyLock::new(|| counters("graphmill_job_failures_total", "Jobs that failed, by reason.", &["job_type", "code"]));

/// A stage was finished, and the store knows.
pub(crate) fn stage_finished(job_type: JobType, stage: &'static str, took: Duration) {
    STAGES.with_label_values(&[job_type.as_str(), stage]).observe(took.as_secs_f64());
}

/// A claim ended, and the store knows; `failed`: the job ended as failed.
pub(crate) fn claim_ended(job_type: JobType, ending: &Ending, failed: bool) {
    let job_type = job_type.as_str();
    let outcome = match ending {
        Ending::Completed { .. } => "completed",
        Ending::Failed { .. } => "failed",
        Ending::Overtaken { .. } => "overtaken",
        Ending::Snooze { code, .. } => {
            SNOOZES.with_label_values(&[job_type, code.as_str()]).inc();
            "snooze"
        }
        Ending::Retry { error, .. } => {
            RETRIES.with_label_values(&[job_type, error.code.as_str()]).inc();
            "retry"
        }
        Ending::Released => "released",
    };
    if let (true, Ending::Failed { error } | Ending::Retry { error, .. }) = (failed, ending) {
        FAILURES.with_label_values(&[job_type, error.code.as_str()]).inc();
    }
    ENDINGS.with_label_values(&[job_type, outcome]).inc();
}

#[cfg(test)]
mod tests {
    use graphmill_core::{ErrorCode, metrics};
    use graphmill_store::requests::NewJobError;

    use super::*;

    #[test]
    fn the_last_retry_is_a_failure_too() {
        let error = NewJobError {
            code: ErrorCode::StageStalled,
            message: String::new(),
            hint: None,
            stage: None,
            chunk_id: None,
            page: None,
        };
        let ending = Ending::Retry { after: Duration::ZERO, error };
        claim_ended(JobType::Clustering, &ending, false);
        claim_ended(JobType::Clustering, &ending, true);
        let text = metrics::recorded();
        for line in [
            "graphmill_job_retries_total{code=\"stage_stalled\",job_type=\"clustering\"} 2",
            "graphmill_job_failures_total{code=\"stage_stalled\",job_type=\"clustering\"} 1",
            "graphmill_job_claims_ended_total{job_type=\"clustering\",outcome=\"retry\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
