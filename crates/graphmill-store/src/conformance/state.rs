//! The whole visible state of jobs as text, by exhaustive destructuring: a new field cannot be forgotten.

use graphmill_core::{JobId, JobStatus};

use crate::records::{AttemptRecord, JobDetail, JobErrorRecord, JobRecord, LogPage, StageRecord};
use crate::requests::{JobFilter, LogQuery, PageStart};
use crate::{Error, JobStore};

/// Everything that the store shows of these jobs, and its totals.
pub(super) async fn whole(store: &dyn JobStore, jobs: &[JobId]) -> String {
    let mut text = String::new();
    for job in jobs {
        match store.job(*job).await {
            Ok(detail) => text.push_str(&one(store, &detail).await),
            Err(Error::NotFound(id)) => text.push_str(&format!("{id} is gone\n")),
            Err(e) => panic!("{job}: {e}"),
        }
    }
    let page = store.list(&JobFilter::default(), PageStart::Offset(0), 1).await.expect("list");
    let due = store.next_due().await.expect("next_due");
    let deletes = store.open_document_deletes(100).await.expect("open deletes");
    let counts = store.counts().await.expect("counts");
    text.push_str(&format!("total {} counts {counts:?} due {due:?} deletes {deletes:?}\n", page.total));
    text
}

async fn one(store: &dyn JobStore, detail: &JobDetail) -> String {
    let JobDetail { job, params, stages, errors, attempts } = detail;
    let mut text = format!("{}params {params:?}\n", record(job));
    for stage in stages {
        let StageRecord { name, weight, status, progress, duration } = stage;
        let finished = store.finished_units(job.id, name).await.expect("units");
        let outputs = store.unit_outputs(job.id, name, 0, 1_000).await.expect("outputs");
        text.push_str(&format!("stage {name} {weight} {status} {progress} {duration:?} {finished:?} {outputs:?}\n"));
    }
    for error in errors {
        let JobErrorRecord { code, message, hint, stage, attempt, timestamp, chunk_id, page } = error;
        text.push_str(&format!(
            "error {code} {message:?} {hint:?} {stage:?} {attempt} {timestamp} {chunk_id:?} {page:?}\n"
        ));
    }
    for attempt in attempts {
        let AttemptRecord { number, started_at, ended_at, outcome, stages } = attempt;
        text.push_str(&format!("attempt {number} {started_at} {ended_at:?} {outcome} {stages:?}\n"));
    }
    let events = store.events(job.id, 0, 1_000).await.expect("events");
    let query = LogQuery { level: None, after: None, descending: false, limit: 1_000 };
    let LogPage { logs, total } = store.logs(job.id, &query).await.expect("logs");
    text.push_str(&format!("events {events:?}\nlogs {total} {logs:?}\n"));
    text
}

fn record(job: &JobRecord) -> String {
    let JobRecord {
        id,
        job_type,
        status,
        collection,
        progress,
        message,
        created_at,
        started_at,
        completed_at,
        metadata,
        version,
        document,
        seq,
        priority,
        intent,
        run_at,
        max_attempts,
        later,
    } = job;
    format!(
        "{id} {job_type} {status} {collection} {progress} {message:?} {created_at} {started_at:?} {completed_at:?} {metadata:?} \
         v{version} {document:?} {seq:?} {priority} {intent} {run_at} {max_attempts} {later}\n"
    )
}

/// State of a job.
pub(super) async fn status(store: &dyn JobStore, job: JobId) -> JobStatus {
    store.job(job).await.expect("job").job.status
}
