"""What a run would take: time and dollars, from its shards and the price table `prices.toml`. An estimate, no more."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

GET_PER_SHARD = 4
"""run.json or plan.json, the shard file, the commit, the partial."""

PUT_PER_SHARD = 3
"""The shard file, the partial, the commit."""

REQUESTS_PER_RUN = 12
"""What the functions, plan and merge write besides."""

TRANSITIONS = 8
"""The states of one run, its start and its end."""


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
        return max(1, int(self.max_vcpus / self.vcpus))


@dataclass(frozen=True)
class Pace:
    """How fast one job works on one vCPU.

    Attributes:
        seconds_per_item: What an object costs whatever its size.
        bytes_per_second: What its bytes cost on top.
        outputs: How many objects are written for each.
    """

    seconds_per_item: float
    bytes_per_second: float
    outputs: float

    @classmethod
    def of(cls, workload: str, seconds_per_item: float | None = None, bytes_per_second: float | None = None) -> Pace:
        """The table's pace of a workload, or what the user knows better."""
        table = prices()["workloads"]
        pace = cls(**table.get(workload, table["other"]))
        given = {"seconds_per_item": seconds_per_item, "bytes_per_second": bytes_per_second}
        return replace(pace, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        seconds: Of plan, migrate and merge, in seconds.
        dollars: What costs how much.
        jobs_at_once: How many shards are worked at once.
    """

    seconds: dict[str, float]
    dollars: dict[str, float]
    jobs_at_once: int

    @property
    def total_seconds(self) -> float:
        """The whole run."""
        return sum(self.seconds.values())

    @property
    def total_dollars(self) -> float:
        """The whole run."""
        return sum(self.dollars.values())


@cache
def prices() -> dict[str, Any]:
    """The price table."""
    return tomllib.loads(files("console").joinpath("prices.toml").read_text("utf-8"))


def estimate(shards: Sequence[ShardSize], listed: int, jobs: Jobs, pace: Pace) -> Estimate:
    """Work out what a run would take.

    Args:
        shards: What each shard holds.
        listed: How many objects the plan lists, those included that are no items.
        jobs: How the stack runs jobs.
        pace: How fast a job works.
    """
    table = prices()
    start, small = table["fargate_start"], table["jobs"]
    speed = min(1.0, jobs.vcpus)  # a job's work is one process's: more vCPUs than one do not make it faster
    worked = [(each.items * pace.seconds_per_item + each.bytes / pace.bytes_per_second) / speed for each in shards]
    plan = (
        listed / 1000 * small["plan_seconds_per_1000_objects"] + len(shards) * small["plan_seconds_per_shard"]
    ) / speed
    merge = len(shards) * small["merge_seconds_per_shard"] / speed
    at_once = min(jobs.at_once, max(1, len(shards)))
    occupied = [start["seconds"] + each for each in worked]
    migrate = max(
        sum(occupied) / at_once, max(occupied, default=0.0), len(shards) / start["launches_per_second"] if shards else 0
    )
    billed = sum(
        max(start["minimum_billed_seconds"], start["billed_seconds"] + each) for each in (plan, *worked, merge)
    )
    hours = billed / 3600
    fargate = table["fargate"][jobs.architecture]
    items = sum(each.items for each in shards)
    puts = items * pace.outputs + len(shards) * PUT_PER_SHARD + listed / 1000 + REQUESTS_PER_RUN
    gets = items + len(shards) * GET_PER_SHARD + REQUESTS_PER_RUN
    return Estimate(
        {"plan": start["seconds"] + plan, "migrate": migrate, "merge": start["seconds"] + merge},
        {
            "compute": hours
            * table["compute"][jobs.compute]
            * (jobs.vcpus * fargate["vcpu_hour"] + jobs.memory_mib / 1024 * fargate["gb_hour"]),
            "public_ipv4": hours * table["network"]["public_ipv4_hour"] if jobs.public_ip else 0.0,
            "s3_requests": puts / 1000 * table["s3"]["put_per_1000"] + gets / 1000 * table["s3"]["get_per_1000"],
            "step_functions": TRANSITIONS / 1000 * table["step_functions"]["transitions_per_1000"],
        },
        at_once,
    )
