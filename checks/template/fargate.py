"""The sizes that Fargate has: which memory goes with which number of vCPUs."""

from __future__ import annotations

GIB = 1024
MEMORY_MIB: dict[str, tuple[int, ...]] = {
    "0.25": (512, 1 * GIB, 2 * GIB),
    "0.5": tuple(range(1 * GIB, 4 * GIB + 1, GIB)),
    "1": tuple(range(2 * GIB, 8 * GIB + 1, GIB)),
    "2": tuple(range(4 * GIB, 16 * GIB + 1, GIB)),
    "4": tuple(range(8 * GIB, 30 * GIB + 1, GIB)),
    "8": tuple(range(16 * GIB, 60 * GIB + 1, 4 * GIB)),
    "16": tuple(range(32 * GIB, 120 * GIB + 1, 8 * GIB)),
    "32": (60 * GIB, 120 * GIB, 244 * GIB),
}
"""Batch API reference, ResourceRequirement; a test compares it with the text in botocore's model."""


def memory_choices(vcpus: str) -> tuple[int, ...]:
    """The MiB that go with a number of vCPUs, written as in the API ("0.25", "1"); empty for a number without any."""
    return MEMORY_MIB.get(vcpus, ())
