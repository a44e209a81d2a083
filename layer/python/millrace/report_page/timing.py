"""When which shard was worked, how fast, and which took longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from millrace.readable import bytes_text, duration_text, plural
from millrace.report_page.charts import Axis, area, histogram, span
from millrace.report_page.figures import RunFigures, ShardFigure
from millrace.report_page.markup import Html, details, paragraph, section, table, text

TIMES = 120
"""How many points a line over time has."""

BARS = 30
"""How many bars a histogram has."""

SHOWN_SHARDS = 100
"""How many shards the timeline shows; of more, those that took longest."""

STRAGGLERS = 10
"""How many of the slowest shards are listed."""

STRAGGLES = 2.0
"""A shard that took so many times the median is called a straggler."""


def timeline(figures: RunFigures) -> Html:
    """Who worked when: shards at work over time, then a strip per shard."""
    shards = figures.shards
    begin, length = figures.started, figures.finished - figures.started
    shown = sorted(
        sorted(shards, key=lambda shard: (-shard.seconds, shard.retry, shard.index))[:SHOWN_SHARDS], key=_by_start
    )
    again = sum(shard.attempt > 1 for shard in shards)
    said = [f"{plural(len(shards), 'shard')} in {duration_text(length)}"]
    said += [f"{plural(again, 'shard')} needed more than one attempt"] if again else []
    title = (
        "Every shard" if len(shown) == len(shards) else f"The {len(shown)} shards of {len(shards):,} that took longest"
    )
    axis = Axis(_clock(begin), _clock(figures.finished))
    at_work = _over_time(shards, begin, length, lambda _shard: 1.0)
    rows = [
        (
            text(shard.name),
            _strip(shard, begin, length),
            text(duration_text(shard.started - begin)),
            text(duration_text(shard.seconds)),
            text(f"{shard.items:,}"),
            text(f"{shard.failed:,}"),
            text(shard.attempt),
        )
        for shard in shown
    ]
    columns = ("Shard", "When", "Started after", "Took", "Items", "Failed", "Attempt")
    return section(
        "timeline",
        "Timeline",
        paragraph(text(", ".join(said) + ".")),
        area("Shards at work at the same time", at_work, f"at most {max(at_work):.0f}", axis),
        details(
            text(f"{title}: from {_clock(begin)} to {_clock(figures.finished)}"),
            table(f"{title}, in the order of their starts", columns, rows, numeric=(0, 2, 3, 4, 5, 6)),
            opened=len(shown) <= 30,
        ),
        *_jobs(figures),
    )


def throughput(figures: RunFigures) -> Html:
    """Items and bytes per second over time, each shard's spread evenly over the time it took."""
    begin, length = figures.started, figures.finished - figures.started
    axis = Axis(_clock(begin), _clock(figures.finished))
    items = _over_time(figures.shards, begin, length, lambda shard: shard.items / max(shard.seconds, 0.001))
    read = _over_time(figures.shards, begin, length, lambda shard: shard.bytes / max(shard.seconds, 0.001))
    return section(
        "throughput",
        "Throughput",
        area("Items per second", items, f"at most {max(items):,.0f} a second", axis),
        area("Bytes per second", read, f"at most {bytes_text(max(read))} a second", axis),
    )


def distribution(figures: RunFigures) -> Html:
    """How long shards took and how large they were, and the ones that took longest."""
    seconds = sorted(shard.seconds for shard in figures.shards)
    sizes = sorted(shard.bytes for shard in figures.shards)
    median = _quantile(seconds, 0.5)
    slowest = sorted(figures.shards, key=lambda shard: (-shard.seconds, shard.retry, shard.index))[:STRAGGLERS]
    stragglers = [shard for shard in slowest if shard.seconds > STRAGGLES * median]
    parts = [
        _histogram("Durations of shards", seconds, duration_text),
        _histogram("Sizes of shards, in bytes read", sizes, bytes_text),
    ]
    if stragglers:
        rows = [
            (
                text(shard.name),
                text(duration_text(shard.seconds)),
                text(f"{shard.seconds / median:,.1f} times" if median else "-"),
                text(f"{shard.items:,}"),
                text(bytes_text(shard.bytes)),
                text(shard.attempt),
            )
            for shard in stragglers
        ]
        columns = ("Shard", "Took", "The median", "Items", "Bytes", "Attempt")
        caption = f"Stragglers: shards that took more than {STRAGGLES:g} times the median"
        parts.append(table(caption, columns, rows, numeric=range(6)))
    else:
        parts.append(paragraph(text(f"No shard took more than {STRAGGLES:g} times the median.")))
    return section("shards", "Shards", *parts)


def _jobs(figures: RunFigures) -> list[Html]:
    """Which jobs worked the shards: where there are several, the run was gone on with, and the earlier shards kept."""
    by_job: dict[str, list[ShardFigure]] = {}
    for shard in sorted(figures.shards, key=_by_start):
        by_job.setdefault(shard.job, []).append(shard)
    if len(by_job) < 2:
        return []
    last = max(by_job, key=lambda job: max(shard.finished for shard in by_job[job]))
    last_retry = max(shard.retry for shard in figures.shards)
    kept = [shard for job, shards in by_job.items() if job != last for shard in shards]
    items = plural(sum(shard.items for shard in kept), "item")
    said = (
        f"The run was gone on with: {plural(len(kept), 'shard')} with {items} "
        "had been worked by an earlier job and were not worked again."
    )
    rows = [
        (
            text(job or "-"),
            text(f"{len(shards):,}"),
            text(f"{sum(shard.items for shard in shards):,}"),
            text(_clock(min(shard.started for shard in shards))),
            text(_clock(max(shard.finished for shard in shards))),
        )
        for job, shards in by_job.items()
    ]
    columns = ("Job", "Shards", "Items", "From", "To")
    table_of_jobs = table("Who worked the shards", columns, rows, numeric=(1, 2))
    # Of a retry the overview tells: there the last job works what failed before, not what is missing.
    return [table_of_jobs] if last_retry else [paragraph(text(said)), table_of_jobs]


def _by_start(shard: ShardFigure) -> tuple[float, int, int]:
    return shard.started, shard.retry, shard.index


def _strip(shard: ShardFigure, begin: float, length: float) -> Html:
    scale = 100 / length if length > 0 else 0
    kind = "failed" if shard.failed else "again" if shard.attempt > 1 else "bar"
    return span((shard.started - begin) * scale, shard.seconds * scale if scale else 100, kind)


def _over_time(
    shards: Sequence[ShardFigure], begin: float, length: float, rate: Callable[[ShardFigure], float]
) -> list[float]:
    """What the shards at work add up to at even times: changes are noted where shards start and end, then added up."""
    changes = [0.0] * (TIMES + 1)
    scale = TIMES / length if length > 0 else 0
    for shard in shards:
        first = min(int((shard.started - begin) * scale), TIMES - 1)
        # A shard shorter than a step counts in the step it lies in, with the part of it that it takes.
        last = min(max(int((shard.finished - begin) * scale), first + 1), TIMES)
        share = min(shard.seconds * scale / (last - first), 1.0) if scale else 1.0
        changes[first] += rate(shard) * share
        changes[last] -= rate(shard) * share
    total, values = 0.0, []
    for change in changes[:TIMES]:
        total += change
        values.append(max(round(total, 6), 0.0))
    return values


def _histogram(label: str, values: Sequence[float], shown: Callable[[float], str]) -> Html:
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
    return histogram(label, counts, f"{said}; the highest bar: {plural(max(counts), 'shard')}",
                     Axis(shown(least), shown(most)), titles)  # fmt: skip


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
