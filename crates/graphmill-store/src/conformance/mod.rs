//! What every [`JobStore`] must do, as functions that take any backend with a clock that tests move.
//!
//! A backend implements [`Fixture`] and calls [`job_store_conformance!`](crate::job_store_conformance) in its tests.

mod all_events;
mod builders;
mod collection_deletion;
mod collections;
mod concurrency;
mod documents;
mod fences;
mod housekeeping;
mod keys;
mod lists;
mod model;
mod progress;
mod queue;
mod recovery;
mod request_keys;
mod state;
mod transitions;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::ManualClock;

use crate::{JobStore, KeyStore};

/// A fresh store of some backend.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn JobStore>;

    /// The same as a store of keys.
    fn keys(&self) -> Arc<dyn KeyStore>;

    /// The clock that the store was opened with.
    fn clock(&self) -> Arc<ManualClock>;

    /// Closes the store and opens it anew as its sole owner: what a restart of the process does.
    async fn reopen(&mut self);
}

macro_rules! suite {
    ($($module:ident: $($test:ident),+;)+) => {
        $($(pub use $module::$test;)+)+

        /// Makes a test of every function of the suite. `$fixture` is an expression that gives a new [`Fixture`]
        /// ($crate::conformance::Fixture).
        #[macro_export]
        macro_rules! job_store_conformance {
            ($fixture:expr) => {
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $test() {
                        $crate::conformance::$test(&mut $fixture).await;
                    }
                )+)+
            };
        }
    };
}

suite! {
    transitions: every_transition_and_no_other, cancel_before_and_after_intent, a_retry_goes_on_where_it_ended,
        attempts_count_failures_of_ours_alone, times_are_the_stores;
    fences: a_stale_epoch_writes_nothing;
    documents: uploads_end_as_accepted, reingestion_waits_for_everything_else, a_retry_is_refused_when_overtaken,
        a_delete_cancels_older_jobs_but_those_with_intent, a_delete_is_kept_until_finished,
        a_retry_of_quarantined_chunks_follows_the_same_rule, tickets_only_rise, a_purge_removes_what_older_jobs_left;
    queue: higher_priority_first_then_age, collections_share_fairly, exclusive_keys_run_one_at_a_time,
        a_parked_job_says_for_which_it_waits, a_waiting_job_says_for_what_it_waits, equal_pending_requests_are_one, places_and_types_are_kept,
        snoozed_jobs_wait_for_their_time, the_oldest_due_job_is_known, a_paused_type_is_not_claimed;
    all_events: events_of_all_jobs_have_one_order, deleted_jobs_are_told_and_forgotten, a_foreign_position_is_refused,
        a_checker_misses_no_event_and_sees_none_twice;
    request_keys: several_jobs_are_accepted_or_none, a_key_gives_the_same_answer, a_key_of_another_request_is_refused,
        an_answer_is_kept_for_a_day_and_over_a_restart, a_retry_keeps_its_answer, one_key_at_once_is_accepted_once;
    progress: c25_no_fold_of_progress_ever_falls, a_stage_rests_with_its_job;
    recovery: a_restart_voids_all_leases, an_expired_lease_is_taken_back, a_crash_loop_ends,
        a_finished_unit_breaks_the_row_of_deaths, everything_survives_a_restart;
    work: stages_keep_their_units, progress_never_falls, events_tell_every_change_once, metadata_merges,
        logs_are_capped_and_counted, errors_are_kept_in_order, completed_jobs_drop_their_outputs;
    lists: pages_by_offset_and_cursor_agree, a_cursor_walk_over_a_changing_list, totals_follow_every_change,
        filters_hold_together, a_foreign_cursor_is_refused, latest_and_unended_jobs_of_documents;
    housekeeping: only_ended_jobs_are_deleted, cleanup_deletes_the_oldest_in_batches,
        cleanup_of_a_collection_touches_no_other, blobs_live_while_a_row_names_them;
    keys: keys_are_kept_until_revoked, the_use_of_a_key_is_noted, one_name_is_given_once;
    collections: collections_come_into_being_by_use, settings_are_changed_by_version, a_quota_is_exact,
        a_replacement_counts_its_difference, what_ends_unpublished_is_given_back, a_quota_holds_for_uploads_at_once,
        published_documents_are_counted_again;
    collection_deletion: a_collection_being_deleted_takes_nothing, its_keys_are_revoked, its_jobs_end_and_go, a_deletion_goes_on_after_a_restart,
        the_default_collection_is_there_again, what_publishes_is_waited_for;
    concurrency: a_hundred_uploads_at_once, nobody_claims_twice, one_failing_write_costs_no_other;
    model: random_walks_agree_with_a_model;
}
