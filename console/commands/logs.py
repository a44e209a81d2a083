"""`millrace logs`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from console.commands.status import with_execution
from console.errors import RunStateError
from console.file_names import shown
from console.find.run_lookup import find_run
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options
from console.watch.progress import RunProgress, observe
from millrace.aws.run_jobs import children_in, described, index_of, unended

SHOWN_CHILDREN = 10
"""How many children's logs are shown where no shard is named."""

LEVELS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "DEBUG": "dim"}


@click.command(short_help="Show what a run's jobs wrote.")
@run_argument
@click.option("--shard", type=click.IntRange(0), metavar="N", help="Only the child that works shard N.")
@click.option("--failed", is_flag=True, help="Only jobs and children that failed.")
@click.option(
    "--lines", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="The last N lines of each log."
)
@json_option
@target_options
def logs(given: str, target: Target, shard: int | None, lines: int, *, failed: bool, as_json: bool) -> None:
    """Show what the jobs of a run wrote: plan, the shards, merge, every attempt of each.

    Of an array the failed children are shown, or the first that has anything to show; --shard N picks one. With
    --json each line is an object: step, shard, attempt, job_id, and the job's own line as `line`.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN).

    Exit codes: 0 shown (also where there is nothing to show), 1 something broke, 2 no such run or shard.
    """
    from millrace.aws.job_failures import log_lines, streams_of  # noqa: PLC0415 - `millrace --help` must not wait for botocore

    terminal = Terminal()
    found = with_execution(find_run(target.aws, target.stack.state_machine_arn, given), target)
    progress = observe(target.aws, found.execution_arn)
    chosen = _chosen(target, progress, shard, failed=failed)
    if not chosen:
        terminal.note("There is no log to show" + (": no job of this run has failed." if failed else " yet."))
    for step, job in chosen:
        streams = streams_of(job)
        if not streams and not as_json:
            _print_heading(terminal, step, job, 0, 0)
            terminal.note(f"  no log: {shown(job.get('statusReason', 'it has not started'))}")
        for attempt, stream in enumerate(streams, start=1):
            told = log_lines(target.aws.logs, job, stream, lines)
            if as_json:
                _print_json(terminal, step, job, attempt, told)
                continue
            _print_heading(terminal, step, job, attempt, len(streams))
            if not told:
                terminal.note("  nothing was logged, or the log has expired")
            for line in told:
                terminal.out.print(_readable(line), soft_wrap=True)


def _chosen(
    target: Target, progress: RunProgress, shard: int | None, *, failed: bool
) -> list[tuple[str, Mapping[str, Any]]]:
    """The jobs and children whose logs are shown, each with its step's name."""
    steps = {step.name: step.job_id for step in progress.steps if step.job_id is not None}
    jobs = {job["jobId"]: job for job in described(target.aws.batch, steps.values())}
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    for step, job_id in steps.items():
        job = jobs.get(job_id)
        if job is None:
            continue  # Batch keeps jobs for a week or so
        size = job.get("arrayProperties", {}).get("size")
        if shard is not None and (step != "Migrate" or shard >= (size or 1)):
            continue
        if size is not None:
            wanted = [f"{job_id}:{shard}"] if shard is not None else _children(target, job, failed=failed)
            chosen += [(step, child) for child in described(target.aws.batch, wanted)]
        else:
            chosen.append((step, job))
    if shard is not None and not chosen:
        raise RunStateError(f"it has no shard {shard}, or Batch has forgotten it", operation="logs", target="Migrate")
    return [(step, job) for step, job in chosen if not failed or job["status"] == "FAILED"]


def _children(target: Target, array: Mapping[str, Any], *, failed: bool) -> list[str]:
    job_id = array["jobId"]
    found = children_in(target.aws.batch, job_id, "FAILED")
    if not found and not failed:
        states = ("RUNNING", "SUCCEEDED") if unended(array) else ("SUCCEEDED",)
        found = next((some for state in states if (some := children_in(target.aws.batch, job_id, state))), [])[:1]
    if len(found) > SHOWN_CHILDREN:
        Terminal().note(
            f"{len(found):,} children failed; the first {SHOWN_CHILDREN} are shown, --shard N shows another"
        )
    return found[:SHOWN_CHILDREN]


def _print_heading(terminal: Terminal, step: str, job: Mapping[str, Any], attempt: int, attempts: int) -> None:
    shard = f" shard {index_of(job['jobId'])}" if step == "Migrate" else ""
    which = f", attempt {attempt} of {attempts}" if attempts > 1 else ""
    code = job.get("container", {}).get("exitCode") if attempt == attempts else None
    ended = f", exit code {code}" if code is not None else ""
    terminal.notes.print(
        Text(f"== {step}{shard}: {job['status']}{ended}{which}, job {job['jobId']}", "bold"), soft_wrap=True
    )


def _print_json(terminal: Terminal, step: str, job: Mapping[str, Any], attempt: int, lines: list[str]) -> None:
    """JSON Lines: logs are streams."""
    where: dict[str, Any] = {
        "step": step,
        "shard": index_of(job["jobId"]) if step == "Migrate" else None,
        "attempt": attempt,
        "job_id": job["jobId"],
    }
    for line in lines:
        document = json.dumps({**where, "line": _parsed(line) or line}, ensure_ascii=False)
        terminal.out.file.write(document + "\n")


def _readable(line: str) -> Text:
    """`09:12:31 INFO  shard committed  shard=3 succeeded=12`: a job's JSON line for people, any other as it is."""
    given = _parsed(line)
    if given is None:
        return Text(shown(line))
    level = str(given.pop("level", ""))
    time = str(given.pop("time", "")).partition("T")[2][:8]
    text = (
        Text(f"{time} " if time else "")
        .append(f"{level:<7} ", LEVELS.get(level, ""))
        .append(shown(str(given.pop("message", ""))))
    )
    for name, value in given.items():
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text.append(f"  {shown(name)}=", "dim").append(shown(told))
    return text


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
