"""The time limit of an item: what takes longer is its row, whatever it does, and the other items are worked."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.stop import Stop
from batch_jobs.workloads.function import workload as function_workload
from batch_jobs.workloads.function.time_limit import TimeLimit
from batch_jobs.workloads.function.workload import class_of
from millrace import ErrorCode, ItemBody, ItemError, workload
from millrace.errors import StoppedError, StuckItemError
from millrace.workload.function import DECLARATION
from tests.run_in_memory import RunInMemory

LIMIT = 0.6
ROOT = Path(__file__).parents[4]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layer/python'}"}


def loops() -> None:
    """A loop in Python that never ends."""
    while True:
        pass


def swallows() -> None:
    """It catches every Exception, as careless code does."""
    while True:
        with suppress(Exception):
            loops()


def swallows_twice() -> None:
    """It catches everything, but not for ever."""
    for _ in range(2):
        with suppress(BaseException):
            loops()
    loops()


def sleeps_in_c() -> None:
    """C code that lets Python go on, and does not come back within the test."""
    ctypes.CDLL(None).sleep(20)


def sleeps() -> None:
    """Short calls of C code, one after the other."""
    while True:
        time.sleep(0.05)


def run_of(hangs: Callable[[], None], concurrency: int) -> RunInMemory:
    """A run of a function that does this for the object `b`."""

    @workload(item_seconds=LIMIT, outputs=[".n"])
    def hanging(body: ItemBody) -> dict[str, int]:
        text = body.text()
        if text == "hang":
            hangs()
        return {"bytes": len(text)}

    found: Any = class_of(getattr(hanging, DECLARATION))
    objects = {f"in/{name}": b"hang" if name == "b" else b"good" for name in "abcd"}
    return RunInMemory(
        objects,
        {"tolerated_failure_percent": 100},
        concurrency=concurrency,
        load=lambda _name, _options: found({}),
    )


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("hangs", [loops, swallows, swallows_twice, sleeps])
def test_what_takes_longer_is_its_row(hangs: Callable[[], None], concurrency: int) -> None:
    """Endless Python code is interrupted, whatever it catches; the other items count, the shard is committed."""
    run = run_of(hangs, concurrency)
    threads = threading.active_count()
    run.all()
    assert run.result()["result"] == {"bytes": 12}
    (failed,) = [line for line in (run.file("report.csv") or b"").decode().splitlines() if "ITEM_TIMED_OUT" in line]
    assert "0.6 seconds" in failed
    assert threading.active_count() <= threads


def works_around_what_cannot_be_interrupted(concurrency: int) -> None:
    """All jobs of a run of which one item sleeps in C."""
    called = []

    def hangs() -> None:
        called.append(1)
        sleeps_in_c()

    run = run_of(hangs, concurrency)
    run.plan()
    stop = Stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function_workload, "TimeLimit", lambda seconds: TimeLimit(seconds, grace_seconds=0.4))
        if concurrency == 1:  # with more, the others are done by then
            with pytest.raises(StoppedError, match=r"could not be interrupted.*2 of 4 items are done and saved"):
                run.migrate(stop=stop)
            commit = run.migrate()
        else:
            commit = run.migrate(stop=stop)
    assert "could not be interrupted" in stop.reason
    assert [outcome.error_code for outcome in commit.outcomes] == [None, "ITEM_TIMED_OUT", None, None]
    assert called == [1]
    run.merge(100)
    assert run.result()["result"] == {"bytes": 12}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_cannot_be_interrupted_ends_the_attempt_and_the_next_one_goes_on(concurrency: int) -> None:
    """The item is its row, progress is saved with it, and the next attempt does not call the function for it again.

    In a process without coverage's tracer: as long as another thread's interruption is pending, Python 3.11 does not
    get on with a traced one.
    """
    program = f"from {__name__} import works_around_what_cannot_be_interrupted as run; run({concurrency})"
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rows_yielded_too_slowly_are_over_time_too() -> None:
    """The clock runs until the last row, not only until the function returns its generator."""

    def work(_chunks: Iterator[bytes]) -> list[int]:
        return [time.sleep(0.02) or number for number in count()]  # type: ignore[func-returns-value]

    with pytest.raises(ItemError) as caught:
        TimeLimit(LIMIT).keep([], work)
    assert caught.value.code is ErrorCode.ITEM_TIMED_OUT


def test_reading_is_not_interrupted_but_no_chunk_follows() -> None:
    """A read under way ends as it would; then the time is up, also for a function that catches everything."""
    read = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            try:
                for _ in range(10):
                    time.sleep(0.01)
            except BaseException:
                read.append(-1)
                raise
            read.append(number)
            yield b"x"

    def work(given: Iterator[bytes]) -> int:
        try:
            return sum(map(len, given))
        except BaseException:  # noqa: BLE001 - what is tested
            return sum(map(len, given))

    with pytest.raises(ItemError, match=r"longer than 0\.6 seconds"):
        TimeLimit(LIMIT).keep(chunks(), work)
    assert -1 not in read
    assert len(read) < 70


def test_within_its_time_it_is_as_without_a_limit() -> None:
    """What it gives and what it raises come through, with the place in the function."""
    assert TimeLimit(60).keep([b"a", b"b"], b"".join) == b"ab"
    with pytest.raises(ZeroDivisionError) as caught:
        TimeLimit(60).keep([], lambda _chunks: 1 // 0)
    assert caught.traceback[-1].path == Path(__file__)
    with pytest.raises(SystemExit):
        TimeLimit(60).keep([], lambda _chunks: sys.exit(3))


@pytest.mark.parametrize("seconds", [0, -1, True, "30", float("nan"), float("inf"), 86_401])
def test_a_limit_that_is_none_is_refused(seconds: Any) -> None:
    """Where the function is decorated."""
    with pytest.raises(ValueError, match="item_seconds"):
        workload(item_seconds=seconds)


FROZEN = """
import ctypes
from batch_jobs.workloads.function import time_limit
time_limit._FROZEN_SECONDS = 1.0
def freezes(_chunks):
    ctypes.PyDLL(None).sleep(60)
time_limit.TimeLimit(0.5).keep([], freezes)
"""


def test_code_that_freezes_python_itself_ends_the_process() -> None:
    """Where no thread of Python runs any more the job ends with exit code 1, and says where it was."""
    done = subprocess.run(
        [sys.executable, "-c", FROZEN],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert "in freezes" in done.stderr


def test_a_stuck_item_is_a_row_that_ends_the_job() -> None:
    """Its error says both, and a function that catches everything for ever counts as stuck."""
    ended = threading.Event()

    def stubborn(_chunks: Iterator[bytes]) -> None:
        while not ended.is_set():
            with suppress(BaseException):
                time.sleep(0.01)

    with pytest.raises(StuckItemError, match="could not be interrupted") as caught:
        TimeLimit(0.1, grace_seconds=0.6).keep([], stubborn)
    ended.set()
    assert caught.value.code is ErrorCode.ITEM_TIMED_OUT
