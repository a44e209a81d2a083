"""Job definitions and queues: what Batch refuses or does late, and CloudFormation's schemas let pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import TEMPLATE, Sources

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
BY_DIGEST = "@sha256:[0-9a-f]{64}$"
FINAL_RULES = [{"OnExitCode": code, "Action": "EXIT"} for code in ("2", "3")]
"""The ends that a new attempt cannot change: millrace/errors.py, `exit_code`. Batch retries what no rule matches."""
REGION_VARIABLE = {"Name": "AWS_REGION", "Value": {"Ref": "AWS::Region"}}


def memory_choices(vcpus: str) -> tuple[int, ...]:
    """The MiB that go with a number of vCPUs, written as in the API ("0.25", "1"); empty for a number without any."""
    return MEMORY_MIB.get(vcpus, ())


def check(sources: Sources) -> Iterator[Fault]:
    """Retries, time limits, roles, sizes and confinement of the job definitions; the policy of the queues."""
    parameters = sources.template.get("Parameters", {})
    for name, properties in sources.of_type("AWS::Batch::JobDefinition").items():
        where = f"{TEMPLATE}: {name}"
        yield from _retry_faults(properties.get("RetryStrategy", {}), parameters, f"{where}/RetryStrategy")
        yield from _number_faults(
            properties.get("Timeout", {}).get("AttemptDurationSeconds"), 60, None, parameters, f"{where}/Timeout"
        )
        if not properties.get("ResourceRetentionPolicy", {}).get("SkipDeregisterOnUpdate"):
            yield Fault(where, "has no SkipDeregisterOnUpdate: an update would fail the runs in flight, and redrives")
        yield from _container_faults(properties.get("ContainerProperties", {}), parameters, where)
        if "FARGATE" in properties.get("PlatformCapabilities", []):
            yield from _fargate_faults(properties.get("ContainerProperties", {}), sources.template, where)
    for name, properties in sources.of_type("AWS::Batch::JobQueue").items():
        if "SchedulingPolicyArn" not in properties:
            yield Fault(f"{TEMPLATE}: {name}", "has no SchedulingPolicyArn, and a queue can never get one later")
    for name, properties in sources.of_type("AWS::Batch::ComputeEnvironment").items():
        if "ServiceRole" in properties:
            yield Fault(f"{TEMPLATE}: {name}", "has a ServiceRole: updates in place need Batch's service-linked role")


def _retry_faults(strategy: dict[str, Any], parameters: dict[str, Any], where: str) -> Iterator[Fault]:
    yield from _number_faults(strategy.get("Attempts"), 1, 10, parameters, f"{where}/Attempts")
    if strategy.get("EvaluateOnExit") != FINAL_RULES:
        yield Fault(
            f"{where}/EvaluateOnExit",
            f"must be {FINAL_RULES}: a rule by words misses a failed start, whose words differ on EC2 and Fargate",
        )


def _container_faults(container: dict[str, Any], parameters: dict[str, Any], where: str) -> Iterator[Fault]:
    if not container.get("ReadonlyRootFilesystem"):
        yield Fault(where, "has no ReadonlyRootFilesystem: what a job is made to write stays in its scratch directory")
    if str(container.get("User", "root")).partition(":")[0] in {"root", "0"}:
        yield Fault(where, "its User is root, or the image's own choice")
    if container.get("Privileged"):
        yield Fault(where, "is Privileged")
    if not container.get("LinuxParameters", {}).get("InitProcessEnabled"):
        yield Fault(where, "has no InitProcessEnabled: nothing forwards SIGTERM to the job, or reaps its orphans")
    if REGION_VARIABLE not in container.get("Environment", []):
        yield Fault(where, "sets no AWS_REGION: on EC2 nobody else does, and the job's first request fails")
    for volume in container.get("Volumes", []):
        if "Host" in volume and set(volume["Host"]) != {"Fn::If"}:
            yield Fault(where, f"its volume {volume['Name']} has a Host on Fargate too, which knows none")
    image = container.get("Image")
    named = str(image.get("Ref")) if isinstance(image, dict) else ""
    if not str(parameters.get(named, {}).get("AllowedPattern", "")).endswith(BY_DIGEST):
        yield Fault(where, f"its Image must be a parameter that ends in {BY_DIGEST}: a tag can change during a run")


def _number_faults(value: Any, least: int, most: int | None, parameters: dict[str, Any], where: str) -> Iterator[Fault]:
    possible = _extremes(value, parameters)
    if value is None or not possible:
        yield Fault(where, "is not set: Batch's default is no limit, and one attempt")
        return
    bounds = f"{least} to {most}" if most is not None else f"at least {least}"
    for number in possible:
        if float(number) < least or (most is not None and float(number) > most):
            yield Fault(where, f"can be {number}, and Batch takes {bounds}")


def _fargate_faults(container: dict[str, Any], template: dict[str, Any], where: str) -> Iterator[Fault]:
    if "ExecutionRoleArn" not in container:
        yield Fault(where, "has no ExecutionRoleArn: a Fargate job cannot pull its image without one")
    needs = {need["Type"]: need["Value"] for need in container.get("ResourceRequirements", [])}
    for vcpus, memory in _sizes(needs.get("VCPU"), needs.get("MEMORY", 0), template):
        choices = memory_choices(vcpus)
        if memory not in choices:
            pairs = f"{min(choices)} to {max(choices)} MiB in Fargate's steps" if choices else "nothing: no such size"
            yield Fault(where, f"{vcpus} vCPU with {memory} MiB: Fargate takes {pairs}")


def _sizes(vcpus: Any, memory: Any, template: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The vCPUs and MiB that a job can have: those of every row of a mapping, or the constants."""
    match vcpus, memory:
        case {"Fn::FindInMap": [mapping, _, of_vcpus]}, {"Fn::FindInMap": [_, _, of_memory]}:
            for row in template["Mappings"][mapping].values():
                yield row[of_vcpus], int(row[of_memory])
        case _:
            parameters = template.get("Parameters", {})
            yield str(_default(vcpus, parameters)), int(_default(memory, parameters))


def _extremes(value: Any, parameters: dict[str, Any]) -> list[Any]:
    """The values that a property can have, as far as the template bounds it.

    Args:
        value: A constant, or a Ref to a parameter.
        parameters: The template's section Parameters.

    Returns:
        The constant; or the parameter's allowed values; or its bounds and default, infinite where it has no bound;
        empty for any function other than Ref.
    """
    match value:
        case {"Ref": str(name)} if name in parameters:
            parameter = parameters[name]
            if "AllowedValues" in parameter:
                return list(parameter["AllowedValues"])
            bounds = [parameter.get("MinValue", -math.inf), parameter.get("MaxValue", math.inf)]
            return [*bounds, parameter["Default"]] if "Default" in parameter else bounds
        case dict():
            return []
        case _:
            return [value]


def _default(value: Any, parameters: dict[str, Any]) -> Any:
    """What a property is when every parameter keeps its default: the constant, or the default behind a Ref."""
    match value:
        case {"Ref": str(name)} if name in parameters:
            return parameters[name].get("Default")
        case _:
            return value
