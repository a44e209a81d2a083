"""A run and the retries of its failed items: a chain of plans, each with commits of its own.

A retry's items are the failed rows of all before it, in their order, one for one. So the rows that count are found by
walking the chain's commits side by side, in shard order: nothing but the shards under way is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from millrace.errors import DamagedFileError, ErrorCode, MissingCommitError, RunIdentityError
from millrace.in_order import in_order
from millrace.layout import RunFolder
from millrace.records.commit import Commit, PartialFile
from millrace.records.figures import ShardFigure
from millrace.records.files import plan_if_there, read_commit
from millrace.records.outcome import Outcome
from millrace.records.plan import Plan, Shard
from millrace.s3.verbs import S3

NAMED_SHARDS = 20
"""How many missing shards an error names."""

NOT_RUN = "its shard has no commit: the run ended before, or has not ended yet"


@dataclass(frozen=True, slots=True)
class Row:
    """The row of an item that counts.

    Attributes:
        outcome: What came of the item.
        retry: Which retry it comes from; 0 for the run's first try.
        reused_from: The run that worked the item, where its shard was taken over; else empty.
    """

    outcome: Outcome
    retry: int
    reused_from: str = ""


@dataclass
class Generation:
    """A run as it was first planned, or one of its retries; what its commits hold is noted while they are read.

    Attributes:
        folder: Its folder.
        plan: Its plan.
        partials: In shard order; None where no item of the shard succeeded.
        items_digests: In shard order.
        commits: How many there are.
        rows: How many outcomes they hold.
        succeeded: How many of these succeeded.
        finished_at: When the last shard was finished, ISO 8601, UTC; when it was planned, without any.
        worked_by: Shards and items by the Batch job whose child committed them.
        shards: When each shard was worked, and how much it was; without those that were taken over.
        taken_over: The same of these: an earlier run worked them.
    """

    folder: RunFolder
    plan: Plan
    partials: list[PartialFile | None] = field(default_factory=list)
    items_digests: list[str] = field(default_factory=list)
    commits: int = 0
    rows: int = 0
    succeeded: int = 0
    finished_at: str = ""
    worked_by: dict[str, dict[str, int]] = field(default_factory=dict)
    shards: list[ShardFigure] = field(default_factory=list)
    taken_over: list[ShardFigure] = field(default_factory=list)

    def note(self, commit: Commit) -> None:
        """Take note of a commit."""
        self.commits += 1
        self.rows += commit.counts.items
        self.succeeded += commit.counts.succeeded
        self.items_digests.append(commit.items_digest)
        finished_at = "" if commit.reused_from else commit.finished_at
        self.finished_at = max(self.finished_at, self.plan.planned_at, finished_at)
        self.partials.append(commit.partial)
        figure = ShardFigure.of(commit, self.plan.retry)
        if commit.reused_from is not None:
            self.taken_over.append(figure)
            return
        self.shards.append(figure)
        # A child's id is its array's, a colon and the index: Batch user guide, array jobs.
        worked = self.worked_by.setdefault(str(commit.job["id"]).partition(":")[0], {"shards": 0, "items": 0})
        worked["shards"] += 1
        worked["items"] += commit.counts.items

    def check_sum(self) -> None:
        """See that the commits are the plan's.

        Raises:
            DamagedFileError: They do not add up to it.
        """
        digest = self.plan.digest_of(self.items_digests)
        if digest != self.plan.digest or self.rows != self.plan.items:
            raise DamagedFileError(
                f"the commits do not add up to the plan: they hold {self.rows} items with digest {digest}, "
                f"the plan has {self.plan.items} with digest {self.plan.digest}",
                operation="merge",
                target=str(self.folder.plan),
            )


def read_generations(folder: RunFolder, plan: Plan, s3: S3) -> list[Generation]:
    """The run and its retries up to the given one.

    Args:
        folder: The folder of the run, or of a retry.
        plan: The plan in it.
        s3: Where to read.

    Raises:
        DamagedFileError: An earlier plan is not there, or not a plan.
        RunIdentityError: A retry is not of the plan before it, or of another code version.
    """
    found: list[Generation] = []
    for number in range(folder.retry + 1):
        place = folder.of_retry(number)
        planned = plan if number == folder.retry else plan_if_there(place, s3)
        if planned is None:
            raise DamagedFileError("there is no plan", operation="read the plan", target=str(place.plan))
        if found:
            before = found[-1].plan
            was, now = (before.digest, before.code_version), (planned.retry_of, planned.code_version)
            if was != now:
                raise RunIdentityError(
                    f"it retries plan {now[0]} by version {now[1]}, the plan before it is {was[0]} by version {was[1]}",
                    operation="read the plan",
                    target=str(place.plan),
                )
        found.append(Generation(place, planned))
    return found


@dataclass(frozen=True)
class RowReader:
    """Reads the rows that count.

    Attributes:
        s3: Where to read.
        concurrency: How many commits of one generation are fetched ahead.
        check: Called before each commit: may raise to stop.
        incomplete: Whether items without a commit get a row, NOT_RUN; else a missing commit is an error.
    """

    s3: S3
    concurrency: int
    check: Callable[[], None] = lambda: None
    incomplete: bool = False

    def shards(self, generations: Sequence[Generation]) -> Generator[tuple[int, list[Row]], None, None]:
        """The rows of each shard of the run, in its order; `generations` take note of what was read.

        Raises:
            MissingCommitError: A shard has no commit.
            DamagedFileError: A file is damaged, or a retry's rows are not the failed ones before it.
            RunIdentityError: A commit belongs to another plan or code version.
        """
        first, *retries = generations
        again = [self._outcomes(generation) for generation in retries]
        try:
            for index, outcomes, worked_in in self._shards(first):
                origins = zip(outcomes, worked_in, strict=True)
                rows = [Row(outcome, 0, run) for outcome, run in origins if outcome is not None]
                for retry, newer in zip(retries, again, strict=True):
                    _replace_failed(rows, newer, retry)
                yield index, rows
            for retry, newer in zip(retries, again, strict=True):
                if next(newer, _END) is not _END:
                    raise _misfit(retry)
        finally:
            for newer in again:
                newer.close()

    def _outcomes(self, generation: Generation) -> Generator[Outcome | None, None, None]:
        with closing(self._shards(generation)) as shards:
            for _, outcomes, _ in shards:
                yield from outcomes

    def _shards(
        self, generation: Generation
    ) -> Generator[tuple[int, Sequence[Outcome | None], Sequence[str]], None, None]:
        """A generation's outcomes by shard, and which earlier run worked each, if one did.

        None is the outcome of an item that a retry has not come to.
        """
        folder, plan = generation.folder, generation.plan

        def read(index: int) -> tuple[int, Commit | None]:
            self.check()
            return index, read_commit(folder, index, plan, self.s3)

        with closing(in_order(read, range(plan.shards), self.concurrency)) as commits:
            for index, commit in commits:
                if commit is not None:
                    generation.note(commit)
                    yield index, commit.outcomes, commit.worked_in
                elif self.incomplete:
                    without = self._without_commit(generation, index)
                    yield index, without, [""] * len(without)
                else:
                    missing = [index, *(later for later, other in commits if other is None)]
                    raise _missing(generation, missing)

    def _without_commit(self, generation: Generation, index: int) -> Sequence[Outcome | None]:
        uri = generation.folder.shard_items(index, generation.plan.digest)
        items = Shard.from_lines(index, self.s3.read(uri).split(b"\n")[:-1], str(uri)).items
        if generation.plan.retry:
            return [None] * len(items)  # the row before it still counts
        return [Outcome.failed(item, ErrorCode.NOT_RUN, NOT_RUN) for item in items]


_END: Final = object()


def _replace_failed(rows: list[Row], newer: Iterator[Outcome | None], retry: Generation) -> None:
    for position, row in enumerate(rows):
        if row.outcome.status != "FAILED":
            continue
        outcome = next(newer, _END)
        if outcome is None:
            continue
        if not isinstance(outcome, Outcome) or _item(outcome) != _item(row.outcome):
            raise _misfit(retry)
        rows[position] = Row(outcome, retry.plan.retry)


def _item(outcome: Outcome) -> tuple[str, int | None, int | None]:
    return outcome.key, outcome.first_byte, outcome.last_byte


def _misfit(retry: Generation) -> DamagedFileError:
    return DamagedFileError(
        "its items are not the failed ones of the plans before it",
        operation="read the commits",
        target=str(retry.folder.plan),
    )


def _missing(generation: Generation, missing: list[int]) -> MissingCommitError:
    named = ", ".join(str(index) for index in missing[:NAMED_SHARDS])
    more = f" and {len(missing) - NAMED_SHARDS} more" if len(missing) > NAMED_SHARDS else ""
    return MissingCommitError(
        f"{len(missing)} of {generation.plan.shards} shards have no commit: {named}{more}; run migrate for them first",
        operation="merge",
        target=str(generation.folder.root),
    )
