"""Doing things several at a time and taking what comes of them in order; with one at a time, no thread is started."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")
Made = TypeVar("Made")


def in_order(make: Callable[[Thing], Made], things: Iterable[Thing], concurrency: int) -> Generator[Made, None, None]:
    """What `make` makes of each thing, in the order of the things.

    Args:
        make: Called from several threads.
        things: Taken as needed.
        concurrency: How many are under way at once, or made and not yet taken.
    """
    if concurrency == 1:
        yield from map(make, things)
        return
    with ThreadPoolExecutor(concurrency) as executor:
        ahead: deque[Future[Made]] = deque()
        try:
            for thing in things:
                ahead.append(executor.submit(make, thing))
                if len(ahead) >= concurrency:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
