"""`millrace logs`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from console.errors import RunStateError
from console.file_names import shown
from console.find.run_lookup import FoundRun, find_run, with_execution
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options
from console.watch.job_logs import Followed, why_no_log
from console.watch.progress import RunProgress, observe, was_cancelled
from console.watch.shard_counts import ShardCounts
from console.watch.steps import TOGETHER
from console.watch.waiting import waiting_reason
from millrace.aws.run_jobs import UNENDED, children_in, described, index_of, unended
from millrace.errors import ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder
from millrace.records.files import read_commit_head
from millrace.records.folders import newest_folder

SHOWN_CHILDREN = 10
"""How many children's logs are shown where no shard is named."""

FOLLOW_SECONDS = 3
"""How often --follow looks for new lines: GetLogEvents allows 10 calls a second and region."""

LEVELS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "DEBUG": "dim"}


@click.command(short_help="Show the logs of a run's jobs.")
@run_argument
@click.option("--shard", type=click.IntRange(0), metavar="N", help="Only the child that worked shard N, or works it.")
@click.option("--failed", is_flag=True, help="Only jobs and children that failed, or whose items did.")
@click.option("--follow", is_flag=True, help="Follow the logs until the run ends.")
@click.option(
    "--lines", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="The last N lines of each log."
)
@json_option
@target_options
def logs(
    given: str, target: Target, shard: int | None, lines: int, *, failed: bool, follow: bool, as_json: bool
) -> None:
    """Show what the jobs of a run wrote: plan, the children, merge, every attempt of each.

    For an array, shows the failed children, or the first child that wrote anything. --shard N shows the child that
    committed shard N, or has claimed it; --failed also shows children that succeeded but have failed items. --follow
    continues until the run ends. With --json each line is an object: step, child, attempt, job_id, and the job's own
    line as `line`.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN).

    Exit codes: 0 shown (even if there is nothing), 1 something broke, 2 no such run or shard.
    """
    terminal = Terminal()
    found = with_execution(find_run(target.aws, target.stack.state_machine_arn, given), target)
    shown_logs = _Logs(target, terminal, lines, as_json=as_json)
    while True:
        progress = observe(target.aws, found.execution_arn)
        following = follow and not progress.ended
        for step, job in _chosen(target, found, progress, shard, failed=failed, waits=following):
            shown_logs.show(step, job, whole=not follow)
        if not following:
            break
        time.sleep(FOLLOW_SECONDS)
    if not shown_logs.jobs:
        nothing = ": no job and no item of this run has failed." if failed else "." if progress.ended else " yet."
        terminal.note(f"There is no log to show{nothing}")


class _Logs:
    """Prints logs, each line once.

    Args:
        target: Where the jobs ran.
        terminal: Where to print.
        lines: How many lines of each log are shown of what is there at first.
        as_json: Print objects, not text.

    Attributes:
        jobs: The ids of the jobs that were shown, each with why it has no log, if that was shown.
    """

    def __init__(self, target: Target, terminal: Terminal, lines: int, *, as_json: bool) -> None:
        self._target = target
        self._terminal = terminal
        self._lines = lines
        self._as_json = as_json
        self._streams: dict[str, Followed] = {}
        self._last = ""
        self.jobs: dict[str, str] = {}

    def show(self, step: str, job: Mapping[str, Any], *, whole: bool) -> None:
        """Print what a job has written since the last call.

        Args:
            step: The step that submitted it.
            job: The job.
            whole: Whether this is the only call, so that a log without lines is reported too.
        """
        from millrace.aws.job_failures import log_lines, streams_of  # noqa: PLC0415 - `millrace --help` must not wait

        streams = streams_of(job)
        printed = self.jobs.setdefault(job["jobId"], "")
        if not streams and (reason := self._reason(job)) != printed:
            self.jobs[job["jobId"]] = reason
            self._print_reason(step, job, reason)
        for attempt, stream in enumerate(streams, start=1):
            name = f"{job['jobId']} {stream}"
            followed = self._streams.setdefault(name, Followed(self._target.aws.logs, job, stream, self._lines))
            lines = log_lines(self._target.aws.logs, job, stream, self._lines) if whole else followed.new_lines()
            if self._as_json:
                _print_json(self._terminal, step, job, attempt, lines)
                continue
            if (lines or whole) and self._last != name:
                _print_heading(self._terminal, step, job, attempt, len(streams))
                self._last = name
            if not lines and whole:
                self._terminal.note("  nothing was logged, or the log has expired")
            for line in lines:
                self._terminal.out.print(_readable(line), soft_wrap=True)

    def _reason(self, job: Mapping[str, Any]) -> str:
        """Why a job has written nothing: Batch's own words, or what it waits for."""
        if job["status"] in UNENDED:
            waits = waiting_reason(self._target.aws, job["jobId"], datetime.now(UTC))
            return waits.partition(": ")[2] or f"it has not started; its state is {job['status']}"
        return "; ".join(map(shown, why_no_log(job))) or "Batch gives no reason"

    def _print_reason(self, step: str, job: Mapping[str, Any], reason: str) -> None:
        if self._as_json:
            document = {**_where(step, job, 0), "line": None, "reason": reason}
            self._terminal.out.file.write(json.dumps(document, ensure_ascii=False) + "\n")
            return
        _print_heading(self._terminal, step, job, 0, 0)
        self._terminal.note(f"  no log: {reason}")


def _chosen(
    target: Target, found: FoundRun, progress: RunProgress, shard: int | None, *, failed: bool, waits: bool
) -> list[tuple[str, Mapping[str, Any]]]:
    """The jobs and children whose logs are shown, each with its step's name.

    Args:
        target: Where the run is.
        found: The run.
        progress: The look at it.
        shard: The shard whose child's log alone is wanted.
        failed: Only jobs that failed, or whose items did.
        waits: Whether a shard that is not there yet may come.
    """
    steps = {step.name: step.job_id for step in progress.steps if step.job_id is not None}
    jobs = {job["jobId"]: job for job in described(target.aws.batch, steps.values())}
    if shard is not None:
        return _of_shard(target, found, progress, shard, failed=failed, waits=waits)
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    with_failed_items = _with_failed_items(target, found, progress) if failed else []
    for step, job_id in steps.items():
        job = jobs.get(job_id)
        if job is None:
            continue  # Batch keeps jobs for a week or so
        if "size" in job.get("arrayProperties", {}):
            wanted = _children(target, job, failed=failed)
            chosen += [(step, child) for child in described(target.aws.batch, wanted)]
        else:
            chosen.append((step, job))
    if not failed:
        return chosen
    at = progress.execution.get("stopDate") if progress.status == "ABORTED" else None
    failing = [
        (step, job)
        for step, job in chosen
        if job["status"] == "FAILED" and not (at is not None and was_cancelled(job, at))
    ]
    there = {job["jobId"] for _, job in failing}
    others = [job_id for job_id in with_failed_items if job_id not in there]
    step_of = {job_id: step for step, job_id in steps.items()}
    return [
        *failing,
        *(
            (step_of.get(job["jobId"].partition(":")[0], "Migrate"), job)
            for job in described(target.aws.batch, others[:SHOWN_CHILDREN])
        ),
    ]


def _of_shard(
    target: Target, found: FoundRun, progress: RunProgress, shard: int, *, failed: bool, waits: bool
) -> list[tuple[str, Mapping[str, Any]]]:
    """The job or child that committed a shard, else the one that claimed it, else the one whose own it is.

    Raises:
        RunStateError: There is no such shard, or Batch has forgotten the job.
    """
    steps = {step.job_id: step.name for step in progress.steps if step.job_id is not None}
    migrate = next((job_id for job_id, name in reversed(steps.items()) if name in {"Migrate", TOGETHER}), None)
    planned = progress.planned["shards"] if progress.planned else None
    chosen: list[Mapping[str, Any]] = []
    if found.folder is not None and (planned is None or shard < planned):
        who = _who_worked(target, newest_folder(found.folder, target.aws.s3), shard)
        if who is None and migrate is not None:
            jobs = list(described(target.aws.batch, [migrate]))
            size = jobs[0].get("arrayProperties", {}).get("size") if jobs else None
            who = f"{migrate}:{shard % size}" if size else migrate
        chosen = [] if who is None else list(described(target.aws.batch, [who]))
    if not chosen and not waits:
        raise RunStateError(f"it has no shard {shard}, or Batch has forgotten it", operation="logs", target="Migrate")
    return [
        (steps.get(job["jobId"].partition(":")[0], "Migrate"), job)
        for job in chosen
        if not failed or job["status"] == "FAILED"
    ]


def _who_worked(target: Target, folder: RunFolder, shard: int) -> str | None:
    """The id of the job, or child, that committed a shard, or has claimed it; None where none has."""
    try:
        return read_commit_head(folder.commit(shard), target.aws.s3).job_id or None
    except (ObjectNotFoundError, ValueError):
        pass
    try:
        claim = read_json(target.aws.s3.read(folder.claim(shard)))
        return str(claim["job"])
    except (ObjectNotFoundError, ValueError, KeyError, TypeError):
        return None


def _with_failed_items(target: Target, found: FoundRun, progress: RunProgress) -> list[str]:
    """The ids of the jobs that committed failed items, in the order of their shards: their commits name them."""
    if found.folder is None:
        return []
    counts = ShardCounts(target.aws, newest_folder(found.folder, target.aws.s3))
    counts.look(progress.since)
    return list(dict.fromkeys(counts.jobs_with_failed_items()))


def _children(target: Target, array: Mapping[str, Any], *, failed: bool) -> list[str]:
    job_id = array["jobId"]
    found = children_in(target.aws.batch, job_id, "FAILED")
    if not found and not failed:
        states = ("RUNNING", "SUCCEEDED") if unended(array) else ("SUCCEEDED",)
        found = next((some for state in states if (some := children_in(target.aws.batch, job_id, state))), [])[:1]
    if len(found) > SHOWN_CHILDREN:
        Terminal().note(
            f"{len(found):,} children failed; the first {SHOWN_CHILDREN} are shown, --shard N shows the one of shard N"
        )
    return found[:SHOWN_CHILDREN]


def _print_heading(terminal: Terminal, step: str, job: Mapping[str, Any], attempt: int, attempts: int) -> None:
    child = f" child {index_of(job['jobId'])}" if ":" in job["jobId"] else ""
    which = f", attempt {attempt} of {attempts}" if attempts > 1 else ""
    code = job.get("container", {}).get("exitCode") if attempt == attempts else None
    ended = f", exit code {code}" if code is not None else ""
    terminal.notes.print(
        Text(f"== {step}{child}: {job['status']}{ended}{which}, job {job['jobId']}", "bold"), soft_wrap=True
    )


def _print_json(terminal: Terminal, step: str, job: Mapping[str, Any], attempt: int, lines: list[str]) -> None:
    """JSON Lines: logs are streams."""
    for line in lines:
        document = json.dumps({**_where(step, job, attempt), "line": _parsed(line) or line}, ensure_ascii=False)
        terminal.out.file.write(document + "\n")


def _where(step: str, job: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    child = index_of(job["jobId"]) if ":" in job["jobId"] else None
    return {"step": step, "child": child, "attempt": attempt, "job_id": job["jobId"]}


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
        text_value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text.append(f"  {shown(name)}=", "dim").append(shown(text_value))
    return text


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
