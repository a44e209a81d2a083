"""Doing things several at a time."""

import threading
import time
from collections.abc import Iterator

import pytest

from batch_jobs.parallel import in_order, until_stopped
from batch_jobs.stop import Stop


@pytest.mark.parametrize("concurrency", [1, 3])
def test_results_come_in_the_order_of_the_things(concurrency: int) -> None:
    """However long each takes."""

    def make(number: int) -> int:
        time.sleep(0.01 if number % 2 else 0)
        return number * 10

    assert list(in_order(make, range(20), concurrency)) == [number * 10 for number in range(20)]


def test_only_so_many_are_ahead() -> None:
    """Things are taken as results are, not all at once: memory stays bounded."""
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = in_order(str, things(), 4)
    next(results)
    assert taken <= 5
    results.close()


def test_an_error_comes_out_where_its_thing_stood() -> None:
    """What was made before it still arrives."""

    def make(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    results = in_order(make, range(10), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_nothing_new_begins_after_a_stop(concurrency: int) -> None:
    """What is under way ends; the rest is left alone."""
    stop = Stop()
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        if number == 5:
            stop.request("SIGTERM")
        return number

    made = list(until_stopped(make, range(1000), concurrency, stop))

    assert sorted(made) == sorted(begun)
    assert 6 <= len(made) <= 6 + 2 * concurrency


def test_several_are_under_way_at_once() -> None:
    """Four things that wait for each other get done."""
    meeting = threading.Barrier(4)

    assert len(list(until_stopped(lambda _: meeting.wait(timeout=20), range(4), 4, Stop()))) == 4
