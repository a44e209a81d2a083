"""One thread that calls functions later: the limits on attempts and on executions."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timer:
    """One call to come; cancel() makes it not come."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        """Keep the call and its time (time.monotonic)."""
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Drop the call; no effect when it was made."""
        self.call = None


class Timers:
    """A heap of calls, made one after the other in a thread of their own; the calls must be short."""

    def __init__(self) -> None:
        """Start the thread."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="local-aws-timers", daemon=True).start()

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call the function once, in this many seconds."""
        timer = Timer(time.monotonic() + seconds, call)
        with self._changed:
            heapq.heappush(self._heap, (timer.due, next(self._order), timer))
            self._changed.notify()
        return timer

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                timer = heapq.heappop(self._heap)[2]
            call = timer.call
            if call is not None:
                call()
