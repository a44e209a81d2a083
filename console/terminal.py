"""What people see: results on standard output, all else on standard error; colour only where a terminal wants it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from rich import box
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from millrace.text import duration_text

UNFOLDED = 10_000
"""A width that no table reaches."""


def _console(*, stderr: bool = False) -> Console:
    # Keys, words and messages are other people's text: never read as markup, emoji or something to colour.
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED  # a pipe has no width: what a program reads must not be folded
    return console


@dataclass(frozen=True)
class Terminal:
    """Where output goes.

    Attributes:
        out: Standard output: the result.
        notes: Standard error: what is being done, and what is wrong.
    """

    out: Console = field(default_factory=_console)
    notes: Console = field(default_factory=partial(_console, stderr=True))

    def note(self, text: str) -> None:
        """Say in one line what is being done."""
        self.notes.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say in one line what the user should look at."""
        self.notes.print(Text("warning: ", style="yellow").append(text, style="default"), soft_wrap=True)

    def print(self, text: str, style: str = "") -> None:
        """Print a line of the result."""
        self.out.print(Text(text, style=style), soft_wrap=True)

    def json(self, document: object) -> None:
        """Print a JSON document, and nothing else, on standard output."""
        self.out.file.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def table(
        self,
        columns: Iterable[str],
        rows: Iterable[Iterable[str | Text]],
        right: Iterable[str] = (),
        whole: Iterable[str] = (),
    ) -> None:
        """Print a table of the result.

        Args:
            columns: The columns' names.
            rows: The cells of each row: text, or text with a style.
            right: The columns whose cells stand at the right: numbers.
            whole: The columns that a narrow terminal folds last: what is copied from it.
        """
        made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        numbers, unfolded = set(right), set(whole)
        for column in columns:
            justify: JustifyMethod = "right" if column in numbers else "left"
            made.add_column(column, justify=justify, overflow="fold", no_wrap=column in unfolded)
        for row in rows:
            made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
        self.out.print(made)

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A bar that counts files, gone when it is done; nothing where there is no terminal.

        Yields:
            What to call with the number of files done and their whole number.
        """
        if not self.notes.is_terminal:
            yield _nothing
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), MofNCompleteColumn())
        with Progress(*columns, console=self.notes, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def timed() -> Iterator[Callable[[], str]]:
    """How long something took, for people: `1.4 s`."""
    started = time.monotonic()
    yield lambda: duration_text(time.monotonic() - started)


def _nothing(_done: int, _total: int) -> None:
    pass
