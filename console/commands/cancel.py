"""`millrace cancel`."""

from __future__ import annotations

import time

import click

from console.errors import RunInterrupted, RunStateError, StillRunningError
from console.find.aws import Aws
from console.find.run_lookup import FoundRun, find_run, running_executions
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options
from console.watch.progress import RunProgress
from console.watch.watching import AWS_SECONDS, LOCAL_SECONDS, Watcher
from millrace.aws.run_jobs import jobs_of, unended
from millrace.text import plural

TERMINATE_SECONDS = 20.0
"""How long Step Functions has to terminate the jobs by itself, before they are terminated from here."""


@click.command(short_help="Cancel a run and wait until its jobs have ended.")
@run_argument
@click.option(
    "--wait", type=click.IntRange(0), default=300, show_default=True, metavar="S", help="Seconds to wait for its jobs."
)
@json_option
@target_options
def cancel(given: str, target: Target, wait: int, *, as_json: bool) -> None:
    """Cancel a run, wait until its jobs have ended, and say what is kept.

    Committed shards stay; `millrace resume` works the others. A job gets SIGTERM and 30 seconds to save its
    progress.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN).

    Exit codes: 0 all jobs of the run have ended, 1 some were still running after --wait, 2 no such run, or it has
    ended, 130 Ctrl-C (the run is stopped, its jobs are ending).
    """
    terminal = Terminal()
    found = find_run(target.aws, target.stack.state_machine_arn, given)
    queues = target.stack.job_queue_arns
    stopped = _stop(target, found)
    if not stopped and not _left(target.aws, queues, found):
        status = found.execution.get("status", "ended")
        raise RunStateError(f"it is not running; its status is {status}", operation="cancel", target=found.run_id)
    terminal.note(f"Run {found.run_id} is stopped; waiting for its jobs to end." if stopped else "Ending its jobs.")
    try:
        terminated = _wait_for_jobs(target.aws, queues, found, wait, at_once=not stopped)
    except KeyboardInterrupt:
        terminal.note(f"\nThe run {found.run_id} is stopped; its jobs end in the background.")
        terminal.note(f"  wait for them  {target.command('cancel', found.run_id)}")
        raise RunInterrupted("interrupted; its jobs are ending", operation="cancel", target=found.run_id) from None
    progress = Watcher(target.aws, found.execution_arn).look(most=0)
    committed = progress.work.committed.shards if progress.work else 0
    if as_json:
        terminal.json(
            {
                "run_id": found.run_id,
                "stopped_executions": stopped,
                "terminated_jobs": terminated,
                "jobs_running": 0,
                "shards": {"committed": committed, "total": _total(progress)},
            }
        )
        return
    terminal.print("No job of the run is running.")
    total = _total(progress)
    of = f" of {plural(total, 'shard')}" if total is not None else " shards"
    terminal.print(f"Kept: {committed:,}{of} committed" if progress.work else "Kept: nothing was committed yet")
    terminal.note(f"Resume   {target.command('resume', found.run_id)}")
    terminal.note(f"Rows     {target.command('report', found.run_id)}")


def _stop(target: Target, found: FoundRun) -> list[str]:
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


def _wait_for_jobs(aws: Aws, queues: list[str], found: FoundRun, wait: float, *, at_once: bool) -> list[str]:
    """Wait until no job of the run is left; terminate those that Step Functions left behind.

    Returns:
        The jobs that were terminated from here.

    Raises:
        StillRunningError: Some are left.
    """
    started = time.monotonic()
    terminated: list[str] = []
    while left := _left(aws, queues, found):
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


def _left(aws: Aws, queues: list[str], found: FoundRun) -> dict[str, int]:
    """The jobs of a run that have not ended, each with how many processes it has left."""
    jobs = jobs_of(aws.batch, queues, found.run_id, found.folder)
    return {job["jobId"]: left for job in jobs if (left := unended(job))}


def _total(progress: RunProgress) -> int | None:
    return progress.planned["shards"] if progress.planned else None
