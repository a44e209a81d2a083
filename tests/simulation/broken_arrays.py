"""The protocol, broken on purpose in how children share out the shards, and how arrays follow each other."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import batch_jobs.merging.migrate_and_merge
import read_plan
import read_result
import tests.simulation.jobs
from batch_jobs.job import Job
from batch_jobs.migrating.claims import Claims
from batch_jobs.migrating.migrate import _Child, migrate, migrate_shard
from batch_jobs.migrating.shard_order import Stay
from millrace.layout import RunFolder, S3Uri
from millrace.records.files import is_marked
from millrace.s3.verbs import S3
from tests.simulation.execution import MACHINE


def a_claim_is_a_lock(patch: pytest.MonkeyPatch) -> None:
    """A shard that somebody has claimed is nobody else's, whatever became of them."""
    patch.setattr(Claims, "_is_alive", lambda _self, _text: True)


def shards_are_left_and_no_array_follows(patch: pytest.MonkeyPatch) -> None:
    """A child hands back after its first shard, and the state machine takes that for the end."""
    patch.setattr(Stay, "is_over", lambda self, _elapsed, _time_left: self.worked > 0)
    patch.setitem(MACHINE.states["Migrate Shards"], "Next", "Merge In Parts?")


def helping_commits_twice(patch: pytest.MonkeyPatch) -> None:
    """A helper asks nobody, and writes its commit over what is there."""
    helping = threading.local()
    real_help, real_take, real_put = _Child._help, Claims.take, S3.put_if_absent

    def help_others(self: _Child) -> None:
        helping.now = True
        real_help(self)

    def take(self: Claims, shard: int, **given: Any) -> bool:
        return real_take(self, shard, **given) or getattr(helping, "now", False)

    def put_if_absent(self: S3, uri: S3Uri, body: bytes, **given: Any) -> bool:
        if "/shards/" in uri.key and getattr(helping, "now", False):
            self.put(uri, body, **given)
            return True
        return real_put(self, uri, body, **given)

    patch.setattr(_Child, "_help", help_others)
    patch.setattr(Claims, "take", take)
    patch.setattr(S3, "put_if_absent", put_if_absent)


def arrays_without_end(patch: pytest.MonkeyPatch) -> None:
    """Children that commit nothing exit 0, and Read Plan starts the next array all the same."""
    a_claim_is_a_lock(patch)
    patch.setattr(read_plan, "_check_progress", lambda *_given: None)


def a_child_merges_what_is_not_committed(patch: pytest.MonkeyPatch) -> None:
    """A child of a short array merges when it has done its own part, whatever the others have left."""
    patch.setattr(
        batch_jobs.merging.migrate_and_merge, "migrate", lambda *given, **kept: migrate(*given, **kept) or True
    )
    patch.setattr(batch_jobs.merging.migrate_and_merge, "_is_mine", lambda _folder, _job: True)


def children_that_merge_are_believed(patch: pytest.MonkeyPatch) -> None:
    """Once all is committed, Read Plan takes it that one of the children has merged, and well."""
    patch.setattr(read_plan, "_merged", lambda _folder, _plan, before, _s3: before.get("merging", False))


def a_mark_of_an_earlier_merge_is_believed(patch: pytest.MonkeyPatch) -> None:
    """What is marked as complete is not merged again, whoever marked it, and whatever became of it since."""
    patch.setattr(read_plan, "_merged", lambda folder, plan, _before, s3: is_marked(folder, plan, s3))


def nobody_looks_after_a_merging_array(patch: pytest.MonkeyPatch) -> None:
    """The state machine takes the end of an array whose children merge for the end of the run."""
    patch.setitem(MACHINE.states["Migrate And Merge Shards"], "Next", "Read Result")


def one_job_leaves_what_it_has_no_time_for(patch: pytest.MonkeyPatch) -> None:
    """Migrate And Merge exits 0 after its first shard, and merges nothing."""

    def migrate_and_merge(folder: RunFolder, job: Job, *given: Any, **named: Any) -> None:
        plan = job.read_plan(folder)
        if plan.shards > 1:
            migrate_shard(folder, 0, job)
            return
        real(folder, job, *given, **named)

    real = batch_jobs.merging.migrate_and_merge.migrate_and_merge
    patch.setattr(tests.simulation.jobs, "migrate_and_merge", migrate_and_merge)


def nobody_goes_on_after_a_small_job(patch: pytest.MonkeyPatch) -> None:
    """A small job hands back, and the execution fails without a result: as often as it is started again."""
    patch.delitem(MACHINE.states["Read Result"], "Catch")


def what_a_small_job_left_is_taken_for_its_result(patch: pytest.MonkeyPatch) -> None:
    """Read Result looks for no mark: what an earlier job has merged is the result."""
    patch.setattr(read_result, "_check_handed_back", lambda _folder, _job_id, _s3: None)


def each_job_alone_is_small(patch: pytest.MonkeyPatch) -> None:
    """Read Plan chooses the size by the work alone, and forgets that a small job has just handed back."""
    real = read_plan._job

    def job(plan: Any, left: Any, children: int, before: dict[str, Any], settings: Any) -> dict[str, object]:
        return real(plan, left, children, {**before, "pass": 0}, settings)

    patch.setattr(read_plan, "_job", job)


def a_small_job_tries_again(patch: pytest.MonkeyPatch) -> None:
    """Each attempt of a small job works, whatever ended the one before."""

    def migrate_and_merge(folder: RunFolder, job: Job, *given: Any, **_size: Any) -> None:
        real(folder, job, *given)

    real = batch_jobs.merging.migrate_and_merge.migrate_and_merge
    patch.setattr(tests.simulation.jobs, "migrate_and_merge", migrate_and_merge)
