"""One at a time: every simulated process is a thread, and a baton says which one runs.

The baton changes hands only in `Scheduler.pause`, and a seeded random number says to whom, so that the same seed gives
the same interleaving. Time is simulated too: nobody sleeps, and a clock that is read gives what the calls have cost.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tests.simulation.errors import Abandoned, EndlessRunError


class Task:
    """Something that runs by turns.

    Attributes:
        name: For people.
        ready: Whether it can go on; None where it always can.
        wake_at: The step before which it does not go on.
        done: Whether it has ended.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: Callable[[], bool] | None = None
        self.wake_at = 0
        self.done = False
        self.turn = threading.Lock()
        self.turn.acquire()
        self.thread: threading.Thread | None = None


class Scheduler:
    """Passes the baton. The thread that makes it is its first task.

    Args:
        chance: Decides who is next.
        stickiness: How likely the task that has the baton keeps it: 0 mixes the tasks most.
        step_limit: A run of more steps is taken for one without end.

    Attributes:
        steps: How often the baton was offered.
        now: Seconds since the beginning.
    """

    def __init__(self, chance: random.Random, stickiness: float = 0.0, step_limit: int = 60_000) -> None:
        self.steps = 0
        self.now = 0.0
        self._chance = chance
        self._stickiness = stickiness
        self._limit = step_limit
        self._main = self._current = Task("main")
        self._tasks = [self._main]
        self._failure: BaseException | None = None
        self._abandoned = False

    def spawn(self, name: str, call: Callable[[], None], delay: int = 0) -> Task:
        """Start a task; it gets the baton some time after `delay` steps."""
        task = Task(name)
        task.wake_at = self.steps + delay
        task.thread = threading.Thread(target=self._run, args=(task, call), name=name, daemon=True)
        self._tasks.append(task)
        task.thread.start()
        return task

    def pause(self, ready: Callable[[], bool] | None = None, steps: int = 0, seconds: float = 0.0) -> None:
        """Offer the baton; come back when it is this task's turn again.

        Args:
            ready: Come back only when this says so.
            steps: Come back no earlier than so many steps later.
            seconds: How long what happens meanwhile takes.

        Raises:
            EndlessRunError: There were too many steps.
        """
        me = self._current
        self._check()
        self.steps += 1
        self.now += seconds
        if self.steps > self._limit:
            raise EndlessRunError(f"the run has not ended after {self._limit} steps")
        me.ready, me.wake_at = ready, self.steps + steps
        if not steps and ready is None and self._stickiness and self._chance.random() < self._stickiness:
            return
        chosen = self._pick()
        if chosen is not me:
            self._current = chosen
            chosen.turn.release()
            me.turn.acquire()
            self._check()
        me.ready = None
        if me is self._main and self._failure is not None:
            raise self._failure

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.pause(seconds=seconds)

    def clock(self) -> float:
        """Seconds that only ever grow."""
        return self.now

    @property
    def quiet(self) -> bool:
        """Whether no task but the first is left."""
        return len(self._tasks) == 1

    def close(self) -> None:
        """End what still runs: each task meets `Abandoned` where it waits."""
        self._abandoned = True
        for task in [task for task in self._tasks if task.thread is not None]:
            task.turn.release()
            if task.thread is not None:
                task.thread.join()

    def _check(self) -> None:
        if self._abandoned:
            raise Abandoned

    def _run(self, task: Task, call: Callable[[], None]) -> None:
        task.turn.acquire()
        if self._abandoned:
            return
        try:
            call()
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 - whatever it is, the first task hears of it
            self._failure = self._failure or error
        task.done = True
        self._tasks.remove(task)
        self._current = self._pick()
        self._current.turn.release()

    def _pick(self) -> Task:
        if self._failure is not None:
            return self._main
        while True:
            ready = [task for task in self._tasks if task.wake_at <= self.steps and (not task.ready or task.ready())]
            if ready:
                return ready[self._chance.randrange(len(ready))] if len(ready) > 1 else ready[0]
            later = [task.wake_at for task in self._tasks if task.wake_at > self.steps]
            if not later:
                names = ", ".join(task.name for task in self._tasks)
                self._failure = EndlessRunError(f"all wait for each other: {names}")
                return self._main
            self.steps = min(later)
