"""The shell commands that resume a run, and which of them a message shows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from millrace.aws.events import RunEnded
from millrace.aws.job_failures import RunError
from millrace.errors import InvalidRunRequest, TooManyFailuresError, is_for_good, may_be_of_code
from millrace.request.tolerance import Tolerance

LINE_CHARACTERS = 4000
"""A longer input or run id makes no line that a person copies."""


def resumption(
    ended: RunEnded, failed: int, error: RunError | None, stack_name: str, *, planned: bool
) -> dict[str, str | None]:
    """The commands that resume a run, by name: millrace, redrive, start, retry_failed.

    A line that cannot be run, or that would only end the same way, is None: all of them for a run that succeeded
    wholly, and where the request or the code is at fault, which a run keeps for good; a redrive where too many items
    failed, because every shard is committed then and merge would say the same again.

    Args:
        ended: The run's end.
        failed: How many of its items failed, as far as merge has counted them.
        error: Why it failed.
        stack_name: The stack to name in the command; empty where it is unknown.
        planned: Whether the run has a plan.
    """
    none: dict[str, str | None] = dict.fromkeys(("millrace", "redrive", "start", "retry_failed"))
    succeeded, too_many = ended.status == "SUCCEEDED", _is(error, TooManyFailuresError)
    refused = error is not None and error.job_id is None and error.name == InvalidRunRequest.__name__
    if (succeeded and not failed) or refused or (error is not None and is_for_good(error.name, planned=planned)):
        return none
    return {
        "millrace": _millrace(ended, stack_name, *(["--retry-failed"] if succeeded or too_many else [])),
        "redrive": None if succeeded or too_many else _redrive(ended),
        "start": None if succeeded else _start(ended),
        "retry_failed": _start(ended, retry_failed=True) if failed else None,
    }


def attention(execution_arn: str, run_id: str | None, stack_name: str) -> dict[str, str | None]:
    """The commands that show what keeps a run, and that end it, by name: doctor, watch, cancel.

    Args:
        execution_arn: Some ARN of the stack's region: the execution, or the queue.
        run_id: The run; None where it is not known, and only `doctor` helps.
        stack_name: The stack to name in the commands; empty where it is unknown.
    """
    named = run_id is not None and run_id.isprintable() and len(run_id) <= LINE_CHARACTERS
    words = (*(("--stack", stack_name) if stack_name else ()), "--region", region_of(execution_arn))
    known = {verb: shlex.join(("millrace", verb, str(run_id), *words)) for verb in ("watch", "cancel")}
    doctor = shlex.join(("millrace", "doctor", *words))
    return {"doctor": doctor, **(known if named else dict.fromkeys(known))}


def attention_lines(commands: Mapping[str, str | None]) -> Iterator[str]:
    """The lines of a message that say how to look at what waits, and how to end it."""
    for verb, title in (("doctor", "To see what is wrong:"), ("watch", "To follow the run:"), ("cancel", "To end it:")):
        if commands[verb]:
            yield from ("", title, f"  {commands[verb]}")


def resumption_lines(detail: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a message about a run's end that say how to resume it."""
    lines, failed = detail["resume"], (detail["counts"] or {}).get("failed")
    name = (detail["error"] or {}).get("name")
    if name and not lines["millrace"] and (may_be_of_code(name) or is_for_good(name, planned=True)):
        yield from ("", "A run keeps its request and its code: put them right, and start a new run.")
    too_many = name == TooManyFailuresError.__name__
    if too_many or detail["status"] == "SUCCEEDED_WITH_FAILURES":
        first, ways = "To rerun the failed items:", [("or without millrace:", lines["retry_failed"])]
    else:
        first = f"{'Committed shards are kept. ' if detail['planned'] else ''}To resume it where it stopped:"
        ways = [("or without millrace:", lines["redrive"]), ("or as a new execution:", lines["start"])]
    shown = [(said, line) for said, line in (("", lines["millrace"]), *ways) if line]
    for number, (said, line) in enumerate(shown):
        yield from (said,) if number else ("", first)
        yield f"  {line}"
    if too_many and failed and lines["millrace"]:
        percent = Tolerance.accepting(failed, detail["counts"]["items"])
        yield "To accept them, with the existing result, marked _INCOMPLETE:"
        yield f"  {lines['millrace'].replace('--retry-failed', f'--tolerated-failure-percent {percent}', 1)}"


def _millrace(ended: RunEnded, stack_name: str, *words: str) -> str | None:
    if ended.folder is None or not ended.run_id.isprintable() or len(ended.run_id) > LINE_CHARACTERS:
        return None
    stack = ("--stack", stack_name) if stack_name else ()
    return shlex.join(("millrace", "resume", ended.run_id, *words, *stack, "--region", region_of(ended.execution_arn)))


def _redrive(ended: RunEnded) -> str | None:
    if not ended.redrivable:
        return None
    execution = ("--execution-arn", ended.execution_arn)
    return shlex.join(
        ("aws", "stepfunctions", "redrive-execution", "--region", region_of(ended.execution_arn), *execution)
    )


def _start(ended: RunEnded, *, retry_failed: bool = False) -> str | None:
    if ended.folder is None:
        return None
    # The run's newest rerun is resumed as it is; with retry_failed, there would be another one.
    asked = {name: value for name, value in ended.input.items() if name != "retry_failed"}
    given = json.dumps({**asked, "run_id": ended.run_id, **({"retry_failed": True} if retry_failed else {})})
    if len(given) > LINE_CHARACTERS:
        return None
    machine = ("--state-machine-arn", ended.state_machine_arn)
    return shlex.join(
        (
            "aws",
            "stepfunctions",
            "start-execution",
            "--region",
            region_of(ended.execution_arn),
            *machine,
            "--input",
            given,
        )
    )


def region_of(arn: str) -> str:
    """The region that an ARN names."""
    return arn.split(":")[3]


def _is(error: RunError | None, kind: type[Exception]) -> bool:
    return error is not None and error.name == kind.__name__
