"""Job definitions: revisions, and what is checked when one is registered."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from local_aws.batch.retry import parse_retry_strategy
from local_aws.errors import ClientError
from local_aws.scope import Scope

Body = dict[str, Any]
MAX_DEFINITION_BYTES = 24 * 1024  # Batch quotas: job definition size
MIN_ATTEMPT_SECONDS = 60  # JobTimeout.attemptDurationSeconds
RESERVED_VARIABLES = "AWS_BATCH"  # KeyValuePair: variables can't start with it
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")


@dataclass(slots=True)
class JobDefinitions:
    """The definitions of one account and region, by name; a revision's number is its place in the list."""

    scope: Scope
    by_name: dict[str, list[Body]] = field(default_factory=dict)

    def register(self, body: Body) -> Body:
        """RegisterJobDefinition: check it and add a revision."""
        name = str(body.get("jobDefinitionName", ""))
        if not _NAME.fullmatch(name):
            raise ClientError(f"Job definition name '{name}' must be 1 to 128 letters, numbers, hyphens, underscores")
        if len(json.dumps(body)) > MAX_DEFINITION_BYTES:
            raise ClientError(f"Job definition can be at most {MAX_DEFINITION_BYTES} bytes")
        if body.get("type") != "container" or "containerProperties" not in body:
            raise ClientError("Only job definitions of type container with containerProperties run here")
        check_job_settings(body)
        container = body["containerProperties"]
        if not container.get("image"):
            raise ClientError("Container image must be provided")
        check_environment(container.get("environment") or [])
        platforms = body.get("platformCapabilities") or ["EC2"]
        vcpus, memory_mib = container_resources(container)
        if "FARGATE" in platforms:
            check_fargate(container, vcpus, memory_mib)
        revisions = self.by_name.setdefault(name, [])
        arn = self.scope.arn("batch", f"job-definition/{name}:{len(revisions) + 1}")
        revisions.append({
            "tags": {}, "parameters": {}, "propagateTags": False, **body, "platformCapabilities": platforms,
            "jobDefinitionArn": arn, "revision": len(revisions) + 1, "status": "ACTIVE",
            "containerOrchestrationType": "ECS",
        })  # fmt: skip
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": len(revisions)}

    def deregister(self, body: Body) -> Body:
        """DeregisterJobDefinition: the revision becomes INACTIVE and can't be submitted any more."""
        reference = str(body.get("jobDefinition", ""))
        name, revision = self._split(reference)
        revisions = self.by_name.get(name, [])
        if revision is None or not 1 <= revision <= len(revisions):
            raise ClientError(f"Job definition {reference} must name an existing revision")
        revisions[revision - 1]["status"] = "INACTIVE"
        return {}

    def describe(self, body: Body) -> Body:
        """DescribeJobDefinitions: by ARNs or name:revision, by name, or all; optionally of one status."""
        references = body.get("jobDefinitions") or []
        if references:
            found = [definition for reference in references for definition in self._revisions(reference)]
        elif body.get("jobDefinitionName"):
            found = list(reversed(self.by_name.get(body["jobDefinitionName"], [])))
        else:
            found = [definition for revisions in self.by_name.values() for definition in reversed(revisions)]
        status = body.get("status")
        return {"jobDefinitions": [item for item in found if status in {None, item["status"]}]}

    def active(self, reference: str) -> Body:
        """The revision that a submission names: `name` (the latest active one), `name:revision` or an ARN.

        Raises:
            ClientError: there is none, or it is deregistered.
        """
        active = [item for item in self._revisions(reference) if item["status"] == "ACTIVE"]
        if not active:
            raise ClientError(f"JobDefinition {reference} not found or not active")
        return active[-1]

    def _revisions(self, reference: str) -> list[Body]:
        name, revision = self._split(reference)
        revisions = self.by_name.get(name, [])
        return revisions if revision is None else revisions[revision - 1 : revision]

    def _split(self, reference: str) -> tuple[str, int | None]:
        name, _, revision = reference.removeprefix(self.scope.arn("batch", "job-definition/")).partition(":")
        return name, int(revision) if revision.isdigit() and int(revision) > 0 else None


def check_job_settings(body: Body) -> None:
    """Check the retry strategy and the timeout, which definitions and submissions share.

    Raises:
        ClientError: one of them is outside what the API allows.
    """
    parse_retry_strategy(body.get("retryStrategy"))
    seconds = (body.get("timeout") or {}).get("attemptDurationSeconds")
    if seconds is not None and seconds < MIN_ATTEMPT_SECONDS:
        raise ClientError(f"attemptDurationSeconds must be at least {MIN_ATTEMPT_SECONDS} seconds")


def check_environment(variables: list[Body]) -> None:
    """Refuse variables with the prefix that is reserved for Batch.

    Raises:
        ClientError: a name starts with AWS_BATCH.
    """
    for variable in variables:
        if str(variable.get("name", "")).startswith(RESERVED_VARIABLES):
            raise ClientError(f"Environment variable names can't start with {RESERVED_VARIABLES}: {variable['name']}")


def container_resources(container: Body) -> tuple[float, int]:
    """The vCPUs and the MiB of memory that a container asks for.

    Raises:
        ClientError: one is missing or no number.
    """
    wanted = {item.get("type"): item.get("value") for item in container.get("resourceRequirements") or []}
    try:
        vcpus = float(wanted.get("VCPU") or container.get("vcpus") or 0)
        memory_mib = int(wanted.get("MEMORY") or container.get("memory") or 0)
    except ValueError:
        raise ClientError("resourceRequirements values must be numbers") from None
    if vcpus <= 0 or memory_mib <= 0:
        raise ClientError("Container must ask for VCPU and MEMORY in resourceRequirements")
    return vcpus, memory_mib


def check_fargate(container: Body, vcpus: float, memory_mib: int) -> None:
    """Check what Fargate needs: a known pair of vCPU and memory, and an execution role.

    Raises:
        ClientError: the pair is not offered (ResourceRequirement.value), or the role is missing.
    """
    if memory_mib not in _fargate_memory(vcpus):
        raise ClientError(f"Fargate resource requirements ({vcpus:g} vCPU, {memory_mib} MiB) not valid")
    if not container.get("executionRoleArn"):
        raise ClientError("executionRoleArn is required for Fargate jobs")


def _fargate_memory(vcpus: float) -> set[int]:
    gib = 1024
    return {
        0.25: {512, gib, 2 * gib},
        0.5: set(range(gib, 4 * gib + 1, gib)),
        1.0: set(range(2 * gib, 8 * gib + 1, gib)),
        2.0: set(range(4 * gib, 16 * gib + 1, gib)),
        4.0: set(range(8 * gib, 30 * gib + 1, gib)),
        8.0: set(range(16 * gib, 60 * gib + 1, 4 * gib)),
        16.0: set(range(32 * gib, 120 * gib + 1, 8 * gib)),
        32.0: {60 * gib, 120 * gib, 244 * gib},
    }.get(vcpus, set())
