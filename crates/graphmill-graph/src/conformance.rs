//! What every [`GraphStore`] must do, as functions over any of them. A backend's test binary calls [`crate::graph_conformance!`], which makes
//! one test of each. They panic where a promise is broken.

pub mod binding;
pub mod collections;
pub mod copying;
pub mod fixtures;
pub mod histories;
pub mod layers;
pub mod listing;
pub mod publishing;
pub mod reading;
pub mod searching;
pub mod similarity_runs;
pub mod stale_writers;
pub mod sweeping;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::ManualClock;

use crate::GraphStore;

/// A graph of its own for one test.
pub struct TestGraph {
    /// The empty graph.
    pub store: Arc<dyn GraphStore>,
    /// The clock that it was given.
    pub clock: Arc<ManualClock>,
    /// What must live as long as the graph (a folder, a server).
    pub keep: Box<dyn Any + Send + Sync>,
}

/// Makes graphs.
#[async_trait]
pub trait Backend: Send + Sync {
    /// An empty graph that nobody else uses.
    async fn empty(&self) -> TestGraph;
}

/// One test for each function of the suite. `$backend` is an expression of a type that implements [`Backend`].
#[macro_export]
macro_rules! graph_conformance {
    ($backend:expr) => {
        $crate::graph_conformance!(@tests $backend;
            binding::{a_graph_has_one_job_store, the_highest_ticket_counts_tombstones},
            publishing::{
                a_published_document_is_seen_whole, a_ticket_is_used_once, a_lower_ticket_is_overtaken,
                missing_chunks_are_named_and_staged_again, a_replacement_changes_only_the_difference,
                a_chunk_stands_once_in_a_document, chunks_of_another_document_are_refused, a_touch_moves_the_ticket_alone,
                a_touch_of_something_else_differs, a_removal_leaves_a_tombstone, a_late_publish_is_overtaken_by_a_removal,
                same_name_in_two_folders_is_two_documents, a_shared_entity_outlives_one_document,
                names_are_just_data, collections_do_not_meet
            },
            collections::{
                a_removed_collection_leaves_nothing, a_collection_under_removal_is_not_there,
                a_removal_is_carried_out_in_steps, publications_end_as_overtaken_by_a_removal
            },
            sweeping::{
                what_is_placed_is_never_swept, other_documents_are_not_swept, tombstones_are_forgotten_when_old,
                a_sweep_between_stage_and_publish_is_noticed
            },
            histories::{
                all_orders_of_finishing_end_as_accepted, random_histories_end_as_a_fresh_graph,
                concurrent_publishers_end_as_one_after_the_other, folds_equal_folds_computed_anew
            },
            stale_writers::{
                a_stale_upload_is_never_seen, a_stale_upload_against_a_removal_is_never_seen, a_stale_run_changes_nothing
            },
            layers::{
                similarities_are_seen_when_their_run_ends, a_delta_replaces_rows, communities_follow_their_members, present_communities_are_whole,
                vectors_and_spaces
            },
            similarity_runs::{
                vectors_are_paged_by_position, a_delta_sees_what_has_changed, a_run_that_was_given_up_leaves_nothing,
                what_is_set_aside_is_of_no_delta
            },
            reading::{
                stats_count_live_data, documents_are_listed_newest_first, chunks_are_paged, blobs_that_nobody_names,
                the_export_is_canonical, an_export_is_of_one_moment
            },
            listing::{
                documents_are_filtered_and_sorted, entities_of_a_document_by_mentions, parts_of_names_are_found,
                entities_are_walked_in_every_order, an_entity_shows_its_evidence, collections_have_entities_of_their_own,
                communities_are_read_of_one_generation, a_large_community_is_paged, layers_say_how_far_they_are_behind,
                a_cursor_of_something_else_is_refused
            },
            copying::{a_copy_has_the_same_export, a_copy_brings_the_difference, parts_of_a_document_are_of_one_ticket},
            searching::{
                words_are_found_in_live_chunks_alone, scripts_without_spaces_are_found, nearest_is_exact,
                nearest_follows_vectors_that_are_made_anew, filters_hold_within_the_search, found_chunks_are_shown_with_their_place,
                neighbourhoods_grow_by_hops, the_projection_has_everything_once
            }
        );
    };
    (@tests $backend:expr; $($module:ident::{$($name:ident),+ $(,)?}),+ $(,)?) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$module::$name(&$backend).await;
            })+
        })+
    };
}
