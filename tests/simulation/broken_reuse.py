"""Reuse, broken on purpose: what is compared, what is taken over, and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import pytest

import batch_jobs.merging.merge
import batch_jobs.merging.mirroring
import batch_jobs.migrating.migrate
import batch_jobs.migrating.take_over
import batch_jobs.planning.plan
import millrace.reuse.base
import millrace.reuse.base_shards
import millrace.reuse.compaction
import millrace.reuse.comparison
import millrace.reuse.keeping
import millrace.reuse.listing_walk
from batch_jobs.job import Job
from batch_jobs.merging.mirroring import _is_asked
from batch_jobs.migrating.take_over import _Taking, take_over
from millrace.errors import ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri
from millrace.planning.making import PlanMaker
from millrace.records.commit import CommitText, PartialFile
from millrace.records.files import copy_file
from millrace.records.generations import RowReader, read_generations
from millrace.records.latest import read_latest
from millrace.records.plan import Plan
from millrace.request.run_request import RunRequest
from millrace.reuse.base import Base, NoBase
from millrace.reuse.base_shards import BaseShard
from millrace.reuse.places import Places
from millrace.reuse.taken import TakenShard
from millrace.reuse.writers import replaced_by
from millrace.s3.verbs import S3


def names_alone_are_compared(patch: pytest.MonkeyPatch) -> None:
    """An object that changed is taken for the same, by its key."""
    patch.setattr(millrace.reuse.listing_walk, "identity", lambda line: (json.loads(line)["key"],))


def sizes_are_compared_instead_of_etags(patch: pytest.MonkeyPatch) -> None:
    """An object that changed and kept its size is taken for the same."""

    def identity(line: bytes) -> tuple[Any, ...]:
        item = json.loads(line)
        return item["key"], item["size"]

    patch.setattr(millrace.reuse.listing_walk, "identity", identity)


def options_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A run of other options is taken for one like this."""
    real = millrace.reuse.base.find_base

    def find_base(request: RunRequest, s3: S3, **given: Any) -> Base | NoBase:
        runs = read_latest(S3Uri.parse(request.destination), s3)
        asked = request.reuse
        if asked == "latest":
            asked = next((run.run_id for run in runs if run.run_id != given["run_id"]), asked)
        return real(replace(request, reuse=asked), s3, **given)

    def check_plan(_plan: Plan, _request: RunRequest, _run_id: str, _code_version: str | None) -> None:
        """All is well."""

    patch.setattr(millrace.reuse.keeping, "find_base", find_base)
    patch.setattr(millrace.reuse.base, "_check_plan", check_plan)
    _ignoring_code_of_commits(patch)


def codes_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A run that other code worked is reused."""
    real = millrace.reuse.base.find_base
    patch.setattr(
        millrace.reuse.keeping,
        "find_base",
        lambda request, s3, **given: real(request, s3, **{**given, "code_version": None}),
    )
    _ignoring_code_of_commits(patch)


def _ignoring_code_of_commits(patch: pytest.MonkeyPatch) -> None:
    """Where taking over compares the code once more, it would only be as if nothing could be taken over."""

    class OfAnyCode(CommitText):
        now = ""

        @classmethod
        def of(cls, text: bytes, name: str) -> CommitText:
            read = CommitText.of(text, name)
            return replace(read, head={**read.head, "code_version": cls.now})

    taking = batch_jobs.migrating.take_over.take_over

    def take_over_by_any_code(plan: Plan, *given: Any) -> frozenset[int]:
        OfAnyCode.now = plan.code_version
        return taking(plan, *given)

    patch.setattr(batch_jobs.migrating.take_over, "CommitText", OfAnyCode)
    for module in (batch_jobs.planning.plan, batch_jobs.migrating.migrate, batch_jobs.migrating.take_over):
        patch.setattr(module, "take_over", take_over_by_any_code)


def outputs_of_later_runs_do_not_matter(patch: pytest.MonkeyPatch) -> None:
    """A base is reused whose outputs a run of other options has written over."""
    patch.setattr(millrace.reuse.base, "replaced_by", lambda *_given: "")


def only_runs_that_succeeded_are_known_to_write(patch: pytest.MonkeyPatch) -> None:
    """A base is reused whose outputs a run of other options, which failed, has written over."""
    real = replaced_by

    def of_success(plan: Plan, s3: S3) -> str:
        other = real(plan, s3)
        runs = {f"run {run.run_id}" for run in read_latest(S3Uri.parse(plan.destination), s3)}
        return other if other in runs else ""

    patch.setattr(millrace.reuse.base, "replaced_by", of_success)


def shards_are_taken_over_before_the_plan_is_there(patch: pytest.MonkeyPatch) -> None:
    """The plan of another job may be the one that counts."""
    real = PlanMaker.make

    def make(self: PlanMaker, request: RunRequest, folder: RunFolder, *given: Any, **more: Any) -> Plan:
        class Withheld(S3):
            def put_if_absent(self, uri: S3Uri, body: bytes, **given: Any) -> bool:
                return uri == folder.plan or S3.put_if_absent(self, uri, body, **given)

        withheld = replace(self, s3=Withheld(self.s3.requests, self.s3.backoff))
        made = real(withheld, request, folder, *given, **more)
        take_over(made, folder, Job(s3=self.s3))
        if self.s3.put_if_absent(folder.plan, made.to_json()):
            return made
        return self.kept(request, folder) or made

    patch.setattr(PlanMaker, "make", make)


def what_is_taken_over_is_written_in_one_place(patch: pytest.MonkeyPatch) -> None:
    """Of two planners with different listings, the one that comes too late says what the other's plan takes over."""
    patch.setattr(RunFolder, "takeover", lambda self, _digest: self.file("plan/takeover.jsonl"))

    def read_takeover(_plan: Plan, folder: RunFolder, s3: S3) -> Sequence[TakenShard]:
        return list(map(TakenShard.from_line, s3.read(folder.takeover("")).splitlines()))

    patch.setattr(batch_jobs.migrating.take_over, "read_takeover", read_takeover)


def partials_are_not_copied(patch: pytest.MonkeyPatch) -> None:
    """A commit names a partial that is not there."""
    real = copy_file

    def copy(source: S3Uri, destination: S3Uri, s3: S3, size: int | None = None) -> None:
        if "/partials/" not in destination.key:
            real(source, destination, s3, size)

    patch.setattr(batch_jobs.migrating.take_over, "copy_file", copy)


def failed_items_are_kept(patch: pytest.MonkeyPatch) -> None:
    """An item that failed counts as one whose result is there."""
    real = millrace.reuse.base_shards._read_shard

    def read_shard(*given: Any, **more: Any) -> BaseShard:
        return replace(real(*given, **more), succeeded=())

    patch.setattr(millrace.reuse.base_shards, "_read_shard", read_shard)


def shards_of_removed_items_are_kept(patch: pytest.MonkeyPatch) -> None:
    """A shard is taken over whole, though an object of it is gone."""
    real = millrace.reuse.comparison._Comparing._take

    def take(self: Any, shard: BaseShard) -> None:
        patch.setattr(millrace.reuse.comparison, "count", lambda _runs: shard.items)
        real(self, shard)

    patch.setattr(millrace.reuse.comparison._Comparing, "_take", take)


def contributions_of_changed_items_are_kept(patch: pytest.MonkeyPatch) -> None:
    """A shard is rebuilt with what an item gave before it changed."""
    real = millrace.reuse.comparison._Comparing._places

    def places(self: Any, shard: BaseShard) -> Places:
        found = real(self, shard)
        if shard.contributions is not None:
            changed = [(number, range(there[0], there[0] + 1)) for number, there in found.others if there]
            found.runs = sorted([*found.runs, *changed], key=itemgetter(0))
        return found

    patch.setattr(millrace.reuse.comparison._Comparing, "_places", places)


def contributions_of_removed_items_are_kept(patch: pytest.MonkeyPatch) -> None:
    """A shard is rebuilt with the partial that it had."""
    real = _Taking._add_up

    def add_up(self: _Taking, index: int, parts: Sequence[Any], kept: Sequence[Any]) -> PartialFile:
        return self._copy_partial(index, parts[0]) if len(parts) == 1 else real(self, index, parts, kept)

    patch.setattr(_Taking, "_add_up", add_up)


def a_neighbours_rows_are_lost(patch: pytest.MonkeyPatch) -> None:
    """A shard that is put together of several has the rows of the first alone."""
    real = _Taking._take

    def take(self: _Taking, index: int, source: TakenShard) -> None:
        real(self, index, replace(source, parts=source.parts[:1]))

    patch.setattr(_Taking, "_take", take)


def a_neighbours_partial_is_lost(patch: pytest.MonkeyPatch) -> None:
    """A shard that is put together of several has all rows, and the results of the first alone."""
    real = _Taking._add_up

    def add_up(self: _Taking, index: int, parts: Sequence[Any], kept: Sequence[Any]) -> PartialFile:
        return real(self, index, parts[:1], kept[:1])

    patch.setattr(_Taking, "_add_up", add_up)


def a_neighbour_without_a_commit_is_left_out(patch: pytest.MonkeyPatch) -> None:
    """Of several shards that are put together, one has lost its commit meanwhile: the others are taken for all."""
    real = _Taking._take

    def take(self: _Taking, index: int, source: TakenShard) -> None:
        there = []
        for part in source.parts:
            try:
                self._read(part)
            except ObjectNotFoundError:
                continue
            there.append(part)
        real(self, index, replace(source, parts=tuple(there or source.parts)))

    patch.setattr(_Taking, "_take", take)


def contributions_of_neighbours_are_mixed_up(patch: pytest.MonkeyPatch) -> None:
    """Where shards are put together, their contributions stay at the places that they had."""
    real = _Taking._put_contributions

    def put(self: _Taking, index: int, parts: Sequence[Any], kept: Sequence[Any]) -> PartialFile | None:
        return real(self, index, parts[-1:], kept[-1:])

    patch.setattr(_Taking, "_put_contributions", put)


def nothing_is_put_together(patch: pytest.MonkeyPatch) -> None:
    """Each day's new objects stay a shard of their own."""
    patch.setattr(millrace.reuse.compaction, "SMALL", 0)


def mirror_by_listing(patch: pytest.MonkeyPatch) -> None:
    """All that lies in the destination and that no row of the run names is deleted, whoever wrote it."""

    def mirror(folder: RunFolder, plan: Plan, first: Plan, job: Job) -> int:
        if first.reuse is None or not first.reuse.removed or not _is_asked(folder, job):
            return 0
        destination = S3Uri.parse(first.destination)
        shards = RowReader(job.s3, 1).shards(read_generations(folder, plan, job.s3))
        named = {uri for _, rows in shards for row in rows for uri in row.outcome.outputs}
        for key in [each.key for each in job.s3.list(destination.bucket, destination.key)]:
            uri = S3Uri(destination.bucket, key)
            if str(uri) not in named and "/_millrace/" not in key:
                job.s3.delete(uri)
        return 0

    patch.setattr(batch_jobs.merging.merge, "mirror", mirror)


def whole_shards_are_mirrored(patch: pytest.MonkeyPatch) -> None:
    """With an item that is gone, the outputs of all items of its shard are deleted, whoever names them."""

    class AnyKey(set[str]):
        def __contains__(self, _key: object) -> bool:
            return True

    real = batch_jobs.merging.mirroring._read_gone

    def read_gone(*given: Any) -> dict[tuple[int, int], set[str]]:
        return {place: AnyKey(keys) for place, keys in real(*given).items()}

    patch.setattr(batch_jobs.merging.mirroring, "_read_gone", read_gone)
    patch.setattr(batch_jobs.merging.mirroring, "_named", lambda *_given: set())


def nothing_is_mirrored(patch: pytest.MonkeyPatch) -> None:
    """The outputs of what is gone stay."""
    patch.setattr(batch_jobs.merging.merge, "mirror", lambda *_given: 0)


MUTANTS: dict[Callable[[pytest.MonkeyPatch], None], int] = {
    names_alone_are_compared: 0,
    sizes_are_compared_instead_of_etags: 2,
    options_are_not_compared: 5,
    codes_are_not_compared: 5,
    outputs_of_later_runs_do_not_matter: 256,
    only_runs_that_succeeded_are_known_to_write: 203,
    contributions_of_changed_items_are_kept: 14,
    contributions_of_removed_items_are_kept: 14,
    shards_are_taken_over_before_the_plan_is_there: 69,
    what_is_taken_over_is_written_in_one_place: 0,
    partials_are_not_copied: 0,
    a_neighbours_rows_are_lost: 28,
    a_neighbours_partial_is_lost: 28,
    contributions_of_neighbours_are_mixed_up: 47,
    failed_items_are_kept: 13,
    shards_of_removed_items_are_kept: 0,
    mirror_by_listing: 0,
    whole_shards_are_mirrored: 0,
    nothing_is_mirrored: 0,
}
"""Each, and the first seed that is known to catch it: the others are tried behind it."""
