"""`millrace cancel`."""

from __future__ import annotations

import click

from console.errors import RunInterrupted, RunStateError
from console.find.run_lookup import find_run
from console.find.target import Target
from console.operations.cancelling import jobs_left, stop, wait_for_jobs
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options
from console.watch.progress import RunProgress
from console.watch.watching import Watcher
from millrace.text import plural


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
    stopped = stop(target, found)
    if not stopped and not jobs_left(target.aws, queues, found):
        status = found.execution.get("status", "ended")
        raise RunStateError(f"it is not running; its status is {status}", operation="cancel", target=found.run_id)
    terminal.note(f"Run {found.run_id} is stopped; waiting for its jobs to end." if stopped else "Ending its jobs.")
    try:
        terminated = wait_for_jobs(target.aws, queues, found, wait, at_once=not stopped)
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


def _total(progress: RunProgress) -> int | None:
    return progress.planned["shards"] if progress.planned else None
