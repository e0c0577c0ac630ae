//! Job types, states, and the one function that says which change of state exists.
//!
//! ```text
//!            claim                 complete
//! pending ───────────▶ running ───────────────▶ completed
//!   │  ▲                 │ │ │       fail
//!   │  └─── requeue ─────┘ │ └────────────────▶ failed ────┐
//!   │                      │       cancel                  │ retry by a person
//!   └──────── cancel ──────┴──────────────────▶ cancelled ─┴──────▶ pending
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::JobId;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All values, in the order in which messages list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that the API and the stores use.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(s: &str) -> Result<Self, UnknownWord> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { value: s.chars().take(80).collect(), allowed: &[$($word),+] }),
                }
            }
        }
    };
}

/// A word that is none of those allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is none of {}", allowed.join(", "))]
pub struct UnknownWord {
    /// What was given (shortened to 80 characters).
    pub value: String,
    /// What may stand there.
    pub allowed: &'static [&'static str],
}

words!(
    /// The three kinds of job.
    JobType {
        /// A document becomes chunks, vectors and facts of the graph.
        Ingestion = "ingestion",
        /// Embeddings, `SIMILAR_TO` edges and clustering of a collection are made anew.
        Reindex = "reindex",
        /// Communities of a collection are found.
        Clustering = "clustering",
    }
);

words!(
    /// State of a job.
    JobStatus {
        /// Waits for a worker.
        Pending = "pending",
        /// A worker holds its lease.
        Running = "running",
        /// Ended well.
        Completed = "completed",
        /// Ended badly; a person may retry.
        Failed = "failed",
        /// Ended because a person or a later upload or delete said so.
        Cancelled = "cancelled",
    }
);

words!(
    /// State of a stage within a job.
    StageStatus {
        /// Not begun.
        Pending = "pending",
        /// Under way, or begun and interrupted.
        Running = "running",
        /// Ended well; never run again in this job.
        Completed = "completed",
        /// The job failed in it.
        Failed = "failed",
        /// The job was cancelled in it.
        Cancelled = "cancelled",
    }
);

impl JobStatus {
    /// Whether the job has ended.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// What may happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A worker takes it.
    Claim,
    /// The worker gives it back: retry, snooze, shutdown, or its lease was lost.
    Requeue,
    /// All stages are done.
    Complete,
    /// An error that no retry mends, or no retry is left.
    Fail,
    /// A person's cancel, or overtaken by a later upload or delete of its document.
    Cancel,
    /// A person wants it tried again.
    RetryByPerson,
}

impl Transition {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Claim, Self::Requeue, Self::Complete, Self::Fail, Self::Cancel, Self::RetryByPerson];
}

/// A change of state that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} job cannot take the transition {transition:?}")]
pub struct Forbidden {
    /// State in which the job is.
    pub from: JobStatus,
    /// What was wanted.
    pub transition: Transition,
}

/// The state after `transition`, or [`Forbidden`]. Stores enforce the same by guarded updates and CHECK constraints.
pub fn next_state(from: JobStatus, transition: Transition) -> Result<JobStatus, Forbidden> {
    use JobStatus::{Cancelled, Completed, Failed, Pending, Running};
    match (from, transition) {
        (Pending, Transition::Claim) => Ok(Running),
        (Running, Transition::Requeue) => Ok(Pending),
        (Running, Transition::Complete) => Ok(Completed),
        (Running, Transition::Fail) => Ok(Failed),
        (Pending | Running, Transition::Cancel) => Ok(Cancelled),
        (Failed | Cancelled, Transition::RetryByPerson) => Ok(Pending),
        (from, transition) => Err(Forbidden { from, transition }),
    }
}

/// Ticket of an accepted upload, delete, retry or re-ingestion of a document, from one rising counter of the job store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Rises by one at each claim, cancel and retry of a job; a write with a lower one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// What every job-store write of a worker carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The job.
    pub job: JobId,
    /// The claim under which the worker acts.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_eight_transitions_exist() {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Running};
        let mut allowed = Vec::new();
        for &from in JobStatus::ALL {
            for &transition in Transition::ALL {
                match next_state(from, transition) {
                    Ok(to) => allowed.push((from, transition, to)),
                    Err(e) => assert_eq!((e.from, e.transition), (from, transition)),
                }
            }
        }
        assert_eq!(
            allowed,
            [
                (Pending, Transition::Claim, Running),
                (Pending, Transition::Cancel, Cancelled),
                (Running, Transition::Requeue, Pending),
                (Running, Transition::Complete, Completed),
                (Running, Transition::Fail, Failed),
                (Running, Transition::Cancel, Cancelled),
                (Failed, Transition::RetryByPerson, Pending),
                (Cancelled, Transition::RetryByPerson, Pending),
            ]
        );
    }

    #[test]
    fn an_unknown_word_lists_the_allowed() {
        let err = "done".parse::<JobStatus>().unwrap_err().to_string();
        assert_eq!(err, "\"done\" is none of pending, running, completed, failed, cancelled");
    }
}
