"""`millrace logs`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from console.find.run_lookup import FoundRun, find_run, with_execution
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import json_option, run_argument, target_options
from console.watch.job_logs import Followed, why_no_log
from console.watch.progress import observe
from console.watch.run_logs import jobs_to_show, parsed_line, readable
from console.watch.shard_counts import ShardCounts
from console.watch.waiting import waiting_reason
from millrace.aws.run_jobs import UNENDED, index_of
from millrace.records.folders import newest_folder
from millrace.text import visible

FOLLOW_SECONDS = 3
"""How often --follow looks for new lines: GetLogEvents allows 10 calls a second and region."""


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
    counts: ShardCounts | None = None
    while True:
        progress = observe(target.aws, found.execution_arn)
        following = follow and not progress.ended
        counts = _read_on(target, found, counts, progress.since) if failed and shard is None else None
        heads = () if counts is None else counts.heads
        for step, job in jobs_to_show(
            target, found, progress, shard, failed=failed, waits=following, note=terminal.note, heads=heads
        ):
            shown_logs.show(step, job, whole=not follow)
        if not following:
            break
        time.sleep(FOLLOW_SECONDS)
    if not shown_logs.jobs:
        nothing = ": no job and no item of this run has failed." if failed else "." if progress.ended else " yet."
        terminal.note(f"There is no log to show{nothing}")


def _read_on(target: Target, found: FoundRun, counts: ShardCounts | None, since: datetime) -> ShardCounts | None:
    """Read the commits that were not read yet; None where the run has no folder."""
    if found.folder is None:
        return None
    folder = newest_folder(found.folder, target.aws.s3)
    if counts is None or counts.folder != folder:  # a retry has begun
        counts = ShardCounts(target.aws, folder)
    counts.look(since)
    return counts


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
                self._terminal.out.print(readable(line), soft_wrap=True)

    def _reason(self, job: Mapping[str, Any]) -> str:
        """Why a job has written nothing: Batch's own words, or what it waits for."""
        if job["status"] in UNENDED:
            waits = waiting_reason(self._target.aws, job["jobId"], datetime.now(UTC))
            return waits.partition(": ")[2] or f"it has not started; its state is {job['status']}"
        return "; ".join(map(visible, why_no_log(job))) or "Batch gives no reason"

    def _print_reason(self, step: str, job: Mapping[str, Any], reason: str) -> None:
        if self._as_json:
            document = {**_where(step, job, 0), "line": None, "reason": reason}
            self._terminal.out.file.write(json.dumps(document, ensure_ascii=False) + "\n")
            return
        _print_heading(self._terminal, step, job, 0, 0)
        self._terminal.note(f"  no log: {reason}")


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
        document = json.dumps({**_where(step, job, attempt), "line": parsed_line(line) or line}, ensure_ascii=False)
        terminal.out.file.write(document + "\n")


def _where(step: str, job: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    child = index_of(job["jobId"]) if ":" in job["jobId"] else None
    return {"step": step, "child": child, "attempt": attempt, "job_id": job["jobId"]}
