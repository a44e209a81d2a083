"""The protocol, broken on purpose in how a child reads, continues and clears away."""

from __future__ import annotations

from typing import Any

import pytest

import batch_jobs.migrating.committing
import batch_jobs.migrating.item_worker
import batch_jobs.migrating.migrate
import batch_jobs.migrating.shard_work
import prepare_run
import tests.simulation.batch
from batch_jobs.job import Job
from batch_jobs.migrating.failing_fast import FailingFast
from batch_jobs.migrating.progress import ProgressFiles
from millrace.errors import StorageError
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import Commit
from millrace.records.files import read_plan
from millrace.records.outcome import Outcome
from millrace.s3.reader import ObjectReader
from millrace.s3.verbs import S3, ObjectHead
from tests.simulation.retry_rules import RetryRules, rules_of_the_template


def items_read_without_if_match(patch: pytest.MonkeyPatch) -> None:
    """Whatever is there now is taken for what was planned."""
    real = ObjectReader.__init__

    def init(self: ObjectReader, *given: Any, **kept: Any) -> None:
        real(self, *given, **{**kept, "etag": None})

    patch.setattr(ObjectReader, "__init__", init)


def broken_reads_go_on_without_if_match(patch: pytest.MonkeyPatch) -> None:
    """The rest of a body may be another object's."""
    real = ObjectReader._get

    def get(self: ObjectReader) -> Any:
        if self._read:
            self._if_match = None
        return real(self)

    patch.setattr(ObjectReader, "_get", get)


class _EqualsAll(dict[str, Any]):
    """Equal to every other head of a progress file."""

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = None


def progress_of_another_plan_is_used(patch: pytest.MonkeyPatch) -> None:
    """A progress file is taken as it is found, whatever plan it belongs to."""
    real = ProgressFiles.__init__

    def init(self: ProgressFiles, *given: Any) -> None:
        real(self, *given)
        self._head = _EqualsAll(self._head)

    patch.setattr(ProgressFiles, "__init__", init)


def failed_outputs_are_left(patch: pytest.MonkeyPatch) -> None:
    """What an earlier attempt made of an item that then failed stays."""
    patch.setattr(batch_jobs.migrating.shard_work, "remove_failed_outputs", lambda *_given: None)


def the_loser_trusts_its_own_rows(patch: pytest.MonkeyPatch) -> None:
    """A copy that came too late clears away by its own rows instead of the winner's."""
    real = batch_jobs.migrating.committing.write_commit

    def write_commit(folder: RunFolder, commit: Commit, s3: S3) -> Commit:
        real(folder, commit, s3)
        return commit

    patch.setattr(batch_jobs.migrating.shard_work, "write_commit", write_commit)


def outputs_of_other_runs_are_deleted(patch: pytest.MonkeyPatch) -> None:
    """An output of a failed item is deleted, whichever run made it."""
    real = S3.head

    class Same(str):
        __slots__ = ()

        def __eq__(self, _other: object) -> bool:
            return True

        __hash__ = str.__hash__

    def head(self: S3, uri: S3Uri) -> ObjectHead:
        found = real(self, uri)
        return ObjectHead(found.size, found.etag, dict.fromkeys(found.metadata, Same()))

    patch.setattr(S3, "head", head)


def a_full_disk_is_the_objects_fault(patch: pytest.MonkeyPatch) -> None:
    """Whatever a workload raises is its item's row."""
    patch.setattr(batch_jobs.migrating.item_worker, "host_fault", lambda _error: None)


def the_code_is_its_version_alone(patch: pytest.MonkeyPatch) -> None:
    """What was changed since has the same version, for the jobs and for Prepare Run."""
    patch.setattr(Job, "code_version", lambda self, _workload, _code: self.settings.code_version)
    patch.setattr(prepare_run, "code_text", lambda version, _jobs, _image: version)


def only_plan_compares_the_code(patch: pytest.MonkeyPatch) -> None:
    """A child and the merge take the plan as it is."""
    patch.setattr(Job, "read_plan", lambda self, folder: read_plan(folder, self.s3))


def committed_shards_are_worked_again(patch: pytest.MonkeyPatch) -> None:
    """A redrive does everything anew."""
    patch.setattr(batch_jobs.migrating.shard_work, "read_commit", lambda *_given: None)


def only_known_words_are_retried(patch: pytest.MonkeyPatch) -> None:
    """The retry rules name the words of EC2 alone, and end everything else."""
    rules = (
        {"OnStatusReason": "Host EC2*", "Action": "RETRY"},
        {"OnExitCode": "1*", "Action": "RETRY"},
        {"OnReason": "*", "Action": "EXIT"},
    )
    known = {verb: RetryRules(real.attempts, rules) for verb, real in rules_of_the_template().items()}
    patch.setattr(tests.simulation.batch, "rules_of_the_template", lambda: known)


def objects_refused_for_good_count_as_a_broken_s3(patch: pytest.MonkeyPatch) -> None:
    """Twenty objects in a row whose key is disabled end the job, as if S3 were down: every attempt of it."""
    real = FailingFast.see

    def see(self: FailingFast, outcome: Outcome, cause: StorageError | None) -> None:
        if cause is not None and outcome.error_code == "READ_FAILED":
            cause.transient = True
        real(self, outcome, cause)

    patch.setattr(FailingFast, "see", see)
