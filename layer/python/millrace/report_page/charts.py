"""Charts as inline SVG. Their labels are HTML, so that they stay readable where the chart gets narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millrace.report_page.markup import Html, text

WIDTH, HEIGHT = 1000, 200
"""The units of an area or a histogram; the page stretches them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands under a chart: its left end, its right end."""

    left: str
    right: str


def area(label: str, values: Sequence[float], top: str, axis: Axis) -> Html:
    """A line over time with the space below it filled.

    Args:
        label: What it shows, in a sentence: what a screen reader says.
        values: Heights at even distances, the first at the left end.
        top: What the highest value is, for people.
        axis: The two ends.
    """
    highest = max(values, default=0) or 1
    step = WIDTH / max(len(values) - 1, 1)
    points = [
        f"{_number(index * step)},{_number(HEIGHT - value / highest * HEIGHT)}" for index, value in enumerate(values)
    ]
    line = " ".join(points)
    shape = (
        f'<polygon class="area" points="0,{HEIGHT} {line} {WIDTH},{HEIGHT}"/><polyline class="line" points="{line}"/>'
    )
    return _figure(label, shape, top, axis)


def histogram(
    label: str, counts: Sequence[int], top: str, axis: Axis, titles: Sequence[str], *, marked: int | None = None
) -> Html:
    """Bars side by side: how many there are from each value to the next.

    Args:
        label: What it shows, in a sentence.
        counts: The height of each bar.
        top: What the highest bar is, for people.
        axis: The least and the greatest value.
        titles: What each bar is, shown when it is pointed at.
        marked: The first of the bars that stand out, to the right end; None for none.
    """
    highest = max(counts, default=0) or 1
    step = WIDTH / max(len(counts), 1)
    bars = []
    for index, (count, title) in enumerate(zip(counts, titles, strict=True)):
        if not count:
            continue
        # A single straggler must be seen beside thousands.
        height = max(count / highest * HEIGHT, 4)
        kind = "bar" if marked is None or index < marked else "again"
        bars.append(
            f'<rect class="{kind}" x="{_number(index * step + step * 0.05)}" y="{_number(HEIGHT - height)}" '
            f'width="{_number(step * 0.9)}" height="{_number(height)}"><title>{text(title)}</title></rect>'
        )
    return _figure(label, "".join(bars), top, axis)


def bar_list(caption: str, rows: Sequence[tuple[Html, float, str]], unit: str, kind: str = "bar") -> Html:
    """A table with a bar in each row, the longest as long as there is room.

    Args:
        caption: What it is.
        rows: The name of each row, its value, and the value as people read it.
        unit: The heading of the values.
        kind: What the bars are: "failed" is red.
    """
    highest = max((value for _, value, _ in rows), default=0) or 1
    lines = "\n".join(
        f'<tr><th scope="row">{label}</th><td class="barcell">{span(0, value / highest * 100, kind)}</td>'
        f'<td class="number">{text(shown)}</td></tr>'
        for label, value, shown in rows
    )
    return Html(
        f'<table class="bars">\n<caption>{text(caption)}</caption>\n<thead class="unseen"><tr><th scope="col">Name</th>'
        f'<th scope="col">Bar</th><th scope="col">{text(unit)}</th></tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>'
    )


def span(start: float, length: float, kind: str = "bar") -> Html:
    """A bar in a strip; both in percent of the strip. What it shows stands beside it as text."""
    return Html(
        f'<svg class="strip" aria-hidden="true"><rect class="{text(kind)}" x="{_number(start)}%" y="0" '
        f'width="{_number(max(length, 0.3))}%" height="100%"/></svg>'
    )


def _figure(label: str, shape: str, top: str, axis: Axis) -> Html:
    return Html(
        f'<figure><figcaption>{text(label)}</figcaption><div class="top">{text(top)}</div>'
        f'<svg class="plot" role="img" aria-label="{text(label)}: {text(top)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none">{shape}</svg>'
        f'<div class="axis"><span>{text(axis.left)}</span><span>{text(axis.right)}</span></div></figure>'
    )


def _number(value: float) -> str:
    """A number as short as it can be: the same bytes everywhere."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
