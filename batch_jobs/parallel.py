"""Doing things several at a time, with a number under way that may change; with one at a time, no thread is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from batch_jobs.in_flight import InFlight
from batch_jobs.stop import Stop
from millrace.in_order import in_order

__all__ = ["in_order", "until_stopped"]

Thing = TypeVar("Thing")
Made = TypeVar("Made")

GRACE_SECONDS = 8.0
"""How long things under way may take to end once the job has to stop; Fargate kills 30 s after SIGTERM."""

_GATHER_SECONDS = 0.005
"""What is made is taken in batches: to wake for each would cost more than a small item."""

_TOGETHER = 8
"""A thread takes up to so many small things at once: to come back for each would cost as much as some of them."""

_UNTAKEN = 4
"""Nothing new begins while so many for each thread are made and not taken: memory stays bounded."""

_NOTHING: Any = object()


def until_stopped(
    make: Callable[[Thing], Made],
    things: Iterable[Thing],
    concurrency: int,
    stop: Stop,
    *,
    in_flight: InFlight | None = None,
    small: Callable[[Thing], bool] = lambda _thing: False,
    meanwhile: Callable[[], None] = lambda: None,
) -> Generator[Made, None, None]:
    """What `make` makes of each thing, in the order in which they get done; ends early when the job has to stop.

    Things under way then have a few seconds to end; the others are dropped, and their threads left behind.

    Args:
        make: Called from several threads.
        things: Taken as needed.
        concurrency: How many that are not small are under way at once.
        stop: Whether to stop.
        in_flight: How many are under way at once, small ones and others; None for `concurrency`.
        small: Whether a thing is small.
        meanwhile: Called twice a second or more often while nothing gets done, in the caller's thread.
    """
    if concurrency == 1:
        for thing in things:
            if stop.reason:
                return
            yield make(thing)
        return
    workers = _Workers(make, iter(things), concurrency, stop, in_flight or InFlight(concurrency, concurrency), small)
    last_moment: float | None = None
    try:
        while workers.start() or not workers.made.empty():
            if stop.reason and last_moment is None:
                last_moment = time.monotonic() + GRACE_SECONDS
            if last_moment is not None and time.monotonic() > last_moment:
                return
            meanwhile()
            yield from workers.take()
    finally:
        workers.ended = True


@dataclass(eq=False)
class _Workers(Generic[Thing, Made]):
    """The threads. One that finds the limit lowered, or nothing left to do, ends.

    Attributes:
        made: What a thread made of what it took, what it raised, whether the thing was a large one.
        ended: Whether nobody waits for what they make any more.
    """

    make: Callable[[Thing], Made]
    left: Any
    concurrency: int
    stop: Stop
    limit: InFlight
    small: Callable[[Thing], bool]
    made: SimpleQueue[tuple[list[Any], BaseException | None, bool]] = field(default_factory=SimpleQueue)
    ended: bool = False
    threads: int = 0
    taken: int = 0
    large: int = 0
    ahead: Any = _NOTHING
    exhausted: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> bool:
        """As many threads as the limit asks for; returns whether any is there."""
        with self.changed:
            wanted = 0 if self.exhausted or self.ended or self.stop.reason else self.limit.limit - self.threads
            for _ in range(wanted):
                self.threads += 1
                threading.Thread(target=self._work, daemon=True).start()
            return self.threads > 0

    def take(self) -> Generator[Made, None, None]:
        """What was made meanwhile; nothing, where half a second goes by."""
        try:
            made = [self.made.get(timeout=0.5)]
        except Empty:
            return
        time.sleep(_GATHER_SECONDS)
        made += [self.made.get_nowait() for _ in range(self.made.qsize())]
        for some, failure, large in made:
            yield from some
            if failure is not None:
                raise failure
            self.limit.done(len(some))
            if large:
                with self.changed:
                    self.large -= 1
                    self.changed.notify()

    def _work(self) -> None:
        failure: BaseException | None = None
        while failure is None and (things := self._take()):
            made: list[Made] = []
            try:
                for thing in things:
                    made.append(self.make(thing))
                    if self.ended or self.stop.reason:
                        break
            except BaseException as error:  # noqa: BLE001 - raised again where the things are taken
                failure = error
            self.made.put((made, failure, not self.small(things[0])))
        with self.changed:
            self.threads -= 1
            self.changed.notify_all()
        self.made.put(([], None, False))  # a waiting reader sees that this thread is gone

    def _take(self) -> list[Any]:
        """The next thing, or some small ones, once they may begin; none to end."""
        with self.changed:
            while not (self.ended or self.exhausted or self.stop.reason or self.threads > self.limit.limit):
                # One at a time at first: few things are shared by as many threads as there may be.
                together = min(_TOGETHER, 1 + self.taken // (_UNTAKEN * self.limit.limit))
                if self.ahead is _NOTHING:
                    self.ahead = next(self.left, _NOTHING)
                if self.ahead is _NOTHING:
                    self.exhausted = True
                elif self.made.qsize() * together > _UNTAKEN * self.limit.limit:
                    self.changed.wait(_GATHER_SECONDS)
                elif self.small(self.ahead):
                    return self._small_ones(together)
                elif self.large < self.concurrency:
                    thing, self.ahead = self.ahead, _NOTHING
                    self.large += 1
                    return [thing]
                else:
                    self.changed.wait(0.5)
        return []

    def _small_ones(self, most: int) -> list[Any]:
        """What is ahead, and the small things behind it."""
        things: list[Any] = []
        while len(things) < most and self.ahead is not _NOTHING and self.small(self.ahead):
            things.append(self.ahead)
            self.ahead = next(self.left, _NOTHING)
        self.taken += len(things)
        return things
