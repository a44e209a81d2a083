"""The protocol, broken on purpose in what is written where, and when."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

import batch_jobs.merging.merge
import batch_jobs.merging.merged_files
import batch_jobs.merging.migrate_and_merge
import batch_jobs.migrating.committing
import batch_jobs.migrating.partials
import batch_jobs.migrating.shard_work
import batch_jobs.planning.plan
import millrace.planning.listed_items
import millrace.planning.listing_pages
import tests.simulation.jobs
from batch_jobs.migrating.claims import Claims
from millrace.errors import ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.planning.making import PlanMaker
from millrace.records.commit import Commit, PartialFile
from millrace.records.plan import Plan
from millrace.records.result import Result, rank_of
from millrace.s3.verbs import S3


def _overwriting(patch: pytest.MonkeyPatch, part: str) -> None:
    real = S3.put_if_absent

    def put_if_absent(self: S3, uri: S3Uri, body: bytes, **given: Any) -> bool:
        if part in uri.key:
            self.put(uri, body, **given)
            return True
        return real(self, uri, body, **given)

    patch.setattr(S3, "put_if_absent", put_if_absent)


def commits_without_if_none_match(patch: pytest.MonkeyPatch) -> None:
    """A later copy of a child overwrites the commit."""
    _overwriting(patch, "/shards/")


def part_commits_without_if_none_match(patch: pytest.MonkeyPatch) -> None:
    """A later copy of a merger overwrites the commit of its part."""
    _overwriting(patch, "/parts/")


def parts_leave_out_a_shard(patch: pytest.MonkeyPatch) -> None:
    """The shards behind the last full pair are in no part."""
    patch.setattr(Plan, "shards_of_part", lambda _self, part: range(2 * part, 2 * part + 2))


def plan_written_anew_by_a_retry(patch: pytest.MonkeyPatch) -> None:
    """A retry of the plan job lists again and replaces plan.json."""
    _overwriting(patch, "/plan.json")
    patch.setattr(PlanMaker, "kept", lambda *_given: None)


def run_request_overwritten(patch: pytest.MonkeyPatch) -> None:
    """A second call of Prepare Run writes run.json again."""
    _overwriting(patch, "/run.json")


def merge_from_a_listing(patch: pytest.MonkeyPatch) -> None:
    """Merge takes every partial that it finds, instead of those that the commits name."""
    real = batch_jobs.migrating.partials.open_partials

    def opened(partials: list[PartialFile], job: Any) -> Any:
        if not partials:
            return real(partials, job)
        first = S3Uri.parse(partials[0].uri)
        uris = [
            S3Uri(first.bucket, found.key) for found in job.s3.list(first.bucket, first.key.rpartition("/")[0] + "/")
        ]
        bodies = [(str(uri), job.s3.read(uri)) for uri in uris]
        listed = [PartialFile(uri, hashlib.sha256(body).hexdigest(), len(body)) for uri, body in bodies]
        return real(listed, job)

    patch.setattr(batch_jobs.merging.merged_files, "open_partials", opened)


class _Deferred(threading.local):
    """Puts that are made after the commit."""

    def __init__(self) -> None:
        self.puts: list[Callable[[], None]] = []


def _after_the_commit(patch: pytest.MonkeyPatch, deferred: _Deferred) -> None:
    real = batch_jobs.migrating.committing.write_commit

    def write_commit(folder: RunFolder, commit: Commit, s3: S3) -> Commit:
        written = real(folder, commit, s3)
        for put in deferred.puts:
            put()
        deferred.puts = []
        return written

    patch.setattr(batch_jobs.migrating.shard_work, "write_commit", write_commit)


def _put_later(patch: pytest.MonkeyPatch, concerns: Callable[[str], bool]) -> None:
    deferred, real = _Deferred(), S3.put

    def put(self: S3, uri: S3Uri, body: Any, **given: Any) -> None:
        if concerns(uri.key):
            if not isinstance(body, bytes):
                body.seek(0)
                body = body.read()
            deferred.puts.append(lambda: real(self, uri, body, **given))
        else:
            real(self, uri, body, **given)

    patch.setattr(S3, "put", put)
    _after_the_commit(patch, deferred)


def commit_before_the_partial(patch: pytest.MonkeyPatch) -> None:
    """The partial is uploaded once the commit that names it is there."""
    _put_later(patch, lambda key: "/partials/" in key)


def commit_before_the_outputs(patch: pytest.MonkeyPatch) -> None:
    """The outputs are uploaded once the commit that names them is there."""
    _put_later(patch, lambda key: "_millrace/" not in key)


def partial_not_named_by_content(patch: pytest.MonkeyPatch) -> None:
    """Two copies of a shard write their partials to the same key, where claims, which are hints, keep nobody away."""
    patch.setattr(Claims, "take", lambda *_given, **_named: True)
    patch.setattr(
        RunFolder,
        "partial",
        lambda self, index, _sha256, suffix: self.root.join(f"partials/{index:05d}{suffix}"),
    )


def success_before_the_result(patch: pytest.MonkeyPatch) -> None:
    """`_SUCCESS` is there before the report is."""
    real = S3.put

    def put(self: S3, uri: S3Uri, body: Any, **given: Any) -> None:
        if uri.key.endswith("/report.csv"):
            root = S3Uri(uri.bucket, uri.key.removesuffix("report.csv"))
            self.put_if_absent(root.join("_SUCCESS"), b"sha256:too early\n")
        real(self, uri, body, **given)

    patch.setattr(S3, "put", put)


def results_written_over_each_other(patch: pytest.MonkeyPatch) -> None:
    """A merge that was taken for dead writes its result.json over a later and better one."""

    def publish(uri: S3Uri, result: Result, s3: S3, _outranks: Any = None) -> None:
        s3.put(uri, result.to_json())

    patch.setattr(batch_jobs.merging.merge, "publish", publish)


def a_retry_sums_up_itself_alone(patch: pytest.MonkeyPatch) -> None:
    """The merge of a retry forgets what had succeeded before."""
    real = batch_jobs.merging.merged_files.write_merged_files

    def write_merged_files(folder: RunFolder, plan: Any, partials: list[PartialFile], job: Any) -> Any:
        own = [partial for partial in partials if partial.uri.startswith(f"{folder.root}partials/")]
        return real(folder, plan, own, job)

    patch.setattr(batch_jobs.merging.merge, "write_merged_files", write_merged_files)


def a_result_that_is_there_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A result.json of the same rank, or that says it has a higher one, is left as it is."""

    def publish(uri: S3Uri, result: Result, s3: S3, _outranks: Any = None) -> None:
        if s3.put_if_absent(uri, result.to_json()):
            return
        if rank_of(s3.read(uri)) < result.rank:
            s3.put(uri, result.to_json())

    patch.setattr(batch_jobs.merging.merge, "publish", publish)


def a_marked_run_is_believed(patch: pytest.MonkeyPatch) -> None:
    """Where _SUCCESS is there, nothing is merged again."""
    real = batch_jobs.merging.merge.merge

    def merge(folder: RunFolder, job: Any, *given: Any) -> None:
        try:
            job.s3.read(folder.file("_SUCCESS"))
        except ObjectNotFoundError:
            real(folder, job, *given)

    for module in (tests.simulation.jobs, batch_jobs.merging.migrate_and_merge):
        patch.setattr(module, "merge", merge)


def files_that_are_there_are_believed(patch: pytest.MonkeyPatch) -> None:
    """A file of the result is not written where there is one of its name."""

    def is_there(uri: S3Uri, _size: int, _digest: str, job: Any) -> bool:
        try:
            job.s3.head(uri)
        except ObjectNotFoundError:
            return False
        return True

    patch.setattr(batch_jobs.merging.merged_files, "_is_there", is_there)


def a_failed_run_merges_nothing(patch: pytest.MonkeyPatch) -> None:
    """Where too many items failed, what succeeded is thrown away."""

    def made(**given: Any) -> Result:
        return Result(**(given | ({"files": {}, "result": None} if given["status"] == "FAILED" else {})))

    patch.setattr(batch_jobs.merging.merge, "Result", made)


def an_accepted_run_stays_incomplete(patch: pytest.MonkeyPatch) -> None:
    """Whoever accepts the failures leaves `_INCOMPLETE` beside `_SUCCESS`."""
    patch.setattr(batch_jobs.merging.merge, "_remove_incomplete", lambda *_given: None)


def a_failed_run_has_no_mark(patch: pytest.MonkeyPatch) -> None:
    """A merged result that too many items are missing from does not say so."""
    patch.setattr(batch_jobs.merging.merge, "_mark_incomplete", lambda *_given: None)


def any_success_takes_the_mark_off(patch: pytest.MonkeyPatch) -> None:
    """A `_SUCCESS` that nobody earned has `_INCOMPLETE` removed, too."""
    real = batch_jobs.merging.merge._mark_incomplete

    def mark_incomplete(folder: RunFolder, plan: Any, _outranks: Any, job: Any) -> None:
        real(folder, plan, lambda *_given: True, job)

    def is_marked(folder: RunFolder, _plan: Plan, s3: S3) -> bool:
        try:
            return bool(s3.read(folder.file("_SUCCESS")))
        except ObjectNotFoundError:
            return False

    patch.setattr(batch_jobs.merging.merge, "_mark_incomplete", mark_incomplete)
    patch.setattr(batch_jobs.merging.merge, "is_marked", is_marked)


def the_listing_is_trusted(patch: pytest.MonkeyPatch) -> None:
    """The plan holds whatever the listing names, as often as it names it."""
    patch.setattr(millrace.planning.listed_items, "page_ends", lambda page, _source: (page[0].key, page[-1].key))
    for module in (millrace.planning.listed_items, millrace.planning.listing_pages):
        patch.setattr(module, "check_pages", lambda _ends, _source: None)
    # The plan of a rerun, too: its items are in the order of the run's rows.
    patch.setattr(batch_jobs.planning.plan, "ascending", lambda items, _source: iter(items))


def two_items_share_an_output(patch: pytest.MonkeyPatch) -> None:
    """Objects whose copies would have one key are copied one over the other."""
    patch.setattr(batch_jobs.planning.plan, "mark_collisions", lambda items, _workload, _source: items)
