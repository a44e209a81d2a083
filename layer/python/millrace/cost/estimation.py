"""What a run would take: time and dollars, from its shards, the workload's pace and the price table `prices.toml`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import ceil

from millrace.cost.prices import (
    billed_seconds,
    call_dollars,
    compute_dollars,
    planning_dollars,
    prices,
    request_dollars,
)
from millrace.cost.s3_requests import S3Requests
from millrace.records.sizing import (
    MAX_CHILDREN,
    SMALL_MIB,
    SMALL_VCPUS,
    Left,
    children_for,
    children_merge,
    fits_small_job,
    has_small_jobs,
    slots_of,
)
from millrace.workload.pace import Pace

STATES = {"migrate": 3, "migrate-and-merge-shards": 3, "merge": 2}
"""The states that a job stands for, by the end of its name: its own; with an array that migrates Read Plan and How Many
Children? once more; with the merge job Merge In Parts?"""

OTHER_STATES = 6
"""The start, Prepare Run, Planned?, Read Plan, How Many Children? and Read Result."""

FUNCTIONS = {"migrate": 1, "migrate-and-merge-shards": 1}
"""The functions that a run calls because of such a job: Read Plan, once more."""

OTHER_FUNCTIONS = 4
"""Prepare Run, Read Plan and Read Result, and notify with the end of the run, as it is with that of each job."""


@dataclass(frozen=True)
class ShardSize:
    """What one shard holds."""

    items: int
    bytes: int


@dataclass(frozen=True)
class Jobs:
    """How the stack runs jobs: the template's parameters.

    Attributes:
        vcpus: vCPUs of one job.
        memory_mib: Memory of one job, in MiB.
        max_vcpus: The most vCPUs that all jobs use together.
        architecture: X86_64 or ARM64.
        public_ip: Whether each job has a public address.
        compute: FARGATE, FARGATE_SPOT or EC2.
    """

    vcpus: float = 1
    memory_mib: int = 2048
    max_vcpus: float = 16
    architecture: str = "X86_64"
    public_ip: bool = True
    compute: str = "FARGATE"

    @property
    def at_once(self) -> int:
        """How many jobs run at once."""
        return slots_of(self.max_vcpus, self.vcpus)

    @property
    def small(self) -> Jobs | None:
        """The small job that may work seconds of work; None where there are none that are smaller."""
        if not has_small_jobs(self.compute, self.vcpus, self.memory_mib):
            return None
        return replace(self, vcpus=SMALL_VCPUS, memory_mib=SMALL_MIB)


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        seconds: Of plan, migrate and merge, in seconds, with the start of each where it is a job.
        dollars: What costs how much.
        children: How many children work the shards: what Read Plan starts first.
        due: How many would, were there a slot for each.
        each: What each of them has.
    """

    seconds: dict[str, float]
    dollars: dict[str, float]
    children: int
    due: int
    each: Jobs

    @property
    def total_seconds(self) -> float:
        """The whole run."""
        return sum(self.seconds.values())

    @property
    def total_dollars(self) -> float:
        """The whole run."""
        return sum(self.dollars.values())


def transitions(stages: Collection[str]) -> int:
    """The state transitions of a run with these jobs."""
    return OTHER_STATES + sum(STATES.get(stage, 1) for stage in stages)


def calls(stages: Collection[str]) -> int:
    """The calls of functions of a run with these jobs."""
    return OTHER_FUNCTIONS + sum(1 + FUNCTIONS.get(stage, 0) for stage in stages)


def planning_seconds(listed: int, shards: int) -> float:
    """How long listing so many objects and writing so many shards takes, whoever does it: it is mostly waiting."""
    small = prices()["jobs"]
    return float(listed / 1000 * small["plan_seconds_per_1000_objects"] + shards * small["plan_seconds_per_shard"])


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
    """Work out what a run would take.

    Args:
        shards: What each shard holds.
        listed: How many objects the plan lists, those included that are no items.
        jobs: How the stack runs jobs.
        pace: How fast a job of one vCPU works.
        measured: Whether it is known; a guess is no reason to start fewer children than there are slots.
        planned: Whether Prepare Run plans it, so that there is no plan job.
        memory_mib: The most memory that the workload takes, in MiB, as its record has it; None where that is not known.
    """
    table = prices()
    start, beside = table["fargate_start"], table["jobs"]
    work_on_one = sum(pace.seconds(each.items, each.bytes) for each in shards)
    alone = Left(len(shards), work_on_one if measured else None)
    # What a plan job takes is billed by the stack's own size: its work is small where it is not Prepare Run's.
    own, small = jobs, jobs.small
    if small and children_for(alone, jobs.at_once) == 1 and fits_small_job(alone, memory_mib):
        jobs = small
    speed = min(1.0, jobs.vcpus)  # a job's work is one process's: more vCPUs than one do not make it faster
    worked = [pace.seconds(each.items, each.bytes) / speed for each in shards]
    plan = planning_seconds(listed, len(shards))
    merge = len(shards) * beside["merge_seconds_per_shard"] / speed
    work = sum(worked)
    left = Left(len(shards), work if measured else None)
    children = children_for(left, jobs.at_once)
    each = work / children if children else 0.0
    migrate = 0.0
    if children:
        # The last shards are helped with, so that children end together; one shard is one child's to its end.
        rounds = ceil(children / jobs.at_once)
        migrate = rounds * start["seconds"] + max(each * rounds, *worked, children / start["launches_per_second"])
    stages = [] if planned else ["plan"]
    working: list[float] = []
    merging = children_merge(left, children)
    if children == 1:  # one job works and merges
        stages, working = [*stages, "migrate-and-merge"], [*working, work + merge]
    elif merging:  # the last child does
        stages, working = [*stages, "migrate-and-merge-shards"], [*working, *[each] * (children - 1), each + merge]
    else:
        stages = [*stages, *(["migrate"] if children else []), "merge"]
        working = [*working, *[each] * children, merge]
    billed, planning = sum(map(billed_seconds, working)), 0.0 if planned else billed_seconds(plan)
    requests = S3Requests.of(
        listed=listed, items=sum(shard.items for shard in shards), shards=len(shards), outputs=pace.outputs
    )
    return Estimate(
        {
            "plan": plan if planned else start["seconds"] + plan,
            "migrate": migrate,
            "merge": merge if merging else start["seconds"] + merge,
        },
        {
            "compute": _compute_dollars(billed, jobs) + _compute_dollars(planning, own),
            "public_ipv4": (billed + planning) / 3600 * table["network"]["public_ipv4_hour"] if jobs.public_ip else 0.0,
            "s3_requests": request_dollars(requests.put, requests.get),
            "step_functions": transitions(stages) / 1000 * table["step_functions"]["transitions_per_1000"],
            "lambda": call_dollars(calls(stages)) + (planning_dollars(plan) if planned else 0.0),
        },
        children,
        children_for(left, MAX_CHILDREN),
        jobs,
    )


def _compute_dollars(billed: float, jobs: Jobs) -> float:
    return compute_dollars(billed, jobs.vcpus, jobs.memory_mib / 1024, jobs.architecture, jobs.compute)
