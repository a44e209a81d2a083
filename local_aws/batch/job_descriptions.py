"""Jobs as DescribeJobs and ListJobs show them."""

from typing import Any

from local_aws.batch.jobs import ArrayJob, Attempt, Job, JobSpec, Record, Status

_SUMMARY_FIELDS = (
    "jobArn", "jobId", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt",
    "jobDefinition", "shareIdentifier", "isCancelled", "isTerminated",
)  # fmt: skip


def describe(record: Record) -> dict[str, Any]:
    """One entry of DescribeJobs' `jobs` (JobDetail)."""
    detail = _spec_detail(record.spec) | {
        "jobArn": record.spec.scope.arn("batch", f"job/{record.job_id}"),
        "jobId": record.job_id,
        "status": str(record.status),
        "isCancelled": record.cancelled,
        "isTerminated": record.terminated,
        "attempts": [],
    }
    array = isinstance(record, ArrayJob)
    for name, value in (
        ("statusReason", record.status_reason),
        # An array parent never starts: recorded of an array that had failed is 0, and no end.
        ("startedAt", 0 if array and record.status.ended else record.started_at),
        ("stoppedAt", None if array else record.stopped_at),
    ):
        if value is not None:
            detail[name] = value
    if isinstance(record, ArrayJob):
        detail["arrayProperties"] = {
            "statusSummary": status_summary(record),
            "statusSummaryLastUpdatedAt": record.summary_at or record.spec.created_at,
            "size": record.size,
        }
    else:
        _add_attempts(detail, record)
    return detail


def status_summary(array: ArrayJob) -> dict[str, int]:
    """How many children are in each state; every state is there, as on AWS."""
    return {str(status): array.counts[status] for status in Status}


def summarize(record: Record) -> dict[str, Any]:
    """One entry of ListJobs' `jobSummaryList` (JobSummary)."""
    detail = describe(record)
    summary = {name: detail[name] for name in _SUMMARY_FIELDS if name in detail}
    container = {name: detail["container"][name] for name in ("exitCode", "reason") if name in detail["container"]}
    if container:
        summary["container"] = container
    if isinstance(record, ArrayJob):
        summary["arrayProperties"] = {"size": record.size}
    elif record.index is not None:
        summary["arrayProperties"] = {"index": record.index}
    return summary


def _spec_detail(spec: JobSpec) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "jobName": spec.job_name,
        "jobQueue": spec.queue_arn,
        "jobDefinition": spec.definition_arn,
        "createdAt": spec.created_at,
        "retryStrategy": spec.retry.to_api(),
        "dependsOn": [dict(dependency) for dependency in spec.depends_on],
        "parameters": dict(spec.parameters),
        "container": dict(spec.container),
        "tags": dict(spec.tags),
        "propagateTags": spec.propagate_tags,
        "platformCapabilities": list(spec.platform_capabilities),
    }
    if spec.attempt_seconds is not None:
        detail["timeout"] = {"attemptDurationSeconds": spec.attempt_seconds}
    if spec.share is not None:
        detail["shareIdentifier"] = spec.share
        detail["schedulingPriority"] = spec.priority
    return detail


def _add_attempts(detail: dict[str, Any], job: Job) -> None:
    detail["attempts"] = [_describe_attempt(attempt) for attempt in job.attempts]
    if job.index is not None:
        detail["arrayProperties"] = {"statusSummary": {}, "index": job.index}
    shown = job.current or (job.attempts[-1] if job.attempts else None)
    if shown is not None:
        detail["container"] |= _attempt_container(shown)


def _describe_attempt(attempt: Attempt) -> dict[str, Any]:
    container = {**_attempt_container(attempt), "networkInterfaces": []}  # there on EC2 too, and empty
    described: dict[str, Any] = {"container": container, "startedAt": attempt.started_at}
    if attempt.stopped_at is not None:
        described["stoppedAt"] = attempt.stopped_at
    if attempt.status_reason is not None:
        described["statusReason"] = attempt.status_reason
    return described


def _attempt_container(attempt: Attempt) -> dict[str, Any]:
    container = {
        "taskArn": attempt.task_arn,
        "exitCode": attempt.exit_code,
        "reason": attempt.reason,
        "logStreamName": attempt.log_stream,
    }
    return {name: value for name, value in container.items() if value is not None}
