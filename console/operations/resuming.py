"""Resuming a run: a new execution with the run's own request, or the old one redriven."""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from console.errors import RunFailedError, RunNotFoundError, RunStateError
from console.find.executions import say_where_modules_are, start
from console.find.run_filter import FAILED, RunFacts, RunFilter, RunIndex, matching
from console.find.run_lookup import FoundRun, described_run, find_run, read_request, with_execution
from console.find.target import Target
from console.watch.explanation import explain
from millrace.errors import ObjectNotFoundError, TooManyFailuresError
from millrace.request.run_request import RunRequest

MAX_NAME = 80
"""The longest name of an execution: Step Functions StartExecution, `name`."""


def failed_too_often(target: Target, found: FoundRun) -> bool:
    """Whether a run ended only because more of its items failed than it tolerates."""
    return _failure(target, found).exit_code == TooManyFailuresError.exit_code


def _failure(target: Target, found: FoundRun) -> RunFailedError:
    return explain(target.aws, target.aws.step_functions.describe_execution(executionArn=found.execution_arn))


def restarted(target: Target, found: FoundRun, changes: dict[str, Any]) -> FoundRun:
    """Start a new execution with the request that run.json holds, and the name and tags that the run had last.

    Raises:
        RunStateError: It has no run.json.
        InvalidRunRequest: A change is none that a request may have.
    """
    try:
        request = read_request(target.aws, found.run.folder)["request"]
    except ObjectNotFoundError:
        raise RunStateError(
            "it has no run.json: it ended before anything was done. Start a new run",
            operation="resume",
            target=found.run_id,
        ) from None
    labels = {each: found.request[each] for each in ("name", "tags") if each in found.request}
    asked = {**request, **labels, "run_id": found.run_id, **changes}
    RunRequest.parse(asked, queues=(asked.get("queue", "standard"),))
    run = start(target.aws, target.stack.state_machine_arn, asked, name=lambda: name_of_resumption(found.run_id))
    return find_run(target.aws, target.stack.state_machine_arn, run.execution_arn)


@dataclass(frozen=True)
class FailedRun:
    """A run whose last execution failed.

    Attributes:
        found: The run.
        facts: What its request says.
        status: The state of that execution.
        why_not: Why resuming it would change nothing; empty where it may.
    """

    found: FoundRun
    facts: RunFacts
    status: str
    why_not: str = ""


def failed_runs(target: Target, asked: RunFilter, *, with_changes: bool) -> list[FailedRun]:
    """The runs whose newest execution failed, the newest first: one that was resumed since then is not among them.

    Args:
        target: Where they are.
        asked: Which runs; its states are not looked at.
        with_changes: Whether they will be resumed with another tolerance, or to rerun what failed.
    """
    newest: dict[tuple[str, str], tuple[str, str, RunFacts]] = {}
    for execution, facts in matching(
        target.aws, target.stack.state_machine_arn, replace(asked, statuses=()), RunIndex(target.aws)
    ):
        newest.setdefault((facts.destination, facts.run_id), (execution["executionArn"], execution["status"], facts))
    return [
        FailedRun(found, facts, status, _why_not(target, found, with_changes=with_changes))
        for arn, status, facts in newest.values()
        if status in FAILED
        for found in [described_run(target.aws, arn)]
    ]


def _why_not(target: Target, found: FoundRun, *, with_changes: bool) -> str:
    if found.folder is None:
        return "its request was refused"
    failure = _failure(target, found)
    if failure.is_for_good:
        return "its request or its code is at fault, and it keeps both: start a new run"
    if not with_changes and failure.exit_code == TooManyFailuresError.exit_code:
        return "nothing is missing, and too many items failed: --retry-failed or --tolerated-failure-percent"
    return ""


def name_of_resumption(run_id: str) -> str:
    """A name that says whose resumption it is: `find_run` reads it."""
    end = f"-resume-{token_hex(4)}"
    return run_id[: MAX_NAME - len(end)] + end


def redriven(target: Target, found: FoundRun) -> FoundRun:
    """Redrive the execution that worked on the run last.

    Raises:
        RunStateError: Step Functions cannot.
    """
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
