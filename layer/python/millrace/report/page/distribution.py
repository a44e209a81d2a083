"""How long shards took, how large they were, and which took longest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from millrace.records.figures import RunFigures
from millrace.report.page.blocks import Axis, Block, Histogram, Paragraph, Section, Table
from millrace.text import bytes_text, duration_text, plural

BARS = 30
"""How many bars a histogram has."""

STRAGGLERS = 10
"""How many of the slowest shards are listed."""

STRAGGLES = 2.0
"""A shard that took so many times the median is called a straggler."""


def distribution(figures: RunFigures) -> Section:
    """How long shards took and how large they were, and the ones that took longest."""
    seconds = sorted(shard.seconds for shard in figures.shards)
    sizes = sorted(shard.bytes for shard in figures.shards)
    median = _quantile(seconds, 0.5)
    slowest = sorted(figures.shards, key=lambda shard: (-shard.seconds, shard.retry, shard.index))[:STRAGGLERS]
    stragglers = [shard for shard in slowest if shard.seconds > STRAGGLES * median]
    blocks: list[Block] = [
        _histogram("Durations of shards", seconds, duration_text, STRAGGLES * median if stragglers else None),
        _histogram("Sizes of shards, in bytes read", sizes, bytes_text),
    ]
    if stragglers:
        rows = [
            (
                shard.name,
                duration_text(shard.seconds),
                f"{shard.seconds / median:,.1f}" if median else "-",
                f"{shard.items:,}",
                bytes_text(shard.bytes),
                str(shard.attempt),
            )
            for shard in stragglers
        ]
        columns = ("Shard", "Took", "Times the median", "Items", "Bytes", "Attempt")
        caption = f"Stragglers: shards that took more than {STRAGGLES:g} times the median"
        blocks.append(Table(caption, columns, rows, numeric=range(6)))
    else:
        blocks.append(Paragraph(f"No shard took more than {STRAGGLES:g} times the median."))
    return Section("shards", "Shards", blocks)


def _histogram(
    label: str, values: Sequence[float], shown: Callable[[float], str], stands_out: float | None = None
) -> Histogram:
    least, most = values[0], values[-1]
    width = (most - least) / BARS or 1
    counts = [0] * BARS
    for value in values:
        counts[min(int((value - least) / width), BARS - 1)] += 1
    titles = [
        f"{shown(least + index * width)} to {shown(least + (index + 1) * width)}: {plural(count, 'shard')}"
        for index, count in enumerate(counts)
    ]
    said = f"half below {shown(_quantile(values, 0.5))}, 95 % below {shown(_quantile(values, 0.95))}"
    said += f"; the highest bar: {plural(max(counts), 'shard')}"
    # The longest one is a straggler where there is any: the last bar always stands out then.
    marked = None if stands_out is None else min(math.ceil((stands_out - least) / width), BARS - 1)
    said += "" if marked is None else f"; stragglers, over {shown(stands_out or 0)}, in another colour"
    return Histogram(label, counts, said, Axis(shown(least), shown(most)), titles, marked=marked)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
