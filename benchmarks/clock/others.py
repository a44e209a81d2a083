"""What else would work the same items: Millrace as it was, and what users pick instead, at published limits and prices.

All get what Millrace gets: items at the same true pace on one vCPU, the same unevenness, slots where they have slots,
and one job's time to add up what came of the items, which they would have to add for themselves.
"""

from __future__ import annotations

import heapq
import math
import random
from array import array
from dataclasses import dataclass

from benchmarks.clock.fargate import (
    BILLED_START,
    LAUNCHES_PER_SECOND,
    MINIMUM_BILLED,
    START_MEDIAN,
    billed_seconds,
    start_seconds,
)
from benchmarks.clock.run import LAMBDA_SECONDS, REQUEST_SECONDS, SHARD_REQUESTS, Measured
from benchmarks.clock.scenarios import PAGE, UPLOAD_SECONDS, Scenario
from millrace.cost.prices import call_dollars, compute_dollars, planning_dollars, prices
from millrace.records.sizing import SMALL_MIB, SMALL_VCPUS

LAMBDA_AT_ONCE = 1000
"""Concurrent executions of an account and region, at first (Lambda quotas)."""

LAMBDA_LONGEST = 900.0
"""The longest a function may run (Lambda quotas)."""

LAMBDA_GB = 1.769
"""At so much memory a function has one vCPU (Lambda, "Configure memory")."""

LAMBDA_START = 1.0
"""A function's first start in an execution environment. ASSUMED."""

MAP_STARTS_PER_SECOND = 1000.0
"""Child executions that a Distributed Map starts in a second (Step Functions quotas, as in aws-facts)."""

MAP_BATCH_SECONDS, MAP_BATCH_ITEMS = 60.0, 1000
"""So much work, and so many items, one child execution is given by a careful user: ItemBatcher. ASSUMED."""

MAP_TRANSITIONS = 2
"""State transitions of a child execution with one task."""

S3_BATCH_START = 60.0
"""Until an S3 Batch Operations job with a generated manifest has its first task. ASSUMED; minutes are often seen."""

S3_BATCH_JOB, S3_BATCH_MILLION = 0.25, 1.00
"""Dollars for a job, and for a million objects (S3 pricing)."""

SUBMITS_PER_SECOND = 50.0
"""SubmitJob of Batch, requests a second (AWS Batch, service quotas)."""

LISTING_PAGE_SECONDS = 0.05
"""One page of a listing, one after the other: Distributed Map, S3 Batch Operations and scripts list so. ASSUMED."""

TODAY_ITEMS, TODAY_BYTES, TODAY_SHARDS = 1000, 268_435_456, 10_000
"""How a shard was cut when each was a child."""

USUAL_TRANSITIONS, USUAL_CALLS = 9, 7
"""States and function calls of one run when it was plan, migrate and merge."""


@dataclass(frozen=True)
class Other:
    """What another way comes to.

    Attributes:
        seconds: To the result; infinite where it cannot be done that way.
        billed: Seconds billed, of Fargate or of Lambda.
        dollars: Of compute, and of what starts and steers it; S3's requests are the same for all.
        why_not: Why it cannot be done that way; empty where it can.
    """

    seconds: float
    billed: float
    dollars: float
    why_not: str = ""


def fargate_dollars(billed: float) -> float:
    """The price of seconds on Fargate Spot, one vCPU and 2 GiB, as the stack's defaults are."""
    return compute_dollars(billed, 1.0, 2.0, "X86_64", "FARGATE_SPOT")


def run_dollars(billed: float, states: int, calls: int, planning: float = 0.0, small: float = 0.0) -> float:
    """The price of a run: compute, `small` seconds of it a small job's, transitions, calls, and planning in a call."""
    transition: float = prices()["step_functions"]["transitions_per_1000"] / 1000
    saved = fargate_dollars(small) - compute_dollars(small, SMALL_VCPUS, SMALL_MIB / 1024, "X86_64", "FARGATE_SPOT")
    return fargate_dollars(billed) - saved + states * transition + call_dollars(calls) + planning_dollars(planning)


def today(scenario: Scenario, run: Measured, lengths: array[int], dice: random.Random) -> Other:
    """A shard a child, of up to 1,000 items or 256 MiB, and three jobs in a row; uploads are a run each."""
    if scenario.uploads:
        least = [_three_jobs(scenario, [run.work / scenario.uploads], dice, objects=1) for _ in range(scenario.uploads)]
        one = [run_dollars(billed, USUAL_TRANSITIONS, USUAL_CALLS) for _, billed in least]
        last = UPLOAD_SECONDS if scenario.uploads > 1 else 0.0
        return Other(last + max(each for each, _ in least), sum(billed for _, billed in least), sum(one))
    sigma = scenario.block_sigma
    works = [
        scenario.pace.seconds(items, size) * dice.lognormvariate(-sigma * sigma / 2, sigma)
        for items, size in _today_shards(lengths)
    ]
    factor, beside = run.work / sum(works), SHARD_REQUESTS * REQUEST_SECONDS
    works = [work * factor + beside for work in works]
    seconds, billed = _three_jobs(scenario, works, dice, objects=scenario.objects)
    return Other(seconds, billed, run_dollars(billed, USUAL_TRANSITIONS, USUAL_CALLS))


def _today_shards(lengths: array[int]) -> list[tuple[int, int]]:
    most = max(TODAY_ITEMS, -(-len(lengths) // TODAY_SHARDS))
    found, items, size = [], 0, 0
    for length in lengths:
        if items and (items == most or size + length > TODAY_BYTES):
            found.append((items, size))
            items = size = 0
        items += 1
        size += length
    found.append((items, size))
    if len(found) <= TODAY_SHARDS:
        return found
    # With more shards than an array has children, they grew.
    step = len(found) / TODAY_SHARDS
    parts = [found[round(at * step) : round((at + 1) * step)] for at in range(TODAY_SHARDS)]
    return [(sum(each[0] for each in part), sum(each[1] for each in part)) for part in parts if part]


def _three_jobs(scenario: Scenario, works: list[float], dice: random.Random, *, objects: int) -> tuple[float, float]:
    share = objects / scenario.objects
    plan, merge = scenario.plan_seconds * share, scenario.merge_seconds(len(works)) * share
    starts = [start_seconds(dice), start_seconds(dice)]
    migrate, billed = _a_child_each(works, scenario.slots, dice)
    seconds = 3 * LAMBDA_SECONDS + starts[0] + plan + migrate + starts[1] + merge
    return seconds, billed + billed_seconds(starts[0], plan) + billed_seconds(starts[1], merge)


def _a_child_each(works: list[float], slots: int, dice: random.Random) -> tuple[float, float]:
    free, ended, billed = [0.0] * min(slots, len(works)), 0.0, 0.0
    for number, work in enumerate(works):
        start = start_seconds(dice)
        end = max(heapq.heappop(free), number / LAUNCHES_PER_SECOND) + start + work
        heapq.heappush(free, end)
        ended, billed = max(ended, end), billed + billed_seconds(start, work)
    return ended, billed


def distributed_map(scenario: Scenario, run: Measured) -> Other:
    """Step Functions Distributed Map with Lambda: batches of items, 1,000 functions at once."""
    if run.longest > LAMBDA_LONGEST:
        return Other(math.inf, math.inf, math.inf, f"an item takes {run.longest:,.0f} s, a function has 900")
    each = run.work / scenario.objects
    batch = max(1.0, min(MAP_BATCH_ITEMS, MAP_BATCH_SECONDS / each, scenario.objects / LAMBDA_AT_ONCE))
    batches = math.ceil(scenario.objects / batch)
    at_once = min(batches, LAMBDA_AT_ONCE)
    merge = scenario.merge_seconds(batches)
    starts = at_once * LAMBDA_START
    spread = max((run.work + starts) / at_once, run.longest, each * batch)
    listing = scenario.objects / PAGE * LISTING_PAGE_SECONDS
    seconds = LAMBDA_SECONDS + max(listing + batches / MAP_STARTS_PER_SECOND, spread) + LAMBDA_START + merge
    billed = run.work + starts + merge
    transitions = batches * MAP_TRANSITIONS + 4
    why = "adding up takes longer than a function has" if merge > LAMBDA_LONGEST else ""
    return Other(seconds, billed, _lambda_dollars(billed, batches + 1) + transitions / 1000 * 0.025, why)


def s3_batch_operations(scenario: Scenario, run: Measured) -> Other:
    """S3 Batch Operations with Lambda: a call for each object."""
    if run.longest > LAMBDA_LONGEST or scenario.cuts:
        largest = scenario.bytes / scenario.pace.bytes_per_second
        return Other(math.inf, math.inf, math.inf, f"no ranges of objects: one takes {largest:,.0f} s and more")
    at_once = min(scenario.objects, LAMBDA_AT_ONCE)
    starts, merge = at_once * LAMBDA_START, scenario.merge_seconds(1)
    listing = scenario.objects / PAGE * LISTING_PAGE_SECONDS
    seconds = S3_BATCH_START + listing + max((run.work + starts) / at_once, run.longest) + LAMBDA_START + merge
    billed = run.work + starts + merge
    dollars = _lambda_dollars(billed, scenario.objects + 1) + S3_BATCH_JOB + scenario.objects / 1e6 * S3_BATCH_MILLION
    return Other(seconds, billed, dollars)


def job_per_item(scenario: Scenario, run: Measured) -> Other:
    """A Batch job for each object, as Nextflow and lists of fixed jobs do: a start and a billed minute each."""
    each = run.work / scenario.objects
    submitting = scenario.objects / min(SUBMITS_PER_SECOND, LAUNCHES_PER_SECOND)
    working = scenario.objects * (START_MEDIAN + each) / min(scenario.slots, scenario.objects)
    merge = scenario.merge_seconds(1)
    seconds = max(submitting, working, START_MEDIAN + max(run.longest, each)) + START_MEDIAN + merge
    billed = scenario.objects * max(MINIMUM_BILLED, BILLED_START + each) + max(MINIMUM_BILLED, BILLED_START + merge)
    return Other(seconds, billed, fargate_dollars(billed))


def _lambda_dollars(seconds: float, calls: int) -> float:
    price = prices()["lambda"]
    return float(calls * price["request"] + seconds * LAMBDA_GB * price["gb_second"])
