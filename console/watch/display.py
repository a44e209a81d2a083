"""A run while it runs: a line per step with a bar for the shards, or plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from console.watch.progress import RunProgress
from console.watch.steps import SKIPPED, Children, Step
from millrace.text import bytes_text, duration_text, plural, reuse_text

Show = Callable[[RunProgress], None]
"""What is called with a run's progress."""

STATUS_STYLES = {"SUCCEEDED": "green", "RUNNING": "cyan"}
"""A status's colour; every other status is red."""

NOTHING = "nothing to do"

WIDE = 120
"""From so many columns on there is room for a long bar."""

PLAIN_SECONDS = 10
"""How often, at most, plain lines report the shards' progress."""


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """Show a run's progress.

    Yields:
        What to call with each look at the run.
    """
    if not console.is_terminal:
        yield PlainLines(console).show
        return
    spinner = Spinner("dots" if console.encoding.startswith("utf") else "line", style="cyan")
    with Live(console=console, refresh_per_second=10) as live:
        yield lambda progress: live.update(_picture(progress, spinner, console), refresh=True)


def print_steps(console: Console, progress: RunProgress) -> None:
    """Print how each step stands, once."""
    mark = "•" if console.encoding.startswith("utf") else "*"
    console.print(_picture(progress, Text(mark, "cyan"), console))


@contextmanager
def several_shown(console: Console) -> Iterator[Callable[[Sequence[str], Sequence[RunProgress]], None]]:
    """Show several runs' progress, a line each.

    Yields:
        What to call with their ids and the last look at each.
    """
    if console.is_terminal:
        with Live(console=console, refresh_per_second=10) as live:
            yield lambda names, seen: live.update(_lines_of(names, seen), refresh=True)
        return
    stand: dict[str, str] = {}

    def say(names: Sequence[str], seen: Sequence[RunProgress]) -> None:
        for name, progress in zip(names, seen, strict=True):
            line = f"{name}: {progress.status} {progress.at_work.name if progress.at_work else ''}".rstrip()
            if stand.get(name) != line:
                stand[name] = line
                console.print(Text(line), soft_wrap=True)

    yield say


def print_several(console: Console, names: Sequence[str], seen: Sequence[RunProgress]) -> None:
    """Print how several runs stand, once."""
    console.print(_lines_of(names, seen))


def _lines_of(names: Sequence[str], seen: Sequence[RunProgress]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, progress in zip(names, seen, strict=True):
        step = progress.at_work
        table.add_row(
            Text(name),
            Text(progress.status, STATUS_STYLES.get(progress.status, "red")),
            Text(step.name if step else ""),
            Text(items_done(progress), "dim"),
            Text(progress.waiting, "yellow"),
        )
    return table


class PlainLines:
    """A line when a step begins, when it ends, and now and then while shards are worked."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_status: dict[str, str] = {}
        self._said_at: datetime | None = None
        self._stand: tuple[Children, int] | None = None
        self._waiting = ""
        self._reused = ""

    def show(self, progress: RunProgress) -> None:
        """Show what is new."""
        for step in progress.steps:
            if (
                step.status in ("succeeded", "failed", "cancelled", "skipped")
                and self._shown_status.get(step.name) != step.status
            ):
                after = f" after {took(step)}" if step.ended else ""
                self._say(f"{step.name}: {_words(step, progress)}{after}")
            elif step.status == "running" and step.name not in self._shown_status:
                self._say(f"{step.name} ...")
            elif step.status == "running" and step.children:
                self._say_children(step, progress)
            self._shown_status[step.name] = (
                step.status if step.status != "waiting" else self._shown_status.pop(step.name, "")
            )
            if not self._shown_status[step.name]:
                del self._shown_status[step.name]
        reused = reuse_text(progress.reuse)
        if reused and not self._reused:
            self._say(f"reuse: {reused}")
        self._reused = reused
        reason = progress.waiting.partition(": ")[2]
        if reason and reason != self._waiting:
            self._say(f"waiting: {progress.waiting}")
        self._waiting = reason

    def _say_children(self, step: Step, progress: RunProgress) -> None:
        now = datetime.now(UTC)
        due = self._said_at is None or (now - self._said_at).total_seconds() >= PLAIN_SECONDS
        if not due or not step.children:
            return
        done = items_done(progress)
        line = f"{step.name}: {count_of(step.children, progress)}{f'; {done}' if done else ''}"
        stand = (step.children, progress.shards_done)
        if stand != self._stand:
            self._say(line)
            self._said_at, self._stand = now, stand

    def _say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _picture(progress: RunProgress, spinner: RenderableType, console: Console) -> Group:
    """A line per step; below them, at full width, how far the items are and what the run waits for."""
    unicode = console.encoding.startswith("utf")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=3, justify="right")
    table.add_column(min_width=12)
    table.add_column(justify="right", min_width=8)
    table.add_column()
    marks = {
        "succeeded": Text("✓" if unicode else "ok", "green"),
        "failed": Text("✗" if unicode else "x", "red"),
        "cancelled": Text("-", "yellow"),
        "skipped": Text("-", "dim"),
        "waiting": Text(""),
    }
    for step in progress.steps:
        mark: RenderableType = spinner if step.status == "running" else marks[step.status]
        name = Text(step.name, "dim" if step.status in ("waiting", "skipped") else "")
        table.add_row(mark, name, Text(took(step), "dim"), _detail(step, progress, console))
    lines = []
    if not progress.ended and (reused := reuse_text(progress.reuse)):
        lines.append(Text(f"reuse: {reused}", "dim"))
    if not progress.ended and (done := items_done(progress)):
        failed = progress.work is not None and progress.work.committed.counts.failed
        lines.append(Text(done, "yellow" if failed else "dim"))
    if progress.waiting:
        lines.append(Text(f"waiting: {progress.waiting}", "yellow"))
    return Group(table, *lines)


def items_done(progress: RunProgress) -> str:
    """`1,200 of 4,000 items committed, 3 failed, 40 items/s, 1.2 MB/s, about 50 s left`; empty if unknown."""
    work = progress.work
    if work is None:
        return ""
    left = [f"about {duration_text(work.seconds_left)} left"] if work.seconds_left and not progress.ended else []
    if not work.committed.shards:
        return "".join(left)
    counts = work.committed.counts
    of = f" of {progress.planned['items']:,}" if progress.planned else ""
    about = "about " if work.committed.unread else ""
    parts = [f"{about}{counts.items:,}{of} items committed"]
    parts += [f"{counts.failed:,} failed"] if counts.failed else []
    parts += [f"{plural(work.committed.reused, 'shard')} from before"] if work.committed.reused else []
    if work.items_per_second and work.bytes_per_second is not None:
        parts += [f"{work.items_per_second:,.3g} items/s", f"{bytes_text(round(work.bytes_per_second))}/s"]
    return ", ".join(parts + left)


def _detail(step: Step, progress: RunProgress, console: Console) -> RenderableType:
    if step.status == "skipped":
        return Text(SKIPPED.get(step.name, NOTHING), "dim")
    if step.children is None:
        return Text("")
    children = step.children
    row = Table.grid(padding=(0, 1))
    shards = progress.planned["shards"] if progress.planned else 0
    bar = ProgressBar(
        total=shards,
        completed=min(shards, progress.shards_done),
        width=28 if console.width >= WIDE else 12,
        complete_style="red" if children.failed else "cyan",
        finished_style="red" if children.failed else "green",
    )
    row.add_row(bar, Text(count_of(children, progress), "red" if children.failed else ""))
    return row


def count_of(children: Children, progress: RunProgress) -> str:
    """`12 of 40 shards done, 2 children running, 1 failed`."""
    states = {
        "running": children.at_work,
        "waiting": children.runnable,
        "failed": children.failed,
        "cancelled": children.cancelled,
    }
    parts = [f"{count:,} {state}" for state, count in states.items() if count]
    if parts:
        count, _, state = parts[0].partition(" ")
        parts[0] = f"{count} {'child' if count == '1' else 'children'} {state}"
    if progress.planned:
        parts.insert(0, f"{progress.shards_done:,} of {plural(progress.planned['shards'], 'shard')} done")
    return ", ".join(parts)


def _words(step: Step, progress: RunProgress) -> str:
    if step.status == "skipped":
        return SKIPPED.get(step.name, NOTHING)
    what = {"succeeded": "done", "failed": "failed", "cancelled": "cancelled"}[step.status]
    counted = count_of(step.children, progress) if step.children else ""
    return f"{what}, {counted}," if counted else what


def took(step: Step) -> str:
    """How long a step took, or has taken; empty before it began."""
    if step.started is None:
        return ""
    ended = step.ended or datetime.now(step.started.tzinfo)
    return duration_text(max(0.0, (ended - step.started).total_seconds()))
