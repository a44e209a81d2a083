"""A real account for the conformance tests: the same questions, with a network, roles and an image that are there."""

from __future__ import annotations

from typing import Any

from tests.aws.static import NETWORK
from tests.aws.target import MOST_VCPUS, TAG, Target
from tests.conformance.account import Account, until

STACK = "millrace-conformance"
IMAGE = "public.ecr.aws/docker/library/busybox:1.37"
"""A few megabytes, from a public registry that asks for no account."""
WHOLE = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
"""Environments have whole vCPUs: where a test counts on a full one, its jobs take a whole one too."""


class RealAccount(Account):
    """As `Account`, on the account of a target, with a small stack of its own."""

    def __init__(self, target: Target) -> None:
        """Deploy the stack, unless it is there."""
        self.target = target
        self.narrow: set[str] = set()
        self.endpoint_url = target.endpoint_url or ""
        self.account_id, self.region = target.account, target.region
        self._session = target.session
        found = _deployed(target)
        subnets, groups = [found["Subnet"]], [found["SecurityGroup"]]
        self.role = found["StatesRole"]
        self.network = {"subnets": subnets, "securityGroupIds": groups}
        self.container = {
            "image": IMAGE,
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
            "executionRoleArn": found["ExecutionRole"],
            "networkConfiguration": {"assignPublicIp": "ENABLED"},
        }
        self.definition_settings = {"platformCapabilities": ["FARGATE"]}

    def client(self, service: Any) -> Any:
        """A client that tags what it makes."""
        return self.target.client(service)

    def environment(self, max_vcpus: int = 16) -> str:
        """A new compute environment, once it is VALID: before, no queue takes it."""
        arn = super().environment(max_vcpus)
        describe = self.batch.describe_compute_environments
        until(
            f"{arn} is valid",
            lambda: describe(computeEnvironments=[arn])["computeEnvironments"][0]["status"] == "VALID",
        )
        return arn

    def queue(self, *, max_vcpus: int = 16, priority: int = 1, policy: str | None = None) -> str:
        """A new job queue, once it is VALID. In one with few vCPUs each job takes a whole one, as the test expects."""
        name = super().queue(max_vcpus=max_vcpus, priority=priority, policy=policy)
        describe = self.batch.describe_job_queues
        until(f"{name} is valid", lambda: describe(jobQueues=[name])["jobQueues"][0]["status"] == "VALID")
        if max_vcpus < MOST_VCPUS:
            self.narrow.add(name)
        return name

    def submit(self, queue: str, definition: str, **settings: Any) -> str:
        """Submit a job; returns its id."""
        if queue in self.narrow:
            settings["containerOverrides"] = {"resourceRequirements": WHOLE, **settings.get("containerOverrides", {})}
        return super().submit(queue, definition, **settings)

    def function(self, code: str) -> str:
        """A new function, once it can be called."""
        arn = super().function(code)
        if self.target.endpoint_url is None:
            self.client("lambda").get_waiter("function_active_v2").wait(FunctionName=arn)
        return arn

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002 - Account's
        """There is no such endpoint."""
        raise AssertionError(f"{method} {path}: this test needs the mark `embedded`")


def _deployed(target: Target) -> dict[str, str]:
    """The outputs of the stack."""
    client = target.client("cloudformation")
    pages = client.get_paginator("describe_stacks").paginate()
    existing = [each["StackName"] for page in pages for each in page["Stacks"]]
    if STACK not in existing:
        client.create_stack(
            StackName=STACK,
            TemplateBody=NETWORK.read_text("utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": TAG, "Value": target.run}],
        )
        client.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 2, "MaxAttempts": 300})
    outputs = client.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    return {each["OutputKey"]: each["OutputValue"] for each in outputs}
