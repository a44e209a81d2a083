"""What a new listing leaves of a base."""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.planning.item_store import ItemStore
from millrace.records.commit import PartialFile
from millrace.records.plan import Item, items_digest
from millrace.reuse import listing_walk
from millrace.reuse.base_shards import BaseShard
from millrace.reuse.comparison import Comparison, KeptPart, KeptShard, compare


def item(key: str, etag: str = '"1"', size: int = 10) -> Item:
    """An item."""
    return Item(key, size, etag)


def shard(index: int, items: Sequence[Item], succeeded: Sequence[bool] = (), retry: int = 0) -> BaseShard:
    """A shard of the base."""
    text = b"".join(each.to_line() for each in items)
    return BaseShard(retry, index, text, len(items), items_digest(text), succeeded, last=True)


def indices(kept: KeptShard) -> list[int]:
    """Of which shards of the base it is."""
    return [part.index for part in kept.parts]


def compared(
    items: Sequence[Item], shards: Sequence[BaseShard], most_kept: int = 100
) -> tuple[Comparison, list[str], list[list[str]]]:
    """The comparison, the keys that are gone, and the keys of the kept shards and of the rest in the new order."""
    store, removed = ItemStore(items), io.BytesIO()
    found = compare(store, shards, removed, most_kept=most_kept)
    store.arrange(found.order)
    lines, groups = store.lines(range(len(store))).split(b"\n")[:-1], []
    for kept in found.kept:
        groups.append(lines[: kept.items])
        lines = lines[kept.items :]
    keys = [[json.loads(line)["key"] for line in group] for group in (*groups, lines)]
    return found, [json.loads(line)["key"] for line in removed.getvalue().splitlines()], keys


NAMES = [f"{letter}{number}" for letter in "aé\U0001f600" for number in range(4)]
OBJECTS = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(["1", "2", ""]), st.integers(0, 1)))


@settings(max_examples=300, deadline=None)
@given(
    OBJECTS, OBJECTS, st.integers(1, 4), st.sets(st.sampled_from(NAMES)), st.tuples(*[st.sampled_from([1, 2, 64])] * 3)
)
def test_a_shard_is_kept_where_all_that_succeeded_is_unchanged(
    before: dict[str, tuple[str, int]],
    now: dict[str, tuple[str, int]],
    size: int,
    failed: set[str],
    sizes: tuple[int, int, int],
) -> None:
    """Whatever was inserted, changed and deleted, however widely a shard is spread: as sets of objects say it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, lines in zip(("_WINDOW", "_BLOCK", "_SKIPPED"), sizes, strict=True):
            patch.setattr(listing_walk, name, lines)
        of = {name: item(name, f'"{tag}"' if tag else "", 10 + size) for name, (tag, size) in before.items()}
        has = [item(name, f'"{tag}"' if tag else "", 10 + size) for name, (tag, size) in sorted(now.items())]
        keys = sorted(before)
        groups = [keys[start : start + size] for start in range(0, len(keys), size)]
        shards = [
            shard(number, [of[key] for key in group], [key not in failed for key in group] if failed else [])
            for number, group in enumerate(groups)
        ]
        found, gone, order = compared(has, shards)

    unchanged = {key for key in before if before[key][0] and before[key] == now.get(key)}
    good = [[key for key in group if key not in failed] for group in groups]
    kept = [number for number, group in enumerate(good) if group and unchanged.issuperset(group)]
    assert [index for each in found.kept for index in indices(each)] == kept
    keeps = [key for number in kept for key in good[number]]
    assert order == [good[number] for number in kept] + [[key for key in sorted(now) if key not in keeps]]
    assert gone == [key for key in keys if key not in now]
    assert (found.kept_items, found.removed) == (len(keeps), len(gone))
    assert found.new == len(now.keys() - before.keys())
    assert found.changed == len(now) - found.new - len(keeps)


def test_ranges_of_an_object_that_changed_are_all_changed() -> None:
    """Its other shards are not broken by it, and its key is not gone, wherever it is cut now."""
    ranges = [replace(item("b", size=30), first_byte=first, last_byte=first + 9) for first in (0, 10, 20)]
    was = [item("a"), *ranges, item("c")]
    shards = [shard(0, was[:2]), shard(1, was[2:3]), shard(2, was[3:4]), shard(3, was[4:])]
    cut_anew = [replace(item("b", '"2"', 40), first_byte=first, last_byte=first + 19) for first in (0, 20)]
    found, gone, order = compared([item("a"), *cut_anew, item("c")], shards)
    assert found.kept == [KeptShard((KeptPart(0, 3, array("I", (3, 4)), digest=items_digest(was[4].to_line())),))]
    assert (gone, order) == ([], [["c"], ["a", "b", "b"]])
    assert (found.changed, found.new) == (3, 0)


def test_other_ranges_of_the_same_bytes_are_changed() -> None:
    """A shard of half an object is of no use where it is cut elsewhere."""
    was = [
        replace(item("b", size=30), first_byte=0, last_byte=14),
        replace(item("b", size=30), first_byte=15, last_byte=29),
    ]
    now = [
        replace(item("b", size=30), first_byte=0, last_byte=9),
        replace(item("b", size=30), first_byte=10, last_byte=29),
    ]
    found, gone, _ = compared(now, [shard(0, was[:1]), shard(1, was[1:])])
    assert (found.kept, gone, found.changed) == ([], [], 2)


def test_an_output_that_two_items_would_share_now_is_not_kept() -> None:
    """A full run would work neither of them."""
    now = [replace(item("a"), shares_output="b"), replace(item("b"), shares_output="a")]
    found, _, _ = compared(now, [shard(0, [item("a")])])
    assert found.kept == []


def test_the_shard_of_a_rerun_may_be_in_any_order() -> None:
    """Its items are the failed ones of a run, in the order of that run's shards."""
    items = [item("a"), item("b"), item("c")]
    found, gone, order = compared(items, [shard(0, [items[2], items[0]], retry=1)])
    assert [(each.parts[0].retry, each.items) for each in found.kept] == [(1, 2)]
    assert (gone, order) == ([], [["c", "a"], ["b"]])


def test_only_so_many_shards_are_kept() -> None:
    """The largest ones: the others are worked again, so that there is room for what is new."""
    items = [item(key) for key in "abcdefg"]
    shards = [shard(0, items[:1]), shard(1, items[1:3]), shard(2, items[3:6]), shard(3, items[6:])]
    found, _, order = compared(items, shards, most_kept=2)
    assert [index for each in found.kept for index in indices(each)] == [1, 2]
    assert order == [["b", "c"], ["d", "e", "f"], ["a", "g"]]
    assert (found.kept_items, found.changed, found.new) == (5, 2, 0)


def test_no_item_is_kept_twice() -> None:
    """Two shards of a damaged base that have one item: the second one is not kept."""
    items = [item("a"), item("b")]
    found, _, _ = compared(items, [shard(0, items[:1]), shard(1, items)])
    assert [index for each in found.kept for index in indices(each)] == [0]


def test_what_lacks_an_output_is_worked_again_and_no_more() -> None:
    """It counts as changed; without contributions the shard goes with it, with them the others are kept."""
    items = [item(key) for key in "abcd"]
    kept = replace(shard(1, items[2:]), contributions=PartialFile("s3://b/c", "0", 1))
    shards = [shard(0, items[:2]), kept]
    store, removed = ItemStore(items), io.BytesIO()
    found = compare(store, shards, removed, most_kept=9, lacking=lambda _shard: {0}, contributed=lambda _shard: {0, 1})
    assert [(indices(each), list(each.parts[0].rebuilt_of or ())) for each in found.kept] == [([1], [1, 2])]
    assert (found.kept_items, found.changed, found.new, found.removed) == (1, 3, 0, 0)


def test_items_between_the_stretches_of_a_shard_are_not_its_own() -> None:
    """A shard put together of several does not follow the order of the listing; it is found all the same."""
    items = [item(f"{number:04}") for number in range(3000)]
    taken = [*items[2000:2500], *items[100:1400], items[2990], *items[0:3]]
    store = ItemStore(items)
    found = compare(store, [shard(0, taken)], io.BytesIO(), most_kept=9)
    assert found.kept_items == len(taken)
    store.arrange(found.order)
    assert store.lines(range(len(taken))) == b"".join(each.to_line() for each in taken)
    left = [each for each in items if each not in set(taken)]
    assert store.lines(range(len(taken), len(store))) == b"".join(each.to_line() for each in left)


def test_a_kept_shard_has_the_digest_of_the_base_where_its_lines_are_the_same() -> None:
    """With new items between them too; not where an item has another storage class now, which is in its line."""
    was = [item(key) for key in "aceg"]
    among_others = [item(key) for key in "abcdefgh"]
    moved = [replace(each, storage_class="GLACIER") if each.key == "c" else each for each in was]
    found, _, order = compared(among_others, [shard(0, was)])
    assert order == [["a", "c", "e", "g"], ["b", "d", "f", "h"]]
    assert found.kept[0].parts[0].digest == shard(0, was).digest
    found, _, _ = compared(moved, [shard(0, was)])
    assert (found.kept_items, found.kept[0].parts[0].digest) == (4, "")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from([{}, {"storage_class": "GLACIER"}, {"version_id": "v"}, {"first_byte": 2, "last_byte": 5}]),
    st.integers(0, 3),
)
def test_what_is_gone_is_a_row_of_its_item(key: str, fields: dict[str, Any], retry: int) -> None:
    """Whatever is in its key, and whether its line has more fields than most."""
    was, removed = replace(item(key), **fields), io.BytesIO()
    compare(ItemStore(), [shard(7, [was], retry=retry)], removed, most_kept=9)
    row = {name: value for name, value in json.loads(was.to_line()).items() if name in {"key", "size", "etag"}}
    row |= {name: fields[name] for name in ("first_byte", "last_byte") if name in fields}
    row |= {"retry": retry, "shard": 7}
    assert removed.getvalue() == json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
