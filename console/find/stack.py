"""Finding the stack: what `template.yaml` puts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from console.errors import StackNotFoundError
from console.find.aws import Aws
from millrace.layout import source_addresses
from millrace.settings import bucket_names

LOCAL_STACK = "millrace-local"
"""The stack's name on the embedded AWS, as in samconfig.toml."""

_USABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")


@dataclass(frozen=True)
class Stack:
    """A deployed stack. The attributes are the template's outputs.

    Attributes:
        name: The stack's name.
        outputs: Every output, by name.
        parameters: Every parameter, by name.
        status: CloudFormation's own.
    """

    name: str
    outputs: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    status: str = ""

    @classmethod
    def find(cls, aws: Aws, name: str) -> Stack:
        """Look the stack up.

        Raises:
            StackNotFoundError: It is not there, or not in a state to be used.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

        try:
            described = aws.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            # CloudFormation answers ValidationError, "Stack with id … does not exist", for a missing stack.
            if "does not exist" not in str(error):
                raise
            raise StackNotFoundError(
                "there is no such stack; deploy it first", operation="find the stack", target=name
            ) from None
        if described["StackStatus"] not in _USABLE:
            raise StackNotFoundError(
                f"its status is {described['StackStatus']}; deploy it again", operation="find the stack", target=name
            )
        return cls(
            name,
            {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])},
            {each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])},
            described["StackStatus"],
        )

    @property
    def state_machine_arn(self) -> str:
        """The state machine."""
        return self._output("StateMachineArn")

    @property
    def source_bucket(self) -> str:
        """The bucket that the stack made for sources, or the first that the user named."""
        return self._output("SourceBucketName")

    @property
    def sources(self) -> tuple[str, ...]:
        """What the stack's runs may read, the one that they read by default first: s3://my-letters/2026/."""
        return source_addresses(self.outputs.get("SourceLocations") or self.source_bucket)

    @property
    def result_bucket(self) -> str:
        """The bucket that the stack made for results, or that the user named."""
        return self._output("ResultBucketName")

    @property
    def public_buckets(self) -> frozenset[str]:
        """The buckets of public data, which are read without credentials; none where the stack has no such parameter.

        Raises:
            InvalidRunRequest: A name is no bucket's.
        """
        return bucket_names(self.parameters.get("PublicBucketNames", ""), "PublicBucketNames")

    @property
    def job_queue_arn(self) -> str:
        """The standard job queue."""
        return self._output("JobQueueArn")

    @property
    def job_queue_arns(self) -> list[str]:
        """Every job queue: each has an output of its own."""
        self._output("JobQueueArn")
        return [value for name, value in sorted(self.outputs.items()) if name.endswith("JobQueueArn")]

    @property
    def undelivered_queue_url(self) -> str:
        """The dead-letter queue of notifications, uploads and schedules."""
        return self._output("UndeliveredQueueUrl")

    @property
    def schedule_group(self) -> str:
        """The group of EventBridge Scheduler that the stack's schedules are in."""
        return self._output("ScheduleGroupName")

    @property
    def schedule_role_arn(self) -> str:
        """The role that schedules start runs with."""
        return self._output("ScheduleRoleArn")

    def _output(self, name: str) -> str:
        if name not in self.outputs:
            raise StackNotFoundError(
                f"it has no output {name}; deploy this version of the template",
                operation="read the stack",
                target=self.name,
            )
        return self.outputs[name]


def job_size(parameters: Mapping[str, str]) -> tuple[float, int]:
    """The vCPUs and MiB of one job under a stack's parameters: `JobSize` is vCPUs, an x, and GiB."""
    vcpus, _, gib = parameters.get("JobSize", "1x2").partition("x")
    return float(vcpus), int(float(gib) * 1024)


NESTED = "AWS::CloudFormation::Stack"


def stack_resources(cloudformation: Any, name: str) -> Iterator[dict[str, Any]]:
    """What ListStackResources says of each resource of a stack, and of the stacks that are nested in it.

    Args:
        cloudformation: A boto3 client.
        name: The stack's name or id.
    """
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        for each in page["StackResourceSummaries"]:
            yield each
            if each["ResourceType"] == NESTED and each.get("PhysicalResourceId"):
                yield from stack_resources(cloudformation, each["PhysicalResourceId"])
