"""The Batch jobs of a run: which there are, and which have not ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING

from console.find.aws import Aws

if TYPE_CHECKING:
    from mypy_boto3_batch.literals import JobStatusType
    from mypy_boto3_batch.type_defs import JobDetailTypeDef

JOB_NAMES = ("plan", "migrate", "merge-parts", "merge")
"""What stands behind the run id in the names of a run's jobs."""

UNENDED: tuple[JobStatusType, ...] = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
"""A job's states before its end: Batch user guide, job states."""

MOST_DESCRIBED = 100
"""DescribeJobs, `jobs`: at most 100 at once."""


def jobs_of(aws: Aws, queues: Iterable[str], run_id: str) -> list[JobDetailTypeDef]:
    """Every job of a run that Batch still knows, whichever execution submitted it, without an array's children.

    By their names, so that a job which was submitted twice is found twice: SubmitJob takes no token that would tell.

    Args:
        aws: Where they run.
        queues: The ARNs of the stack's queues: which one a run asked for is its own affair.
        run_id: The run.
    """
    found = []
    for queue, ending in product(queues, JOB_NAMES):
        name = f"{run_id}-{ending}"
        pages = aws.batch.get_paginator("list_jobs").paginate(
            jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        # The filter does not tell upper from lower case: Batch API reference, ListJobs.
        found += [job["jobId"] for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
    return list(described(aws, found))


def described(aws: Aws, job_ids: Iterable[str]) -> Iterator[JobDetailTypeDef]:
    """What DescribeJobs says of these jobs, in their order; those that Batch has forgotten are left out."""
    ids = list(job_ids)
    for start in range(0, len(ids), MOST_DESCRIBED):
        part = ids[start : start + MOST_DESCRIBED]
        by_id = {job["jobId"]: job for job in aws.batch.describe_jobs(jobs=part)["jobs"]}
        yield from (by_id[job_id] for job_id in part if job_id in by_id)


def children_in(aws: Aws, array_job_id: str, status: JobStatusType) -> list[str]:
    """The ids of an array's children in a state, by their index."""
    pages = aws.batch.get_paginator("list_jobs").paginate(arrayJobId=array_job_id, jobStatus=status)
    return sorted((child["jobId"] for page in pages for child in page["jobSummaryList"]), key=index_of)


def index_of(job_id: str) -> int:
    """A child's index, which is the shard's; 0 for a job that is no child. A child's id is `<parent>:<index>`."""
    return int(job_id.rpartition(":")[2]) if ":" in job_id else 0


def unended(job: JobDetailTypeDef) -> int:
    """How many processes of a job have not ended: of an array, its children."""
    array = job.get("arrayProperties", {})
    if "size" not in array:
        return int(job["status"] in UNENDED)
    summary = array.get("statusSummary", {})
    left = sum(summary.get(status, 0) for status in UNENDED)
    return max(left, int(job["status"] in UNENDED))
