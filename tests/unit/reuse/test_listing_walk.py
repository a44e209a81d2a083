"""Where the lines of shards are in a listing: in step, however many differ, as a look at every line says it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.planning.item_store import ItemStore
from millrace.records.plan import Item
from millrace.reuse import listing_walk
from millrace.reuse.listing_walk import ListingWalk, identity, key_of


def base_items(chance: Random, count: int) -> list[Item]:
    """Items in the order of their keys; some are ranges of one object, some have no ETag or a quote in the key."""
    found: list[Item] = []
    for number in range(count):
        key = f'{number:03}"' if chance.random() < 0.05 else f"{number:03}"
        one = Item(key, 30, "" if chance.random() < 0.03 else f'"{number}"')
        if one.etag and chance.random() < 0.1:  # what has none is not cut
            found += [replace(one, first_byte=first, last_byte=first + 9) for first in (0, 10, 20)]
        else:
            found.append(one)
    return found


def listed_items(chance: Random, before: list[Item], share: float) -> list[Item]:
    """The same items, some of them changed, gone, moved to another storage class, cut anew; others between them."""
    found: list[Item] = []
    for key, group in groupby(before, key=lambda each: each.key):
        items = list(group)
        what = chance.choice(("changed", "gone", "between", "moved", "cut")) if chance.random() < share else ""
        if what == "changed":
            items = [replace(each, etag='"other"') for each in items]
        elif what == "moved":
            items = [replace(each, storage_class="GLACIER") for each in items]
        elif what == "between":
            items += [Item(f"{key}~{number}", 30, '"new"') for number in range(chance.randrange(1, 12))]
        elif what == "cut" and items[0].etag:
            items = [replace(items[0], first_byte=first, last_byte=first + 9) for first in (0, 10, 15)]
        found += [] if what == "gone" else items
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.randoms(use_true_random=False),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    st.booleans(),
    st.tuples(*[st.sampled_from([1, 2, 64])] * 3),
)
def test_each_line_is_found_where_it_is(
    chance: Random,
    count: int,
    share: float,
    in_disorder: bool,  # noqa: FBT001 - a case
    sizes: tuple[int, int, int],
) -> None:
    """The other ones have the positions of their keys' items; a shard put together of several is in no order."""
    before = base_items(chance, count)
    listing = [each.to_line() for each in listed_items(chance, before, share)]
    store = ItemStore()
    store.add_lines(listing, [30] * len(listing))
    wanted = [each.to_line() for each in before]
    if in_disorder:
        chance.shuffle(wanted)
    with pytest.MonkeyPatch.context() as patch:
        for name, lines in zip(("_WINDOW", "_BLOCK", "_SKIPPED"), sizes, strict=True):
            patch.setattr(listing_walk, name, lines)
        walk = ListingWalk(store)
        while wanted:
            size = chance.randrange(1, 20)
            shard, wanted = wanted[:size], wanted[size:]
            check(walk, shard, listing)


def check(walk: ListingWalk, shard: list[bytes], listing: list[bytes]) -> None:
    """Compare what is found of a shard with what a look at every line finds."""
    text = b"".join(shard)
    stretch = walk.stretch(text, len(shard))
    if stretch is not None:
        assert listing[stretch.start : stretch.stop] == shard
        return
    found = walk.places(text)
    at = {first + each: position for first, run in found.runs for each, position in enumerate(run)}
    others = {number: list(there) for number, there in found.others}
    assert len(at) + len(others) == len(shard)
    for number, line in enumerate(shard):
        there = [each for each, one in enumerate(listing) if key_of(one) == key_of(line)]
        same = [each for each in there if identity(line) is not None and identity(listing[each]) == identity(line)]
        assert [at[number]] == same if number in at else (same == [] and others[number] == there)
    if found.exact:
        assert all(listing[position] == shard[number] for number, position in at.items())
