//! What has been said about one followed job, shared by all its readers.

use std::collections::VecDeque;
use std::sync::Arc;

use graphmill_core::{Clock, EventKind, JobEvent, JobId};
use graphmill_store::records::JobRecord;
use graphmill_store::{Error, JobStore};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::message::{Message, Role};

/// Rows that a feed keeps; a reader that is further behind reads the store itself.
const KEPT: usize = 1_000;

/// Rows read from the store at once.
const PAGE: u32 = 500;

/// A followed job.
pub(super) struct Feed {
    pub(super) job: JobId,
    inner: Mutex<Inner>,
    /// The job has changed: read it again.
    pub(super) dirty: Notify,
    /// Counts the reads; readers wait on it. 0 = not read yet.
    pub(super) reads: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    /// The job's version when it was last read: every row up to it is known.
    version: u64,
    /// Every `stage_complete`, for snapshots.
    stages: Vec<Message>,
    /// The newest rows, by seq.
    rows: VecDeque<Message>,
    /// Rows up to this seq are not (all) among `rows`.
    floor: u64,
    /// Highest seq of any row seen.
    newest: u64,
    /// The newest progress: a row, or the state when it says something else than the newest row.
    progress: Option<(Message, JobEvent)>,
}

/// What a reader finds.
pub(super) enum Next {
    /// Send these. `end`: the job has ended and nothing follows them.
    Messages { messages: Vec<Message>, end: bool },
    /// Rows from the reader's position to here have to be read from the store first.
    Behind { floor: u64 },
}

impl Feed {
    pub(super) fn new(job: JobId) -> Self {
        let feed = Self { job, inner: Mutex::default(), dirty: Notify::new(), reads: watch::Sender::new(0) };
        feed.dirty.notify_one();
        feed
    }

    /// Reads what is new. `true` when the job has ended: nothing more will come.
    ///
    /// The record is read first, then the rows: so every row up to the record's version is known, and later rows only come on top.
    pub(super) async fn refresh(&self, store: &dyn JobStore, clock: &dyn Clock) -> Result<bool, Error> {
        let record = match store.job(self.job).await {
            Ok(detail) => Some(detail.job),
            Err(Error::NotFound(_)) => None,
            Err(e) => return Err(e),
        };
        let mut rows = Vec::new();
        let mut after = self.inner.lock().newest;
        while record.is_some() {
            let page = store.events(self.job, after, PAGE).await;
            let page = match page {
                Ok(page) => page,
                Err(Error::NotFound(_)) => break, // deleted in between; the next read says so
                Err(e) => return Err(e),
            };
            let full = page.len() == PAGE as usize;
            after = page.last().map_or(after, |e| e.seq);
            rows.extend(page);
            if !full {
                break;
            }
        }
        let ended = self.inner.lock().absorb(self.job, record.as_ref(), &rows, clock);
        self.reads.send_modify(|n| *n += 1);
        Ok(ended)
    }

    /// The first messages of a new stream, and the position after them.
    pub(super) fn snapshot(&self) -> (Vec<Message>, u64) {
        self.inner.lock().snapshot()
    }

    /// Where a stream that has seen everything up to `since` goes on.
    pub(super) fn resume_at(&self, since: u64) -> u64 {
        let inner = self.inner.lock();
        since.min(inner.version.max(inner.newest))
    }

    /// What follows `position`, at most `limit` messages.
    pub(super) fn after(&self, position: u64, limit: usize) -> Next {
        self.inner.lock().after(position, limit)
    }
}

impl Inner {
    fn absorb(&mut self, job: JobId, record: Option<&JobRecord>, rows: &[JobEvent], clock: &dyn Clock) -> bool {
        for event in rows {
            if event.seq > self.newest {
                self.push(event);
            }
        }
        match record {
            Some(record) => self.note_state(record, clock),
            None => {
                let seq = self.newest.max(self.version) + 1;
                self.push(&JobEvent { kind: EventKind::Deleted {}, job_id: job, timestamp: clock.now(), seq });
                self.version = seq;
            }
        }
        self.ended()
    }

    fn push(&mut self, event: &JobEvent) {
        let message = Message::of(event);
        self.newest = event.seq;
        match message.role {
            Role::StageComplete => self.stages.push(message.clone()),
            Role::Progress => self.progress = Some((message.clone(), event.clone())),
            Role::Note | Role::Last => {}
        }
        self.rows.push_back(message);
        if self.rows.len() > KEPT {
            self.floor = self.rows.pop_front().map_or(self.floor, |m| m.seq);
        }
    }

    fn note_state(&mut self, record: &JobRecord, clock: &dyn Clock) {
        // Nothing comes after an end but a retry, which is a row: then the end is the newest there is.
        self.version = if self.ended() { self.newest } else { record.version };
        if self.newest > self.version {
            return; // a row says more than this record; the next read has both
        }
        let kind =
            EventKind::Progress { progress: record.progress, message: record.message.clone(), status: record.status };
        if self.progress.as_ref().is_some_and(|(_, said)| said.kind == kind) {
            return;
        }
        let timestamp = record.completed_at.unwrap_or_else(|| clock.now());
        let event = JobEvent { kind, job_id: record.id, timestamp, seq: self.version };
        self.progress = Some((Message::of(&event), event));
    }

    /// The newest row is an end: after one, only a person's retry brings another row.
    fn ended(&self) -> bool {
        self.rows.back().is_some_and(|m| m.role == Role::Last)
    }

    fn snapshot(&self) -> (Vec<Message>, u64) {
        let mut messages: Vec<Message> = self.stages.iter().filter(|m| m.seq <= self.version).cloned().collect();
        messages.extend(self.rows.back().filter(|m| m.role == Role::Last && m.seq <= self.version).cloned());
        // One that is newer than the snapshot comes right after it.
        if let Some((message, event)) = self.progress.as_ref().filter(|(m, _)| m.seq <= self.version) {
            // After all stages, before the end. Each seq once: where the newest change was told by another message, the progress takes the free seq before
            // it (an end leaves one). A job of a version that left none tells it with the seq of its last stage.
            let stages = messages.iter().filter(|m| self.ended() && m.role == Role::StageComplete);
            let last_stage = stages.map(|m| m.seq).max().unwrap_or(0);
            let taken = |seq: u64| messages.iter().any(|m| m.seq == seq);
            let mut seq = event.seq;
            if seq <= last_stage {
                // What was said before the last stage ended stands after it now.
                seq = self.newest.saturating_sub(1);
            }
            while taken(seq) && seq > last_stage {
                seq -= 1;
            }
            seq = seq.max(last_stage);
            let message =
                if seq == event.seq { message.clone() } else { Message::of(&JobEvent { seq, ..event.clone() }) };
            messages.push(message);
        }
        messages.sort_by_key(|m| m.seq);
        (messages, self.version)
    }

    fn after(&self, position: u64, limit: usize) -> Next {
        if position < self.floor {
            return Next::Behind { floor: self.floor };
        }
        let begin = self.rows.partition_point(|m| m.seq <= position);
        let rows = self.rows.range(begin..);
        // An end that something follows is no end: a person has retried the job since.
        let mut messages: Vec<Message> =
            rows.filter(|m| m.role != Role::Last || m.seq == self.newest).take(limit).cloned().collect();
        if let Some((progress, _)) = &self.progress {
            let at = messages.partition_point(|m| m.seq < progress.seq);
            let told = self.rows.binary_search_by_key(&progress.seq, |m| m.seq).is_ok();
            let reached = at < messages.len() || messages.len() < limit;
            if progress.seq > position && !told && reached {
                messages.insert(at, progress.clone());
            }
        }
        let last = messages.last().map_or(position, |m| m.seq);
        Next::Messages { end: self.ended() && last >= self.newest, messages }
    }
}

/// A feed and the word that it was read.
pub(crate) struct Subscription {
    pub(super) feed: Arc<Feed>,
    pub(super) reads: watch::Receiver<u64>,
}

#[cfg(test)]
mod tests {
    use graphmill_core::{CollectionId, JobStatus, JobType, ManualClock, Timestamp};

    use super::*;

    fn job() -> JobId {
        JobId::new_v7(Timestamp::from_millis(0), &[0; 10])
    }

    fn record(version: u64, progress: f64, status: JobStatus) -> JobRecord {
        JobRecord {
            id: job(),
            job_type: JobType::Ingestion,
            status,
            collection: CollectionId::default(),
            progress,
            message: format!("at {progress}"),
            created_at: Timestamp::from_millis(0),
            started_at: None,
            completed_at: None,
            metadata: serde_json::Map::new(),
            version,
            document: None,
            seq: None,
            priority: 0,
            intent: false,
            run_at: Timestamp::from_millis(0),
            max_attempts: 5,
            later: false,
        }
    }

    fn event(seq: u64, kind: EventKind) -> JobEvent {
        JobEvent { kind, job_id: job(), timestamp: Timestamp::from_millis(0), seq }
    }

    fn stage(seq: u64) -> JobEvent {
        event(seq, EventKind::StageComplete { stage: "loading".into(), duration_seconds: 1.0 })
    }

    fn state(seq: u64) -> JobEvent {
        let status = JobStatus::Running;
        event(seq, EventKind::Progress { progress: 0.0, message: format!("row {seq}"), status })
    }

    fn cancelled(seq: u64) -> JobEvent {
        event(seq, EventKind::Cancelled { message: "no more".into() })
    }

    fn absorb(inner: &mut Inner, record: &JobRecord, rows: &[JobEvent]) -> bool {
        inner.absorb(job(), Some(record), rows, &ManualClock::new(Timestamp::from_millis(0)))
    }

    fn seqs(messages: &[Message]) -> Vec<u64> {
        messages.iter().map(|m| m.seq).collect()
    }

    /// What a new stream gets in all: the snapshot, then what follows it.
    fn whole(inner: &Inner) -> Vec<u64> {
        let (mut messages, position) = inner.snapshot();
        if messages.last().is_none_or(|m| m.role != Role::Last) {
            let Next::Messages { messages: more, .. } = inner.after(position, 100) else { panic!("behind") };
            messages.extend(more);
        }
        seqs(&messages)
    }

    #[test]
    fn a_row_that_came_between_the_two_reads_is_sent_once() {
        let mut inner = Inner::default();
        absorb(&mut inner, &record(5, 0.5, JobStatus::Running), &[state(2), stage(4)]);
        assert_eq!(whole(&inner), [4, 5]);
        absorb(&mut inner, &record(6, 0.6, JobStatus::Running), &[state(8)]);
        assert_eq!(whole(&inner), [4, 8], "the row is newer than the record");
        assert!(absorb(&mut inner, &record(9, 0.6, JobStatus::Running), &[cancelled(10)]));
        assert_eq!(whole(&inner), [4, 9, 10]);
        let Next::Messages { messages, end } = inner.after(10, 100) else { panic!("behind") };
        assert!(messages.is_empty() && end);
    }

    #[test]
    fn nothing_stands_behind_an_end() {
        let mut inner = Inner::default();
        assert!(absorb(&mut inner, &record(9, 0.6, JobStatus::Cancelled), &[stage(4), cancelled(7)]));
        assert_eq!(whole(&inner), [4, 6, 7]);
        let Next::Messages { messages, end } = inner.after(0, 100) else { panic!("behind") };
        assert_eq!((seqs(&messages), end), (vec![4, 7], true));
    }

    #[test]
    fn the_snapshot_of_an_ended_job_tells_all_stages_then_the_progress_then_the_end() {
        let completed = |seq| event(seq, EventKind::Completed { message: "done".into(), metadata: Default::default() });
        // The second job was completed by a version that left no number free.
        for (end, said, expected) in [
            (9, None, vec![4, 7, 8, 9]),
            (8, None, vec![4, 7, 7, 8]),
            (9, Some(state(5)), vec![4, 7, 8, 9]),
            (8, Some(state(5)), vec![4, 7, 7, 8]),
        ] {
            let mut inner = Inner::default();
            let rows: Vec<JobEvent> = [stage(4)].into_iter().chain(said).chain([stage(7), completed(end)]).collect();
            assert!(absorb(&mut inner, &record(end, 1.0, JobStatus::Completed), &rows));
            let (messages, _) = inner.snapshot();
            assert_eq!(seqs(&messages), expected);
            let roles: Vec<Role> = messages.iter().map(|m| m.role).collect();
            assert_eq!(roles, [Role::StageComplete, Role::StageComplete, Role::Progress, Role::Last]);
        }
    }

    #[test]
    fn the_end_before_a_retry_is_no_end() {
        let mut inner = Inner::default();
        assert!(!absorb(&mut inner, &record(6, 0.1, JobStatus::Pending), &[stage(3), cancelled(5), state(6)]));
        let Next::Messages { messages, end } = inner.after(3, 100) else { panic!("behind") };
        assert_eq!((seqs(&messages).first(), end), (Some(&6), false));
        assert!(messages.iter().all(|m| m.role != Role::Last));
    }

    #[test]
    fn a_newer_progress_takes_the_place_of_the_one_before() {
        let mut inner = Inner::default();
        for version in 2..50 {
            absorb(
                &mut inner,
                &record(version, f64::from(u32::try_from(version).unwrap()) / 100.0, JobStatus::Running),
                &[],
            );
        }
        let Next::Messages { messages, .. } = inner.after(0, 100) else { panic!("behind") };
        assert_eq!(seqs(&messages), [49]);
        absorb(&mut inner, &record(60, 0.49, JobStatus::Running), &[]);
        assert_eq!(whole(&inner), [49], "a change that says nothing new is not told");
    }

    #[test]
    fn old_rows_are_left_to_the_store() {
        let mut inner = Inner::default();
        let rows: Vec<JobEvent> = (1..=1_500).map(state).collect();
        absorb(&mut inner, &record(1_500, 0.0, JobStatus::Running), &rows);
        assert!(matches!(inner.after(499, 100), Next::Behind { floor: 500 }));
        let Next::Messages { messages, end } = inner.after(500, 100) else { panic!("behind") };
        assert_eq!((seqs(&messages), end), ((501..=600).collect(), false));
    }
}
