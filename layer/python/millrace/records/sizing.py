"""How many children a run's shards are given to. Only arithmetic: nothing is read or written here.

A shard is what is committed at once, a child a place to work: it works many shards. A child's start takes some 45 s and
is billed a minute at least (`cost/prices.toml`, `fargate_start`, has the sources), so that one pays where there is a
minute of work for it, and none is started that would wait for a slot behind another:

    children = min(slots, shards left, ceil(estimated seconds left / 60)), at most 10,000

where nothing is known of the pace, `min(slots, shards left)`. One child means one job, which merges as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

MAX_CHILDREN = 10_000
"""The most children that an array job has (Batch, "Array jobs")."""

LEAST_ARRAY = 2
"""The fewest: what one child works is no array."""

CHILD_SECONDS = 60.0
"""So much work is worth a child: what Fargate bills at the least (aws.amazon.com/fargate/pricing)."""

ALONE_SECONDS = CHILD_SECONDS + 45.0
"""Up to so much work is one job: a second child would add a fifth to a half to what is billed."""

MOST_ALONE_SECONDS = 600.0
"""No one job works and merges what takes longer, even where there is a slot for one job alone: its merge would have
what is left of an attempt's time."""

MERGING_SECONDS = 900.0
"""The children of an array that is expected to end sooner merge as well: to start a merge job behind them would take
5 % of that time, and more. Longer arrays have the narrower role, and a merge job with an attempt of its own."""

TAKE_OVER_SECONDS = 0.01
"""What a child takes for a shard that is taken over of an earlier run: five small requests, of 64 shards at once."""


SMALL, FULL = "small", "full"
"""The sizes of a job that works and merges alone: the smallest useful one of Fargate, and the stack's JobSize."""

SMALL_VCPUS, SMALL_MIB = 0.25, 1024
"""What a small job has. Its minute costs three tenths of that of one vCPU and 2 GB. Half of its memory would save a
seventh of that, and leave little to spare."""

SMALL_SECONDS = 3.0
"""Up to so much work, of one vCPU, is a small job's, which takes four times as long: ten seconds on top of a start of
45. Even where the work is ten times as much as was thought, it is less than a minute of a full job."""

SMALL_SHARD_SECONDS = 0.05
"""What a shard takes beside its items, its merge included (`cost/prices.toml`, `jobs`)."""


@dataclass(frozen=True, slots=True)
class Left:
    """What of a run has no commit yet.

    Attributes:
        shards: How many shards.
        seconds: How long one child would take for them, all together; None where nothing is known of the pace.
    """

    shards: int
    seconds: float | None


def slots_of(max_vcpus: float, job_vcpus: float) -> int:
    """How many jobs of a queue run at once: the stack's MaxvCpus among the vCPUs of one job; at least one."""
    return max(1, int(max_vcpus / job_vcpus))


def children_for(left: Left, slots: int) -> int:
    """How many children to start for what is left.

    Args:
        left: What has no commit.
        slots: How many jobs run at once.

    Returns:
        0 where nothing is left; 1 where one job works it, and merges; else 2 to 10,000, the size of an array job.
    """
    most = min(slots, left.shards, MAX_CHILDREN)
    if left.shards <= 1:
        return left.shards
    if left.seconds is None or not isfinite(left.seconds):
        return max(LEAST_ARRAY, most)
    if left.seconds <= (ALONE_SECONDS if most > 1 else MOST_ALONE_SECONDS):
        return 1
    return max(LEAST_ARRAY, min(most, ceil(left.seconds / CHILD_SECONDS)))


def fits_small_job(left: Left, memory_mib: int | None) -> bool:
    """Whether a small job works and merges what is left in seconds.

    Args:
        left: What has no commit.
        memory_mib: The most memory that the workload takes, in MiB; None where that is not known.
    """
    if memory_mib is None or memory_mib > SMALL_MIB or left.seconds is None:
        return False
    return left.shards > 0 and left.seconds + left.shards * SMALL_SHARD_SECONDS <= SMALL_SECONDS


def has_small_jobs(compute: str, vcpus: float, memory_mib: int) -> bool:
    """Whether there are jobs smaller than the stack's own: on Fargate, where each job is billed by its size.

    Args:
        compute: The parameter Compute.
        vcpus: vCPUs of the stack's jobs.
        memory_mib: Their memory.
    """
    return compute.startswith("FARGATE") and vcpus > SMALL_VCPUS and memory_mib > SMALL_MIB


def children_merge(left: Left, children: int) -> bool:
    """Whether whoever works what is left merges as well, so that no merge job has to start.

    Args:
        left: What has no commit.
        children: How many children are started for it.
    """
    if children <= 1:
        return children == 1
    return left.seconds is not None and left.seconds / children <= MERGING_SECONDS
