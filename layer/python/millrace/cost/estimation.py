"""What a run would cost: dollars, by how it would go and the price table `prices.toml`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from millrace.cost.course import Course, Jobs, ShardSize, course
from millrace.cost.prices import (
    billed_seconds,
    call_dollars,
    compute_dollars,
    planning_dollars,
    prices,
    request_dollars,
)
from millrace.cost.s3_requests import S3Requests
from millrace.workload.pace import Pace

STATES = {"migrate": 3, "migrate-and-merge-shards": 3, "merge": 2}
"""The states that a job stands for, by the end of its name: its own; with an array that migrates Read Plan and How Many
Children? once more; with the merge job Merge In Parts?"""

OTHER_STATES = 6
"""The start, Prepare Run, Planned?, Read Plan, How Many Children? and Read Result."""

HANDED_BACK_STATES = 3
"""Where a small job hands back, three of them once more: Read Result, which finds that, Read Plan and How Many
Children?"""

FUNCTIONS = {"migrate": 1, "migrate-and-merge-shards": 1}
"""The functions that a run calls because of such a job: Read Plan, once more."""

OTHER_FUNCTIONS = 4
"""Prepare Run, Read Plan and Read Result, and notify with the end of the run, as it is with that of each job."""

HANDED_BACK_FUNCTIONS = 2
"""Where a small job hands back, two of them once more: Read Result and Read Plan."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        course: How it would go.
        dollars: What costs how much.
    """

    course: Course
    dollars: dict[str, float]

    @property
    def total_dollars(self) -> float:
        """The whole run."""
        return sum(self.dollars.values())


def transitions(stages: Collection[str], handed_back: int = 0) -> int:
    """The state transitions of a run.

    Args:
        stages: Its jobs, by the ends of their names.
        handed_back: How many of them were small, and handed back.
    """
    return OTHER_STATES + sum(STATES.get(stage, 1) for stage in stages) + handed_back * HANDED_BACK_STATES


def calls(stages: Collection[str], handed_back: int = 0) -> int:
    """The calls of functions of a run; its jobs as for `transitions`."""
    return OTHER_FUNCTIONS + sum(1 + FUNCTIONS.get(stage, 0) for stage in stages) + handed_back * HANDED_BACK_FUNCTIONS


def estimate(
    shards: Sequence[ShardSize],
    listed: int,
    jobs: Jobs,
    pace: Pace,
    *,
    measured: bool = True,
    planned: bool = False,
    memory_mib: int | None = None,
) -> Estimate:
    """Work out what a run would take; the arguments are those of `course`."""
    goes = course(shards, listed, jobs, pace, measured=measured, planned=planned, memory_mib=memory_mib)
    # What a plan job takes is billed by the stack's own size: its work is small where it is not Prepare Run's.
    planning = 0.0 if planned else billed_seconds(goes.planning)
    billed = sum(map(billed_seconds, goes.working))
    requests = S3Requests.of(
        listed=listed, items=sum(shard.items for shard in shards), shards=len(shards), outputs=pace.outputs
    )
    table = prices()
    return Estimate(
        goes,
        {
            "compute": _compute_dollars(billed, goes.each) + _compute_dollars(planning, jobs),
            "public_ipv4": (billed + planning) / 3600 * table["network"]["public_ipv4_hour"] if jobs.public_ip else 0.0,
            "s3_requests": request_dollars(requests.put, requests.get),
            "step_functions": transitions(goes.stages) / 1000 * table["step_functions"]["transitions_per_1000"],
            "lambda": call_dollars(calls(goes.stages)) + (planning_dollars(goes.planning) if planned else 0.0),
        },
    )


def _compute_dollars(billed: float, jobs: Jobs) -> float:
    return compute_dollars(billed, jobs.vcpus, jobs.memory_mib / 1024, jobs.architecture, jobs.compute)
