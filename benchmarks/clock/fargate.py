"""Batch on Fargate, event by event: slots, launches, starts, Spot reclaims, attempts, and what is billed.

Each job is a thread, so that the real code of a child can be run, which waits where a child waits. One thread runs at a
time, and time advances when all wait: a run is the same for the same seed.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

START_MEDIAN = 45.0
"""From SubmitJob to the process: 20 to 40 s from ECR inside a VPC (aws/containers-roadmap#358), 60 s for an image of
250 MB (#696), and Batch's own seconds before that. Nothing is cached between tasks."""

START_SIGMA = 0.25
"""Of the starts' lognormal distribution: two of three take 35 to 58 s. ASSUMED."""

BILLED_START = 20.0
"""What of a start is billed: from the beginning of the image's download (AWS Fargate pricing). ASSUMED."""

MINIMUM_BILLED = 60.0
"""What a task is billed at least (AWS Fargate pricing)."""

LAUNCHES_PER_SECOND = 20.0
"""Amazon ECS, throttling quotas: sustained launch rate of Fargate tasks."""

STACK_BYTES = 256 << 10
"""Of a job's thread: thousands of them are at work at once."""


class Task:
    """Something that happens beside others: a job, or the run's state machine.

    Attributes:
        owed: Seconds that its requests took, which its next wait lasts longer.
        interrupted: Whether its wait was ended early.
    """

    def __init__(self) -> None:
        self.turn = threading.Semaphore(0)
        self.owed = 0.0
        self.interrupted = False
        self.waiting: list[object] | None = None


class Clock:
    """Simulated time, and the tasks that live in it. The thread that makes it is its first task.

    Attributes:
        now: Seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.main = Task()
        self._current = self.main
        self._events: list[tuple[float, int, list[object]]] = []
        self._count = itertools.count()
        self._error: BaseException | None = None
        self._threads: dict[int, Task] = {threading.get_ident(): self.main}

    def time(self) -> float:
        """The time as jobs ask for it."""
        return self.now

    @property
    def task(self) -> Task | None:
        """The task that asks; None for a thread of its own, a pool's say."""
        return self._threads.get(threading.get_ident())

    def at(self, time: float, call: Callable[[], None]) -> None:
        """Have something done at a time; it may not wait."""
        self._push(time, [call])

    def spawn(self, time: float, call: Callable[[], None]) -> None:
        """Begin a task at a time."""
        self.at(time, lambda: self._begin(call))

    def sleep(self, seconds: float) -> bool:
        """Wait; returns whether the whole time has gone by."""
        task = self._current
        task.interrupted = False
        task.waiting = self._push(self.now + seconds + task.owed, [task])
        task.owed = 0.0
        self._switch(task)
        return not task.interrupted

    def park(self) -> None:
        """Wait for `wake`."""
        self._switch(self._current)

    def wake(self, task: Task) -> None:
        """Let a parked task continue."""
        self._push(self.now, [task])

    def interrupt(self, task: Task) -> None:
        """End a task's wait now."""
        if task.waiting:
            task.waiting.clear()
            task.interrupted = True
            task.waiting = self._push(self.now, [task])

    def _push(self, time: float, event: list[object]) -> list[object]:
        heapq.heappush(self._events, (time, next(self._count), event))
        return event

    def _begin(self, call: Callable[[], None]) -> None:
        task = Task()

        def run() -> None:
            self._threads[threading.get_ident()] = task
            task.turn.acquire()
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - raised again where the run was begun
                self._error = self._error or error
            del self._threads[threading.get_ident()]
            self._hand_on()

        before = threading.stack_size(STACK_BYTES)
        threading.Thread(target=run, daemon=True).start()
        threading.stack_size(before)
        self._push(self.now, [task])

    def _switch(self, task: Task) -> None:
        following = self._next()
        if following is not task:
            self._give(following)
            task.turn.acquire()
            if task is self.main and self._error is not None:
                raise self._error
        self._current = task
        task.waiting = None

    def _hand_on(self) -> None:
        self._give(self.main if self._error is not None else self._next())

    def _give(self, task: Task) -> None:
        self._current = task
        task.turn.release()

    def _next(self) -> Task:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            if not event:
                continue  # its wait was ended before
            what = event[0]
            if isinstance(what, Task):
                return what
            assert callable(what)  # noqa: S101
            what()
        raise RuntimeError("no event is left, but a task is still waiting")


@dataclass(slots=True)
class Attempt:
    """One attempt of a job.

    Attributes:
        number: From 1.
        notice: Called when its host is reclaimed: it has two minutes, and takes none of them.
    """

    number: int
    notice: Callable[[], None] = lambda: None


@dataclass
class Fleet:
    """The slots of a queue, and what runs in them.

    Attributes:
        clock: The time.
        slots: How many jobs run at once.
        dice: What decides starts and reclaims.
        reclaims_per_hour: How often a host is reclaimed.
        mirrored: Whether a start that the dice would have short is long, and the other way round.
        attempts: How many attempts a job has: the template's default of Attempts.
        billed: Seconds billed until now.
        started: How many attempts were started.
        reclaimed: How many of them lost their host.
        failed: How many jobs failed.
        first_start: When the last array's first process started.
        fill: Launches what waits for slots that are free now.
    """

    clock: Clock
    slots: int
    dice: random.Random
    reclaims_per_hour: float = 0.0
    mirrored: bool = False
    attempts: int = 8
    billed: float = 0.0
    started: int = 0
    reclaimed: int = 0
    failed: int = 0
    first_start: float = math.inf
    fill: Callable[[], None] = lambda: None
    _next_launch: float = 0.0
    _free: int = field(init=False)

    def __post_init__(self) -> None:
        self._free = self.slots

    def run(self, count: int, work: Callable[[int, Attempt], int]) -> None:
        """Run an array job, or a plain one, and wait for its end.

        Args:
            count: How many children it has.
            work: What a child does, given its index and its attempt; returns its exit code.
        """
        waiter, left = self.clock.task, count
        waiting = deque((index, 1) for index in range(count))
        self.first_start = math.inf

        def fill() -> None:
            while self._free and waiting:
                self._free -= 1
                index, number = waiting.popleft()
                launch = max(self.clock.now, self._next_launch)
                self._next_launch = launch + 1 / LAUNCHES_PER_SECOND
                start = start_seconds(self.dice, mirrored=self.mirrored)
                self.clock.spawn(launch + start, partial(attempt, index, number, start))

        def attempt(index: int, number: int, start: float) -> None:
            nonlocal left
            began, mine, ended = self.clock.now, Attempt(number), False
            self.first_start = min(self.first_start, began)
            self.started += 1

            def reclaim() -> None:
                if not ended:
                    self.reclaimed += 1
                    mine.notice()

            if self.reclaims_per_hour:
                self.clock.at(began + self.dice.expovariate(self.reclaims_per_hour / 3600), reclaim)
            code = work(index, mine)
            ended = True
            self.billed += billed_seconds(start, self.clock.now - began)
            self._free += 1
            if code == 1 and number < self.attempts:
                waiting.append((index, number + 1))
            else:
                self.failed += code != 0
                left -= 1
            fill()
            if not left and waiter is not None:
                self.clock.wake(waiter)

        self.fill = fill
        fill()
        self.clock.park()


def start_seconds(dice: random.Random, *, mirrored: bool = False) -> float:
    """How long a job takes from a free slot to its process."""
    return START_MEDIAN * math.exp(dice.gauss(0.0, START_SIGMA) * (-1 if mirrored else 1))


def billed_seconds(start: float, seconds: float) -> float:
    """What an attempt is billed, whose process ran so long."""
    return max(MINIMUM_BILLED, min(start, BILLED_START) + seconds)
