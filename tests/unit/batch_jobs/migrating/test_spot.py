"""Spot: at one reclaim an hour and child, a run of ten hours ends without a failed child."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

import pytest

from batch_jobs.migrating.shard_order import EARLY_ATTEMPTS, START_SECONDS, Stay
from tests.simulation.retry_rules import rules_of_the_template

HOUR = 3600.0
SHARD = 45.0
"""A shard's work, as plan cuts them."""


def attempts() -> int:
    """How many attempts the template gives a migrate job."""
    return rules_of_the_template()["migrate"].attempts


def failures(slots: int, hours: float, most: int) -> float:
    """How many children lose their last attempt in a run, on average.

    After its early attempts a child is exposed for a start, its stay and a shard in each of the others.
    """
    reclaims = slots * hours
    if most <= EARLY_ATTEMPTS:
        return reclaims / most
    exposed = (START_SECONDS + Stay(2, attempt=most).stay_seconds + SHARD) / HOUR
    return reclaims / EARLY_ATTEMPTS * (-math.expm1(-exposed)) ** (most - EARLY_ATTEMPTS)


@pytest.mark.parametrize("slots", [16, 256, 4000])
def test_no_child_fails_in_ten_hours(slots: int) -> None:
    """With the template's attempts, fewer than one in a hundred runs loses a child."""
    assert failures(slots, 10, attempts()) < 0.01


def test_three_attempts_of_any_length_would_not_do() -> None:
    """What the attempts and the short stays are for: with three, a run on 16 slots loses dozens of children."""
    assert failures(16, 10, 3) > 50


@dataclass
class Run:
    """What became of a run.

    Attributes:
        seconds: How long it took.
        arrays: How many arrays it had.
        failed: How many children lost every attempt.
        reclaims: How many hosts were lost.
    """

    seconds: float = 0.0
    arrays: int = 0
    failed: int = 0
    reclaims: int = 0


def run_on_spot(hours: float, slots: int, seed: int) -> Run:
    """A run of so many hours' work for each slot, on hosts that are each reclaimed once an hour."""
    chance, run = random.Random(seed), Run()
    left = round(slots * hours * HOUR / SHARD)
    while left:
        run.arrays += 1
        events = [(run.seconds + START_SECONDS, child) for child in range(slots)]
        stays = [Stay(slots, slots) for _ in range(slots)]
        began = [time for time, _ in events]
        reclaimed = [run.seconds + chance.expovariate(1 / HOUR) for _ in range(slots)]
        heapq.heapify(events)
        ended = run.seconds
        while events:
            time, child = heapq.heappop(events)
            stay = stays[child]
            if time > reclaimed[child]:  # what it was at is lost
                run.reclaims += 1
                left += time > began[child]
                if stay.attempt == attempts():
                    run.failed += 1
                    continue
                began[child] = reclaimed[child] + START_SECONDS
                stays[child] = Stay(slots, slots, stay.attempt + 1)
                heapq.heappush(events, (began[child], child))
                reclaimed[child] += chance.expovariate(1 / HOUR)
                continue
            if time > began[child]:
                stay.note(SHARD)
            ended = max(ended, time)
            few = stay.more_are_due(left, len(events) + 1)  # the look that a child takes every ten minutes
            if left and not few and not stay.is_over(time - began[child], None):
                left -= 1
                heapq.heappush(events, (time + SHARD, child))
        run.seconds = ended
    return run


@pytest.mark.parametrize("seed", range(5))
def test_ten_hours_on_spot(seed: int) -> None:
    """The real stays, reclaim by reclaim: no child fails, and the run takes at most a quarter longer."""
    run = run_on_spot(10, 16, seed)
    assert run.reclaims > 100
    assert run.failed == 0
    assert run.seconds < 1.25 * (10 * HOUR + START_SECONDS)
    assert run.arrays < 40
