"""Which pages there are, what each has to have, and how long they took."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pages.browser import WARM, Asked, Browser, Measured, browser
from benchmarks.pages.filling import Size, any_at_work, begin_run, committed, fill_list, until
from benchmarks.results import Table
from console.find.executions import Run
from console.find.run_lookup import executions_of
from console.find.target import Target
from console.ui.run_list import PAGE
from millrace.layout import S3Uri

GOAL_SECONDS = 1
COLUMNS = ["of", "page", "cold, s", "warm, s", "bytes"]
LIST, FORM = "list", "start form"
SEARCH = "/?q=team-7"


def pages_of_list(runs: int, known: int, one: str) -> list[Asked]:
    """The list: its pages, its filters, its searches, and the events that keep it up to date."""
    last, tagged = -(-known // PAGE), len(range(7, runs, 10))
    return [
        Asked(LIST, "first page", "/", "Page 1 of"),
        Asked(LIST, "second page", "/?page=2", f"Page {min(2, last)} of {last:,}"),
        Asked(LIST, "last page", f"/?page={last}", f"Page {last} of {last:,}"),
        Asked(LIST, "failed runs", "/?state=failed", "FAILED</span>"),
        Asked(LIST, "runs of a day", "/?since=1d", "Day "),
        Asked(LIST, "runs of a workload", "/?workload=images", "<td>images</td>"),
        Asked(LIST, "search for a run", f"/?q={one}", f'href="/runs/{one}"'),
        Asked(LIST, "search for a tag", "/?q=team%3Dteam-7", f"{tagged:,} runs"),
        Asked(LIST, "search in vain", "/?q=nobody", "No run is like this"),
        Asked(LIST, "first event", "/events", '"paging"'),
    ]


def pages_of_run(run: Run, size: Size, status: str, action: str) -> list[Asked]:
    """The pages of the run of many shards, and what an action asks before it is done."""
    place, failures = _place(run), f"{_place(run)}/failures"
    bad = next((number for number in range(size.shards) if size.fails(number)), 0)
    of = f"run, {status}"
    found, code = ("-bad.txt", "COMMAND_FAILED") if size.failures else ("No failed item", "None")
    return [
        Asked(of, "itself", place, f"{status}</span>"),
        Asked(of, "first event", f"{place}/events", '"progress"'),
        Asked(of, "failures", failures, found),
        Asked(of, "failures, the last page", f"{failures}?page=9999999", found),
        Asked(of, "failures, search for a key", f"{failures}?q={bad:05d}-", found),
        Asked(of, "failures, search for a code", f"{failures}?q={code}", found),
        Asked(of, "failures, search in vain", f"{failures}?q=nobody", "No failed item is like this"),
        Asked(of, "failures, beside a shard's log", f"{failures}?shard={bad}", f"The attempts of shard {bad}"),
        Asked(of, "logs", f"{place}/logs", "Reading"),
        Asked(of, "logs, the first lines", f"{place}/logs/events", "[["),
        Asked(of, "logs of a shard, the first lines", f"{place}/logs/events?shard={bad}", "[["),
        Asked(of, "logs of what failed, the first lines", f"{place}/logs/events?failed=1", "["),
        Asked(of, "report.html", f"{place}/files/report.html", "</html>"),
        Asked(of, f"before {action}", f"{place}/do/{action}", "This is what will be done"),
        Asked(of, "itself, after all these", place, f"{status}</span>"),
    ]


def pages_of_form(run: Run, target: Target, size: Size) -> list[Asked]:
    """The form that starts a run, and its estimate over the source of the run of many shards."""
    form = {
        "sent": "1", "do": "estimate", "workload": "word-count",
        "source": str(S3Uri(target.stack.source_bucket, f"{run.folder.root.key.partition('/')[0]}/")),
        "destination": f"s3://{target.stack.result_bucket}/estimated/",
    }  # fmt: skip
    return [
        Asked(FORM, "empty", "/start", "Estimate first"),
        Asked(FORM, "estimate", "/start", f"of {size.shards:,} objects", form),
    ]


def measure(target: Target, state: Path, size: Size, hold: Path, again: int = WARM) -> tuple[list[Measured], list[str]]:
    """Fill a stack of the embedded AWS, and ask for every page.

    Args:
        target: The stack.
        state: The folder of the embedded AWS's state.
        size: How much is put into it.
        hold: A file to make: as long as it is there, the run of many shards is at work.
        again: How often each page is asked for again.

    Returns:
        The pages; and what else there is to say of them.
    """
    measured: list[Measured] = []

    def ask(pages: Sequence[Asked]) -> None:
        measured.extend(asking.measure(page, again) for page in pages)

    one = fill_list(target, size.runs)
    hold.touch()
    try:
        run = begin_run(target, size, hold)
        # To list so many commits each second would take the processor from the jobs.
        until(lambda: committed(target.aws, run) >= size.shards - 1 or _ended(target, run), "all but one", pause=5)
        if _ended(target, run):
            raise RuntimeError(f"the run ended before its last item was let go: {run.execution_arn}")
        known = sum(1 for _ in executions_of(target.aws, target.stack.state_machine_arn))
        with browser(state) as asking:
            listed, searched = _settled(asking, "/"), _settled(asking, SEARCH)
        with browser(state) as asking:
            first, *others = pages_of_list(size.runs, known, one)
            ask([first, Asked(LIST, "first search", SEARCH, "Page 1 of")])
            _settled(asking, SEARCH)
            ask(others)
            ask(pages_of_run(run, size, "RUNNING", "cancel"))
        with browser(state) as asking:
            at_work = _reported(asking, run)
    finally:
        hold.unlink()
    until(lambda: _ended(target, run), "the run has ended")
    with browser(state) as asking:
        merged = _reported(asking, run)
    with browser(state) as asking:
        ask(pages_of_run(run, size, "SUCCEEDED", "rerun-failed"))
        ask(pages_of_form(run, target, size))
    notes = [
        f"{size.runs:,} runs in the list; a run of {size.shards:,} shards, of whose items {size.failures:,} failed.",
        f"The list knew of all runs {listed:.1f} s after it was opened, a search of all {searched:.1f} s later.",
        f"report.html took {at_work:.1f} s (RUNNING) and {merged:.1f} s (SUCCEEDED); meanwhile its page says so.",
    ]
    return measured, notes


def _ended(target: Target, run: Run) -> bool:
    return not any_at_work(target, [run])


def _reported(asking: Browser, run: Run) -> float:
    """How long it takes until report.html is there."""
    return _settled(asking, f"{_place(run)}/files/report.html", "is being made")


def _place(run: Run) -> str:
    return f"/runs/{run.execution_arn.rpartition(':')[2]}"


def _settled(asking: Browser, path: str, unfinished: str = "looked at so far") -> float:
    """How long it takes until a page no longer says that there is more to come."""
    began, asked = time.perf_counter(), Asked("", "", path, "</html>")
    until(lambda: unfinished.encode() not in asking.ask(asked)[1], f"{path} is complete", pause=0.1)
    return time.perf_counter() - began


def table(measured: Sequence[Measured], notes: Sequence[str]) -> Table:
    """The pages, and what they should be."""
    made = Table("pages", COLUMNS)
    slowest: dict[str, float] = {}
    for each in measured:
        of, warm = each.asked.of, statistics.median(each.warm)
        cells = (of, each.asked.what, f"{each.cold:.2f}", f"{warm:.2f}", f"{each.bytes:,}")
        made.add(dict(zip(COLUMNS, cells, strict=True)))
        slowest[of] = max(slowest.get(of, 0), each.cold, warm)
    for of, seconds in slowest.items():
        made.goal(f"Slowest page of the {of}, s", seconds, at_most=GOAL_SECONDS, digits=2)
    for note in notes:
        made.note(note)
    load = f"{os.cpu_count()} cores, on average {os.getloadavg()[0]:.0f} processes at work"
    made.note(f"Cold: asked for the first time; warm: the median of {WARM} more. {load}.")
    return made
