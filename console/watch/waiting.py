"""Why a job does not run: what Batch says of it, of its queue and of the compute environments behind that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from console.find.aws import Aws
from millrace.aws.run_jobs import described
from millrace.text import duration_text, visible

PATIENCE_SECONDS = 90
"""How long a job may be RUNNABLE before its wait is shown: Fargate takes up to a minute or so to start one."""

UNKNOWN = (
    "Batch gives no reason. Usually other jobs use all vCPUs of the compute environment, "
    "or the account's Fargate quota is used up; see: millrace doctor"
)


def waiting_reason(aws: Aws, job_id: str, now: datetime) -> str:
    """Why a job, or an array's next child, is not running.

    Args:
        aws: Where it is.
        job_id: The job at work.
        now: What time it is, with its zone.

    Returns:
        Words for people; empty where something of it runs, or where it has not waited long and Batch is content.
    """
    job = _waiting_job(aws, job_id)
    if job is None:
        return ""
    waited = now.timestamp() - job.get("createdAt", 0) / 1000
    reasons = [visible(job["statusReason"])] if job.get("statusReason") else []
    reasons += queue_troubles(aws, job["jobQueue"])
    if not reasons and waited < PATIENCE_SECONDS:
        return ""
    if not reasons:
        reasons = [UNKNOWN]
    return f"{job['status']} for {duration_text(max(0.0, waited))}: {'; '.join(reasons)}"


def queue_troubles(aws: Aws, queue: str) -> list[str]:
    """What is wrong with a queue and with its compute environments; nothing where all is well."""
    found = aws.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    if not found:
        return [f"there is no job queue {queue}"]
    names = [each["computeEnvironment"] for each in found[0].get("computeEnvironmentOrder", [])]
    environments = aws.batch.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    troubles = _trouble("job queue", found[0], found[0]["jobQueueName"])
    for each in environments:
        troubles += _trouble("compute environment", each, each["computeEnvironmentName"])
    return troubles


def _trouble(what: str, resource: Mapping[str, Any], name: str) -> list[str]:
    state, status = resource.get("state", "ENABLED"), resource.get("status", "VALID")
    if state == "ENABLED" and status == "VALID":
        return []
    reason = visible(resource.get("statusReason", ""))
    return [f"the {what} {name} is {state} and {status}{f' ({reason})' if reason else ''}"]


def _waiting_job(aws: Aws, job_id: str) -> Mapping[str, Any] | None:
    """The job, or the array's next child, that waits; None where one runs or nothing waits."""
    job = next(described(aws.batch, [job_id]), None)
    if job is None or "size" not in job.get("arrayProperties", {}):
        return job if job is not None and job["status"] in ("SUBMITTED", "PENDING", "RUNNABLE") else None
    summary = job["arrayProperties"].get("statusSummary", {})
    if summary.get("RUNNING") or summary.get("STARTING") or not summary.get("RUNNABLE"):
        return None
    first = aws.batch.list_jobs(arrayJobId=job_id, jobStatus="RUNNABLE", maxResults=1)["jobSummaryList"]
    return next(described(aws.batch, [child["jobId"] for child in first]), None)
