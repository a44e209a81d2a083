"""The numbers behind the page, added up commit by commit: a row per shard, and a few examples per error code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from millrace.records.commit import Commit
from millrace.records.outcome import Outcome

EXAMPLES = 5
"""How many failed items of one error code the page shows; report.csv has them all."""


MOST_FAILED = 10_000
"""How many failed items are kept for the page's table, which can be searched; failures.jsonl has them all."""


MOST_OUTPUTS = 1000
"""How many outputs the page links; report.csv has them all."""


@dataclass(frozen=True, slots=True)
class ShardFigure:
    """One shard.

    Attributes:
        index: Its index.
        started: When the attempt that committed it began with it, in seconds since 1970.
        finished: When it was committed.
        items: How many items it has.
        failed: How many of them failed.
        bytes: What its succeeded items had.
        attempt: Which attempt of its job committed it.
        job: The plain job, or the array job, that it was worked by.
        retry: Which retry of failed items it is a shard of; 0 for the run's first try.
        whole: Whether the attempt that committed it worked all its items: none was saved by one before.
        child: Which child of the array job worked it, from 0; None where the job was no array.
    """

    index: int
    started: float
    finished: float
    items: int
    failed: int
    bytes: int
    attempt: int
    job: str
    retry: int = 0
    whole: bool = True
    child: int | None = None

    @classmethod
    def of(cls, commit: Commit, retry: int) -> ShardFigure:
        """What a commit says of its shard."""
        return cls(
            index=commit.shard,
            started=_seconds(commit.started_at),
            finished=_seconds(commit.finished_at),
            items=commit.counts.items,
            failed=commit.counts.failed,
            bytes=commit.counts.bytes,
            attempt=int(commit.job.get("attempt") or 1),
            job=str(commit.job.get("id") or "").partition(":")[0],
            retry=retry,
            whole=not commit.job.get("items_before"),
            child=_child(commit.job),
        )

    @property
    def name(self) -> str:
        """What it is called: its index, and which retry's."""
        return f"{self.index} of retry {self.retry}" if self.retry else str(self.index)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(self.finished - self.started, 0.0)


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A failed item."""

    key: str
    message: str
    shard: int
    code: str


@dataclass(slots=True)
class RunFigures:
    """What the commits of a run add up to: a figure per shard, and `EXAMPLES` items per error code.

    Attributes:
        shards: One per commit, those of retries behind the others; without shards of an earlier run.
        taken_over: One per shard that was taken over of an earlier run, with the times of that work.
        codes: Items by error code, of the rows that count.
        examples: The first failed items, by error code.
        failed: The first `MOST_FAILED` failed items.
        outputs: About the first `MOST_OUTPUTS` outputs: the item's key, and the output's URI.
        output_count: How many outputs there are.
    """

    shards: list[ShardFigure] = field(default_factory=list)
    taken_over: list[ShardFigure] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[FailedItem]] = field(default_factory=dict)
    failed: list[FailedItem] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    output_count: int = 0

    def add_outcomes(self, shard: int, outcomes: Iterable[Outcome]) -> None:
        """Count the failed ones and the outputs of a shard's outcomes."""
        for outcome in outcomes:
            self.output_count += len(outcome.outputs)
            if outcome.outputs and len(self.outputs) < MOST_OUTPUTS:
                self.outputs += [(outcome.key, uri) for uri in outcome.outputs]
            if outcome.error_code is None:
                continue
            code = outcome.error_code.value
            self.codes[code] += 1
            examples = self.examples.setdefault(code, [])
            item = FailedItem(outcome.key, outcome.message or "", shard, code)
            if len(examples) < EXAMPLES:
                examples.append(item)
            if len(self.failed) < MOST_FAILED:
                self.failed.append(item)

    @property
    def started(self) -> float:
        """When the first shard started, in seconds since 1970."""
        return min((shard.started for shard in self.shards), default=0.0)

    @property
    def finished(self) -> float:
        """When the last one was committed."""
        return max((shard.finished for shard in self.shards), default=0.0)


def _child(job: Mapping[str, object]) -> int | None:
    """The index of an array's child; None where its id has none."""
    index = str(job.get("id") or "").partition(":")[2]
    return int(index) if index.isdecimal() else None


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
