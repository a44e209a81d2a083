"""The pace of a workload from what its commits show."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.workload.pace import BYTES_PER_SECOND, LEAST_SECONDS, SECONDS_PER_ITEM, Pace, WorkedShard, fitted

EXPECTED = Pace(seconds_per_item=0.01, bytes_per_second=10e6, outputs=2)


def worked(true: Pace, *shapes: tuple[int, int], noise: float = 0, seed: int = 1) -> list[WorkedShard]:
    """Shards of so many items and bytes as a child of this pace works them."""
    dice = random.Random(seed)
    return [
        WorkedShard(items, size, true.seconds(items, size) * dice.lognormvariate(-noise * noise / 2, noise))
        for items, size in shapes
    ]


@pytest.mark.parametrize(
    "true",
    [Pace(per_item, per_second) for per_item, per_second in product((0.0001, 0.02, 7.0), (1e5, 3e7, 4e9))],
)
def test_uneven_shards_show_both_parts(true: Pace) -> None:
    """From shards of different mixture the true pace comes out, far from the expected one or not."""
    shapes = [(1000, 10**6), (10, 10**9), (500, 10**8), (100_000, 0)]
    pace = fitted(worked(true, *shapes), EXPECTED)
    assert pace is not None
    assert pace.seconds_per_item == pytest.approx(true.seconds_per_item, rel=1e-6)
    assert pace.bytes_per_second == pytest.approx(true.bytes_per_second, rel=1e-4)
    assert pace.outputs == 2


def test_stragglers_leave_the_sum_as_it_was() -> None:
    """With times lognormal of sigma 1.2 the pace comes out at the seconds worked, and near the true one."""
    true = Pace(0.05, 2e6)
    dice = random.Random(7)
    shapes = [(dice.randint(1, 2000), dice.randint(1, 10**8)) for _ in range(2000)]
    shards = worked(true, *shapes, noise=1.2)
    pace = fitted(shards, EXPECTED)
    assert pace is not None
    assert sum(pace.seconds(each.items, each.bytes) for each in shards) == pytest.approx(
        sum(each.seconds for each in shards)
    )
    assert pace.seconds_per_item == pytest.approx(true.seconds_per_item, rel=0.35)
    assert pace.bytes_per_second == pytest.approx(true.bytes_per_second, rel=0.35)


@pytest.mark.parametrize("shapes", [[(1000, 10**7)], [(1000, 10**7)] * 30, [(100, 10**6), (1000, 10**7)]])
def test_shards_that_are_alike_scale_what_was_expected(shapes: list[tuple[int, int]]) -> None:
    """One commit, equal ones, or ones of equal mixture: twice as slow as expected is twice as slow in both parts."""
    assert fitted(worked(EXPECTED.slower(2), *shapes), EXPECTED) == EXPECTED.slower(2)


def test_items_without_bytes_tell_of_items() -> None:
    """Where all items are empty, the pace of items is the measured one."""
    pace = fitted(worked(Pace(0.5, 1e6), (100, 0), (50, 0)), EXPECTED)
    assert pace is not None
    assert pace.seconds_per_item == pytest.approx(0.5)


def test_no_part_is_negative() -> None:
    """Where the line of least squares would have an item give time back, the other part explains all."""
    few_items_are_slow = [WorkedShard(1000, 10**6, 20.0), WorkedShard(10, 10**9, 500.0), WorkedShard(9000, 10**7, 2.0)]
    pace = fitted(few_items_are_slow, EXPECTED)
    assert pace is not None
    assert pace.seconds_per_item == pytest.approx(SECONDS_PER_ITEM[0], rel=0.1)
    assert pace.bytes_per_second == pytest.approx(1.01e9 / 522, rel=0.05)
    many_bytes_are_fast = [WorkedShard(1000, 10**6, 500.0), WorkedShard(10, 10**9, 1.0), WorkedShard(2000, 10**8, 900)]
    pace = fitted(many_bytes_are_fast, EXPECTED)
    assert pace is not None
    assert pace.seconds_per_item == pytest.approx(0.47, rel=0.05)
    assert pace.bytes_per_second == pytest.approx(BYTES_PER_SECOND[1], rel=0.1)


@pytest.mark.parametrize(
    "shards",
    [
        [],
        [WorkedShard(0, 0, 100.0)],
        [WorkedShard(10, 10, 0.0), WorkedShard(10, 10, -90.0)],
        [WorkedShard(10, 10, math.nan), WorkedShard(10, 10, math.inf)],
        [WorkedShard(1, 10**6, LEAST_SECONDS * 0.9)],
    ],
)
def test_too_little_work_tells_nothing(shards: list[WorkedShard]) -> None:
    """No work, no time, no number, or less than ten seconds: an uploaded file's second is no pace."""
    assert fitted(shards, EXPECTED) is None


NUMBERS = st.floats(0, 1e12, allow_nan=False)


@given(
    st.lists(st.builds(WorkedShard, st.integers(0, 10**7), st.integers(0, 2**50), NUMBERS), max_size=12),
    st.floats(*SECONDS_PER_ITEM),
    st.floats(*BYTES_PER_SECOND),
)
def test_whatever_was_worked_a_pace_is_one_that_a_request_may_have(
    shards: list[WorkedShard], per_item: float, per_second: float
) -> None:
    """No shards, however odd, give a pace of zero, below zero, or beyond what is allowed."""
    pace = fitted(shards, Pace(per_item, per_second))
    if pace is not None:
        assert SECONDS_PER_ITEM[0] <= pace.seconds_per_item <= SECONDS_PER_ITEM[1]
        assert BYTES_PER_SECOND[0] <= pace.bytes_per_second <= BYTES_PER_SECOND[1]
