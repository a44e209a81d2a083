"""Put measured tables, and plots of them, into docs/performance.md.

    python -m benchmarks.document FOLDER

FOLDER holds what the benchmarks kept with `--output`. A table stands between `<!-- table NAME -->` and `<!-- end -->`;
one that was not measured stays as it is. Plots go to docs/performance/NAME.svg.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib as mpl

from benchmarks.results import Table, read_table

DOCS = Path(__file__).parents[1] / "docs"

_PLACE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

_LIMITS = {"cat"}
"""What would make every other bar a stub."""


def main() -> None:
    """Write the page and the plots."""
    folder = Path(sys.argv[1])
    page = DOCS / "performance.md"
    text = page.read_text("utf-8")

    def replaced(place: re.Match[str]) -> str:
        table = read_table(folder, place[2])
        return f"{place[1]}{table.markdown()}{place[3]}" if table else place[0]

    page.write_text(_PLACE.sub(replaced, text), "utf-8")
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "millrace", "font.size": 9, "axes.spines.top": False})
    if table := read_table(folder, "word-count-peers"):
        _plot_peers(table)
    if table := read_table(folder, "cost-per-item"):
        _plot_cost(table)


def _plot_peers(table: Table) -> None:
    """MB per CPU second of each way, a group of bars a way."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - once the backend is chosen

    ways = [name for name in table.columns[2:] if name not in _LIMITS]
    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    height = 0.8 / len(table.rows)
    for number, row in enumerate(table.rows):
        cells = dict(zip(table.columns, row, strict=True))
        speeds = [float(cells[way].split("(")[1].split()[0]) for way in ways]
        places = [place + number * height for place in range(len(ways))]
        bars = axes.barh(places, speeds, height, label=f"{cells['text']}, {cells['MB']} MB")
        axes.bar_label(bars, padding=2, fontsize=7)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(ways))], ways)
    axes.invert_yaxis()
    axes.set_xlabel("MB per CPU second, one core")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, "word-count-peers")


def _plot_cost(table: Table) -> None:
    """CPU time of an item in each job, by the number of items."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    figure, axes = plt.subplots(figsize=(6, 3.2))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    items = [int(row["items"].replace(",", "")) for row in rows]
    for job in ("plan", "migrate", "merge"):
        axes.plot(items, [float(row[f"{job}, µs an item"]) for row in rows], marker="o", label=job)
    axes.set(xscale="log", yscale="log", xlabel="items", ylabel="µs of CPU an item")
    axes.legend(frameon=False)
    _save(figure, "cost-per-item")


def _save(figure: mpl.figure.Figure, name: str) -> None:
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
