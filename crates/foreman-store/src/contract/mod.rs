//! What every store must do, as tests: one suite that each implementation runs.
//!
//! An implementation says in a [`Subject`] how it is opened, and calls
//! [`store_contract!`](crate::store_contract) and, if it keeps jobs across restarts,
//! [`durable_store_contract!`](crate::durable_store_contract) in a test module.

pub mod accept;
pub mod apart;
pub mod cancel;
pub mod claim;
pub mod clock;
pub mod crash;
pub mod keep;
pub mod list;
pub mod log;
pub mod order;
pub mod settle;
pub mod standing;

mod words;

use std::sync::Arc;

use crate::QueueStore;

/// One queue under test, empty at first.
pub trait Subject: Default {
    /// Opens the queue. What keeps jobs is opened again after the store was dropped, and is then
    /// the same queue.
    fn open(&self) -> Arc<dyn QueueStore>;
}

/// Makes a test of each promise that holds within one life of a store.
#[macro_export]
macro_rules! store_contract {
    ($subject:ty) => {
        $crate::contract_tests! { $subject;
            accept::a_job_keeps_what_it_was_accepted_with,
            accept::places_ascend_in_the_order_of_acceptance,
            accept::many_are_accepted_in_their_order_each_for_itself,
            accept::an_id_is_not_given_twice,
            accept::no_more_wait_than_may,
            accept::a_repeated_key_finds_the_first_job,
            accept::a_repeated_key_finds_a_job_that_has_ended,
            accept::a_key_with_another_body_is_refused,
            accept::the_same_key_of_another_scope_is_another_key,
            accept::another_key_of_the_same_scope_makes_another_job,
            accept::fifty_at_once_with_one_key_make_one_job,
            claim::an_empty_queue_gives_nothing,
            claim::what_was_foreseen_is_claimed,
            claim::who_was_foreseen_is_passed_over_next_time,
            claim::what_was_foreseen_and_is_gone_is_not_claimed,
            claim::a_job_that_ran_before_is_not_named_early,
            claim::a_claimed_job_loads_with_a_new_epoch_and_its_request,
            claim::the_policy_sees_the_heads_of_the_best_class,
            claim::the_policy_may_decline,
            claim::jobs_of_one_class_and_runner_go_in_order,
            claim::a_slot_runs_one_job,
            claim::slots_run_side_by_side,
            claim::a_job_that_is_not_ready_cannot_be_chosen,
            claim::a_resting_or_expired_job_is_at_no_head,
            claim::only_ready_jobs_of_the_best_class_are_at_the_heads,
            claim::a_job_is_at_the_heads_until_the_moment_it_expires,
            order::the_policy_sees_the_callers_whose_turn_it_is,
            order::a_caller_whose_jobs_rest_is_passed_over,
            order::the_policy_sees_the_aged_jobs_of_callers,
            order::the_policy_sees_what_the_best_class_overtakes,
            order::jobs_of_a_paused_runner_are_at_no_head,
            order::depths_follow_every_way_in_and_out,
            order::a_ready_job_stands_behind_the_older_ones_of_each_caller,
            order::several_jobs_stand_where_each_of_them_does,
            standing::only_older_jobs_of_its_class_and_runner_are_before_a_job,
            standing::what_ran_ended_or_rests_is_before_no_job,
            standing::a_resting_job_is_before_no_other,
            standing::a_job_sees_the_oldest_of_each_runner_of_its_class,
            settle::a_done_job_keeps_its_answer_chunk_by_chunk,
            settle::a_failed_job_keeps_its_failure_and_the_answer_if_any,
            settle::a_retried_job_waits_until_its_rest_is_over,
            settle::a_retry_without_rest_is_ready_at_once,
            settle::a_released_job_spends_nothing,
            settle::a_cancelled_run_ends_the_job,
            settle::a_settled_job_gives_back_its_slot,
            settle::a_lost_epoch_changes_nothing,
            settle::an_ended_job_never_changes,
            settle::a_job_that_is_not_there_cannot_be_settled,
            settle::the_first_byte_makes_a_job_work,
            cancel::a_queued_job_is_cancelled_and_never_claimed,
            cancel::a_running_job_is_asked_to_stop,
            cancel::a_wish_to_cancel_outlives_a_retry_and_a_release,
            cancel::an_answer_that_came_first_counts,
            cancel::an_ended_job_stays_as_it_is,
            cancel::an_unknown_job_is_unknown,
            clock::rests_end_and_jobs_expire_when_it_is_time,
            clock::the_next_moment_is_the_earliest,
            clock::a_resting_job_expires_too,
            clock::nothing_is_due_in_an_empty_queue,
            clock::recovery_queues_what_ran,
            clock::recovery_queues_what_ran_in_every_slot,
            clock::recovery_cancels_what_was_asked_to_stop,
            clock::recovery_fails_a_job_that_ran_at_three_crashes,
            clock::recovery_bounds_the_rest_of_jobs,
            clock::recovery_can_be_repeated,
            clock::a_job_found_running_at_two_crashes_lets_others_go_first,
            keep::a_purge_forgets_bodies_first_and_jobs_later,
            keep::a_purge_spares_what_has_not_ended,
            keep::a_purge_goes_in_steps_the_oldest_first,
            keep::a_purge_forgets_jobs_however_they_ended,
            keep::a_purge_takes_from_each_job_once,
            keep::a_purge_finds_the_bodies_of_those_that_are_left,
            keep::a_key_is_free_again_after_its_job_was_purged,
            list::jobs_are_listed_the_newest_first,
            list::a_list_is_read_in_pages,
            list::a_list_is_filtered,
            list::a_deleted_job_is_gone_with_its_bodies,
            list::a_queued_job_can_be_deleted_and_a_running_one_not,
            log::a_log_begins_with_the_acceptance,
            log::appended_events_are_numbered_on_from_the_last,
            log::past_its_end_a_log_ends_at_once,
            log::events_that_are_there_are_passed_over,
            log::events_that_do_not_follow_are_refused,
            log::only_the_present_run_adds_events,
            log::a_run_that_breaks_off_is_reset_if_it_was_logged,
            log::a_run_that_ends_by_a_wish_keeps_what_it_logged,
            log::recovery_resets_what_was_logged,
            log::a_job_that_never_ran_has_an_end,
            log::a_log_is_read_in_pages,
            log::large_chunks_make_short_pages,
            log::a_run_can_end_without_a_log,
            apart::the_logs_of_jobs_do_not_mix,
            apart::a_new_job_has_nothing_of_others,
            apart::a_log_that_is_not_kept_is_the_only_one,
            log::a_purged_log_says_so,
            clock::a_job_is_not_ready_before_its_time,
            clock::recovery_leaves_a_chosen_time_alone,
            clock::recovery_bounds_a_rest_whatever_time_was_chosen,
            clock::a_job_of_a_life_whose_clock_was_ahead_is_past_the_age_bound,
            clock::a_job_that_was_accepted_after_the_wish_is_not_past_the_age_bound,
            keep::notes_are_kept_and_replaced,
            keep::counts_add_up_to_what_was_accepted,
            keep::the_oldest_waiting_job_is_known,
            keep::a_ready_job_of_a_runner_is_known,
            keep::a_closed_store_says_so,
        }
    };
}

/// Makes a test of each promise that holds across restarts.
#[macro_export]
macro_rules! durable_store_contract {
    ($subject:ty) => {
        $crate::contract_tests! { $subject;
            crash::what_was_accepted_is_there_after_a_crash,
            crash::what_was_settled_is_there_after_a_crash,
            crash::what_ran_is_found_after_a_crash,
            crash::an_epoch_from_before_a_crash_is_lost,
            crash::a_key_finds_its_job_after_a_crash,
            crash::a_wish_to_cancel_survives_a_crash,
            crash::a_rest_survives_a_crash,
            crash::crashes_are_counted_across_lives,
            log::appended_events_are_there_after_a_crash,
            crash::notes_and_counts_survive,
            crash::depths_survive,
            crash::a_closed_store_opens_again,
            crash::what_was_deleted_or_purged_stays_gone_after_a_crash,
            crash::what_became_due_stays_so_after_a_crash,
            crash::a_cancelled_job_stays_so_after_a_crash,
            crash::a_place_is_never_given_twice,
        }
    };
}

/// Makes a test of each function named.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($subject:ty; $($subject_of:ident::$promise:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let subject = <$subject as ::core::default::Default>::default();
                $crate::contract::$subject_of::$promise(&subject).await;
            }
        )+
    };
}
