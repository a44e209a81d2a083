"""Where the items of a shard are, in runs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from millrace.reuse.places import (
    Places,
    Run,
    count,
    count_within,
    mask_of,
    numbers_of,
    only,
    overlap,
    positions_of,
    turned,
    within,
)

NUMBERS = st.sets(st.integers(0, 60))


def runs_of(numbers: set[int], shift: int = 100) -> list[Run]:
    """A run for each item, or for two that follow each other, at positions that are `shift` further on."""
    runs: list[Run] = []
    for number in sorted(numbers):
        if runs and runs[-1] == (number - 1, range(number - 1 + shift, number + shift)):
            runs[-1] = number - 1, range(number - 1 + shift, number + 1 + shift)
        else:
            runs.append((number, range(number + shift, number + 1 + shift)))
    return runs


@given(NUMBERS, NUMBERS)
def test_only_what_is_marked_is_left(there: set[int], marked: set[int]) -> None:
    """Each run is cut where an item of it is not marked; the turned mask leaves the others."""
    mask = mask_of(marked, 61)
    left, others = only(runs_of(there), mask), only(runs_of(there), turned(mask))
    assert within(numbers_of(left)) == sorted(there & marked)
    assert within(numbers_of(others)) == sorted(there - marked)
    assert [at - 100 for _, positions in left for at in positions] == sorted(there & marked)
    assert count(left) + count(others) == len(there)


@given(NUMBERS)
def test_bounds_are_the_same_positions(there: set[int]) -> None:
    """Runs that follow each other are one stretch."""
    found = positions_of(runs_of(there))
    assert within(found) == [number + 100 for number in sorted(there)]
    assert count_within(found) == len(there)
    assert all(one < other for one, other in pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=6))
def test_an_item_in_two_runs_is_seen(given_runs: list[tuple[int, int]]) -> None:
    """In whatever order they come."""
    runs = [(0, range(start, start + length)) for start, length in given_runs]
    positions = [at for _, run in runs for at in run]
    assert overlap(runs) == (len(set(positions)) < len(positions))


def test_an_item_without_an_etag_is_another_one() -> None:
    """It is named with its position, and is in no run any more."""
    places = Places([(0, range(7, 10))])
    places.name_others(bytes([0, 1, 0]))
    assert places.runs == [(0, range(7, 8)), (2, range(9, 10))]
    assert places.others == [(1, (8,))]


def test_a_mask_of_all() -> None:
    """As most shards have the contributions of all their items."""
    assert mask_of(range(3), 3) == bytes([1, 1, 1])
    assert mask_of(range(2), 3) == bytes([1, 1, 0])
