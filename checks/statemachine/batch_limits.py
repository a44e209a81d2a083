"""What Batch refuses although its model allows it: the limits that SubmitJob's documentation states in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from checks.faults import Fault

JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
NUMBERS = {
    ("ArrayProperties", "Size"): (2, 10_000),
    ("SchedulingPriorityOverride",): (0, 9_999),
    ("RetryStrategy", "Attempts"): (1, 10),
    ("Timeout", "AttemptDurationSeconds"): (60, None),
}
MEMBERS = {("DependsOn",): 20, ("RetryStrategy", "EvaluateOnExit"): 5}
NOT_ON_FARGATE = ("Vcpus", "Memory", "InstanceType")
"""Members of ContainerOverrides; a Fargate job takes ResourceRequirements."""
OVERRIDES_BYTES = 8_192
"""ECS's limit on container overrides: Batch takes the job and fails it when it is dispatched."""


def submission_faults(parameters: dict[str, Any], where: str) -> Iterator[Fault]:
    """Hold the constants of a submitJob state against what Batch documents for SubmitJob.

    Args:
        parameters: The Parameters of the state; what is given by a path is known only at run time.
        where: How faults name the place.

    Yields:
        Values out of bounds, members that Fargate refuses, a reserved variable, a missing share.
    """
    name = parameters.get("JobName")
    if isinstance(name, str) and not JOB_NAME.fullmatch(name):
        yield Fault(f"{where}/JobName", f"{name!r} is no job name: 1 to 128 letters, digits, hyphens, underscores")
    if "ShareIdentifier" not in parameters and "ShareIdentifier.$" not in parameters:
        yield Fault(where, "ShareIdentifier is required: the queues have a fair-share policy")
    for path, (least, most) in NUMBERS.items():
        number = _at(parameters, path)
        if isinstance(number, int) and (number < least or (most is not None and number > most)):
            bounds = f"{least} to {most}" if most is not None else f"at least {least}"
            yield Fault(f"{where}/{'/'.join(path)}", f"must be {bounds}, not {number}")
    for path, most in MEMBERS.items():
        members = _at(parameters, path)
        if isinstance(members, list) and len(members) > most:
            yield Fault(f"{where}/{'/'.join(path)}", f"must have at most {most} members, not {len(members)}")
    overrides = parameters.get("ContainerOverrides", {})
    if isinstance(overrides, dict):
        yield from _override_faults(overrides, f"{where}/ContainerOverrides")


def _override_faults(overrides: dict[str, Any], where: str) -> Iterator[Fault]:
    for member in NOT_ON_FARGATE:
        if member in overrides or f"{member}.$" in overrides:
            yield Fault(where, f"{member} is refused for a Fargate job: use ResourceRequirements")
    for variable in overrides.get("Environment", []):
        name = variable.get("Name", "")
        if name.startswith("AWS_BATCH"):
            yield Fault(f"{where}/Environment", f"{name}: Batch keeps names that start with AWS_BATCH to itself")
    size = len(json.dumps(overrides).encode())
    if size > OVERRIDES_BYTES:
        yield Fault(where, f"{size} bytes of overrides, and Batch dispatches at most {OVERRIDES_BYTES}: pass a URI")


def _at(parameters: dict[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = parameters
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found
