"""A run over time as SVG: a row per child with its shards, and how fast items and bytes went. Made from the commits.

Its size depends on the number of rows and of pixels, never on the number of shards: bars that touch are drawn as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

from millrace.records.commit import CommitHead
from millrace.text import bytes_text, duration_text

ROWS = 60
"""How many children are drawn; the table beside the picture counts the others."""

LABEL, WIDTH, ROW, BAR = 84, 900, 14, 10
BUCKETS = 60


@dataclass(frozen=True, slots=True)
class Claim:
    """A shard that a child is at, and has not committed."""

    shard: int
    job_id: str
    since: datetime
    attempt: int = 1


@dataclass(slots=True)
class Child:
    """What a child has done.

    Attributes:
        job_id: The job, or the child of an array.
        bars: When it worked which shard, and how: own, helped, again (an attempt before it was lost), working.
        items: The items of the shards that it committed.
        failed: Those of them that failed.
        shards: How many it committed.
    """

    job_id: str
    bars: list[tuple[datetime, datetime, str, int]] = field(default_factory=list)
    items: int = 0
    failed: int = 0
    shards: int = 0

    @property
    def name(self) -> str:
        """`child 3`, or `job` where there is no array."""
        return f"child {self.job_id.rpartition(':')[2]}" if ":" in self.job_id else "job"

    def count(self, kind: str) -> int:
        """How many shards it worked in this way."""
        return sum(each[2] == kind for each in self.bars)


def children_of(
    heads: Collection[CommitHead], claims: Iterable[Claim], sizes: Mapping[str, int], now: datetime
) -> list[Child]:
    """Who worked what, in the order in which they began.

    Args:
        heads: The commits that were read; those that an earlier run made are left out by the caller.
        claims: What is at work now.
        sizes: How many children each array job has: its child i is given every so-manieth shard of those left.
        now: Until when a shard at work has been worked.
    """
    own = _own_shards(heads, sizes)
    children: dict[str, Child] = {}
    for head in heads:
        child = children.setdefault(head.job_id, Child(head.job_id))
        mine = own.get(head.job_id)
        kind = "again" if head.attempt > 1 else "helped" if mine is not None and head.shard not in mine else "own"
        child.bars.append((head.started_at, head.finished_at, kind, head.shard))
        child.items += head.counts.items
        child.failed += head.counts.failed
        child.shards += 1
    for claim in claims:
        child = children.setdefault(claim.job_id, Child(claim.job_id))
        child.bars.append((claim.since, max(now, claim.since), "working", claim.shard))
    for child in children.values():
        child.bars.sort()
    return sorted(children.values(), key=lambda child: (child.bars[0][0], child.job_id))


def _own_shards(heads: Collection[CommitHead], sizes: Mapping[str, int]) -> dict[str, set[int]]:
    """The shards that each child was given: of those that were left when its array began, every n-th."""
    begun: dict[str, datetime] = {}
    for head in heads:
        array = head.job_id.partition(":")[0]
        begun[array] = min(head.started_at, begun.get(array, head.started_at))
    own: dict[str, set[int]] = {}
    for array, at in begun.items():
        size = sizes.get(array, 0)
        left = sorted(head.shard for head in heads if head.finished_at > at)
        # With shards that nobody has committed yet the places of the later ones are not known.
        if size and left and left == list(range(left[0], left[0] + len(left))):
            for child in range(size):
                own[f"{array}:{child}"] = set(left[child::size])
    return own


def timeline(children: Sequence[Child]) -> str:
    """The picture; empty where nothing was worked yet."""
    drawn = children[:ROWS]
    if not drawn:
        return ""
    begin = min(bar[0] for child in drawn for bar in child.bars)
    end = max(bar[1] for child in drawn for bar in child.bars)
    scale = WIDTH / max((end - begin).total_seconds(), 0.001)
    height = len(drawn) * ROW + 22
    words = escape(_in_words(children, begin, end))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" viewBox="0 0 {LABEL + WIDTH} {height}" role="img" '
    )
    parts = [f'{head}aria-label="{words}">']
    for row, child in enumerate(drawn):
        y = row * ROW
        parts.append(f'<text x="{LABEL - 6}" y="{y + BAR}" text-anchor="end">{escape(child.name)}</text>')
        for x, width, kind, said in _merged(child, begin, scale):
            parts.append(
                f'<rect class="{kind}" x="{LABEL + x:.1f}" y="{y + 2}" width="{width:.1f}" height="{BAR}">'
                f"<title>{escape(said)}</title></rect>"
            )
    y = len(drawn) * ROW
    parts.append(f'<path class="axis" d="M{LABEL},{y + 3} H{LABEL + WIDTH}"/>')
    parts.append(f'<text x="{LABEL}" y="{y + 17}">{begin.astimezone():%H:%M:%S}</text>')
    whole = duration_text((end - begin).total_seconds())
    parts.append(f'<text x="{LABEL + WIDTH}" y="{y + 17}" text-anchor="end">after {whole}</text></svg>')
    return "".join(parts)


def _merged(child: Child, begin: datetime, scale: float) -> Iterable[tuple[float, float, str, str]]:
    """The bars of a row: x, width, kind, what it says; narrow neighbours of one kind are one."""
    held: list[tuple[float, float, str, list[int]]] = []
    for start, end, kind, shard in child.bars:
        x, to = (start - begin).total_seconds() * scale, (end - begin).total_seconds() * scale
        if held and held[-1][2] == kind and to - held[-1][0] < 3:
            held[-1] = (held[-1][0], max(to, held[-1][1]), kind, [*held[-1][3], shard])
        else:
            held.append((x, to, kind, [shard]))
    for x, to, kind, shards in held:
        of = f"shard {shards[0]}" if len(shards) == 1 else f"{len(shards)} shards from {min(shards)}"
        yield x, max(to - x - 0.5, 0.7), kind, f"{child.name}, {of}, {KINDS[kind]}"


KINDS = {
    "own": "its own",
    "helped": "helped with another child's",
    "again": "after an attempt was lost",
    "working": "at work",
}
"""What the colours of the picture mean."""


def _in_words(children: Sequence[Child], begin: datetime, end: datetime) -> str:
    done = sum(child.shards for child in children)
    counts = {kind: sum(child.count(kind) for child in children) for kind in ("helped", "again", "working")}
    more = ", ".join(f"{count:,} {KINDS[kind]}" for kind, count in counts.items() if count)
    took = duration_text((end - begin).total_seconds())
    return (
        f"Children over time: {len(children):,} worked {done:,} shards in {took}"
        f"{f', {more}' if more else ''}. The table below has each child."
    )


def rates(heads: Collection[CommitHead]) -> str:
    """Items and bytes per second over time, each shard's spread over what it took; empty before there are two."""
    if len(heads) < 2:
        return ""
    begin = min(head.started_at for head in heads).timestamp()
    end = max(head.finished_at for head in heads).timestamp()
    step = max((end - begin) / BUCKETS, 0.001)
    items: defaultdict[int, float] = defaultdict(float)
    size: defaultdict[int, float] = defaultdict(float)
    for head in heads:
        first = min(int((head.started_at.timestamp() - begin) / step), BUCKETS - 1)
        last = min(int((head.finished_at.timestamp() - begin) / step), BUCKETS - 1)
        for bucket in range(first, last + 1):
            items[bucket] += head.counts.items / (last - first + 1)
            size[bucket] += head.counts.bytes / (last - first + 1)
    most_items, most_bytes = max(items.values()) / step, max(size.values()) / step
    words = f"at most {most_items:,.3g} items and {bytes_text(most_bytes)} per second"
    lines = []
    for kind, values in (("items", items), ("bytes", size)):
        top = max(values.values()) or 1
        points = " ".join(
            f"{LABEL + bucket * WIDTH / (BUCKETS - 1):.1f},{104 - 96 * values[bucket] / top:.1f}"
            for bucket in range(BUCKETS)
        )
        lines.append(f'<polyline class="{kind}" points="{points}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rates" viewBox="0 0 {LABEL + WIDTH} 124" role="img" '
        f'aria-label="Pace over time: {escape(words)}"><path class="axis" d="M{LABEL},105 H{LABEL + WIDTH}"/>'
        f'{"".join(lines)}<text x="{LABEL}" y="120">{datetime.fromtimestamp(begin, UTC).astimezone():%H:%M:%S}</text>'
        f'<text x="{LABEL + WIDTH}" y="120" text-anchor="end">{escape(words)}</text></svg>'
    )
