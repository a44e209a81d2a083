"""Cancelling a run: its executions are stopped, and then none of its jobs is left at work."""

from __future__ import annotations

import time

from console.errors import StillRunningError
from console.find.aws import Aws
from console.find.run_lookup import FoundRun, running_executions
from console.find.target import Target
from console.watch.watching import AWS_SECONDS, LOCAL_SECONDS
from millrace.aws.run_jobs import jobs_of, unended

TERMINATE_SECONDS = 20.0
"""How long Step Functions has to terminate the jobs by itself, before they are terminated from here."""


def stop(target: Target, found: FoundRun) -> list[str]:
    """Stop every execution that is at work on the run; their ARNs."""
    machine = target.stack.state_machine_arn
    at_work = running_executions(target.aws, machine, found.folder) if found.folder else []
    if found.execution.get("status") == "RUNNING" and found.execution_arn not in at_work:
        at_work.append(found.execution_arn)
    for arn in at_work:
        target.aws.step_functions.stop_execution(
            executionArn=arn, error="Cancelled", cause="millrace cancel: an operator cancelled the run"
        )
    return at_work


def wait_for_jobs(aws: Aws, queues: list[str], found: FoundRun, wait: float, *, at_once: bool) -> list[str]:
    """Wait until no job of the run is left; terminate those that Step Functions left behind.

    Returns:
        The jobs that were terminated from here.

    Raises:
        StillRunningError: Some are left.
    """
    started = time.monotonic()
    terminated: list[str] = []
    while left := jobs_left(aws, queues, found):
        waited = time.monotonic() - started
        if waited >= wait:
            names = ", ".join(f"{job_id} ({count:,})" for job_id, count in left.items())
            raise StillRunningError(
                f"still running after {wait:g} s: {names}. Cancel the run again to keep waiting",
                operation="cancel",
                target=found.run_id,
            )
        if at_once or waited >= TERMINATE_SECONDS:
            for job_id in set(left) - set(terminated):
                # Of an array, the parent's end is every child's.
                aws.batch.terminate_job(jobId=job_id, reason="millrace cancel")
                terminated.append(job_id)
        time.sleep(AWS_SECONDS if aws.endpoint_url is None else LOCAL_SECONDS)
    return terminated


def jobs_left(aws: Aws, queues: list[str], found: FoundRun) -> dict[str, int]:
    """The jobs of a run that have not ended, each with how many processes it has left."""
    jobs = jobs_of(aws.batch, queues, found.run_id, found.folder)
    return {job["jobId"]: left for job in jobs if (left := unended(job))}
