"""When which shard was worked, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from millrace.records.figures import RunFigures, ShardFigure
from millrace.report.page.blocks import Area, Axis, Bands, Block, Details, Legend, Paragraph, Section, Strip, Table
from millrace.text import bytes_text, duration_text, plural

TIMES = 120
"""How many points a line over time has."""

SHOWN_SHARDS = 100
"""How many shards the timeline shows; of more, those that took longest."""


SHOWN_CHILDREN = 100
"""How many children the timeline shows."""

NARROW = 1.5
"""Shards of a child that together take less than so many percent of the picture's width are one bar in it."""


def timeline(figures: RunFigures) -> Section:
    """Who worked when: shards at work over time, then a strip per shard."""
    shards = figures.shards
    begin, length = figures.started, figures.finished - figures.started
    shown = sorted(
        sorted(shards, key=lambda shard: (-shard.seconds, shard.retry, shard.index))[:SHOWN_SHARDS], key=_by_start
    )
    again = sum(shard.attempt > 1 for shard in shards)
    said = [f"{plural(len(shards), 'shard')} in {duration_text(length)}"]
    said += [f"{plural(again, 'shard')} committed by a later attempt of a child"] if again else []
    title = (
        "Every shard" if len(shown) == len(shards) else f"The {len(shown)} shards of {len(shards):,} that took longest"
    )
    axis = Axis(_clock(begin), _clock(figures.finished))
    at_work = _over_time(shards, begin, length, lambda _shard: 1.0)
    rows = [
        (
            shard.name,
            _strip(shard, begin, length),
            duration_text(shard.started - begin),
            duration_text(shard.seconds),
            f"{shard.items:,}",
            f"{shard.failed:,}",
            str(shard.attempt),
        )
        for shard in shown
    ]
    columns = ("Shard", "When", "Started after", "Took", "Items", "Failed", "Attempt")
    table = Table(f"{title}, in the order of their starts", columns, rows, numeric=(0, 2, 3, 4, 5, 6))
    return Section(
        "timeline",
        "Timeline",
        [
            Paragraph(", ".join(said) + "."),
            Area("Shards at work at the same time", at_work, f"at most {max(at_work):.0f}", axis),
            Details(
                f"{title}: from {_clock(begin)} to {_clock(figures.finished)}",
                [*_legend(shown), table],
                opened=len(shown) <= 30,
            ),
            *_children(figures),
            *_jobs(figures),
        ],
    )


def throughput(figures: RunFigures) -> Section:
    """Items and bytes per second over time, each shard's spread evenly over the time it took."""
    begin, length = figures.started, figures.finished - figures.started
    axis = Axis(_clock(begin), _clock(figures.finished))
    items = _over_time(figures.shards, begin, length, lambda shard: shard.items / max(shard.seconds, 0.001))
    read = _over_time(figures.shards, begin, length, lambda shard: shard.bytes / max(shard.seconds, 0.001))
    return Section(
        "throughput",
        "Throughput",
        [
            Area("Items per second", items, f"at most {max(items):,.0f} a second", axis),
            Area("Bytes per second", read, f"at most {bytes_text(max(read))} a second", axis),
        ],
    )


def kept_shards(figures: RunFigures) -> str:
    """What was not worked again when the run was resumed, in words; empty where one job worked all shards.

    Of a run whose failed items were retried too: there the last job works what failed before, not what is missing.
    """
    by_job = _by_job(figures)
    if len(by_job) < 2 or any(shard.retry for shard in figures.shards):
        return ""
    last = max(by_job, key=lambda job: max(shard.finished for shard in by_job[job]))
    kept = [shard for job, shards in by_job.items() if job != last for shard in shards]
    items = plural(sum(shard.items for shard in kept), "item")
    return (
        f"Resumed: {len(kept):,} of {plural(len(figures.shards), 'shard')} with {items} "
        "had been worked by an earlier job and were not worked again."
    )


def _by_job(figures: RunFigures) -> dict[str, list[ShardFigure]]:
    by_job: dict[str, list[ShardFigure]] = {}
    for shard in sorted(figures.shards, key=_by_start):
        by_job.setdefault(shard.job, []).append(shard)
    return by_job


def _jobs(figures: RunFigures) -> list[Block]:
    """Which jobs worked the shards, where there are several."""
    by_job = _by_job(figures)
    if len(by_job) < 2:
        return []
    rows = [
        (
            job or "-",
            f"{len(shards):,}",
            f"{sum(shard.items for shard in shards):,}",
            _clock(min(shard.started for shard in shards)),
            _clock(max(shard.finished for shard in shards)),
        )
        for job, shards in by_job.items()
    ]
    columns = ("Job", "Shards", "Items", "From", "To")
    return [Table("Who worked the shards", columns, rows, numeric=(1, 2))]


def _children(figures: RunFigures) -> list[Block]:
    """What each child worked when, where there is an array; shards that touch in the picture are one bar."""
    by_child: dict[tuple[str, int], list[ShardFigure]] = {}
    for shard in sorted(figures.shards, key=_by_start):
        if shard.child is not None:
            by_child.setdefault((shard.job, shard.child), []).append(shard)
    if not by_child:
        return []
    begin, length = figures.started, figures.finished - figures.started
    shown = list(by_child.items())[:SHOWN_CHILDREN]
    rows = [
        (
            str(child),
            Bands(_bands(shards, begin, length)),
            f"{len(shards):,}",
            f"{sum(shard.items for shard in shards):,}",
            f"{sum(shard.failed for shard in shards):,}",
            duration_text(sum(shard.seconds for shard in shards)),
        )
        for (_, child), shards in shown
    ]
    of = "Every child" if len(shown) == len(by_child) else f"The first {len(shown)} of {len(by_child):,} children"
    columns = ("Child", "When", "Shards", "Items", "Failed", "At work")
    table = Table(f"{of}, in the order of their starts", columns, rows, numeric=(0, 2, 3, 4, 5))
    return [Details(f"{of}: who worked when", [table], opened=len(shown) <= 30)]


def _bands(shards: Sequence[ShardFigure], begin: float, length: float) -> list[Strip]:
    bars: list[Strip] = []
    for shard in shards:
        strip = _strip(shard, begin, length)
        end = strip.start + strip.length
        last = bars[-1] if bars else None
        if last is not None and last.style == strip.style and end - last.start < NARROW:
            bars[-1] = Strip(last.start, max(end, last.start + last.length) - last.start, last.style)
        else:
            bars.append(strip)
    return bars


def _by_start(shard: ShardFigure) -> tuple[float, int, int]:
    return shard.started, shard.retry, shard.index


def _strip(shard: ShardFigure, begin: float, length: float) -> Strip:
    scale = 100 / length if length > 0 else 0
    return Strip((shard.started - begin) * scale, shard.seconds * scale if scale else 100, _kind(shard))


def _legend(shards: Iterable[ShardFigure]) -> list[Block]:
    """What the strips' colours say, of those that are there."""
    kinds = {_kind(shard) for shard in shards}
    words = {"bar": "worked", "failed": "with failed items", "again": "by a later attempt"}
    return [Legend([(kind, words[kind]) for kind in words if kind in kinds])] if len(kinds) > 1 else []


def _kind(shard: ShardFigure) -> str:
    return "failed" if shard.failed else "again" if shard.attempt > 1 else "bar"


def _over_time(
    shards: Sequence[ShardFigure], begin: float, length: float, rate: Callable[[ShardFigure], float]
) -> list[float]:
    """What the shards at work add up to at even times: changes are noted where shards start and end, then added up."""
    changes = [0.0] * (TIMES + 1)
    scale = TIMES / length if length > 0 else 0
    for shard in shards:
        first = min(int((shard.started - begin) * scale), TIMES - 1)
        # A shard shorter than a step counts in its step, with the part of it that it takes.
        last = min(max(int((shard.finished - begin) * scale), first + 1), TIMES)
        share = min(shard.seconds * scale / (last - first), 1.0) if scale else 1.0
        changes[first] += rate(shard) * share
        changes[last] -= rate(shard) * share
    total, values = 0.0, []
    for change in changes[:TIMES]:
        total += change
        values.append(max(round(total, 6), 0.0))
    return values


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
