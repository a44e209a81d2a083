"""What a run would take: time and dollars, from its shards, the workload's pace and the price table `prices.toml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.cost.prices import billed_seconds, call_dollars, compute_dollars, prices, request_dollars
from millrace.cost.s3_requests import S3Requests
from millrace.workload.pace import Pace

TRANSITIONS = 9
"""The states of one run, its start and its end."""

CALLS = 7
"""Of functions: three states of the run, and notify with the ends of its three jobs and its own."""


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


def estimate(shards: Sequence[ShardSize], listed: int, jobs: Jobs, pace: Pace) -> Estimate:
    """Work out what a run would take.

    Args:
        shards: What each shard holds.
        listed: How many objects the plan lists, those included that are no items.
        jobs: How the stack runs jobs.
        pace: How fast a job of one vCPU works.
    """
    table = prices()
    start, small = table["fargate_start"], table["jobs"]
    speed = min(1.0, jobs.vcpus)  # a job's work is one process's: more vCPUs than one do not make it faster
    worked = [pace.seconds(each.items, each.bytes) / speed for each in shards]
    plan = (
        listed / 1000 * small["plan_seconds_per_1000_objects"] + len(shards) * small["plan_seconds_per_shard"]
    ) / speed
    merge = len(shards) * small["merge_seconds_per_shard"] / speed
    at_once = min(jobs.at_once, max(1, len(shards)))
    occupied = [start["seconds"] + each for each in worked]
    migrate = max(
        sum(occupied) / at_once, max(occupied, default=0.0), len(shards) / start["launches_per_second"] if shards else 0
    )
    billed = sum(billed_seconds(each) for each in (plan, *worked, merge))
    requests = S3Requests.of(
        listed=listed, items=sum(shard.items for shard in shards), shards=len(shards), outputs=pace.outputs
    )
    return Estimate(
        {"plan": start["seconds"] + plan, "migrate": migrate, "merge": start["seconds"] + merge},
        {
            "compute": compute_dollars(billed, jobs.vcpus, jobs.memory_mib / 1024, jobs.architecture, jobs.compute),
            "public_ipv4": billed / 3600 * table["network"]["public_ipv4_hour"] if jobs.public_ip else 0.0,
            "s3_requests": request_dollars(requests.put, requests.get),
            "step_functions": TRANSITIONS / 1000 * table["step_functions"]["transitions_per_1000"],
            "lambda": call_dollars(CALLS),
        },
        at_once,
    )
