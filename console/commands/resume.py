"""`millrace resume`."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import click

from console.commands.status import with_execution
from console.commands.to_the_end import follow
from console.errors import RunFailedError, RunNotFoundError, RunStateError
from console.find.executions import say_where_modules_are, start
from console.find.run_lookup import FoundRun, find_run, read_request, running_executions
from console.find.target import Target
from console.local.pipeline import fill_folder
from console.terminal import Terminal
from console.transfer.results import check_result, read_result
from console.verbs import json_option, run_argument, target_options
from console.watch.explanation import explain
from millrace.errors import DamagedFileError, ObjectNotFoundError, TooManyFailuresError
from millrace.request.run_request import RunRequest
from millrace.text import plural

MAX_NAME = 80
"""The longest name of an execution: Step Functions StartExecution, `name`."""


@click.command(short_help="Resume a run: only what is missing is worked.")
@run_argument
@click.option("--retry-failed", is_flag=True, help="Rerun the failed items and merge again.")
@click.option("--tolerated-failure-percent", type=float, metavar="P", help="Accept this many failures instead.")
@click.option("--tolerated-failure-count", type=int, metavar="N", help="The same, as a number of items.")
@click.option("--redrive", is_flag=True, help="Redrive the execution instead of starting a new one; see docs/cli.md.")
@click.option("--no-watch", is_flag=True, help="Do not watch it.")
@json_option
@target_options
def resume(
    given: str,
    target: Target,
    tolerated_failure_percent: float | None,
    tolerated_failure_count: int | None,
    *,
    retry_failed: bool,
    redrive: bool,
    no_watch: bool,
    as_json: bool,
) -> None:
    """Resume a run that failed or was cancelled: only what has no commit is worked.

    Starts a new execution with the run's own request, so that changes to the stack apply: more memory, a
    longer time limit, permissions. --redrive continues the old execution at the state that failed, as it
    was defined when it started, and needs no plan job.

    RUN is a run id or the beginning of one, an ARN, a run folder's URI, or - for the latest run (also without RUN).

    Exit codes: 0 the run succeeded (or had already), 1 something broke, 2 nothing to resume or bad input, 3 more
    failures than tolerated, 130 Ctrl-C (the run continues).
    """
    terminal = Terminal()
    changes: dict[str, Any] = {"retry_failed": True} if retry_failed else {}
    accepted = {"percent": tolerated_failure_percent, "count": tolerated_failure_count}
    changes |= {f"tolerated_failure_{name}": value for name, value in accepted.items() if value is not None}
    if redrive and changes:
        raise click.UsageError(
            "--redrive resumes the execution with its own input; it takes none of the other options."
        )
    found = find_run(target.aws, target.stack.state_machine_arn, given)
    at_work = running_executions(target.aws, target.stack.state_machine_arn, found.run.folder)
    if at_work and changes:
        raise RunStateError("it is running; wait for it, or cancel it first", operation="resume", target=found.run_id)
    if at_work:
        terminal.note(f"The run {found.run_id} is already running.")
        resumed = find_run(target.aws, target.stack.state_machine_arn, at_work[0])
    else:
        if _is_complete(target, found, terminal, changes):
            fill_folder(target, found, terminal)
            if as_json:
                _print_complete(target, found, terminal, short=no_watch)
            return
        resumed = _redriven(target, found) if redrive else _restarted(target, found, changes)
        terminal.note(f"{'Redriving' if redrive else 'Resuming'} run {found.run_id}")
    if no_watch:
        terminal.json(
            {"run_id": resumed.run_id, "execution_arn": resumed.execution_arn}
        ) if as_json else terminal.print(resumed.run_id)
        return
    try:
        follow(target, resumed, terminal, as_json=as_json)
    except RunFailedError as failure:
        if failure.exit_code == TooManyFailuresError.exit_code:
            fill_folder(target, resumed, terminal)
        raise
    fill_folder(target, resumed, terminal)


def _is_complete(target: Target, found: FoundRun, terminal: Terminal, changes: dict[str, Any]) -> bool:
    """Whether there is nothing to do; an error where only another request would change the outcome."""
    try:
        result = read_result(target.aws, found.run.folder)
        if result is None or changes:
            return False
        if result["status"] != "FAILED":
            check_result(target.aws, found.run.folder, result)
    except DamagedFileError as error:
        terminal.note(f"The result does not match the run and is rebuilt: {error}")
        return False
    status = found.execution.get("status", "SUCCEEDED" if result["status"] != "FAILED" else "FAILED")
    if status == "FAILED" and found.execution and _failed_too_often(target, found):
        # Every shard is committed, and merge would say the same again.
        raise RunStateError(
            f"nothing is missing: all shards are done, and {plural(result['counts']['failed'], 'item')} failed. "
            "Rerun those with --retry-failed, or accept them with --tolerated-failure-percent",
            operation="resume",
            target=found.run_id,
        )
    if status != "SUCCEEDED":
        return False
    terminal.note(f"The run {found.run_id} is complete; there is nothing to do.")
    if result["counts"]["failed"]:
        again = target.command("resume", found.run_id, "--retry-failed")
        terminal.note(f"{plural(result['counts']['failed'], 'item')} failed; rerun them: {again}")
    return True


def _print_complete(target: Target, found: FoundRun, terminal: Terminal, *, short: bool) -> None:
    """Print the document of a run that nothing was done for: as if it had just been watched to its end."""
    if short or not found.execution:
        terminal.json({"run_id": found.run_id, "execution_arn": found.execution_arn or None})
    else:
        follow(target, found, terminal, as_json=True)


def _failed_too_often(target: Target, found: FoundRun) -> bool:
    execution = target.aws.step_functions.describe_execution(executionArn=found.execution_arn)
    return explain(target.aws, execution).exit_code == TooManyFailuresError.exit_code


def _restarted(target: Target, found: FoundRun, changes: dict[str, Any]) -> FoundRun:
    """Start a new execution with the request that run.json holds."""
    try:
        request = read_request(target.aws, found.run.folder)["request"]
    except ObjectNotFoundError:
        raise RunStateError(
            "it has no run.json: it ended before anything was done. Start a new run",
            operation="resume",
            target=found.run_id,
        ) from None
    asked = {**request, "run_id": found.run_id, **changes}
    RunRequest.parse(asked, queues=(asked.get("queue", "standard"),))
    run = start(target.aws, target.stack.state_machine_arn, asked, name=lambda: _name(found.run_id))
    return find_run(target.aws, target.stack.state_machine_arn, run.execution_arn)


def _name(run_id: str) -> str:
    """A name that says whose resumption it is: `find_run` reads it."""
    end = f"-resume-{token_hex(4)}"
    return run_id[: MAX_NAME - len(end)] + end


def _redriven(target: Target, found: FoundRun) -> FoundRun:
    try:
        execution = with_execution(found, target).execution
    except RunNotFoundError:
        raise RunStateError(
            "its execution is gone, so it cannot be redriven; resume it without --redrive",
            operation="redrive",
            target=found.run_id,
        ) from None
    if execution.get("redriveStatus") != "REDRIVABLE":
        reason = execution.get("redriveStatusReason", f"its status is {execution['status']}")
        raise RunStateError(
            f"{reason}; resume it without --redrive", operation="redrive", target=execution["executionArn"]
        )
    say_where_modules_are(target.aws, found.request, found.run_id)
    target.aws.step_functions.redrive_execution(executionArn=execution["executionArn"], clientToken=token_hex(16))
    return find_run(target.aws, target.stack.state_machine_arn, execution["executionArn"])
