"""Keeping to a rate: how many write units of a table are used in a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class WriteRate:
    """Lets threads pass so that together they keep to a rate.

    Args:
        units_per_second: The rate; 0 where there is none.
        sleep: Waits so many seconds, or until the event is set.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        units_per_second: float,
        sleep: Callable[[threading.Event, float], object] = threading.Event.wait,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds_per_unit = 1 / units_per_second if units_per_second else 0.0
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, units: int, dropped: threading.Event) -> None:
        """Wait until so many units may be used, or until the event is set. What was not used in time is lost."""
        if not self._seconds_per_unit:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + units * self._seconds_per_unit
        if start > now:
            self._sleep(dropped, start - now)
