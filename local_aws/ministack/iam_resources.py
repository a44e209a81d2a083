"""What the IAM checks ask about: the resource of a request to Batch or to a log stream, and what a task needs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_aws.scope import Scope

_FIELDS = (
    ("jobQueue", "job-queue/"),
    ("jobId", "job/"),
    ("computeEnvironment", "compute-environment/"),
    ("jobDefinition", "job-definition/"),
)
_WITHOUT_RESOURCE = ("/v1/describe", "/v1/list", "/v1/create")
"""Describing, listing and creating: their resource is `*` (Service Authorization Reference, AWS Batch)."""


def batch_resource_arn(path: str, body: bytes, scope: Scope) -> str:
    """The ARN that the request names, or "*".

    SubmitJob needs the queue and the definition; one resource a request is all that ministack checks, so it is the
    queue here.
    """
    if path.lower().startswith(_WITHOUT_RESOURCE):
        return "*"
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return "*"
    for field, prefix in _FIELDS:
        value = content.get(field) if isinstance(content, dict) else None
        if isinstance(value, str):
            return _full_arn(value, "batch", prefix, scope)
    return "*"


_ON_STREAMS = ("GetLogEvents", "PutLogEvents", "DeleteLogStream")
"""Their resource is a log stream, not its group (Service Authorization Reference, Amazon CloudWatch Logs)."""


def log_stream_arn(operation: str, body: bytes, scope: Scope) -> str | None:
    """The log stream that a request is about; None for one that is about something else."""
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return None
    if operation not in _ON_STREAMS or not isinstance(content, dict):
        return None
    group, stream = content.get("logGroupName"), content.get("logStreamName")
    return scope.arn("logs", f"log-group:{group}:log-stream:{stream}") if group and stream else None


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that a state machine's role must be allowed to do."""

    action: str
    resource_arn: str
    error: str
    """The error name with which the task fails without it."""

    def denial(self, role_arn: str) -> str:
        """The cause that AWS gives."""
        service = "AWSBatch" if self.action.startswith("batch:") else "AWSLambda"
        return (
            f"User: {role_arn} is not authorized to perform: {self.action} on resource: {self.resource_arn} "
            f"(Service: {service}; Status Code: 403; Error Code: AccessDeniedException)"
        )


def needed_permissions(resource: str, arguments: Any, scope: Scope) -> Iterator[Permission]:
    """What a task needs ("IAM policies for integrated services"): queue and definition, or the function."""
    if not isinstance(arguments, dict):
        return
    if resource.startswith("arn:aws:states:::batch:submitJob"):
        for field, prefix in (("JobQueue", "job-queue/"), ("JobDefinition", "job-definition/")):
            arn = _full_arn(str(arguments.get(field)), "batch", prefix, scope)
            yield Permission("batch:SubmitJob", arn, "Batch.AWSBatchException")
        if resource.endswith(".sync"):
            yield Permission("batch:DescribeJobs", "*", "Batch.AWSBatchException")
    if resource.startswith("arn:aws:states:::lambda:invoke"):
        arn = _full_arn(str(arguments.get("FunctionName")), "lambda", "function:", scope)
        yield Permission("lambda:InvokeFunction", arn, "Lambda.AWSLambdaException")


def _full_arn(reference: str, service: str, prefix: str, scope: Scope) -> str:
    return reference if reference.startswith("arn:") else scope.arn(service, prefix + reference)
