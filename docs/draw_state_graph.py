"""Draw statemachine/migration.asl.json as docs/state-graph.svg: `python docs/draw_state_graph.py [OUTPUT]`.

States stand in the order of the longest way from the start, side by side where a Choice parts them. A test holds the
committed picture and the state machine together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
DEFINITION = ROOT / "statemachine" / "migration.asl.json"
PICTURE = ROOT / "docs" / "state-graph.svg"

WIDTH, HEIGHT, ROW, COLUMN = 190, 44, 84, 230
STYLE = """
  .state { fill: #fff; stroke: #334155; stroke-width: 1.5 } .lambda { fill: #fef3c7 } .batch { fill: #dbeafe }
  .choice { fill: #f1f5f9 } .edge { fill: none; stroke: #64748b; stroke-width: 1.5 }
  text { font: 14px system-ui, sans-serif; fill: #0f172a; text-anchor: middle }
  .small { font-size: 11px; fill: #475569 } .page { fill: #fff }
"""


def ways(states: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """The states that may follow, each with what the way there is called (empty where there is only one)."""
    state = states[name]
    if state["Type"] != "Choice":
        return [(state["Next"], "")] if "Next" in state else []
    chosen = [(choice["Next"], str(choice["NumericEquals"])) for choice in state["Choices"]]
    return [*chosen, (state["Default"], "2 to 10,000" if name == "How Many Shards?" else "2 to 5,000")]


def rows_of(machine: dict[str, Any]) -> dict[str, int]:
    """Each state's row: the length of the longest way to it."""
    rows: dict[str, int] = {}

    def visit(name: str, row: int) -> None:
        if rows.get(name, -1) < row:
            rows[name] = row
            for following, _ in ways(machine["States"], name):
                visit(following, row + 1)

    visit(machine["StartAt"], 0)
    return rows


def draw(machine: dict[str, Any]) -> str:
    """The picture as SVG."""
    states, rows = machine["States"], rows_of(machine)
    levels = [[name for name in states if rows[name] == row] for row in range(max(rows.values()) + 1)]
    broadest = max(len(level) for level in levels)
    # One more column to the right, for the way that goes past a row.
    width, height = (broadest + 0.5) * COLUMN, len(levels) * ROW + 16
    place = {
        name: ((broadest * COLUMN - len(level) * COLUMN) / 2 + (column + 0.5) * COLUMN, row * ROW + 10 + HEIGHT / 2)
        for row, level in enumerate(levels)
        for column, name in enumerate(level)
    }
    edges, boxes = [], []
    for name in states:
        x, y = place[name]
        for following, called in ways(states, name):
            to_x, to_y = place[following]
            if rows[following] == rows[name] + 1:
                path = f"M{x:.0f},{y + HEIGHT / 2:.0f} L{to_x:.0f},{to_y - HEIGHT / 2 - 4:.0f}"
                label_x, label_y = (x + to_x) / 2 + (0 if x == to_x else 44 if to_x > x else -20), (y + to_y) / 2 + 1
            else:
                side = broadest * COLUMN + COLUMN / 5
                path = f"M{x + WIDTH / 2:.0f},{y:.0f} H{side:.0f} V{to_y:.0f} H{to_x + WIDTH / 2 + 4:.0f}"
                label_x, label_y = x + WIDTH / 2 + 14, y - 6
            edges.append(f'<path class="edge" marker-end="url(#arrow)" d="{path}"/>')
            if called:
                edges.append(f'<text class="small" x="{label_x:.0f}" y="{label_y:.0f}">{escape(called)}</text>')
        kind, caption = _kind(states[name])
        boxes.append(
            f'<rect class="state {kind}" x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="{HEIGHT / 2 if kind == "choice" else 6:.0f}"/>'
            f'<text x="{x:.0f}" y="{y - 2:.0f}">{escape(name)}</text>'
            f'<text class="small" x="{x:.0f}" y="{y + 14:.0f}">{caption}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="The states of one run"><style>{STYLE}</style><defs>'
        '<marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#64748b"/></marker></defs>'
        f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>\n' + "\n".join(edges + boxes) + "\n</svg>\n"
    )


def _kind(state: dict[str, Any]) -> tuple[str, str]:
    if state["Type"] == "Choice":
        return "choice", "choice"
    if "batch:submitJob" in state["Resource"]:
        return "batch", "Batch array job" if "ArrayProperties" in state["Parameters"] else "Batch job"
    return "lambda", "Lambda function"


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    output.write_text(draw(json.loads(DEFINITION.read_text())))
