"""What is run: how many objects, how long each takes, how uneven they are, and in how many slots."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, repeat

from benchmarks.clock.fargate import BILLED_START, LAUNCHES_PER_SECOND, MINIMUM_BILLED, START_MEDIAN
from millrace.planning.small_source import MOST_OBJECTS
from millrace.source.sharding import ShardLimits, range_bytes, whole_bytes
from millrace.workload.pace import Pace

PAGE = 1000
"""So many keys a page of a listing has."""

PLANNING_SECONDS_PER_OBJECT = 16 / 1_000_000
"""A million objects were listed, cut and written in 16 s, with 50 ms a request and 16 of them at once
(docs/performance.md, Planning): what Prepare Run takes."""

PLAN_SECONDS_PER_OBJECT = 97 / 10_000_000
"""Listing, cutting and writing the shards of ten million objects took 97 s (docs/performance.md, Planning)."""

MERGE_SECONDS_PER_ITEM, MERGE_SECONDS_PER_SHARD = 0.00001, 0.006
"""Reading the commits, adding partials up and writing report.csv; 6 ms a partial of 100,000 words, as measured
(docs/performance.md, Merging), 10 µs a row of the report: ASSUMED."""

UPLOAD_SECONDS = 60.0
"""Uploads come in this time."""

_DRAWN = 10_000
"""So many different sizes are drawn; larger sources have them over and over."""

TEXTS = Pace(seconds_per_item=0.006, bytes_per_second=30e6)
PHOTOS = Pace(seconds_per_item=0.045, bytes_per_second=150e6)
ROWS = Pace(seconds_per_item=0.01, bytes_per_second=1.5e6)
FILMS = Pace(seconds_per_item=1.0, bytes_per_second=10e6)
SLOW = Pace(seconds_per_item=1.0, bytes_per_second=100e6)


@dataclass(frozen=True)
class Scenario:
    """One source, and how it is run.

    Attributes:
        name: What it is called.
        objects: How many there are.
        bytes: How large they are, in the mean.
        pace: How fast a child works them.
        slots: How many children run at once.
        item_sigma: Of the lognormal distribution of their sizes.
        block_sigma: Of that of how long items take beside what their number and bytes say, 45 s of work at a time:
            stragglers are there whatever way the items are cut into shards.
        pace_error: By what the pace that is believed is slower than the true one.
        cuts: Whether large objects are cut into ranges, at records as CSV files are.
        reclaims_per_hour: How often a child's host is reclaimed.
        uploads: How many of the objects are uploaded, each for itself, in a minute; 0 for a source that is there.
        window: How long uploads are collected for.
        plan_ratio: How much longer its plan takes than a plain one of the same source.
    """

    name: str
    objects: int
    bytes: int
    pace: Pace
    slots: int
    item_sigma: float = 0.6
    block_sigma: float = 0.3
    pace_error: float = 1.0
    cuts: bool = False
    reclaims_per_hour: float = 0.05
    uploads: int = 0
    window: float = 0.0
    plan_ratio: float = 1.0

    def lengths(self, dice: random.Random) -> array[int]:
        """The bytes of its items, in the order of their keys."""
        mean = -self.item_sigma * self.item_sigma / 2
        drawn = [
            max(1, round(self.bytes * dice.lognormvariate(mean, self.item_sigma)))
            for _ in range(min(self.objects, _DRAWN))
        ]
        limits = ShardLimits()
        if self.cuts:
            believed = self.pace.slower(self.pace_error)
            whole = whole_bytes(limits.target_bytes, believed)
            longest = range_bytes(limits.target_bytes, believed, at_records=True)
            return array("q", [part for size in self._all(drawn) for part in _ranges(size, whole, longest)])
        return array("q", drawn) * (self.objects // len(drawn)) + array("q", drawn[: self.objects % len(drawn)])

    def _all(self, drawn: Sequence[int]) -> Sequence[int]:
        return list(islice((size for some in repeat(drawn) for size in some), self.objects))

    @property
    def is_large(self) -> bool:
        """Whether one run of it is enough: it has thousands of shards, or of children, whose luck evens out."""
        return self.objects > 10**6 or self.pace.seconds(self.objects, self.objects * self.bytes) > 10**5

    @property
    def is_short(self) -> bool:
        """Whether a single start decides how long it takes: it is run with several seeds."""
        return self.pace.seconds(self.objects, self.objects * self.bytes) < 1000

    @property
    def believed(self) -> Pace:
        """The pace that the run is planned with."""
        return self.pace.slower(self.pace_error)

    @property
    def plan_seconds(self) -> float:
        """How long its listing and cutting takes."""
        return self.objects * PLAN_SECONDS_PER_OBJECT

    @property
    def most_objects(self) -> int:
        """Up to how many objects Prepare Run plans."""
        return MOST_OBJECTS

    @property
    def planning_seconds(self) -> float:
        """How long Prepare Run takes for that."""
        return self.objects * PLANNING_SECONDS_PER_OBJECT

    @property
    def taking_seconds(self) -> float:
        """How long one child takes over what is kept of an earlier run, where Prepare Run has planned."""
        return 0.0

    def merge_seconds(self, shards: int) -> float:
        """How long adding up takes."""
        return self.objects * MERGE_SECONDS_PER_ITEM + shards * MERGE_SECONDS_PER_SHARD


def _ranges(size: int, whole: int, longest: int) -> list[int]:
    if size <= whole:
        return [size]
    count = -(-size // longest)
    return [size * (number + 1) // count - size * number // count for number in range(count)]


@dataclass(frozen=True)
class Least:
    """The least that any way could take.

    The work is what there is to do: listing, the items, adding up. A child is worth starting for each minute of it, as
    a minute is what one is billed at least. All of them start at once, as fast as Fargate launches, and the items' work
    is spread over them evenly; listing before and adding up behind are one job's. Billed is the work, and the billed
    part of a start for each of these children.

    Attributes:
        children: How many children the work justifies.
        seconds: To the result.
        billed: Seconds billed.
    """

    children: int
    seconds: float
    billed: float

    @classmethod
    def of(cls, scenario: Scenario, work: float, longest: float, shards: int) -> Least:
        """Reckon it.

        Args:
            scenario: What is run.
            work: How long one child would take for the items.
            longest: The longest item of them.
            shards: How many shards are added up.
        """
        beside = scenario.plan_seconds + scenario.merge_seconds(shards)
        children = max(1, min(scenario.slots, int((work + beside) / MINIMUM_BILLED)))
        # Children that start one after the other have the same work done when the one in the middle is through.
        ramp = (children - 1) / LAUNCHES_PER_SECOND / 2
        spread = ramp + work / children
        return cls(
            children,
            START_MEDIAN + beside + max(spread, longest),
            max(MINIMUM_BILLED, work + beside + BILLED_START * children),
        )


def scenarios() -> list[Scenario]:
    """The dozen, some of them with a pace that is wrong by ten, either way."""
    sources = [
        Scenario("one upload, at once", 1, 10_000, TEXTS, 16, uploads=1),
        Scenario("one upload, collected", 1, 10_000, TEXTS, 16, uploads=1, window=60),
        Scenario("50 uploads in a minute", 50, 10_000, TEXTS, 16, uploads=50, window=60),
        Scenario("a folder of 1,000 texts", 1000, 10_000, TEXTS, 16),
        Scenario("100,000 texts", 100_000, 10_000, TEXTS, 16),
    ]
    large = [
        Scenario("a million texts", 10**6, 10_000, TEXTS, 16),
        Scenario("100,000 photographs", 100_000, 4_000_000, PHOTOS, 16, item_sigma=0.8, block_sigma=0.6),
        Scenario("stragglers", 50_000, 100_000, SLOW, 16, item_sigma=1.2, block_sigma=1.2),
        Scenario("CSV files of 100 GB", 400, 250_000_000, ROWS, 16, item_sigma=1.2, block_sigma=0.6, cuts=True),
    ]
    once = [
        Scenario("ten million texts", 10**7, 10_000, TEXTS, 256),
        Scenario("4,000 films", 4000, 10_000_000_000, FILMS, 4000, item_sigma=0.2),
        Scenario("a million texts, many slots", 10**6, 10_000, TEXTS, 256),
        Scenario("CSV files, many slots", 1200, 250_000_000, ROWS, 256, item_sigma=1.2, block_sigma=0.6, cuts=True),
    ]
    reclaimed = Scenario("ten hours of Spot", 115_200, 2_000_000, Pace(5.0, 100e6), 16, reclaims_per_hour=1.0)
    wrong = [Scenario(**{**vars(each), "pace_error": error}) for each in large for error in (0.1, 1.0, 10.0)]
    return [*sources, *wrong, *once, reclaimed]
