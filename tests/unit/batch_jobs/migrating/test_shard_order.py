"""Which shards a child works, and when it hands back: decisions without I/O."""

from __future__ import annotations

import pytest

from batch_jobs.migrating.shard_order import (
    DEAD_SECONDS,
    LATE_SECONDS,
    PAGE_SHARDS,
    Stay,
    is_dead,
    own_shards,
    pages,
    to_help,
)


@pytest.mark.parametrize(("children", "shards"), [(1, 5), (3, 10), (16, 2000), (10_000, 100_000), (7, 3)])
def test_the_children_share_out_all_shards(children: int, shards: int) -> None:
    """Each shard is one child's own, whatever the numbers are."""
    own = [shard for child in range(children) for shard in own_shards(child, children, shards)]
    assert sorted(own) == list(range(shards))


def test_a_helper_takes_the_last_shard_of_who_has_the_most_left() -> None:
    """Child 1 has four shards left, child 2 has two."""
    left = {1, 5, 9, 13, 2, 6}
    assert to_help(left, 0, 4) == [13, 9, 5, 6, 1, 2]


def test_helpers_begin_at_different_shards() -> None:
    """Sixteen helpers of sixteen equally slow children take a different shard each."""
    left = set(range(32, 64))  # of 32 children, the last two shards each
    first = {to_help(left, child, 16)[0] for child in range(16)}
    assert len(first) == 16


@pytest.mark.parametrize(("children", "shards"), [(16, 1), (16, 999), (16, 1000), (16, 1001), (100, 100_000)])
def test_a_helper_sees_every_shard_where_it_may(children: int, shards: int) -> None:
    """The pages cover all shards, the last ones first, each a page of a listing."""
    looked = pages(3, children, shards)
    if shards // children >= len(looked):
        assert max(shard for page in looked for shard in page) == shards - 1
    assert all(1 <= len(page) <= PAGE_SHARDS for page in looked)
    assert len(looked) <= max(1, shards // children)


def test_helping_costs_no_more_than_working() -> None:
    """10,000 children of 100,000 shards list ten pages each, and together they see every shard."""
    seen = {shard for child in range(10_000) for page in pages(child, 10_000, 100_000)[:1] for shard in page}
    assert len(pages(0, 10_000, 100_000)) == 10
    assert len(seen) == 100_000


def test_a_claim_that_is_kept_is_alive() -> None:
    """It is written anew every minute."""
    assert not is_dead(61)
    assert is_dead(DEAD_SECONDS + 1)


def test_no_child_hands_back_before_it_has_worked_a_shard() -> None:
    """Else a run whose shards are long would never end."""
    stay = Stay(2, slots=16, attempt=4)
    assert not stay.is_over(10 * LATE_SECONDS, 1)
    assert not stay.more_are_due(1000, 2)
    stay.note(50)
    assert stay.is_over(10 * LATE_SECONDS, 1)


def test_a_child_hands_back_before_its_time_is_up() -> None:
    """Where its longest shard would not be done any more."""
    stay = Stay(2)
    stay.note(50)
    stay.note(20)
    assert stay.is_over(70, 49)
    assert not stay.is_over(70, 51)
    assert not stay.is_over(70, None)


@pytest.mark.parametrize(("attempt", "is_short"), [(1, False), (3, False), (4, True), (10, True)])
def test_a_late_attempt_is_short(attempt: int, is_short: bool) -> None:  # noqa: FBT001
    """A child that has lost three hosts hands back before it loses the last; until then it may stay for days."""
    stay = Stay(2, attempt=attempt)
    stay.note(50)
    assert stay.is_over(LATE_SECONDS, None) is is_short
    assert not stay.is_over(LATE_SECONDS - 1, None)
    assert stay.is_over(1e6, None) is is_short


@pytest.mark.parametrize(
    ("seconds", "children", "slots", "left", "more"),
    [
        (45, 2, 256, 1000, True),  # the pace was wrong: two children for 12 hours of work
        (45, 16, 16, 1000, False),  # as many as there is room for
        (45, 2, None, 1000, False),  # nobody knows how many there is room for
        (0.1, 2, 256, 1000, False),  # 100 seconds of work: a start takes longer than is won
        (45, 2, 256, 2, False),  # each has one left
        (45, 220, 256, 10_000, False),  # a sixth more children do not pay
    ],
)
def test_a_child_hands_back_where_many_more_children_are_due(
    seconds: float,
    children: int,
    slots: int | None,
    left: int,
    more: bool,  # noqa: FBT001
) -> None:
    """Only where what is left gets done much sooner, a start included."""
    stay = Stay(children, slots)
    stay.note(seconds)
    assert stay.more_are_due(left, children) is more
