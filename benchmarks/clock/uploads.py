"""Uploads: collected by SQS and its event source mapping, then a run for each batch."""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.clock.run import Measured, Run
from benchmarks.clock.scenarios import UPLOAD_SECONDS, Least, Scenario

MOST_KEYS = 1000
"""So many uploads a batch holds: the mapping's BatchSize, and what `keys` takes."""

READERS = 2
"""How many batches are collected at once: the mapping's MaximumConcurrency. Which of them gets a message is chance."""


def batches(scenario: Scenario, dice: random.Random) -> list[tuple[float, int]]:
    """The batches: when each is handed over, and how many uploads it holds.

    A reader waits for the window's time from its first message on, or until it has a whole batch. Without a window,
    each message is a batch.
    """
    times = sorted(dice.uniform(0, UPLOAD_SECONDS) for _ in range(scenario.uploads)) if scenario.uploads > 1 else [0.0]
    if not scenario.window:
        return [(time, 1) for time in times]
    made: list[tuple[float, int]] = []
    opened: dict[int, tuple[float, int]] = {}
    for time in times:
        for reader, (since, count) in list(opened.items()):
            if time >= since + scenario.window or count == MOST_KEYS:
                made.append((min(time, since + scenario.window), count))
                del opened[reader]
        reader = dice.randrange(READERS)
        since, count = opened.get(reader, (time, 0))
        opened[reader] = (since, count + 1)
    return made + [(since + scenario.window, count) for since, count in opened.values()]


def uploaded(scenario: Scenario, seed: int, *, mirrored: bool) -> tuple[Run, Measured, int]:
    """Run each batch; returns the first run, what all came to, and how many runs there were.

    Time is counted from the first upload to the last result; the least has the time until the last upload in it.
    """
    dice = random.Random(seed)  # noqa: S311 - the same uploads every time is the point
    collected = batches(scenario, dice)
    last = UPLOAD_SECONDS if scenario.uploads > 1 else 0.0
    runs = [
        Run(replace(scenario, objects=count), seed * 1000 + at, mirrored) for at, (_, count) in enumerate(collected)
    ]
    made = [run.work() for run in runs]
    ended = max(time + run.seconds for (time, _), run in zip(collected, made, strict=True))
    work, shards = sum(run.work for run in made), sum(run.shards for run in made)
    least = Least.of(scenario, work, max(run.longest for run in made), shards)
    parts = dict(made[0].parts)
    parts["wait"] = ended - made[0].seconds
    whole = Measured(
        least=replace(least, seconds=least.seconds + last),
        seconds=ended,
        billed=sum(run.billed for run in made),
        small=sum(run.small for run in made),
        parts=parts,
        children=made[0].children,
        shards=shards,
        work=work,
        longest=max(run.longest for run in made),
        jobs=sum(run.jobs for run in made),
        reclaimed=sum(run.reclaimed for run in made),
        failed=sum(run.failed for run in made),
        states=sum(run.states for run in made),
        calls=sum(run.calls for run in made) + len(made),
        planning=sum(run.planning for run in made),
    )
    return runs[0], whole, len(made)
