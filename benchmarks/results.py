"""The tables that the benchmarks print, kept as files that docs/performance.md is made from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path


class Table:
    """A table of figures.

    Args:
        name: What its file is called.
        columns: Their headings.
    """

    def __init__(self, name: str, columns: list[str]) -> None:
        self.name = name
        self.columns = columns
        self.rows: list[list[str]] = []
        self.notes: list[str] = []
        self.goals: list[list[str]] = []

    def add(self, cells: Mapping[str, str]) -> None:
        """Add a row: a cell for each column."""
        self.rows.append([cells[column] for column in self.columns])

    def note(self, sentence: str) -> None:
        """Add a sentence to say below the table."""
        self.notes.append(sentence)

    def goal(
        self, what: str, figure: float, *, at_least: float | None = None, at_most: float | None = None, digits: int = 1
    ) -> None:
        """Hold a figure against what it should be; that is printed below the table."""
        wanted = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
        met = figure >= at_least if at_least is not None else at_most is not None and figure <= at_most
        self.goals.append([what, f"{figure:,.{digits}f}", wanted, "met" if met else "not met"])

    def markdown(self) -> str:
        """The table and what is said below it, its goals excepted."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
        return table + "".join(f"\n{note}\n" for note in self.notes)

    def show(self, folder: Path | None) -> None:
        """Print it; keep it in a folder, as JSON, where one is given."""
        goals = "".join(f"- {what}: {figure}; goal: {wanted}; {met}\n" for what, figure, wanted, met in self.goals)
        sys.stdout.write(f"{self.markdown()}\n{goals}\n")
        sys.stdout.flush()
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            kept = {"columns": self.columns, "rows": self.rows, "notes": self.notes, "goals": self.goals}
            (folder / f"{self.name}.json").write_text(json.dumps(kept, indent=1), "utf-8")


def read_table(folder: Path, name: str) -> Table | None:
    """A table that was kept; None where it was not measured."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text("utf-8"))
    table = Table(name, kept["columns"])
    table.rows, table.notes, table.goals = kept["rows"], kept["notes"], kept["goals"]
    return table


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Take `--output FOLDER`: where the table is kept."""
    parser.add_argument("--output", type=Path, help="a folder to keep the table in, for `benchmarks.document`")
