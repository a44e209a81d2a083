"""A state machine drawn as SVG, from its definition: the one picture for the docs and for `millrace ui`.

States stand in the order of the longest way from the start, side by side where a Choice parts them. A way that leads
past a row has a lane beside the rows; ways to the same state share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

WIDTH, HEIGHT, ROW, COLUMN, LANE = 190, 44, 84, 230, 18

STYLE = """
  .state rect { fill: #fff; stroke: #334155; stroke-width: 1.5 } .lambda rect { fill: #fef3c7 }
  .batch rect { fill: #dbeafe } .choice rect { fill: #f1f5f9 } .edge { fill: none; stroke: #64748b; stroke-width: 1.5 }
  .arrow { fill: #64748b } text { font: 14px system-ui, sans-serif; fill: #0f172a; text-anchor: middle }
  .small { font-size: 11px; fill: #475569 } .aside { text-anchor: start } .page { fill: #fff }
"""
"""How it looks by itself, on white."""


def draw(machine: Mapping[str, Any], statuses: Mapping[str, str] | None = None, *, style: str = STYLE) -> str:
    """The picture.

    Args:
        machine: The definition, of Task, Choice, Pass, Wait and the ends.
        statuses: What stands below a state instead of its kind, and becomes a class of it: "running", "succeeded".
        style: The picture's own style sheet; empty where it stands in a page that has one.
    """
    states, rows = machine["States"], _rows(machine)
    levels = [[name for name in states if rows.get(name) == row] for row in range(max(rows.values()) + 1)]
    broadest = max(map(len, levels))
    ways = [(name, following, label) for level in levels for name in level for following, label in _ways(states[name])]
    past = [(name, to) for name, to, _ in ways if rows[to] != rows[name] + 1]
    # What has a neighbour at its right goes past it at the left.
    left = list(dict.fromkeys(to for name, to in past if name != levels[rows[name]][-1]))
    right = list(dict.fromkeys(to for name, to in past if name == levels[rows[name]][-1]))
    begin = len(left) * LANE
    place = {
        name: (begin + (broadest - len(level)) * COLUMN / 2 + (column + 0.5) * COLUMN, row * ROW + 10 + HEIGHT / 2)
        for row, level in enumerate(levels)
        for column, name in enumerate(level)
    }
    edges = []
    for name, to, label in ways:
        lane = None
        if (name, to) in past:
            at_right = name == levels[rows[name]][-1]
            lane = begin + broadest * COLUMN + right.index(to) * LANE if at_right else left.index(to) * LANE + LANE / 2
        # Past a neighbour at its left it goes below.
        below = lane is not None and lane < begin and name != levels[rows[name]][0]
        edges.append(_edge(place[name], place[to], label, lane, below=below))
    boxes = [_box(name, states[name], place[name], (statuses or {}).get(name, "")) for name in place]
    width, height = begin + broadest * COLUMN + len(right) * LANE, len(levels) * ROW - ROW + HEIGHT + 20
    own = f"<style>{style}</style>" if style else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="{escape(_in_words(place, statuses))}">{own}<defs>'
        '<marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="arrow" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
        f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>\n' + "\n".join(edges + boxes) + "\n</svg>\n"
    )


def _ways(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The states that may follow, each with what the way there is called: empty where there is only one."""
    if state["Type"] != "Choice":
        caught = [(catch["Next"], "handed back") for catch in state.get("Catch", ())]
        return [*([(state["Next"], "")] if "Next" in state else []), *caught]
    chosen = [
        (choice["Next"], "yes" if choice.get("BooleanEquals") else _compared(choice)) for choice in state["Choices"]
    ]
    other = "no" if any("BooleanEquals" in choice for choice in state["Choices"]) else "more"
    return [*chosen, (state["Default"], other)] if "Default" in state else chosen


def _compared(choice: Mapping[str, Any]) -> str:
    """The number or the word that a choice is for."""
    return str(choice.get("NumericEquals", choice.get("StringEquals", "")))


def _rows(machine: Mapping[str, Any]) -> dict[str, int]:
    """Each state's row: the length of the longest way to it, without going in a circle."""
    rows: dict[str, int] = {}

    def visit(name: str, row: int, way: tuple[str, ...]) -> None:
        if name not in way and rows.get(name, -1) < row:
            rows[name] = row
            for following, _ in _ways(machine["States"][name]):
                visit(following, row + 1, (*way, name))

    visit(machine["StartAt"], 0, ())
    return rows


def _edge(start: tuple[float, float], end: tuple[float, float], label: str, lane: float | None, *, below: bool) -> str:
    (x, y), (to_x, to_y) = start, end
    if lane is None:
        path = f"M{x:.0f},{y + HEIGHT / 2:.0f} L{to_x:.0f},{to_y - HEIGHT / 2 - 4:.0f}"
        at, anchor = ((x + to_x) / 2 + (10 if to_x == x else 24 if to_x > x else -16), (y + to_y) / 2 + 1), to_x >= x
    else:
        side = 1 if lane > x else -1
        out = f"M{x - WIDTH / 4:.0f},{y + HEIGHT / 2:.0f} v12" if below else f"M{x + side * WIDTH / 2:.0f},{y:.0f}"
        path = f"{out} H{lane:.0f} V{to_y:.0f} H{to_x + side * (WIDTH / 2 + 4):.0f}"
        at, anchor = (x + side * (WIDTH / 2 + 8), y - 6), side > 0
    line = f'<path class="edge" marker-end="url(#arrow)" d="{path}"/>'
    if not label:
        return line
    kind = "small aside" if anchor else "small"
    return f'{line}<text class="{kind}" x="{at[0]:.0f}" y="{at[1]:.0f}">{escape(label)}</text>'


def _box(name: str, state: Mapping[str, Any], middle: tuple[float, float], status: str) -> str:
    (x, y), (kind, caption) = middle, _kind(state)
    return (
        f'<g class="{" ".join(filter(None, ("state", kind, escape(status))))}"><rect x="{x - WIDTH / 2:.0f}" '
        f'y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="{HEIGHT / 2 if kind == "choice" else 6:.0f}"/>'
        f'<text x="{x:.0f}" y="{y - 2:.0f}">{escape(name)}</text>'
        f'<text class="small" x="{x:.0f}" y="{y + 14:.0f}">{escape(status or caption)}</text></g>'
    )


def _kind(state: Mapping[str, Any]) -> tuple[str, str]:
    if state["Type"] != "Task":
        return state["Type"].lower(), state["Type"].lower()
    if "batch:submitJob" in state["Resource"]:
        return "batch", "Batch array job" if "ArrayProperties" in state["Parameters"] else "Batch job"
    return "lambda", "Lambda function"


def _in_words(names: Mapping[str, object], statuses: Mapping[str, str] | None) -> str:
    if statuses is None:
        return f"The states of one run: {', '.join(names)}"
    return ", ".join(f"{name}: {statuses.get(name, 'waiting')}" for name in names)
