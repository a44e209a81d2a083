"""Cutting items into shards: every item in exactly one, limits kept."""

from __future__ import annotations

import tracemalloc
from array import array
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import DamagedFileError
from millrace.planning import item_store
from millrace.planning.item_store import ItemStore
from millrace.records.plan import Item, Shard
from millrace.source.sharding import (
    LONGEST_SHARD_SECONDS,
    MAX_SHARDS,
    SHARD_SECONDS,
    ShardLimits,
    cut,
    range_bytes,
    whole_bytes,
)
from millrace.workload.pace import Pace
from millrace.workload.registry import workload_records

QUICK = Pace(seconds_per_item=1e-12, bytes_per_second=1e30)
"""A pace at which bytes and items are the only limits."""

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
lengths = st.lists(st.integers(0, 2000), max_size=200).map(lambda values: array("q", values))
limits = st.builds(ShardLimits, st.integers(1, 3000), st.integers(1, 20), st.integers(1, 30))
items = st.builds(
    Item,
    key=keys,
    size=st.integers(0, 2**50),
    etag=st.text("abcdef0123456789-", max_size=34).map(lambda text: f'"{text}"'),
    version_id=st.none() | st.text("abc123._", min_size=1, max_size=32),
    storage_class=st.sampled_from(["STANDARD", "GLACIER", "INTELLIGENT_TIERING"]),
)


@given(lengths, limits)
def test_every_item_is_in_exactly_one_shard(sizes: array[int], limit: ShardLimits) -> None:
    """The shards follow each other without gap or overlap, none is empty, and they are never too many."""
    shards = cut(sizes, limit, QUICK)

    assert [position for shard in shards for position in shard] == list(range(len(sizes)))
    assert all(shards)
    assert len(shards) <= limit.max_shards


@given(lengths, st.integers(1, 3000), st.integers(1, 20))
def test_a_shard_keeps_to_its_limits(sizes: array[int], target_bytes: int, max_items: int) -> None:
    """At most max_items items and target_bytes bytes; a larger item is alone; and no shard is closed too early."""
    shards = cut(sizes, ShardLimits(target_bytes, max_items, 10_000), QUICK)

    held = [sum(sizes[position] for position in shard) for shard in shards]
    for shard, size in zip(shards, held, strict=True):
        assert len(shard) <= max_items
        assert size <= target_bytes or len(shard) == 1
    for shard, size, following in zip(shards, held, shards[1:], strict=False):
        assert len(shard) == max_items or size + sizes[following.start] > target_bytes


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=200).map(lambda values: array("q", values)), limits)
def test_larger_shards_are_about_equal(sizes: array[int], limit: ShardLimits) -> None:
    """When limits give way to max_shards, no shard costs more than an equal share and one item."""
    shards = cut(sizes, limit, QUICK)
    if len(cut(sizes, ShardLimits(limit.target_bytes, limit.max_items, 10**9), QUICK)) <= limit.max_shards:
        return

    costs = [size * limit.max_items + limit.target_bytes for size in sizes]
    share = sum(costs) / limit.max_shards
    for shard in shards:
        assert sum(costs[position] for position in shard) < share + max(costs)


paces = st.builds(Pace, st.floats(1e-3, 50), st.floats(10, 1e6))


@given(lengths, limits, paces)
def test_shards_by_work_keep_the_promises_of_all_shards(sizes: array[int], limit: ShardLimits, pace: Pace) -> None:
    """Whatever the pace, every item is in one shard, none is empty, they are never too many, and every cut is alike."""
    shards = cut(sizes, limit, pace)

    assert [position for shard in shards for position in shard] == list(range(len(sizes)))
    assert all(shards)
    assert len(shards) <= limit.max_shards
    assert shards == cut(list(sizes), limit, Pace(pace.seconds_per_item, pace.bytes_per_second))


@given(lengths, st.integers(1, 3000), st.integers(1, 20), paces)
def test_a_shard_is_30_to_60_seconds_of_work(sizes: array[int], target_bytes: int, max_items: int, pace: Pace) -> None:
    """No shard of several items is longer; none is closed under 45 s but for a limit, or an item that is too long."""
    shards = cut(sizes, ShardLimits(target_bytes, max_items), pace)

    held = [sum(sizes[position] for position in shard) for shard in shards]
    for shard, size, following in zip(shards, held, [*shards[1:], None][: len(shards)], strict=True):
        seconds = pace.seconds(len(shard), size)
        assert len(shard) <= max_items
        assert len(shard) == 1 or size <= target_bytes
        assert len(shard) == 1 or seconds <= LONGEST_SHARD_SECONDS + 1e-6
        if following is None or len(shard) == max_items or size + sizes[following.start] > target_bytes:
            continue
        more = seconds + pace.seconds(1, sizes[following.start])
        assert seconds >= SHARD_SECONDS - 1e-6 or more > LONGEST_SHARD_SECONDS - 1e-6


def test_shards_grow_in_work_before_they_pass_a_limit() -> None:
    """Slow items that would make too many shards make longer ones; bytes and items stay within their limits."""
    slow = Pace(seconds_per_item=10.0, bytes_per_second=1e9)
    shards = cut(array("q", [5] * 10_000), ShardLimits(max_items=100, max_shards=500), slow)

    assert 250 <= len(shards) <= 500
    assert max(map(len, shards)) <= 100


def test_more_than_ten_thousand_shards_are_cut_where_the_items_need_them() -> None:
    """Three million items of a tenth of a second are 6,700 shards; of a second, 67,000; never more than 100,000."""
    lengths = array("q", bytes(8 * 3_000_000))

    assert len(cut(lengths, ShardLimits(), Pace(0.1, 1e9))) == 6_667
    assert len(cut(lengths, ShardLimits(), Pace(1.0, 1e9))) == 66_667
    assert len(cut(lengths, ShardLimits(), Pace(40.0, 1e9))) <= MAX_SHARDS == 100_000


def test_a_million_empty_objects_are_spread() -> None:
    """Objects without bytes are spread over all shards by their number."""
    shards = cut(array("q", bytes(8 * 1_000_000)), ShardLimits(max_items=10, max_shards=1000), QUICK)

    assert len(shards) == 1000
    assert {len(shard) for shard in shards} == {1000}


@given(st.lists(items, max_size=20))
def test_items_survive_the_way_through_a_shard_file(given_items: list[Item]) -> None:
    """Any key, newline and all, comes out of the shard file as it went in."""
    store = ItemStore(given_items)
    lines = store.lines(range(len(store)))

    assert Shard.from_lines(3, lines.split(b"\n")[:-1], "s3://b/k").items == tuple(given_items)
    assert lines == Shard(3, tuple(given_items)).to_lines()


@pytest.mark.parametrize("bad", [b"", b"[]", b'{"key":"b"}', b'{"key":"b","size":1,"etag":"e"},{"key":"c"}', b"x"])
def test_the_line_that_is_no_item_is_named(bad: bytes) -> None:
    """A thousand lines are read at once; the error still counts them from the first."""
    good = b'{"key":"a","size":1,"etag":"e"}'
    with pytest.raises(DamagedFileError, match="line 1501 is not an item"):
        Shard.from_lines(0, [*[good] * 1500, bad, *[good] * 700], "s3://b/k")


def test_an_item_takes_less_than_50_bytes_of_memory() -> None:
    """A plan of ten million items fits into 1 GiB: their lines are on disk."""
    count = 20_000
    tracemalloc.start()
    store = ItemStore(
        Item(f"documents/2026/11/21/customer-{number:08}/letter-{number:012}.txt", 12_345, f'"{number:032x}"')
        for number in range(count)
    )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(store) == count
    assert used / count < 50


@given(st.lists(st.lists(items, max_size=6), max_size=8), st.randoms(use_true_random=False))
def test_items_are_put_into_another_order(pages: list[list[Item]], chance: Random) -> None:
    """Pages that came in any order are put in order, and a shard file may hold parts of several."""
    store = ItemStore()
    places = [(page, store.add(page)) for page in pages]
    chance.shuffle(places)
    store.reorder(place for _, place in places)
    expected = tuple(item for page, _ in places for item in page)
    half = len(expected) // 2
    assert store.lines(range(len(store))) == Shard(0, expected).to_lines()
    assert store.lines(range(half, len(store))) == Shard(0, expected[half:]).to_lines()
    assert store.lines(range(half, half)) == b""
    assert store.total_bytes == sum(item.length for item in expected)
    cut_there = store.cut(ShardLimits(max_items=3, target_bytes=2**60), QUICK)
    assert [len(shard) for shard in cut_there[:-1]] == [3] * (len(cut_there) - 1)


@given(
    st.lists(st.lists(items, max_size=9), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.sampled_from([1, 300, 4096]),
    st.integers(1, 5),
)
def test_stretches_of_items_are_arranged(pages: list[list[Item]], chance: Random, most: int, together: int) -> None:
    """In any order, in whatever order their pages came, and whatever is read together of what lies close together."""
    store = ItemStore()
    places = [(page, store.add(page)) for page in pages]
    chance.shuffle(places)
    store.reorder(place for _, place in places)
    listed = [item for page, _ in places for item in page]
    ends = sorted({0, len(listed), *(chance.randrange(len(listed) + 1) for _ in listed[::3])})
    order = list(pairwise(ends))
    chance.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_store, "_TOGETHER", together)
        patch.setattr(item_store, "_READ_BYTES", most)
        store.arrange([bound for stretch in order for bound in stretch])
        expected = [item for start, stop in order for item in listed[start:stop]]
        half = len(expected) // 2
        assert store.lines(range(len(store))) == Shard(0, tuple(expected)).to_lines()
        assert store.lines(range(half, len(store))) == Shard(0, tuple(expected[half:])).to_lines()


@given(st.integers(1, 2**40), st.floats(1e-3, 1e5), st.floats(1.0, 1e11), st.booleans())
def test_a_range_is_a_shards_at_most(target: int, per_item: float, per_second: float, at_records: bool) -> None:  # noqa: FBT001
    """What stays whole, and each range, is no more than a shard holds, nor than a minute's work, 32 MiB aside."""
    pace = Pace(per_item, per_second)
    whole, longest = whole_bytes(target, pace), range_bytes(target, pace, at_records=at_records)
    assert 1 <= longest <= whole <= target
    assert whole / per_second <= LONGEST_SHARD_SECONDS + 1 or whole <= 32 << 20


def test_slow_objects_are_cut_by_their_work() -> None:
    """A CSV file of 200 MB is two minutes of work: it is cut, though a shard would hold it; such a text is not."""
    rows, words = (workload_records()[name].pace for name in ("csv-to-dynamodb", "word-count"))
    assert whole_bytes(2**28, rows) < 200_000_000 < whole_bytes(2**28, words) == 2**28
    assert 30 <= range_bytes(2**28, rows, at_records=True) / rows.bytes_per_second <= 60
    assert range_bytes(2**28, words) == 2**26
