"""The rate that a job's threads keep to together: its requests to S3, its writes to a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Rate:
    """Lets threads pass one at a time, so that together they keep to a rate. Time that was not used is lost.

    Args:
        per_second: The rate; 0 where there is none.
        sleep: Waits so many seconds.
        clock: Seconds that only ever grow.
        early_seconds: A thread may pass this much before its time: a shorter wait would cost more than it saves.
    """

    def __init__(
        self,
        per_second: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        early_seconds: float = 0.0,
    ) -> None:
        self._seconds = 1 / per_second if per_second else 0.0
        self._sleep = sleep
        self._clock = clock
        self._early_seconds = early_seconds
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, units: int = 1, sleep: Callable[[float], object] | None = None) -> None:
        """Wait until so many units may be used.

        Args:
            units: How many.
            sleep: Waits so many seconds, where this wait may end sooner than others.
        """
        if not self._seconds:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + units * self._seconds
        if start - now > self._early_seconds:
            (sleep or self._sleep)(start - now)
