"""Cutting items into shards: every item in exactly one, limits kept."""

from __future__ import annotations

import tracemalloc
from array import array
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import DamagedFileError
from millrace.planning.item_store import ItemStore
from millrace.run.plan import Item, Shard
from millrace.source.sharding import ShardLimits, cut

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
    shards = cut(sizes, limit)

    assert [position for shard in shards for position in shard] == list(range(len(sizes)))
    assert all(shards)
    assert len(shards) <= limit.max_shards


@given(lengths, st.integers(1, 3000), st.integers(1, 20))
def test_a_shard_keeps_to_its_limits(sizes: array[int], target_bytes: int, max_items: int) -> None:
    """At most max_items items and target_bytes bytes; a larger item is alone; and no shard is closed too early."""
    shards = cut(sizes, ShardLimits(target_bytes, max_items, 10_000))

    held = [sum(sizes[position] for position in shard) for shard in shards]
    for shard, size in zip(shards, held, strict=True):
        assert len(shard) <= max_items
        assert size <= target_bytes or len(shard) == 1
    for shard, size, following in zip(shards, held, shards[1:], strict=False):
        assert len(shard) == max_items or size + sizes[following.start] > target_bytes


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=200).map(lambda values: array("q", values)), limits)
def test_larger_shards_are_about_equal(sizes: array[int], limit: ShardLimits) -> None:
    """When limits give way to max_shards, no shard costs more than an equal share and one item."""
    shards = cut(sizes, limit)
    if len(cut(sizes, ShardLimits(limit.target_bytes, limit.max_items, 10**9))) <= limit.max_shards:
        return

    costs = [size * limit.max_items + limit.target_bytes for size in sizes]
    share = sum(costs) / limit.max_shards
    for shard in shards:
        assert sum(costs[position] for position in shard) < share + max(costs)


def test_a_million_empty_objects_are_spread() -> None:
    """Objects without bytes are spread over all shards by their number."""
    shards = cut(array("q", bytes(8 * 1_000_000)), ShardLimits(max_items=10, max_shards=1000))

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
    """A plan of ten million items fits into 1 GiB: their lines lie on disk."""
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
    cut_there = store.cut(ShardLimits(max_items=3, target_bytes=2**60))
    assert [len(shard) for shard in cut_there[:-1]] == [3] * (len(cut_there) - 1)
