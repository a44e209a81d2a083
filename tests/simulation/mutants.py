"""The faults that the simulator has to catch, each with the promise that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.simulation.broken_arrays import (
    a_child_merges_what_is_not_committed,
    a_claim_is_a_lock,
    a_mark_of_an_earlier_merge_is_believed,
    a_small_job_tries_again,
    arrays_without_end,
    children_that_merge_are_believed,
    each_job_alone_is_small,
    helping_commits_twice,
    nobody_goes_on_after_a_small_job,
    nobody_looks_after_a_merging_array,
    one_job_leaves_what_it_has_no_time_for,
    shards_are_left_and_no_array_follows,
    what_a_small_job_left_is_taken_for_its_result,
)
from tests.simulation.broken_children import (
    a_full_disk_is_the_objects_fault,
    broken_reads_go_on_without_if_match,
    committed_shards_are_worked_again,
    failed_outputs_are_left,
    items_read_without_if_match,
    objects_refused_for_good_count_as_a_broken_s3,
    only_known_words_are_retried,
    only_plan_compares_the_code,
    outputs_of_other_runs_are_deleted,
    progress_of_another_plan_is_used,
    the_code_is_its_version_alone,
    the_loser_trusts_its_own_rows,
)
from tests.simulation.broken_uploads import (
    a_run_has_a_new_name_each_time,
    a_run_is_named_after_its_keys_alone,
    a_run_that_was_not_started_is_forgotten,
    the_earlier_of_two_events_counts,
)
from tests.simulation.broken_writes import (
    a_failed_run_has_no_mark,
    a_failed_run_merges_nothing,
    a_marked_run_is_believed,
    a_result_that_is_there_is_believed,
    a_retry_sums_up_itself_alone,
    an_accepted_run_stays_incomplete,
    any_success_takes_the_mark_off,
    commit_before_the_outputs,
    commit_before_the_partial,
    commits_without_if_none_match,
    files_that_are_there_are_believed,
    merge_from_a_listing,
    part_commits_without_if_none_match,
    partial_not_named_by_content,
    parts_leave_out_a_shard,
    plan_written_anew_by_a_retry,
    results_written_over_each_other,
    run_request_overwritten,
    success_before_the_result,
    the_listing_is_trusted,
    two_items_share_an_output,
)


@dataclass(frozen=True)
class Mutant:
    """A fault of the protocol.

    Attributes:
        plant: Breaks the real code.
        caught_by: The promises, by name, of which one must be found broken.
        without: Promises, by name, that are not checked, to see that the others show it as well.
        first: The seed to begin with, one that was seen to catch a fault which few do.
        workload: The name of one of the other workloads, where the fault is one of its kind.
    """

    plant: Callable[[pytest.MonkeyPatch], None]
    caught_by: tuple[str, ...]
    without: tuple[str, ...] = ()
    first: int = 0
    workload: str | None = None

    def __str__(self) -> str:
        return "_without_".join((self.plant.__name__, *self.without))


MUTANTS = (
    Mutant(a_claim_is_a_lock, ("ENDS",)),
    Mutant(shards_are_left_and_no_array_follows, ("READABLE",)),
    Mutant(one_job_leaves_what_it_has_no_time_for, ("ENDS",)),
    Mutant(helping_commits_twice, ("COMMIT_ONCE",)),
    Mutant(arrays_without_end, ("ENDS",)),
    Mutant(a_child_merges_what_is_not_committed, ("READABLE",)),
    Mutant(children_that_merge_are_believed, ("SUCCESS_LAST", "ONE_MARK", "ENDS", "OUTPUT_OF_RUN")),
    Mutant(a_mark_of_an_earlier_merge_is_believed, ("FORGED", "OUTPUT_OF_RUN")),
    Mutant(nobody_looks_after_a_merging_array, ("SUCCESS_LAST", "ONE_MARK", "ENDS", "OUTPUT_OF_RUN", "READABLE")),
    Mutant(nobody_goes_on_after_a_small_job, ("ENDS",)),
    Mutant(what_a_small_job_left_is_taken_for_its_result, ("OUTPUT_OF_RUN", "ENDS")),
    Mutant(each_job_alone_is_small, ("ENDS",)),
    Mutant(a_small_job_tries_again, ("ENDS",)),
    Mutant(commits_without_if_none_match, ("COMMIT_ONCE",)),
    Mutant(part_commits_without_if_none_match, ("COMMIT_ONCE",)),
    Mutant(parts_leave_out_a_shard, ("MERGED", "SAME_BYTES")),
    Mutant(plan_written_anew_by_a_retry, ("COMMIT_ONCE",)),
    Mutant(run_request_overwritten, ("COMMIT_ONCE",)),
    Mutant(merge_from_a_listing, ("NO_LISTING",)),
    Mutant(merge_from_a_listing, ("MERGED", "DECLARED"), without=("NO_LISTING",)),
    Mutant(commit_before_the_partial, ("COMMIT_LAST",)),
    Mutant(commit_before_the_outputs, ("COMMIT_LAST",)),
    Mutant(partial_not_named_by_content, ("PARTIAL_ONCE",), first=318),
    Mutant(partial_not_named_by_content, ("READABLE",), without=("PARTIAL_ONCE",), first=125),
    Mutant(items_read_without_if_match, ("CONDITIONAL",)),
    Mutant(items_read_without_if_match, ("OUTPUT_RIGHT", "ROW_HAS_CAUSE", "MERGED"), without=("CONDITIONAL",)),
    Mutant(broken_reads_go_on_without_if_match, ("CONDITIONAL",)),
    Mutant(progress_of_another_plan_is_used, ("COUNTS", "ROW_HAS_CAUSE", "COMMIT_LAST", "MERGED", "ONE_ROW")),
    Mutant(success_before_the_result, ("SUCCESS_LAST",)),
    Mutant(failed_outputs_are_left, ("NO_FAILED_OUTPUT",)),
    Mutant(the_loser_trusts_its_own_rows, ("DELETES_OWN", "COMMIT_LAST", "NO_FAILED_OUTPUT"), first=245),
    Mutant(outputs_of_other_runs_are_deleted, ("DELETES_OWN",)),
    Mutant(results_written_over_each_other, ("FINAL",), first=618),
    Mutant(a_retry_sums_up_itself_alone, ("MERGED",)),
    Mutant(a_failed_run_merges_nothing, ("MERGED",)),
    Mutant(an_accepted_run_stays_incomplete, ("ONE_MARK", "FORGED")),  # FORGED: a mark that somebody left there
    Mutant(an_accepted_run_stays_incomplete, ("ONE_MARK",), without=("FORGED",)),
    Mutant(a_failed_run_has_no_mark, ("ONE_MARK",)),
    Mutant(any_success_takes_the_mark_off, ("ONE_MARK",)),
    Mutant(committed_shards_are_worked_again, ("NOT_AGAIN",)),
    Mutant(a_full_disk_is_the_objects_fault, ("ROW_HAS_CAUSE",)),
    Mutant(
        a_full_disk_is_the_objects_fault,
        ("SAME_BYTES", "MERGED", "COMMIT_LAST", "NOT_COMPLETE", "ENDS", "DECLARED", "OUTPUT_THERE"),
        without=("ROW_HAS_CAUSE",),
    ),
    Mutant(the_code_is_its_version_alone, ("ONE_CODE",)),
    Mutant(only_plan_compares_the_code, ("ONE_CODE",)),
    Mutant(only_known_words_are_retried, ("ALL_ATTEMPTS",)),
    Mutant(a_result_that_is_there_is_believed, ("FORGED", "OUTPUT_OF_RUN", "NOT_COMPLETE", "READABLE")),
    Mutant(a_marked_run_is_believed, ("FORGED", "SUCCESS_LAST", "NOT_COMPLETE", "READABLE")),
    Mutant(files_that_are_there_are_believed, ("FORGED", "MERGED", "READABLE")),
    Mutant(objects_refused_for_good_count_as_a_broken_s3, ("ENDS",), first=162),
    Mutant(the_listing_is_trusted, ("PLANNED", "SAME_BYTES")),
    Mutant(
        the_listing_is_trusted,
        ("ONE_ROW", "COUNTS", "MERGED", "SAME_BYTES", "DECLARED", "REPORT"),
        without=("PLANNED", "NOT_AGAIN"),
    ),
    Mutant(a_run_has_a_new_name_each_time, ("UPLOADS",)),
    Mutant(a_run_is_named_after_its_keys_alone, ("UPLOADS",)),
    Mutant(the_earlier_of_two_events_counts, ("UPLOADS",)),
    Mutant(a_run_that_was_not_started_is_forgotten, ("UPLOADS",)),
    Mutant(two_items_share_an_output, ("ROW_HAS_CAUSE", "OUTPUT_RIGHT"), workload="copy-by-initial"),
    Mutant(
        two_items_share_an_output,
        ("OUTPUT_RIGHT", "OUTPUT_THERE"),
        without=("ROW_HAS_CAUSE",),
        workload="copy-by-initial",
    ),
)
