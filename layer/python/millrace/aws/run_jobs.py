"""The Batch jobs of a run that Batch still knows: which there are, which have not ended, and what they took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, cast

from millrace.aws.events import Job
from millrace.layout import RunFolder
from millrace.records.sizing import SMALL

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

STAGES = ("plan", "migrate", "merge", "migrate-and-merge")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one job, or of one array child, that started.

    Attributes:
        stage: plan, migrate, merge or migrate-and-merge.
        seconds: From its start to its end, as Batch reports them.
        vcpus: What it had of processors.
        gb: What it had of memory, in GiB.
        compute: FARGATE, FARGATE_SPOT or EC2.
        architecture: X86_64 or ARM64.
        public_ip: Whether it had a public address.
    """

    stage: str
    seconds: float
    vcpus: float
    gb: float
    compute: str
    architecture: str = "X86_64"
    public_ip: bool = True


MOST_DESCRIBED = 100
"""DescribeJobs, `jobs`: at most 100 at once."""

UNENDED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
"""A job's states before its end: Batch user guide, job states."""

STARTED = ("SUCCEEDED", "FAILED", "RUNNING", "RUNNABLE", "STARTING")
"""The states of children that may have had an attempt: one that is to be tried again waits in RUNNABLE."""

CALLS_AT_ONCE = 4
"""How many calls of DescribeJobs are under way at once: 10,000 children take a hundred."""

JOBS = ("merge-parts", "migrate-and-merge-shards", *STAGES)
"""How the names of a run's jobs end; one that ends as another does stands behind it."""

_KINDS = {"SPOT": "EC2"}
"""A compute environment's type as the price table calls it."""


@dataclass(frozen=True, slots=True)
class RunJobs:
    """What Batch knows of a run's jobs.

    Attributes:
        by_id: The name's end of each job, as `JOBS` has it, without an array's children.
        attempts: All that started.
        running: Whether one of them has not ended.
        handed_back: How many small jobs have left what was left to a full one.
    """

    by_id: Mapping[str, str]
    attempts: tuple[Attempt, ...]
    running: bool
    handed_back: int = 0


def read_run_jobs(batch: BatchClient, queues: Sequence[str], folder: RunFolder) -> RunJobs:
    """Find every job of a run, whichever execution submitted it, and what its attempts took.

    By the jobs' names, so that one which was submitted twice is found twice: SubmitJob takes no client token.

    Args:
        batch: A boto3 Batch client.
        queues: The ARNs of the queues that they may be in.
        folder: The run's folder, which the jobs' commands name.

    Raises:
        ClientError: Batch refused, or is busy.
    """
    jobs = jobs_of(batch, queues, folder.run_id, folder)
    kinds = _Kinds(batch, queues)
    plain = [job for job in jobs if "size" not in (job.get("arrayProperties") or {})]
    children = _children(batch, [job["jobId"] for job in jobs if job not in plain])
    attempts = tuple(attempt for job in chain(plain, children) for attempt in attempts_of(job, kinds.of(job)))
    by_id = {job["jobId"]: next(end for end in reversed(JOBS) if job["jobName"].endswith(f"-{end}")) for job in jobs}
    running = any(job["status"] in UNENDED for job in jobs)
    return RunJobs(by_id, attempts, running, sum(map(_handed_back, jobs)))


def jobs_of(
    batch: BatchClient, queues: Iterable[str], run_id: str, folder: RunFolder | None = None
) -> list[dict[str, Any]]:
    """Every job of a run and of its reruns, whichever execution submitted it, without an array's children.

    By the jobs' names, so that one which was submitted twice is found twice: SubmitJob takes no client token.

    Args:
        batch: A boto3 Batch client.
        queues: The ARNs of the queues that they may be in: which one a run asked for is its own affair.
        run_id: The run.
        folder: The run's folder, which the jobs' commands name; without it, only jobs that have exactly the run's
            name, which may be another run's of the same id.
    """
    rerun = "" if folder is None else "(-retry-[0-9]{3})?"
    name = re.compile(rf"{re.escape(run_id)}{rerun}-({'|'.join(JOBS)})")
    found = []
    for queue in queues:
        pages = batch.get_paginator("list_jobs").paginate(
            jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [f"{run_id}-*"]}]
        )
        # The filter ignores case: Batch API reference, ListJobs.
        found += [job["jobId"] for page in pages for job in page["jobSummaryList"] if name.fullmatch(job["jobName"])]
    # Another run's name may end as a rerun's does: the command says whose job it is.
    return [job for job in described(batch, found) if folder is None or _is_of(job, folder.base)]


def described(batch: BatchClient, job_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What DescribeJobs says of these jobs, in their order; those that Batch has forgotten are left out."""
    ids = list(job_ids)
    parts = [ids[start : start + MOST_DESCRIBED] for start in range(0, len(ids), MOST_DESCRIBED)]
    if len(parts) <= 1:
        yield from (job for part in parts for job in _in_order(batch, part))
        return
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        yield from chain.from_iterable(pool.map(lambda part: _in_order(batch, part), parts))


def children_in(batch: BatchClient, array_job_id: str, status: str) -> list[str]:
    """The ids of an array's children in a state, by their index."""
    pages = batch.get_paginator("list_jobs").paginate(arrayJobId=array_job_id, jobStatus=cast("Any", status))
    return sorted((child["jobId"] for page in pages for child in page["jobSummaryList"]), key=index_of)


def index_of(job_id: str) -> int:
    """A child's index; 0 for a job that is no child. A child's id is `<parent>:<index>`."""
    return int(job_id.rpartition(":")[2]) if ":" in job_id else 0


def unended(job: Mapping[str, Any]) -> int:
    """How many processes of a job have not ended: of an array, its children."""
    array = job.get("arrayProperties") or {}
    if "size" not in array:
        return int(job["status"] in UNENDED)
    summary = array.get("statusSummary") or {}
    left = sum(summary.get(status, 0) for status in UNENDED)
    return max(int(left), int(job["status"] in UNENDED))


def attempts_of(job: dict[str, Any], compute: str) -> Iterator[Attempt]:
    """The attempts of a job that started, by what DescribeJobs says of it; one that runs counts until now."""
    container = job.get("container") or {}
    sizes = {each["type"]: each["value"] for each in container.get("resourceRequirements") or ()}
    times = [(each.get("startedAt"), each.get("stoppedAt")) for each in job.get("attempts") or ()]
    if job["status"] == "RUNNING" and job.get("startedAt"):
        times.append((job["startedAt"], time.time() * 1000))
    for started, stopped in times:
        if started and stopped:
            yield Attempt(
                stage=_stage(job),
                seconds=max(0.0, (stopped - started) / 1000),
                vcpus=float(sizes.get("VCPU") or container.get("vcpus") or 0),
                gb=float(sizes.get("MEMORY") or container.get("memory") or 0) / 1024,
                compute=compute,
                architecture=(container.get("runtimePlatform") or {}).get("cpuArchitecture") or "X86_64",
                public_ip=(container.get("networkConfiguration") or {}).get("assignPublicIp") == "ENABLED",
            )


def _handed_back(job: dict[str, Any]) -> bool:
    """Whether it was a small job whose next attempt handed back: that is all that such an attempt does."""
    words = (job.get("container") or {}).get("command") or ()
    small = ("--size", SMALL) in pairwise(words)
    return small and job["status"] == "SUCCEEDED" and len(job.get("attempts") or ()) > 1


def _stage(job: dict[str, Any]) -> str:
    return next(iter((job.get("container") or {}).get("command") or ()), "")


class _Kinds:
    """What jobs run on, by the ECS cluster of their tasks, which is their compute environment's.

    Where a task's cluster is none of these, the first environment of its queue stands for it.
    """

    def __init__(self, batch: BatchClient, queues: Sequence[str]) -> None:
        described = batch.describe_job_queues(jobQueues=list(queues))["jobQueues"]
        order = {
            queue["jobQueueArn"]: [
                each["computeEnvironment"]
                for each in sorted(queue["computeEnvironmentOrder"], key=lambda one: one["order"])
            ]
            for queue in described
        }
        arns = sorted({arn for environments in order.values() for arn in environments})
        environments = batch.describe_compute_environments(computeEnvironments=arns)["computeEnvironments"]
        by_arn = {each["computeEnvironmentArn"]: each["computeResources"]["type"] for each in environments}
        self._by_cluster = {
            each["ecsClusterArn"].rpartition("/")[2]: by_arn[each["computeEnvironmentArn"]]
            for each in environments
            if each.get("ecsClusterArn")
        }
        self._by_queue = {queue: by_arn[first[0]] for queue, first in order.items() if first and first[0] in by_arn}

    def of(self, job: dict[str, Any]) -> str:
        """FARGATE, FARGATE_SPOT or EC2, by the task of the job's last attempt."""
        # arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID
        cluster = str((job.get("container") or {}).get("taskArn") or "").split("/")[1:2]
        found: str = self._by_cluster.get("".join(cluster)) or self._by_queue.get(job["jobQueue"]) or "FARGATE"
        return _KINDS.get(found, found)


def _is_of(job: dict[str, Any], base: RunFolder) -> bool:
    """Whether the job's command names this run's folder: another run's name may end as a retry's does."""
    folder = Job.read(job).folder
    return folder is not None and folder.base == base


def _children(batch: BatchClient, arrays: Iterable[str]) -> Iterator[dict[str, Any]]:
    for array in arrays:
        for status in STARTED:
            yield from described(batch, children_in(batch, array, status))


def _in_order(batch: BatchClient, ids: list[str]) -> list[dict[str, Any]]:
    by_id = {job["jobId"]: cast("dict[str, Any]", job) for job in batch.describe_jobs(jobs=ids)["jobs"]}
    return [by_id[job_id] for job_id in ids if job_id in by_id]
