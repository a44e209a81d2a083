"""Put measured tables, and plots of them, into docs.

    python -m benchmarks.document FOLDER

FOLDER holds what the benchmarks kept with `--output`. On any page in docs, a table stands between
`<!-- table NAME -->` and `<!-- end -->`; one that was not measured stays as it is. The table `goals` is made of all
the others, and stays where none of them has a goal. Plots go to docs/performance/NAME.svg.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from benchmarks.results import Table, read_table

DOCS = Path(__file__).parents[1] / "docs"

_PLACE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

SCALE = {"CPU, s": "CPU s", "peak memory, MB": "peak memory MB"}
"""What is plotted of jobs that grow."""

_LIMITS = {"cat"}
"""What would make every other bar a stub."""


def main() -> None:
    """Write the pages and the plots."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.document", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder

    def replaced(place: re.Match[str]) -> str:
        table = _goals(folder) if place[2] == "goals" else read_table(folder, place[2])
        return f"{place[1]}{table.markdown()}{place[3]}" if table and table.rows else place[0]

    for page in DOCS.rglob("*.md"):
        text = page.read_text("utf-8")
        written = _PLACE.sub(replaced, text)
        if written != text:
            page.write_text(written, "utf-8")
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "millrace", "font.size": 9, "axes.spines.top": False})
    if table := read_table(folder, "word-count-peers"):
        _plot_peers(table)
    if table := read_table(folder, "cost-per-item"):
        jobs = {job: f"{job}, µs an item" for job in ("plan", "migrate", "merge")}
        _plot_curves(table, "items", jobs, "µs of CPU an item", "cost-per-item")
    if table := read_table(folder, "planning"):
        _plot_curves(table, "objects", SCALE, "", "planning")
    if table := read_table(folder, "merging"):
        _plot_curves(table, "partials", SCALE, "", "merging")


def _goals(folder: Path) -> Table:
    table = Table("goals", ["what", "figure", "goal", ""])
    for kept in sorted(folder.glob("*.json")):
        part = read_table(folder, kept.stem)
        table.rows += part.goals if part else []
    return table


def _plot_peers(table: Table) -> None:
    """MB per CPU second of each way, a group of bars a way."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - once the backend is chosen

    rows = [row for row in table.rows if row[0] not in _LIMITS]
    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    height = 0.8 / len(table.columns[1:])
    for number, text in enumerate(table.columns[1:], 1):
        speeds = [float(row[number].split("(")[1].split()[0]) for row in rows]
        places = [place + (number - 1) * height for place in range(len(rows))]
        axes.bar_label(axes.barh(places, speeds, height, label=text), padding=2, fontsize=7)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(rows))], [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("MB per CPU second, one core")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, "word-count-peers")


def _plot_curves(table: Table, number: str, curves: Mapping[str, str], unit: str, name: str) -> None:
    """Columns of a table over one of its columns, both logarithmic.

    Args:
        table: It.
        number: The column to plot over.
        curves: Columns by what they are called in the plot.
        unit: What all of them measure.
        name: The plot's.
    """
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    figure, axes = plt.subplots(figsize=(6, 3.2))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    numbers = [float(row[number].replace(",", "")) for row in rows]
    for label, column in curves.items():
        axes.plot(numbers, [float(row[column].replace(",", "")) for row in rows], marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel=number, ylabel=unit)
    axes.legend(frameon=False)
    _save(figure, name)


def _save(figure: mpl.figure.Figure, name: str) -> None:
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
