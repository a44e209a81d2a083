"""The outer backoff: full jitter, bounded in attempts and in time."""

import pytest

from millrace.errors import StorageError, ThrottledError
from millrace.s3.retry import Backoff


class Failing:
    """A call that fails so many times."""

    def __init__(self, times: int, error: StorageError) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        """Fail, or answer."""
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


def throttled() -> ThrottledError:
    """SlowDown."""
    return ThrottledError("slow down", operation="get", target="s3://b/k", transient=True)


def test_it_goes_on_until_the_call_succeeds() -> None:
    """Nine SlowDowns in a row cost nine pauses, each twice as long up to 20 s, and then the answer is there."""
    sleeps: list[float] = []
    backoff = Backoff(sleep=sleeps.append, chance=lambda: 1.0, clock=lambda: 0.0)

    assert backoff.run(Failing(9, throttled())) == "answer"
    assert sleeps == [1, 2, 4, 8, 16, 20, 20, 20, 20]


def test_a_broken_connection_is_tried_again_sooner() -> None:
    """What is not throttling starts with pauses of 50 ms."""
    sleeps: list[float] = []
    broken = StorageError("reset", operation="get", target="s3://b/k", transient=True)
    Backoff(sleep=sleeps.append, chance=lambda: 1.0, clock=lambda: 0.0).run(Failing(3, broken))

    assert sleeps == pytest.approx([0.05, 0.1, 0.2])


def test_the_jitter_is_full() -> None:
    """The pause is the random number's share of the whole, down to nothing."""
    sleeps: list[float] = []
    chances = iter([0.0, 0.25])
    Backoff(sleep=sleeps.append, chance=lambda: next(chances), clock=lambda: 0.0).run(Failing(2, throttled()))

    assert sleeps == [0, 0.5]


def test_attempts_are_bounded() -> None:
    """After the last attempt the error itself comes out."""
    call = Failing(99, throttled())
    with pytest.raises(ThrottledError, match="slow down"):
        Backoff(attempts=4, sleep=lambda _: None, clock=lambda: 0.0).run(call)

    assert call.calls == 4


def test_time_is_bounded() -> None:
    """No pause begins that would end after the budget."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    call = Failing(99, throttled())
    with pytest.raises(ThrottledError):
        Backoff(attempts=99, budget_seconds=30, sleep=sleep, chance=lambda: 1.0, clock=lambda: now[0]).run(call)

    assert now[0] == 15  # 1 + 2 + 4 + 8: another 16 would end at 31


def test_what_is_not_transient_is_not_tried_again() -> None:
    """An error that time does not heal comes out at once."""
    call = Failing(1, StorageError("no", operation="get", target="s3://b/k"))
    with pytest.raises(StorageError, match="no"):
        Backoff(sleep=lambda _: None).run(call)

    assert call.calls == 1
