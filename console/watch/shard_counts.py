"""How far the shards are, and how fast they go, by their commits: items, failures and bytes, which Batch lacks.

A commit may hold a thousand outcomes. Its counts stand before them, so that its first few kilobytes are enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf
from typing import TypeVar

from console.find.aws import Aws, read_for
from millrace.cost.known_pace import pace_so_far
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead
from millrace.records.files import read_commit_head
from millrace.records.outcome import Counts
from millrace.s3.listing_page import page_keys
from millrace.workload.pace import Pace

NOTHING = Counts()

PACE_SAMPLE = 256
"""Of so many commits at most the pace is measured."""

STRIDES = 8
"""Commits are read in so many rounds through the plan."""

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Committed:
    """The committed shards of a run.

    Attributes:
        shards: How many there are.
        counts: Their items, counted.
        reused: How many of the shards were there before the execution that is at work (or was, last).
        fresh: The items of the others, counted.
        unread: How many of the commits were not read. With any, the other figures but `shards` are estimated from
            those that were.
    """

    shards: int = 0
    counts: Counts = NOTHING
    reused: int = 0
    fresh: Counts = NOTHING
    unread: int = 0


class ShardCounts:
    """Counts what is committed, reading each commit once however often it is asked.

    Args:
        aws: Where the run folder is.
        folder: The run folder.

    Attributes:
        folder: The run folder.
    """

    def __init__(self, aws: Aws, folder: RunFolder) -> None:
        self._aws = aws
        self.folder = folder
        self._heads: dict[str, CommitHead] = {}
        self._listed: set[str] = set()
        self._shards: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether the last look read every commit that was there."""
        return len(self._heads) == len(self._listed)

    @property
    def shards(self) -> set[int]:
        """The shards whose commits were there at the last look, read or not."""
        return set(self._shards)

    @property
    def heads(self) -> Collection[CommitHead]:
        """The commits that were read, in no order."""
        return self._heads.values()

    def look(
        self, since: datetime, most: int | None = None, seconds: float = inf, *, list_anew: bool = True
    ) -> Committed:
        """Count.

        Args:
            since: When the execution was started or redriven: shards committed before are reused ones.
            most: How many commits are read at most now, from the first shard to the last; the rest are read by later
                calls. None: all.
            seconds: For how long they are read at most; some always are.
            list_anew: Whether it is looked which commits there are; else those of the last look are read on.
        """
        if list_anew:
            self._list_news()
        listed = self._listed
        unread = _spread(sorted(key for key in listed if key not in self._heads), most)
        # Wherever time runs out, what was read is from all over the plan.
        unread = [key for first in range(STRIDES) for key in unread[first::STRIDES]]
        for key, head in read_for(seconds, unread, partial(_head, self._aws, self.folder.root.bucket)):
            self._heads[key] = head
        heads = self._heads.values()
        fresh = [head.counts for head in heads if head.finished_at >= since]
        every = len(listed) / len(heads) if heads else 0.0
        return Committed(
            len(listed),
            _times(_sum(head.counts for head in heads), every),
            round((len(heads) - len(fresh)) * every),
            _times(_sum(fresh), every),
            len(listed) - len(heads),
        )

    def _list_news(self) -> None:
        """List the commits, but for those in a row that are all known: a commit stays.

        So a look at a run of 10,000 shards that is nearly done lists a page, and not ten.
        """
        place, after, last, more = self.folder.commits, "", -1, True
        while more:
            while last + 1 in self._shards:
                last += 1
            if last >= 0:
                after = max(after, self.folder.commit(last).key)
            page, more = self._aws.s3.list_page(place.bucket, place.key, after)
            for key in page_keys(page):
                after = key
                name = key.removeprefix(place.key).removesuffix(".json")
                if name.isdecimal():
                    last = int(name)
                    self._shards.add(last)
                self._listed.add(key)

    def pace(self, planned: Mapping[str, float] | None) -> Pace | None:
        """The pace of a child: by a sample of the commits that were read, else the plan's; None where it is unknown."""
        return pace_so_far(planned, _spread(list(self._heads.values()), PACE_SAMPLE))


def jobs_with_failed_items(heads: Iterable[CommitHead]) -> list[str]:
    """The ids of the jobs that committed shards with failed items, each once, in the order of the shards."""
    failed = sorted((head.shard, head.job_id) for head in heads if head.counts.failed and head.job_id)
    return list(dict.fromkeys(job_id for _, job_id in failed))


def _spread(things: list[Thing], most: int | None) -> list[Thing]:
    """So many of the things at most, evenly from the first to the last."""
    if most is None or len(things) <= most:
        return things
    return [things[place * len(things) // most] for place in range(most)]


def _times(counts: Counts, factor: float) -> Counts:
    """Counts of some shards, for more of them."""
    failed, succeeded = round(counts.failed * factor), round(counts.succeeded * factor)
    return Counts(failed + succeeded, succeeded, failed, round(counts.bytes * factor))


def _head(aws: Aws, bucket: str, key: str) -> CommitHead:
    return read_commit_head(S3Uri(bucket, key), aws.s3)


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, NOTHING)


@dataclass(frozen=True)
class Work:
    """The work of one execution, as far as its commits show.

    Attributes:
        committed: The shards that are done, those from before included.
        items_per_second: Of this execution alone; None before its first commit.
        bytes_per_second: Likewise.
        seconds_left: Until the last shard is committed: by the pace of a child and the children at work, where both
            are known, else by the items per second. None where it is unknown.
    """

    committed: Committed
    items_per_second: float | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None

    @classmethod
    def of(
        cls,
        committed: Committed,
        planned: Mapping[str, int] | None,
        *,
        since: datetime | None,
        now: datetime,
        pace: Pace | None = None,
        children: int = 0,
    ) -> Work:
        """Calculate the rates, and the time left.

        Args:
            committed: What the commits say.
            planned: shards, items and bytes of the plan; None where they are not known.
            since: When this execution started to migrate; None where it has not.
            now: When it was looked; when it ended, for a run that has.
            pace: That of a child; None where it is unknown.
            children: How many work at once.
        """
        seconds = (now - since).total_seconds() if since else 0.0
        worked = seconds > 0 and committed.fresh.items > 0
        rate = committed.fresh.items / seconds if worked else None
        bytes_rate = committed.fresh.bytes / seconds if worked else None
        left: float | None = None
        if planned is not None and pace is not None and children:
            share = max(0.0, 1 - committed.counts.items / planned["items"]) if planned["items"] else 0.0
            left = pace.seconds(planned["items"] * share, planned["bytes"] * share) / children
        elif planned is not None and rate:
            left = max(0, planned["items"] - committed.counts.items) / rate
        return cls(committed, rate, bytes_rate, left)
