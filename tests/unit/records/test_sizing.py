"""How many children a run's shards are given to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.records.sizing import (
    ALONE_SECONDS,
    CHILD_SECONDS,
    MAX_CHILDREN,
    MOST_ALONE_SECONDS,
    SMALL_SECONDS,
    SMALL_VCPUS,
    Left,
    children_for,
    fits_small_job,
    slots_of,
)

lefts = st.builds(
    Left, st.integers(0, 100_000), st.none() | st.floats(0, 1e9, allow_nan=False) | st.sampled_from([math.inf])
)


@pytest.mark.parametrize(
    ("shards", "seconds", "slots", "children"),
    [
        (1000, 6300.0, 16, 16),  # a million texts of 10 kB: as many children as slots, and not a thousand
        (1000, 6300.0, 256, 105),  # a child a minute of work
        (1000, 6300.0, 4000, 105),
        (100_000, 1e7, 20_000, 10_000),  # an array job's most
        (3, 6300.0, 16, 3),  # no child without a shard
        (2, 1.0, 16, 1),  # a second's work is one job
        (40, 61.0, 16, 1),  # two children and a merge job would end no sooner
        (40, 150.0, 16, 3),
        (40, 500.0, 1, 1),  # one slot: two children would wait for each other
        (40, 601.0, 1, 2),  # but no one job works and merges for longer than ten minutes
        (1, 90_000.0, 16, 1),  # one shard cannot be shared out
        (0, 0.0, 16, 0),
        (40, None, 16, 16),  # nothing is known of the pace
        (4, None, 16, 4),
        (4, None, 1, 2),
        (1, None, 16, 1),
    ],
)
def test_children_follow_slots_shards_and_work(shards: int, seconds: float | None, slots: int, children: int) -> None:
    """As many as slots, shards or minutes of work, whichever is least."""
    assert children_for(Left(shards, seconds), slots) == children


@given(lefts, st.integers(1, 50_000))
def test_the_number_is_one_that_the_state_machine_takes(left: Left, slots: int) -> None:
    """Never more than shards or than an array holds; none only where nothing is left; one only where one can do it."""
    children = children_for(left, slots)

    assert children <= min(left.shards, MAX_CHILDREN)
    assert (children == 0) == (left.shards == 0)
    assert children <= max(2, slots)
    if children == 1 and left.shards > 1:
        assert left.seconds is not None
        assert left.seconds <= (ALONE_SECONDS if slots > 1 else MOST_ALONE_SECONDS)


@given(lefts, st.integers(1, 50_000), st.floats(1, 10))
def test_more_work_is_never_given_to_fewer_children(left: Left, slots: int, factor: float) -> None:
    """Twice the seconds are worked by as many children, or by more."""
    if left.seconds is None:
        return
    assert children_for(Left(left.shards, left.seconds * factor), slots) >= children_for(left, slots)


def test_slots_are_the_jobs_that_fit_into_the_stacks_vcpus() -> None:
    """MaxvCpus by the vCPUs of a job, rounded down; a job larger than all still has one."""
    assert [slots_of(16, 1), slots_of(16, 0.25), slots_of(17, 2), slots_of(1, 4)] == [16, 64, 8, 1]


@given(lefts, st.none() | st.integers(0, 100_000))
def test_a_small_job_has_little_to_do_and_little_memory_to_do_it_in(left: Left, memory_mib: int | None) -> None:
    """Only what one job works, of a pace and a memory that are known: ten times as much is not a minute's work."""
    if fits_small_job(left, memory_mib):
        assert children_for(left, 1) == 1
        assert left.seconds is not None
        assert memory_mib is not None
        assert memory_mib <= 1024
        assert left.seconds * 10 < CHILD_SECONDS
        assert left.seconds / SMALL_VCPUS <= 12
        assert left.shards < 60


@pytest.mark.parametrize(
    ("shards", "seconds", "memory_mib", "fits"),
    [
        (1, SMALL_SECONDS - 0.05, 1024, True),
        (1, SMALL_SECONDS, 1024, False),
        (1, 0.0, 1025, False),
        (1, 0.0, None, False),
        (1, None, 512, False),
        (1, math.inf, 512, False),
        (1, math.nan, 512, False),
        (0, 0.0, 512, False),
        (100, 0.1, 512, False),
    ],
)
def test_where_a_small_job_ends(shards: int, seconds: float | None, memory_mib: int | None, *, fits: bool) -> None:
    """Work, shards and memory at their bounds, and what is no number."""
    assert fits_small_job(Left(shards, seconds), memory_mib) is fits
