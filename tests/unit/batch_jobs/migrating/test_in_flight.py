"""How many items are under way at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from batch_jobs.in_flight import InFlight
from batch_jobs.parallel import until_stopped
from batch_jobs.stop import Stop
from millrace.errors import ObjectNotFoundError, ThrottledError

SLOW_DOWN = ThrottledError("Reduce your request rate", operation="get", target="s3://b/k")


class Simulated:
    """Items that S3 answers after a while, in simulated time.

    Args:
        rate: How many get done in a second, by how many are under way.
    """

    def __init__(self, rate: Callable[[int], float], concurrency: int = 16, most: int = 256) -> None:
        self.now = 0.0
        self.rate = rate
        self.in_flight = InFlight(concurrency, most, clock=lambda: self.now)

    def work(self, items: int) -> list[int]:
        """So many items; returns the limits there were."""
        limits = []
        for _ in range(items):
            self.now += 1 / self.rate(self.in_flight.limit)
            self.in_flight.done()
            limits.append(self.in_flight.limit)
        return limits


def test_more_at_once_while_it_pays() -> None:
    """With 30 ms a request and a core that does 2,000 a second, some 60 are enough, and many more are not taken."""
    simulated = Simulated(lambda limit: min(limit / 0.03, 2000))
    limits = simulated.work(50_000)

    assert 45 <= limits[-1] <= 96
    assert limits.index(next(limit for limit in limits if limit > 45)) < 1000  # in less than a second
    assert max(limits) <= 128


@pytest.mark.parametrize("seed", range(8))
def test_a_pace_that_varies_does_not_hold_it_back(seed: int) -> None:
    """A hundred items take up to half as long again, or half as long less, as others do: chance, and taken for it."""
    dice = Random(seed)
    pace = 1.0

    def rate(limit: int) -> float:
        nonlocal pace
        if dice.random() < 0.01:
            pace = dice.uniform(0.5, 1.5)
        return limit / 0.03 * pace

    simulated = Simulated(rate)
    limits = simulated.work(100_000)
    assert sum(limits) / len(limits) > 200
    assert simulated.now < 25  # 256 at once take 12 to 13 s


def test_never_more_than_the_most() -> None:
    """However slow S3 is."""
    assert max(Simulated(lambda limit: limit / 5.0, most=100).work(20_000)) == 100


def test_half_as_many_at_a_slow_down() -> None:
    """Those who were under way together count once; one is always under way."""
    simulated = Simulated(lambda limit: limit / 0.03)
    simulated.work(20_000)
    assert simulated.in_flight.limit == 256
    for _ in range(200):
        simulated.in_flight.note(SLOW_DOWN)
    assert simulated.in_flight.limit == 128
    simulated.work(2000)
    simulated.in_flight.note(SLOW_DOWN)
    assert simulated.in_flight.limit == 64
    for _ in range(20):
        simulated.in_flight.note(SLOW_DOWN)
        simulated.work(1000)
        simulated.in_flight.note(SLOW_DOWN)
    assert simulated.in_flight.limit >= 1


def test_other_errors_are_nothing_to_it() -> None:
    """A missing object says nothing of how busy S3 is."""
    simulated = Simulated(lambda limit: limit / 0.03)
    simulated.in_flight.note(ObjectNotFoundError("gone", operation="get", target="s3://b/k"))
    assert simulated.in_flight.limit == 16


def test_it_finds_back_up_in_small_steps() -> None:
    """After a SlowDown the limit grows by an eighth at a time, and tries again and again."""
    simulated = Simulated(lambda limit: limit / 0.03)
    simulated.work(20_000)
    simulated.in_flight.note(SLOW_DOWN)
    limits = simulated.work(100_000)
    assert limits[-1] == 256
    assert all(after - before <= max(1, before // 8) for before, after in pairwise(limits))


def test_small_things_are_many_at_once() -> None:
    """Of small things as many as the limit says, whatever the concurrency."""
    together = threading.Barrier(16, timeout=30)

    def make(number: int) -> int:
        if number < 16:
            together.wait()  # until sixteen are here
        return number

    made = until_stopped(make, range(1600), 4, Stop(), in_flight=InFlight(16, 16), small=lambda _number: True)

    assert sorted(made) == list(range(1600))


def test_few_small_things_are_shared_by_as_many_threads() -> None:
    """A thread takes one at a time while there may be no more than a few, then some at once."""
    lock = threading.Lock()
    together = threading.Barrier(4, timeout=30)
    by_thread: dict[int, list[int]] = {}

    def make(number: int) -> int:
        if number < 4:
            together.wait()  # until each thread has its first
        time.sleep(0.001)
        with lock:
            by_thread.setdefault(threading.get_ident(), []).append(number)
        return number

    made = until_stopped(make, range(4000), 4, Stop(), in_flight=InFlight(4, 4), small=lambda _number: True)

    assert sorted(made) == list(range(4000))
    begins = [numbers[0] for numbers in by_thread.values()]
    assert sorted(begins) == [0, 1, 2, 3]
    following = sum(after == before + 1 for numbers in by_thread.values() for before, after in pairwise(numbers))
    assert following > 3000, "seven of eight come right after another one of the same thread"


def test_a_stop_ends_what_a_thread_has_taken_at_once() -> None:
    """What was not begun is left for the next attempt; what was made is there."""
    stop = Stop()
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        if number == 2000:
            stop.request("SIGTERM")
        return number

    made = list(until_stopped(make, range(100_000), 4, stop, in_flight=InFlight(4, 4), small=lambda _number: True))

    assert sorted(made) == sorted(begun)
    assert 2000 < len(made) < 2100


def test_large_things_are_not() -> None:
    """A large thing may take much memory: of these there are never more than the concurrency."""
    lock = threading.Lock()
    under_way = most = 0

    def make(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.001)
        with lock:
            under_way -= 1
        return number

    made = until_stopped(make, range(400), 4, Stop(), in_flight=InFlight(16, 64), small=lambda _number: False)

    assert sorted(made) == list(range(400))
    assert most <= 4


def test_a_failure_ends_it() -> None:
    """What a thread raises comes out where the things are taken, and nothing new begins."""
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        if number == 50:
            raise SLOW_DOWN
        return number

    with pytest.raises(ThrottledError):
        list(until_stopped(make, range(100_000), 4, Stop()))
    assert len(begun) < 10_000
