"""HTML that is safe by construction: text is escaped where it goes in, and `Html` is what has been through that."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from millrace.readable import visible

Html = NewType("Html", str)
"""HTML that may stand in the page as it is."""

NUMERIC = "number"
"""The class of a column of numbers."""


def text(value: object, limit: int | None = None) -> Html:
    """Any text as HTML: markup escaped, and what cannot be seen, or turns the reading direction, as an escape."""
    return Html(html.escape(visible(str(value), limit)))


def name(value: object, limit: int | None = None) -> Html:
    """A key or another name of somebody else's: set apart, so that its own reading direction ends with it."""
    return Html(f"<bdi>{text(value, limit)}</bdi>")


def joined(parts: Iterable[Html], between: str = "\n") -> Html:
    """Parts behind each other."""
    return Html(between.join(parts))


def section(anchor: str, title: str, *parts: Html) -> Html:
    """A part of the page with its heading.

    Args:
        anchor: The part's id.
        title: The heading.
        parts: What follows it.
    """
    return Html(
        f'<section id="{text(anchor)}" aria-labelledby="{text(anchor)}-title">\n'
        f'<h2 id="{text(anchor)}-title">{text(title)}</h2>\n{joined(parts)}\n</section>'
    )


def paragraph(*parts: Html) -> Html:
    """A paragraph."""
    return Html(f"<p>{joined(parts, ' ')}</p>")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Html]], numeric: Iterable[int] = ()) -> Html:
    """A table that scrolls by itself where it is wider than the screen, by keyboard too.

    Args:
        caption: What it is.
        columns: The headings; the first column's cells name their rows.
        rows: The cells.
        numeric: Which columns hold numbers, from 0.
    """
    numbers = set(numeric)

    def cell(index: int, content: Html) -> str:
        kind = f' class="{NUMERIC}"' if index in numbers else ""
        return f'<th scope="row"{kind}>{content}</th>' if index == 0 else f"<td{kind}>{content}</td>"

    def heading(index: int, column: str) -> str:
        kind = f' class="{NUMERIC}"' if index in numbers else ""
        return f'<th scope="col"{kind}>{text(column)}</th>'

    head = "".join(heading(index, column) for index, column in enumerate(columns))
    body = "\n".join(f"<tr>{''.join(cell(index, content) for index, content in enumerate(row))}</tr>" for row in rows)
    return Html(
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0">\n<table>\n'
        f"<caption>{text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def fact_list(facts: Sequence[tuple[str, Html]]) -> Html:
    """Names and values, side by side where there is room."""
    boxes = joined((Html(f"<div><dt>{text(title)}</dt><dd>{value}</dd></div>") for title, value in facts), "")
    return Html(f'<dl class="facts">{boxes}</dl>')


def details(summary: Html, *parts: Html, opened: bool = False) -> Html:
    """A part that opens on demand, without a script."""
    return Html(f"<details{' open' if opened else ''}><summary>{summary}</summary>\n{joined(parts)}\n</details>")
