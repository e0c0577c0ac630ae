//! Fills a store with many jobs in all states, through the store's own methods, for the benches of lists and starts.
//!
//! usage: `many_jobs FILE JOBS`. Of a hundred jobs 80 are completed, 8 failed, 6 cancelled and 6 pending for a year to come, over three
//! types and eight collections; the ingestions have a document and a file name (`manual-0000000.pdf` and so on).

use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{CollectionId, DocumentId, ErrorCode, JobType, SystemClock};
use graphmill_store::records::{ClaimedJob, Enqueued};
use graphmill_store::requests::{ClaimRequest, DocumentTicket, Ending, NewJob, NewJobError, StagePlan, TicketKind};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Jobs that are made, claimed and ended together.
const BATCH: u32 = 2_000;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, jobs] = &words[..] else { return Err("usage: many_jobs FILE JOBS".into()) };
    let jobs: u32 = jobs.parse()?;
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobStore::open(SqliteOptions::new(file, Arc::new(SystemClock)))?);
    for begin in (0..jobs).step_by(BATCH as usize) {
        let end = jobs.min(begin + BATCH);
        accept(&store, begin..end).await?;
        work(&store).await?;
    }
    Ok(())
}

async fn accept(store: &Arc<dyn JobStore>, numbers: std::ops::Range<u32>) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for number in numbers {
        let store = store.clone();
        tasks.spawn(async move {
            let Enqueued::New { job, .. } = store.enqueue(new_job(number)?).await? else {
                return Err("an upload was not accepted".into());
            };
            if (80..86).contains(&(number % 100)) {
                store.cancel(job.id, "Cancelled by a person").await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn new_job(number: u32) -> Outcome<NewJob> {
    let collection: CollectionId = match number % 8 {
        0..4 => CollectionId::default(),
        other => format!("team-{other}").parse()?,
    };
    let job_type = match number % 50 {
        0..46 => JobType::Ingestion,
        46..48 => JobType::Reindex,
        _ => JobType::Clustering,
    };
    let source = format!("manual-{number:07}.pdf");
    let document = DocumentId::new(&collection, &source);
    let stages: &[&str] = match job_type {
        JobType::Ingestion => &["loading", "chunking", "embedding", "entity_extraction", "persistence"],
        JobType::Reindex => &["rebuild_similarities"],
        JobType::Clustering => &["build_projection", "run_leiden", "assign_communities"],
    };
    let mut metadata = Map::new();
    if job_type == JobType::Ingestion {
        metadata.insert("filename".into(), json!(source));
        metadata.insert("document_id".into(), json!(document.to_string()));
        metadata.insert("source".into(), json!(source));
        metadata.insert("collection".into(), json!(collection.as_str()));
        metadata.insert("file_size".into(), json!(8_456_192));
        metadata.insert("page_count".into(), json!(350));
    }
    Ok(NewJob {
        job_type,
        collection,
        params: Map::from_iter([("number".to_owned(), Value::from(number))]),
        metadata,
        message: "Waiting to start".into(),
        stages: stages.iter().map(|name| StagePlan { name: (*name).to_owned(), weight: 1 }).collect(),
        priority: 0,
        delay: if number % 100 >= 94 { YEAR } else { Duration::ZERO },
        max_attempts: 3,
        document: (job_type == JobType::Ingestion).then_some(DocumentTicket {
            document,
            source,
            kind: TicketKind::Upload,
            bytes: 1,
        }),
        exclusive_key: None,
        dedupe_key: None,
        blobs: Vec::new(),
    })
}

/// Ends everything that can be claimed.
async fn work(store: &Arc<dyn JobStore>) -> Outcome<()> {
    let free = [JobType::Ingestion, JobType::Reindex, JobType::Clustering].map(|job_type| (job_type, BATCH)).to_vec();
    let request = ClaimRequest { worker: "bench".into(), lease: Duration::from_secs(60), free };
    let mut tasks = JoinSet::new();
    for job in store.claim(request).await? {
        let store = store.clone();
        tasks.spawn(async move { store.end(job.fence, ending(&job)).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn ending(job: &ClaimedJob) -> Ending {
    let number = job.params.get("number").and_then(Value::as_u64).unwrap_or_default();
    if number % 100 >= 86 {
        return Ending::Failed {
            error: NewJobError {
                code: ErrorCode::NoText,
                message: "The document has no text".into(),
                hint: Some("Scanned pages need text recognition first".into()),
                stage: Some("loading".into()),
                chunk_id: None,
                page: None,
            },
        };
    }
    let metadata =
        Map::from_iter([("chunks_created".to_owned(), json!(147)), ("entities_extracted".to_owned(), json!(83))]);
    Ending::Completed { message: "Document ingestion complete".into(), metadata }
}
