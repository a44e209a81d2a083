"""What a page is made of: text, tables, bars and charts, as plain values. How they look is in `templates/`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

WIDTH, HEIGHT = 1000, 200
"""The units of an area or a histogram; the page stretches them."""


@dataclass(frozen=True, slots=True)
class Name:
    """A key or another foreign name: set apart, so that its own reading direction ends with it.

    Attributes:
        value: The name as it is.
        limit: How many characters of it are shown; None for all.
    """

    value: object
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """A bar in a strip; both in percent of the strip. What it shows stands beside it as text."""

    start: float
    length: float
    style: str = "bar"


@dataclass(frozen=True, slots=True)
class Bands:
    """Several bars in one strip, in order."""

    bars: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Link:
    """A relative link, its path encoded, and what is to be read."""

    to: str
    name: Name


Cell = str | Name | Strip | Bands | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of one text."""

    kind: ClassVar[str] = "paragraph"
    content: str | Name


@dataclass(frozen=True, slots=True)
class Links:
    """Files that are beside the page: relative links, which work wherever the folder is."""

    kind: ClassVar[str] = "links"
    label: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, side by side where there is room."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[tuple[str, str | Name]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that scrolls by itself where it is wider than the screen, by keyboard too.

    Attributes:
        caption: What it is.
        columns: The headings; the first column's cells name their rows.
        rows: The cells.
        numeric: Which columns hold numbers, from 0.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: Iterable[int] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """A table with a bar in each row, the longest as long as there is room.

    Attributes:
        caption: What it is.
        rows: The name of each row, its value, and the value as people read it.
        unit: The heading of the values.
        style: What the bars are: "failed" is red.
    """

    kind: ClassVar[str] = "bars"
    caption: str
    rows: Sequence[tuple[str | Name, float, str]]
    unit: str
    style: str = "bar"

    @property
    def strips(self) -> list[tuple[str | Name, Strip, str]]:
        """The rows with their bars."""
        highest = max((value for _, value, _ in self.rows), default=0) or 1
        return [(label, Strip(0, value / highest * 100, self.style), shown) for label, value, shown in self.rows]


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands under a chart: its left end, its right end."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Area:
    """A line over time with the space below it filled.

    Attributes:
        label: What it shows, in a sentence: what a screen reader says.
        values: Heights at even distances, the first at the left end.
        top: What the highest value is, for people.
        axis: The two ends.
    """

    kind: ClassVar[str] = "area"
    label: str
    values: Sequence[float]
    top: str
    axis: Axis

    @property
    def points(self) -> str:
        """The line, as SVG's `points`."""
        highest = max(self.values, default=0) or 1
        step = WIDTH / max(len(self.values) - 1, 1)
        heights = (HEIGHT - value / highest * HEIGHT for value in self.values)
        return " ".join(f"{number(index * step)},{number(height)}" for index, height in enumerate(heights))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars side by side: how many there are from each value to the next.

    Attributes:
        label: What it shows, in a sentence.
        counts: The height of each bar.
        top: What the highest bar is, for people.
        axis: The least and the greatest value.
        titles: What each bar is, shown when it is pointed at.
        marked: The first of the bars that stand out, to the right end; None for none.
    """

    kind: ClassVar[str] = "histogram"
    label: str
    counts: Sequence[int]
    top: str
    axis: Axis
    titles: Sequence[str]
    marked: int | None = None

    @property
    def bars(self) -> list[tuple[str, float, float, float, float, str]]:
        """Style, x, y, width, height and title of each bar that is there."""
        highest = max(self.counts, default=0) or 1
        step = WIDTH / max(len(self.counts), 1)
        bars = []
        for index, (count, title) in enumerate(zip(self.counts, self.titles, strict=True)):
            if count:
                # A single straggler must be seen beside thousands.
                height = max(count / highest * HEIGHT, 4)
                style = "bar" if self.marked is None or index < self.marked else "again"
                bars.append((style, index * step + step * 0.05, HEIGHT - height, step * 0.9, height, title))
        return bars


@dataclass(frozen=True, slots=True)
class Legend:
    """What colours say: the style of each, and its words."""

    kind: ClassVar[str] = "legend"
    colours: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Small pictures: the name of each, and its `data:` URI, which must have been checked."""

    kind: ClassVar[str] = "pictures"
    pictures: Sequence[tuple[Name, str]]


@dataclass(frozen=True, slots=True)
class Details:
    """A part that opens on demand, without a script."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Searched:
    """A table with a field above it that leaves the rows in which all its words stand: by the page's one script."""

    kind: ClassVar[str] = "searched"
    table: Table


Block = Searched | Paragraph | Links | Facts | Table | Bars | Area | Histogram | Legend | Pictures | Details


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with its heading.

    Attributes:
        anchor: The part's id.
        title: The heading.
        blocks: What follows it.
    """

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def number(value: float) -> str:
    """A number as short as it can be: the same bytes everywhere."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
