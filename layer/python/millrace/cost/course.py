"""How a run would go: which jobs it has, how many children work its shards, and how long each part takes.

`millrace estimate`, a run's cost and the look for slow runs all reckon with this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from millrace.cost.prices import prices
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


def planning_seconds(listed: int, shards: int) -> float:
    """How long listing so many objects and writing so many shards takes, whoever does it: it is mostly waiting."""
    small = prices()["jobs"]
    return float(listed / 1000 * small["plan_seconds_per_1000_objects"] + shards * small["plan_seconds_per_shard"])


@dataclass(frozen=True)
class Course:
    """How a run would go.

    Attributes:
        seconds: Of plan, migrate and merge, in seconds, with the start of each where it is a job.
        stages: Its jobs, by the ends of their names.
        planning: How long its plan takes, whoever makes it.
        working: How long each process of its other jobs works, an array's children each for itself.
        children: How many children work the shards: what Read Plan starts first.
        due: How many would, were there a slot for each.
        each: What each of them has.
    """

    seconds: dict[str, float]
    stages: tuple[str, ...]
    planning: float
    working: tuple[float, ...]
    children: int
    due: int
    each: Jobs

    @property
    def total_seconds(self) -> float:
        """The whole run."""
        return sum(self.seconds.values())


def even_shards(items: int, size: int, shards: int) -> list[ShardSize]:
    """What each shard holds, where nothing but their sum is known."""
    return [ShardSize(round(items / shards), round(size / shards))] * shards if shards else []


def course(
    shards: Sequence[ShardSize],
    listed: int,
    jobs: Jobs,
    pace: Pace,
    *,
    measured: bool = True,
    planned: bool = False,
    memory_mib: int | None = None,
) -> Course:
    """Work out how a run would go.

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
    small = jobs.small
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
    merging = children_merge(left, children)
    if children == 1:  # one job works and merges
        stages, working = [*stages, "migrate-and-merge"], [work + merge]
    elif merging:  # the last child does
        stages, working = [*stages, "migrate-and-merge-shards"], [*[each] * (children - 1), each + merge]
    else:
        stages, working = [*stages, *(["migrate"] if children else []), "merge"], [*[each] * children, merge]
    return Course(
        {
            "plan": plan if planned else start["seconds"] + plan,
            "migrate": migrate,
            "merge": merge if merging else start["seconds"] + merge,
        },
        tuple(stages),
        plan,
        tuple(working),
        children,
        children_for(left, MAX_CHILDREN),
        jobs,
    )
