"""Which shards a child works, in which order, and when it hands back: decisions alone, without a request.

A child works every `children`-th shard of its own, from the first to the last. Then it helps: it takes others' last
shards, of the child that has the most left. What it decides from is a hint; the commit, written once, is what counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from millrace.records.sizing import Left, children_for

START_SECONDS = 45.0
"""What starting a child takes: Fargate, an image from ECR inside a VPC."""

TOO_SLOW = 1.2
"""With more children it has to go faster by this before a child hands back for them."""

EARLY_ATTEMPTS = 3
"""In its first attempts a child stays as long as there is something to do."""

LATE_SECONDS = 120.0
"""So long it stays in a later one: then it ends after its shard.

Batch counts a lost host as an attempt: who stays for ten hours loses it ten times at one Spot reclaim an hour, and
fails. Who hands back in time has its attempts anew in the next array. docs/reliability.md has the figures.
"""

LOOK_SECONDS = 600.0
"""How often a child looks how many others are at work: where some have handed back, a new array fills their slots."""

DEAD_SECONDS = 180.0
"""A claim is written anew every minute while its shard is worked: one that is older is a dead child's."""

PAGE_SHARDS = 1000
"""A listing's page holds so many commits, or claims."""

MOST_ASKED = 20
"""A helper asks about so many claims in a row; if every one is alive, there is nothing left to help with."""


def own_shards(child: int, children: int, shards: int) -> range:
    """The shards of a child: `child`, `child + children`, and so on."""
    return range(child, shards, children)


def pages(child: int, children: int, shards: int) -> list[range]:
    """The shards that a helper looks at, a page of a listing each: the last ones first.

    It looks at no more pages than it has shards of its own, so that what helping costs grows with the shards alone.
    Where that is not all, each helper begins at a place of its own.
    """
    count = -(-shards // PAGE_SHARDS)
    most = min(count, max(1, shards // children))
    first = 0 if most == count else child
    ends = [shards - (first + page) % count * PAGE_SHARDS for page in range(most)]
    return [range(max(0, end - PAGE_SHARDS), end) for end in ends]


def to_help(left: Collection[int], child: int, children: int) -> list[int]:
    """The shards that a helper takes, the first one first.

    Args:
        left: Those that are neither committed nor claimed.
        child: The helper.
        children: How many children the array has.

    Returns:
        The last shard of the child that has the most left, and so on. Among children with equally much left every
        helper begins with another one.
    """
    of_child: defaultdict[int, list[int]] = defaultdict(list)
    for shard in sorted(left):
        of_child[shard % children].append(shard)
    rounds: defaultdict[int, list[int]] = defaultdict(list)
    for own in of_child.values():
        for before, shard in enumerate(own):
            rounds[before].append(shard)
    order: list[int] = []
    for before in sorted(rounds, reverse=True):
        order += _turned(rounds[before], child)
    return order


def is_dead(age_seconds: float) -> bool:
    """Whether the child that wrote a claim so long ago is taken for dead."""
    return age_seconds > DEAD_SECONDS


@dataclass
class Stay:
    """How long a child is at work, and how fast: says when it hands back.

    Attributes:
        children: How many children the array has.
        slots: How many can be at work at once; None where that is not known.
        attempt: The number of the child's attempt, from 1.
        worked: How many shards it has worked.
        seconds: What these took.
        longest: What the longest of them took.
    """

    children: int
    slots: int | None = None
    attempt: int = 1
    worked: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    @property
    def stay_seconds(self) -> float:
        """How long this attempt stays at most."""
        return LATE_SECONDS if self.attempt > EARLY_ATTEMPTS else inf

    def note(self, seconds: float) -> None:
        """A shard was worked."""
        self.worked += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)

    def is_over(self, elapsed: float, time_left: float | None) -> bool:
        """Whether the child has stayed long enough, or another shard may not be done within its time limit.

        Args:
            elapsed: For how long it has been at work.
            time_left: How long it may still run; None where there is no limit.

        Returns:
            Never true before a shard was worked: each attempt gains something.
        """
        if not self.worked:
            return False
        short = time_left is not None and time_left < self.longest
        return short or elapsed >= self.stay_seconds

    def more_are_due(self, left: int, at_work: int) -> bool:
        """Whether what is left would be done much sooner by a new array, with as many children as are due.

        Args:
            left: How many shards are left, in the whole run.
            at_work: How many children work them.
        """
        if not self.worked or self.slots is None or left <= at_work:
            return False
        total = left * self.seconds / self.worked
        due = children_for(Left(left, total), self.slots)
        return due > at_work and total / at_work > TOO_SLOW * (START_SECONDS + total / due)


def _turned(things: Sequence[int], by: int) -> list[int]:
    by %= len(things)
    return [*things[by:], *things[:by]]
