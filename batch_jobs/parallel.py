"""Doing things several at a time, with a bounded number under way; with one at a time, no thread is started."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from batch_jobs.stop import Stop
from millrace.in_order import in_order

__all__ = ["in_order", "until_stopped"]

Thing = TypeVar("Thing")
Made = TypeVar("Made")

GRACE_SECONDS = 8.0
"""How long things under way may take to end once the job has to stop; Fargate kills 30 s after SIGTERM."""


def until_stopped(
    make: Callable[[Thing], Made], things: Iterable[Thing], concurrency: int, stop: Stop
) -> Generator[Made, None, None]:
    """What `make` makes of each thing, in the order in which they get done; ends early when the job has to stop.

    Things under way then have a few seconds to end; the others are dropped, and their threads left behind.

    Args:
        make: Called from several threads.
        things: Taken as needed.
        concurrency: How many are under way at once.
        stop: Whether to stop.
    """
    if concurrency == 1:
        for thing in things:
            if stop.reason:
                return
            yield make(thing)
        return
    executor = ThreadPoolExecutor(concurrency)
    left = iter(things)
    under_way: set[Future[Made]] = set()
    last_moment: float | None = None
    try:
        while True:
            while not stop.reason and len(under_way) < concurrency:
                try:
                    thing = next(left)
                except StopIteration:
                    break
                under_way.add(executor.submit(make, thing))
            if stop.reason and last_moment is None:
                last_moment = time.monotonic() + GRACE_SECONDS
            if not under_way or (last_moment is not None and time.monotonic() > last_moment):
                return
            done, under_way = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
