"""Small kept shards are put together: a year of daily runs leaves about as many shards as a plan of everything has."""

from __future__ import annotations

import io
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.planning.item_store import ItemStore
from millrace.records.plan import Item, items_digest
from millrace.reuse.base_shards import BaseShard
from millrace.reuse.compaction import MOST_PARTIAL_BYTES, Compaction
from millrace.reuse.comparison import KeptPart, compare
from millrace.source.sharding import ShardLimits
from millrace.workload.pace import Pace

FAST = Pace(seconds_per_item=0.001, bytes_per_second=1e9)
LIMITS = ShardLimits(target_bytes=10_000, max_items=10)


def parts_of(sizes: list[int]) -> tuple[ItemStore, list[KeptPart]]:
    """Kept shards of so many items each."""
    items = ItemStore(Item(f"{number:05}", 10, '"e"') for number in range(sum(sizes)))
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    places = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    return items, [KeptPart(0, index, (place.start, place.stop)) for index, place in enumerate(places)]


@given(st.lists(st.integers(1, 14), max_size=40))
def test_small_shards_are_put_together_as_far_as_one_holds_them(sizes: list[int]) -> None:
    """No part is lost or comes twice, a full shard stays as it is, and there are few shards for their items."""
    items, parts = parts_of(sizes)
    groups = [list(group) for group in Compaction(items, LIMITS, FAST).together(parts)]
    assert sorted(part.index for group in groups for part in group) == list(range(len(sizes)))
    for group in groups:
        assert len(group) == 1 or sum(part.items for part in group) <= LIMITS.max_items
        assert len(group) == 1 or all(part.items < LIMITS.max_items / 2 for part in group)
    assert len(groups) <= 2 * -(-sum(sizes) // LIMITS.max_items) + 1


def test_bytes_and_work_fill_a_shard_as_items_do() -> None:
    """Of three shards of few items that hold much, or take long, two are put together."""
    items, parts = parts_of([2, 2, 2])
    for limits, pace in (
        (replace(LIMITS, target_bytes=45), FAST),
        (replace(LIMITS, max_items=1000), Pace(seconds_per_item=10.0, bytes_per_second=1e9)),
    ):
        assert [len(group) for group in Compaction(items, limits, pace).together(parts)] == [2, 1]
    assert [len(group) for group in Compaction(items, LIMITS, FAST).together(parts)] == [3]


def test_large_partials_are_not_added_up() -> None:
    """However few their items are: the plan job would hold them in memory."""
    items, parts = parts_of([1, 1, 1])
    large = [replace(part, partial_bytes=MOST_PARTIAL_BYTES // 2) for part in parts]
    assert [len(group) for group in Compaction(items, LIMITS, FAST).together(large)] == [2, 1]


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(0, 999))
def test_a_year_of_daily_runs_has_about_as_many_shards_as_one_plan(most: int, seed: int) -> None:
    """Each day some objects come, some change, some go; the day's shards are the next day's base."""
    chance = random.Random(seed)
    source = {f"{number:06}": 0 for number in range(60)}
    shards: list[BaseShard] = []
    for day in range(1, 100):
        for key in chance.sample(sorted(source), most // 2):
            del source[key]
        for key in chance.sample(sorted(source), most // 2):
            source[key] = day
        source |= {f"{chance.randrange(10**6):06}": day for _ in range(most)}
        items = ItemStore(Item(key, 10, f'"{tag}"') for key, tag in sorted(source.items()))
        together = Compaction(items, LIMITS, FAST).together
        found = compare(items, shards, io.BytesIO(), most_kept=1000, together=together)
        items.arrange(found.order)
        cut = items.cut(LIMITS, FAST, [kept.items for kept in found.kept])
        plain = -(-len(items) // LIMITS.max_items)
        assert len(cut) <= 2 * plain + 2
        texts = [items.lines(places) for places in cut]
        shards = [
            BaseShard(0, index, text, text.count(b"\n"), items_digest(text), (), last=True)
            for index, text in enumerate(texts)
        ]
