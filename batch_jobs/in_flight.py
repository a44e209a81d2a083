"""How many small items are under way at once: as many as make the job faster, fewer when S3 asks to slow down.

A small object costs some hundred microseconds of CPU and tens of milliseconds of waiting, so that a core is kept busy
by a hundred of them and more; how many, depends on S3's latency, which nobody knows beforehand. So it is tried:
more at once, as long as they get done faster by at least half as much; half as many at a SlowDown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from millrace.errors import StorageError, ThrottledError

_ROUNDS = 12
"""A limit is judged by so many items for each of its places."""

_LEAST_SECONDS = 0.2
_HOLD = 4
"""So many judgements pass before more is tried again."""

_JUDGEMENTS = 2
"""So many in a row must say that more does not pay: one may be chance."""


class InFlight:
    """The limit. Safe to use from several threads.

    Args:
        concurrency: Where it begins.
        most: Where it ends.
        clock: Seconds that only ever grow.

    Attributes:
        limit: How many items may be under way now.
    """

    def __init__(self, concurrency: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = concurrency
        self._most = max(most, concurrency)
        self._clock = clock
        self._lock = threading.Lock()
        self._doubling = True
        self._before: tuple[int, float] | None = None
        self._hold = self._against = 0
        self._throttled = False
        self._begin(clock())

    def note(self, error: StorageError) -> None:
        """A call to S3 failed: halve the limit if S3 asked to slow down, once for all who were under way then."""
        if not isinstance(error, ThrottledError):
            return
        with self._lock:
            if self._throttled:
                return
            self.limit = max(1, self.limit // 2)
            self._doubling, self._before, self._hold, self._against = False, None, _HOLD, 0
            self._begin(self._clock())
            self._throttled = True

    def done(self, items: int = 1) -> None:
        """So many items more are done."""
        with self._lock:
            self._done += items
            if self._done < _ROUNDS * self.limit:
                return
            now = self._clock()
            if now - self._since < _LEAST_SECONDS:
                return
            rate = self._done / (now - self._since)
            self._judge(rate)
            self._begin(now)

    def _begin(self, now: float) -> None:
        self._since, self._done, self._throttled = now, 0, False

    def _judge(self, rate: float) -> None:
        if self._before is not None and self.limit > self._before[0]:
            was, rate_then = self._before
            if rate < rate_then * (1 + (self.limit / was - 1) / 2):
                self._against += 1
                if self._against == _JUDGEMENTS:
                    self.limit, self._doubling, self._hold, self._against = was, False, _HOLD, 0
                return
        elif self._hold:
            self._hold -= 1
            return
        self._before, self._against = (self.limit, rate), 0
        more = self.limit if self._doubling else max(1, self.limit // 8)
        self.limit = min(self._most, self.limit + more)
