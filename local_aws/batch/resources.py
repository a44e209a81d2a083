"""Compute environments, job queues and scheduling policies: their records and their API operations.

Every operation takes the scope and the request's body, and returns the response's body.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from local_aws.errors import ClientError
from local_aws.scope import Scope

Body = dict[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
_MAX_ENVIRONMENTS_PER_QUEUE = 3  # CreateJobQueue.computeEnvironmentOrder
_ENVIRONMENT_UPDATES = ("state", "serviceRole", "updatePolicy", "unmanagedvCpus", "context")
_QUEUE_UPDATES = (
    "state", "priority", "computeEnvironmentOrder", "jobStateTimeLimitActions", "serviceEnvironmentOrder",
)  # fmt: skip


@dataclass(slots=True)
class Resources:
    """All resources of one account and region, by ARN."""

    scope: Scope
    environments: dict[str, Body] = field(default_factory=dict)
    queues: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)

    def queue(self, reference: str) -> Body:
        """The job queue with this name or ARN.

        Raises:
            ClientError: there is none.
        """
        return _find(self.queues, self.scope.arn("batch", "job-queue/"), reference, "JobQueue")

    def environment(self, reference: str) -> Body:
        """The compute environment with this name or ARN.

        Raises:
            ClientError: there is none.
        """
        prefix = self.scope.arn("batch", "compute-environment/")
        return _find(self.environments, prefix, reference, "ComputeEnvironment")

    # Compute environments

    def create_compute_environment(self, body: Body) -> Body:
        """CreateComputeEnvironment."""
        name = _checked_name(body, "computeEnvironmentName")
        arn = self.scope.arn("batch", f"compute-environment/{name}")
        if arn in self.environments:
            raise ClientError("Object already exists")
        kind = body.get("type")
        if kind not in {"MANAGED", "UNMANAGED"}:
            raise ClientError("type must be MANAGED or UNMANAGED")
        compute = body.get("computeResources") or {}
        if kind == "MANAGED" and not compute:
            raise ClientError("computeResources must be provided for a MANAGED compute environment")
        if kind == "MANAGED" and int(compute.get("maxvCpus", 0)) < 1:
            raise ClientError("computeResources.maxvCpus must be at least 1")
        self.environments[arn] = {
            "tags": {}, "state": "ENABLED", "containerOrchestrationType": "ECS", "uuid": str(uuid.uuid4()),
            **body,
            "computeEnvironmentName": name, "computeEnvironmentArn": arn, "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "ecsClusterArn": self.scope.arn("ecs", f"cluster/AWSBatch-{name}"),
        }  # fmt: skip
        return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}

    def update_compute_environment(self, body: Body) -> Body:
        """UpdateComputeEnvironment: what is given replaces what was there, computeResources field by field."""
        record = self.environment(body.get("computeEnvironment", ""))
        record.update({name: body[name] for name in _ENVIRONMENT_UPDATES if name in body})
        record["computeResources"] = {**record.get("computeResources", {}), **body.get("computeResources", {})}
        return {name: record[name] for name in ("computeEnvironmentName", "computeEnvironmentArn")}

    def delete_compute_environment(self, body: Body) -> Body:
        """DeleteComputeEnvironment: it must be disabled, and no queue may use it."""
        record = self.environment(body.get("computeEnvironment", ""))
        arn = record["computeEnvironmentArn"]
        if record["state"] != "DISABLED":
            raise ClientError("Cannot delete, state must be DISABLED")
        if any(arn in environment_arns(queue) for queue in self.queues.values()):
            raise ClientError("Cannot delete, found existing JobQueue relationship")
        del self.environments[arn]
        return {}

    def describe_compute_environments(self, body: Body) -> Body:
        """DescribeComputeEnvironments; unknown names are left out."""
        return {"computeEnvironments": _matching(self.environments, "computeEnvironment", body)}

    # Job queues

    def create_job_queue(self, body: Body) -> Body:
        """CreateJobQueue."""
        name = _checked_name(body, "jobQueueName")
        arn = self.scope.arn("batch", f"job-queue/{name}")
        if arn in self.queues:
            raise ClientError("Object already exists")
        policy = body.get("schedulingPolicyArn")
        if policy is not None and policy not in self.policies:
            raise ClientError(f"SchedulingPolicy {policy} does not exist")
        self.queues[arn] = {
            "tags": {}, "state": "ENABLED", "jobQueueType": "ECS", **body,
            "jobQueueName": name, "jobQueueArn": arn, "status": "VALID", "statusReason": "JobQueue Healthy",
            "computeEnvironmentOrder": self._checked_order(body.get("computeEnvironmentOrder")),
        }  # fmt: skip
        return {"jobQueueName": name, "jobQueueArn": arn}

    def update_job_queue(self, body: Body) -> Body:
        """UpdateJobQueue; a fair-share policy can be replaced, but neither added nor removed."""
        record = self.queue(body.get("jobQueue", ""))
        policy = body.get("schedulingPolicyArn")
        if policy and "schedulingPolicyArn" not in record:
            raise ClientError("Cannot add a scheduling policy to a job queue that was created without one")
        if policy and policy not in self.policies:
            raise ClientError(f"SchedulingPolicy {policy} does not exist")
        if "computeEnvironmentOrder" in body:
            body = {**body, "computeEnvironmentOrder": self._checked_order(body["computeEnvironmentOrder"])}
        record.update({name: body[name] for name in _QUEUE_UPDATES if name in body})
        if policy:
            record["schedulingPolicyArn"] = policy
        return {name: record[name] for name in ("jobQueueName", "jobQueueArn")}

    def describe_job_queues(self, body: Body) -> Body:
        """DescribeJobQueues; unknown names are left out."""
        return {"jobQueues": _matching(self.queues, "jobQueue", body)}

    def _checked_order(self, order: list[Body] | None) -> list[Body]:
        if not order or len(order) > _MAX_ENVIRONMENTS_PER_QUEUE:
            raise ClientError(f"computeEnvironmentOrder must name 1 to {_MAX_ENVIRONMENTS_PER_QUEUE} environments")
        resolved = [
            {**entry, "computeEnvironment": self.environment(entry["computeEnvironment"])["computeEnvironmentArn"]}
            for entry in order
        ]
        return sorted(resolved, key=lambda entry: int(entry.get("order", 0)))

    # Scheduling policies

    def create_scheduling_policy(self, body: Body) -> Body:
        """CreateSchedulingPolicy."""
        name = _checked_name(body, "name")
        arn = self.scope.arn("batch", f"scheduling-policy/{name}")
        if arn in self.policies:
            raise ClientError("Object already exists")
        self.policies[arn] = {"tags": {}, "fairsharePolicy": {}, **body, "name": name, "arn": arn}
        return {"name": name, "arn": arn}

    def update_scheduling_policy(self, body: Body) -> Body:
        """UpdateSchedulingPolicy."""
        self._policy(body)["fairsharePolicy"] = body.get("fairsharePolicy") or {}
        return {}

    def delete_scheduling_policy(self, body: Body) -> Body:
        """DeleteSchedulingPolicy: no queue may use it."""
        arn = self._policy(body)["arn"]
        if any(queue.get("schedulingPolicyArn") == arn for queue in self.queues.values()):
            raise ClientError("Cannot delete, found existing JobQueue relationship")
        del self.policies[arn]
        return {}

    def describe_scheduling_policies(self, body: Body) -> Body:
        """DescribeSchedulingPolicies."""
        wanted = body.get("arns", [])
        return {"schedulingPolicies": [self.policies[arn] for arn in wanted if arn in self.policies]}

    def list_scheduling_policies(self, _body: Body) -> Body:
        """ListSchedulingPolicies, all in one page."""
        return {"schedulingPolicies": [{"arn": arn} for arn in self.policies]}

    def _policy(self, body: Body) -> Body:
        try:
            return self.policies[body.get("arn", "")]
        except KeyError:
            raise ClientError(f"SchedulingPolicy {body.get('arn')} does not exist") from None


def environment_arns(queue: Body) -> list[str]:
    """The ARNs of a queue's compute environments, in their order."""
    return [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]


def share_weight(policy: Body | None) -> Callable[[str], float]:
    """The weight factor of each share; an identifier of the policy that ends in `*` covers the shares it begins."""
    shares = (policy or {}).get("fairsharePolicy", {}).get("shareDistribution", [])

    def weight(share: str) -> float:
        for entry in shares:
            identifier = entry["shareIdentifier"]
            if share == identifier or (identifier.endswith("*") and share.startswith(identifier[:-1])):
                return float(entry.get("weightFactor", 1.0))
        return 1.0

    return weight


def _checked_name(body: Body, field_name: str) -> str:
    name = body.get(field_name, "")
    if not _NAME.fullmatch(name):
        raise ClientError(f"{field_name} '{name}' must be 1 to 128 letters, numbers, hyphens and underscores")
    return str(name)


def _find(records: dict[str, Body], arn_prefix: str, reference: str, kind: str) -> Body:
    record = records.get(reference) or records.get(arn_prefix + reference)
    if record is None:
        raise ClientError(f"{kind} {reference} not found")
    return record


def _matching(records: dict[str, Body], kind: str, body: Body) -> list[Body]:
    wanted: Iterable[str] = body.get(f"{kind}s") or records
    by_name = {record[f"{kind}Name"]: record for record in records.values()}
    found = [records.get(reference) or by_name.get(reference) for reference in wanted]
    return [record for record in found if record is not None]
