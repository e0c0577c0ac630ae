//! One claimed job from start to end: runs the handler, hears the watch, writes how it ended.

use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{ErrorCode, JobStatus};
use graphmill_store::records::LogLevel;
use graphmill_store::requests::{Ending, NewJobError};
use rand::Rng;
use serde_json::json;
use tokio::sync::watch;
use tracing::Instrument;

use crate::metrics;
use crate::watch::Stop;
use crate::{Completed, Interruption, JobContext, JobHandler, Occupancy};

/// How often log lines and progress are written.
const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// How long an aborted handler is waited for: futures end at once, work on the CPU pool when it looks at its flag.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// First and longest pause before a failed job is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How the handler came to its end.
enum End {
    Handler(Result<Completed, Interruption>),
    Stopped(Stop),
}

pub(crate) async fn supervise(
    context: Arc<JobContext>,
    handler: Arc<dyn JobHandler>,
    mut stop: watch::Receiver<Option<Stop>>,
    (occupancy, lease): (Occupancy, Duration),
) {
    let span = tracing::info_span!(
        target: graphmill_core::trace::TARGET,
        "job",
        job.id = %context.fence().job,
        job.kind = context.job().job.job_type.as_str(),
        job.epoch = context.fence().epoch.0
    );
    // One is held until the work has really stopped, however long that takes, the other until it is tidied up after. The claim is looked at once more
    // behind them: see [`Occupancy::is_occupied`].
    let enter = || {
        let job = &context.job().job;
        occupancy.enter(&job.collection, job.document.zip(job.seq))
    };
    let (at_work, _tidying) = (enter(), enter());
    let mut task = tokio::spawn({
        let (context, handler) = (context.clone(), handler.clone());
        let work = async move {
            let _at_work = at_work;
            if let Err(graphmill_store::Error::Fenced(_)) = context.store.renew(context.fence(), lease).await {
                return Err(Interruption::Stopped);
            }
            handler.run(&context).await
        };
        work.instrument(span)
    });
    let mut tick = tokio::time::interval(FLUSH_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            joined = &mut task => break End::Handler(joined.unwrap_or_else(|error| {
                Err(Interruption::retry(ErrorCode::Internal, format!("the handler panicked; this is a defect of graphmill: {error}")))
            })),
            why = stopped(&mut stop) => {
                task.abort();
                break End::Stopped(why);
            }
            _ = tick.tick() => {
                // A store that hangs must not keep a stop from being heard.
                let mut hears = stop.clone();
                tokio::select! {
                    flushed = context.flush() => if let Err(error) = flushed {
                        tracing::debug!(job.id = %context.fence().job, ?error, "progress could not be written");
                    },
                    _ = stopped(&mut hears) => {}
                }
            }
        }
    };
    let over = match ending(&context, end) {
        Some(ending) => {
            log_ending(&context, &ending);
            write_ending(&context, ending, &mut stop).await
        }
        None => true,
    };
    // The store knows; the place is given back only when the work has really stopped, or is past being waited for.
    if !task.is_finished() {
        let _ = tokio::time::timeout(ABORT_GRACE, &mut task).await;
    }
    if over {
        context.close_blobs();
    }
    handler.after(&context).await;
}

/// Waits for the watch to say stop.
async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stop.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or(Stop::Shutdown),
        Err(_) => Stop::Shutdown, // the sender is gone: so is the runtime
    }
}

/// What is written about the end; nothing when the job is no longer ours.
fn ending(context: &JobContext, end: End) -> Option<Ending> {
    let with_stage = |mut error: NewJobError| {
        error.stage = error.stage.or_else(|| context.running_stage());
        error
    };
    match end {
        End::Handler(Ok(Completed { message, metadata })) => Some(Ending::Completed { message, metadata }),
        End::Handler(Err(Interruption::Stopped)) | End::Stopped(Stop::Fenced) => None,
        End::Handler(Err(Interruption::Snooze { after, code, reason })) => Some(Ending::Snooze { after, code, reason }),
        End::Handler(Err(Interruption::Retry { after, error })) => {
            Some(Ending::Retry { after: after.unwrap_or_else(|| backoff(context.job().failures)), error: with_stage(*error) })
        }
        End::Handler(Err(Interruption::Fail { error })) => Some(Ending::Failed { error: with_stage(*error) }),
        End::Handler(Err(Interruption::Overtaken { message })) => Some(Ending::Overtaken { message }),
        End::Stopped(Stop::Shutdown) => Some(Ending::Released),
        End::Stopped(Stop::Stalled { unit, limit }) => Some(Ending::Retry {
            after: backoff(context.job().failures),
            error: with_stage(NewJobError {
                code: ErrorCode::StageStalled,
                message: format!("nothing was finished for {} s while working on {unit}", limit.as_secs()),
                hint: Some("the stage was abandoned and is tried again; if it happens again, look at that part of the document".into()),
                stage: None,
                chunk_id: None,
                page: None,
            }),
        }),
    }
}

/// The last line of the claim, in the job's log and in the process's.
fn log_ending(context: &JobContext, ending: &Ending) {
    let details = |error: &NewJobError| json!({"code": error.code, "stage": error.stage});
    let (level, message, details) = match ending {
        Ending::Completed { message, .. } | Ending::Overtaken { message } => {
            (LogLevel::Info, message.clone(), json!({}))
        }
        Ending::Failed { error } => (LogLevel::Error, error.message.clone(), details(error)),
        Ending::Retry { after, error } => {
            let message = format!("{}; trying again in {:.1} s", error.message, after.as_secs_f64());
            (LogLevel::Warning, message, details(error))
        }
        Ending::Snooze { after, code, reason } => {
            let message = format!("{reason}; waiting for {:.1} s", after.as_secs_f64());
            (LogLevel::Warning, message, json!({"code": code}))
        }
        Ending::Released => {
            (LogLevel::Info, "Interrupted by a shutdown; going on at the next start".to_owned(), json!({}))
        }
    };
    let job = context.fence().job;
    match level {
        LogLevel::Error | LogLevel::Warning => tracing::warn!(job.id = %job, %details, "{message}"),
        LogLevel::Info | LogLevel::Debug => tracing::info!(job.id = %job, "{message}"),
    }
    context.log(level, message, details);
}

/// Doubles with each failure, with jitter, so that jobs that failed together do not come back together.
fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF.0.saturating_mul(1 << failures.min(16)).min(BACKOFF.1);
    doubled.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Writes the ending until the store takes it: a job must not stay running because the disk was full for a moment. Given up when the claim is lost
/// (somebody else writes the end then) or the process shuts down (the next start finds the job). Answers whether the claim is over for certain.
async fn write_ending(context: &JobContext, ending: Ending, stop: &mut watch::Receiver<Option<Stop>>) -> bool {
    let mut pause = Duration::from_millis(50);
    let shutting_down = matches!(ending, Ending::Released);
    loop {
        let written = async {
            context.flush_logs().await.ok();
            context.store.end(context.fence(), ending.clone()).await
        };
        match written.await {
            Ok(ended) => {
                let failed = ended.status == JobStatus::Failed;
                metrics::claim_ended(context.job().job.job_type, &ending, failed);
                tracing::debug!(job.id = %context.fence().job, status = %ended.status, "job ended its claim");
                for key in ended.unnamed_blobs {
                    if let Err(error) = context.blobs().delete(&key).await {
                        tracing::warn!(%key, %error, "an output could not be removed; the sweep will do it");
                    }
                }
                return true;
            }
            Err(graphmill_store::Error::Fenced(_) | graphmill_store::Error::NotFound(_)) => return true,
            Err(error) => {
                tracing::warn!(job.id = %context.fence().job, %error, "the end of a job could not be written")
            }
        }
        let gone = async { if shutting_down { Stop::Shutdown } else { stopped(stop).await } };
        tokio::select! {
            _ = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
            why = gone => return matches!(why, Stop::Fenced),
        }
    }
}
