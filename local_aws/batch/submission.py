"""SubmitJob: check the request, and merge it with the job definition into what will run."""

import json
import re
from collections.abc import Mapping
from typing import Any

from local_aws.batch.job_definitions import (
    JobDefinitions,
    check_environment,
    check_fargate,
    check_job_settings,
    container_resources,
)
from local_aws.batch.jobs import JobSpec, now_ms
from local_aws.batch.resources import Resources
from local_aws.batch.retry import parse_retry_strategy
from local_aws.errors import ClientError
from local_aws.scope import Scope

Body = dict[str, Any]
MAX_PAYLOAD_BYTES = 30 * 1024  # Batch quotas: SubmitJob payload
MAX_DEPENDENCIES = 20  # SubmitJob.dependsOn
MIN_ARRAY_SIZE, MAX_ARRAY_SIZE = 2, 10_000  # ArrayProperties.size
MAX_PRIORITY = 9999  # SubmitJob.schedulingPriorityOverride
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_PLACEHOLDER = re.compile(r"Ref::([A-Za-z0-9_-]+)")
_DEPENDENCY_TYPES = {None, "N_TO_N", "SEQUENTIAL"}


def array_size(body: Body) -> int | None:
    """The size that arrayProperties asks for; None: a plain job.

    Raises:
        ClientError: it is not 2 to 10,000.
    """
    size = (body.get("arrayProperties") or {}).get("size")
    if size is None:
        return None
    if not MIN_ARRAY_SIZE <= size <= MAX_ARRAY_SIZE:
        raise ClientError(f"Array size must be between {MIN_ARRAY_SIZE} and {MAX_ARRAY_SIZE}, not {size}.")
    return int(size)


def build_spec(scope: Scope, resources: Resources, definitions: JobDefinitions, body: Body) -> JobSpec:
    """Check a SubmitJob request and merge it with its job definition.

    Raises:
        ClientError: something in it is wrong.
    """
    if len(json.dumps(body)) > MAX_PAYLOAD_BYTES:
        raise ClientError(f"SubmitJob request can be at most {MAX_PAYLOAD_BYTES} bytes.")
    name = str(body.get("jobName", ""))
    if not _JOB_NAME.fullmatch(name):
        raise ClientError(
            f"Job name '{name}' must start with a letter or number and have at most 128 of [A-Za-z0-9_-]."
        )
    queue = resources.queue(str(body.get("jobQueue", "")))
    if queue["state"] != "ENABLED":
        raise ClientError(f"JobQueue {queue['jobQueueName']} is disabled.")
    definition = definitions.active(str(body.get("jobDefinition", "")))
    check_job_settings(body)
    overrides = body.get("containerOverrides") or {}
    check_environment(overrides.get("environment") or [])
    parameters = {**definition["parameters"], **(body.get("parameters") or {})}
    container = _merged_container(definition["containerProperties"], overrides, parameters)
    vcpus, memory_mib = container_resources(container)
    if "FARGATE" in definition["platformCapabilities"]:
        check_fargate(container, vcpus, memory_mib)
    timeout = body.get("timeout") or definition.get("timeout") or {}
    return JobSpec(
        scope=scope,
        job_name=name,
        queue_arn=queue["jobQueueArn"],
        definition_arn=definition["jobDefinitionArn"],
        container=container,
        overrides=overrides,
        vcpus=vcpus,
        memory_mib=memory_mib,
        retry=parse_retry_strategy(body.get("retryStrategy") or definition.get("retryStrategy")),
        attempt_seconds=timeout.get("attemptDurationSeconds"),
        depends_on=_dependencies(body),
        parameters=parameters,
        tags=dict(body.get("tags") or {}),
        propagate_tags=bool(body.get("propagateTags", definition["propagateTags"])),
        platform_capabilities=tuple(definition["platformCapabilities"]),
        share=_share(body, queue),
        priority=_priority(body, definition),
        created_at=now_ms(),
    )


def _merged_container(properties: Body, overrides: Body, parameters: Mapping[str, str]) -> Body:
    container = {**properties, "networkInterfaces": []}
    command = overrides.get("command") or properties.get("command") or []
    container["command"] = [_substituted(argument, parameters) for argument in command]
    variables = {item["name"]: item.get("value", "") for item in properties.get("environment") or []}
    variables |= {item["name"]: item.get("value", "") for item in overrides.get("environment") or []}
    container["environment"] = [{"name": name, "value": value} for name, value in variables.items()]
    needs = {item["type"]: item for item in properties.get("resourceRequirements") or []}
    needs |= {item["type"]: item for item in overrides.get("resourceRequirements") or []}
    container["resourceRequirements"] = list(needs.values())
    for name in ("vcpus", "memory"):
        if name in overrides:
            container[name] = overrides[name]
    container.setdefault("volumes", [])
    container.setdefault("mountPoints", [])
    container.setdefault("ulimits", [])
    container.setdefault("secrets", [])
    return container


def _substituted(argument: str, parameters: Mapping[str, str]) -> str:
    """Replace `Ref::name`; one without a parameter stays as it is (Batch user guide, "Parameters")."""
    return _PLACEHOLDER.sub(lambda found: parameters.get(found[1], found[0]), argument)


def _dependencies(body: Body) -> tuple[dict[str, str], ...]:
    dependencies = tuple(body.get("dependsOn") or ())
    if len(dependencies) > MAX_DEPENDENCIES:
        raise ClientError(f"A job can depend on at most {MAX_DEPENDENCIES} jobs.")
    for dependency in dependencies:
        kind = dependency.get("type")
        if kind not in _DEPENDENCY_TYPES:
            raise ClientError(f"Job dependency type {kind} is not valid.")
        if kind != "SEQUENTIAL" and not dependency.get("jobId"):
            raise ClientError("Job dependency must have a jobId.")
        if kind is not None and "arrayProperties" not in body:
            raise ClientError(f"Job dependency type {kind} is for array jobs only.")
    return dependencies


def _share(body: Body, queue: Body) -> str | None:
    share = body.get("shareIdentifier")
    fair = "schedulingPolicyArn" in queue
    if fair and not share:
        raise ClientError(
            f"shareIdentifier must be specified: job queue {queue['jobQueueName']} has a fair-share policy."
        )
    if share and not fair:
        raise ClientError(
            f"shareIdentifier can't be specified: job queue {queue['jobQueueName']} has no fair-share policy."
        )
    return share


def _priority(body: Body, definition: Body) -> int:
    override = body.get("schedulingPriorityOverride")
    priority = int(definition.get("schedulingPriority") or 0) if override is None else int(override)
    if not 0 <= priority <= MAX_PRIORITY:
        raise ClientError(f"Scheduling priority must be 0 to {MAX_PRIORITY}.")
    return priority
