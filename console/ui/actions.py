"""What can be done about a run from its page: each says first what it will do, with the command that does the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from console.errors import RunFailedError, RunStateError, StillRunningError
from console.find.run_lookup import FoundRun, running_executions
from console.find.target import Target
from console.operations.cancelling import jobs_left, stop, wait_for_jobs
from console.operations.resuming import redriven, restarted
from console.watch.progress import RunProgress
from millrace.errors import InvalidRunRequest
from millrace.request.run_request import checked_percent
from millrace.request.tolerance import Tolerance
from millrace.text import plural

CANCEL_SECONDS = 600
"""How long jobs of a cancelled run are seen to their end in the background."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done about a run.

    Attributes:
        name: As the address has it.
        title: What the button says.
        says: What it will do, a sentence each.
        command: The command line that does the same.
        percent: The share of failures that it accepts, to be changed; empty where it accepts none.
    """

    name: str
    title: str
    says: tuple[str, ...] = ()
    command: str = ""
    percent: str = ""


TITLES = {
    "cancel": "Cancel",
    "resume": "Resume",
    "rerun-failed": "Rerun failed",
    "accept": "Accept failures",
    "redrive": "Redrive",
}


def possible(
    found: FoundRun, progress: RunProgress, failed: int, failure: RunFailedError | None = None
) -> list[Action]:
    """What can be done, as buttons.

    Args:
        found: The run.
        progress: How it stands.
        failed: How many of its items failed, as far as it is known.
        failure: Why it failed; None where it did not, or is not known.
    """
    if found.folder is None or progress.skipped or (failure is not None and failure.is_for_good):
        return []
    if not progress.ended:
        return [Action("cancel", TITLES["cancel"])]
    names = []
    if progress.status != "SUCCEEDED":
        names.append("resume")
    if failed and progress.status in ("SUCCEEDED", "FAILED"):
        names.append("rerun-failed")
    if failed and progress.status == "FAILED":
        names.append("accept")
    if progress.execution.get("redriveStatus") == "REDRIVABLE":
        names.append("redrive")
    return [Action(name, TITLES[name]) for name in names]


def described(
    target: Target, found: FoundRun, progress: RunProgress, counts: Mapping[str, int], name: str
) -> Action | None:
    """What an action will do; None where there is no such action.

    Args:
        target: Where the run is.
        found: The run.
        progress: How it stands.
        counts: Its items and failed items, as far as they are known.
        name: The action's name.
    """
    shards = progress.planned["shards"] if progress.planned else None
    done = f"{progress.shards_done:,} of {plural(shards, 'shard')}" if shards is not None else "what is committed"
    keeps = f"Committed work stays: {done}. Only what has no commit is worked."
    failed = counts.get("failed", 0)
    run_id = found.run_id
    says: tuple[str, ...]
    if name == "cancel":
        stopped = running_executions(target.aws, target.stack.state_machine_arn, found.run.folder)
        left = jobs_left(target.aws, target.stack.job_queue_arns, found)
        jobs = f"and ends {plural(len(left), 'job')} ({sum(left.values()):,} at work or waiting)"
        says = (
            f"Stops {plural(len(stopped) or 1, 'execution')}, {jobs}. A job has 30 seconds to save its progress.",
            f"Committed work stays: {done}. The run can be resumed.",
        )
        return Action(name, TITLES[name], says, target.command("cancel", run_id))
    if name == "resume":
        says = ("Starts a new execution with the run's own request, on the stack as it is now.", keeps)
        return Action(name, TITLES[name], says, target.command("resume", run_id))
    if name == "rerun-failed":
        says = (
            f"Starts a new execution that works the failed items again ({failed:,}), and merges anew.",
            "What succeeded is not worked again. What failed for a lasting reason fails again.",
        )
        return Action(name, TITLES[name], says, target.command("resume", run_id, "--retry-failed"))
    if name == "accept":
        percent = Tolerance.accepting(failed, counts.get("items", 0)) if failed and counts.get("items") else "100"
        says = (
            f"Starts a new execution that merges again and tolerates so many failures ({failed:,} items failed).",
            "No item is worked again. The result is then marked complete.",
        )
        command = target.command("resume", run_id, "--tolerated-failure-percent", percent)
        return Action(name, TITLES[name], says, command, percent)
    if name == "redrive":
        says = (
            f"Continues the execution {progress.execution['executionArn']} at the state that failed.",
            "It runs as it was defined when it started: with the job definitions of that time.",
            keeps,
        )
        return Action(name, TITLES[name], says, target.command("resume", run_id, "--redrive"))
    return None


def perform(target: Target, found: FoundRun, name: str, form: Mapping[str, str]) -> FoundRun:
    """Do it.

    Args:
        target: Where the run is.
        found: The run.
        name: The action's name.
        form: What the form of it holds: `percent`.

    Returns:
        The run by the execution that is at work on it now.

    Raises:
        RunStateError: It cannot be done.
        InvalidRunRequest: The percentage is none.
    """
    if name == "cancel":
        return _cancelled(target, found)
    changes: dict[str, Any] = {}
    at_work = running_executions(target.aws, target.stack.state_machine_arn, found.run.folder)
    if at_work:
        raise RunStateError("it is running already", operation=name, target=found.run_id)
    if name == "redrive":
        return redriven(target, found)
    if name == "rerun-failed":
        changes = {"retry_failed": True}
    elif name == "accept":
        try:
            changes = {"tolerated_failure_percent": checked_percent(float(form.get("percent", "")))}
        except ValueError:
            raise InvalidRunRequest("tolerated_failure_percent", form.get("percent"), "a number, 0 to 100") from None
    return restarted(target, found, changes)


def _cancelled(target: Target, found: FoundRun) -> FoundRun:
    """Stop the run, and see its jobs to their end in the background: Step Functions may leave some behind."""
    queues = target.stack.job_queue_arns
    stopped = stop(target, found)
    if not stopped and not jobs_left(target.aws, queues, found):
        raise RunStateError("it is not running", operation="cancel", target=found.run_id)

    def finish() -> None:
        with suppress(StillRunningError, ClientError, BotoCoreError):
            wait_for_jobs(target.aws, queues, found, CANCEL_SECONDS, at_once=not stopped)

    threading.Thread(target=finish, daemon=True).start()
    return found
