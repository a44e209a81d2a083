"""When a job has to stop early: SIGTERM, or its own deadline, which comes before Batch's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from millrace.errors import StoppedError

MARGIN_SECONDS = 120.0
"""How long before the attempt's time limit a job stops by itself, or a quarter of the limit where that is less.

Batch never retries an attempt that ran into its limit (Batch user guide, job timeouts), so it must not come to that.
"""

OUT_OF_TIME = "the attempt's time is almost up"


class Stop:
    """Says whether the job has to stop.

    Args:
        attempt_seconds: The attempt's time limit; None where there is none.
        clock: Seconds that only ever grow.
        wait: Waits so many seconds; None waits until the job has to stop, at most.
    """

    def __init__(
        self,
        attempt_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._clock = clock
        self._deadline: float | None = None
        if attempt_seconds is not None:
            self._deadline = clock() + attempt_seconds - min(MARGIN_SECONDS, attempt_seconds / 4)
        self._event = threading.Event()
        self._wait = wait or self._event.wait
        self._reason = ""

    def request(self, reason: str) -> None:
        """Ask the job to stop; a signal handler may call it."""
        self._reason = self._reason or reason
        self._event.set()

    @property
    def reason(self) -> str:
        """Why the job has to stop; empty as long as it need not."""
        if not self._reason and self._deadline is not None and self._clock() >= self._deadline:
            self.request(OUT_OF_TIME)
        return self._reason

    @property
    def seconds_left(self) -> float | None:
        """How long the job may still run; None where there is no limit."""
        return None if self._deadline is None else self._deadline - self._clock()

    @property
    def is_late(self) -> bool:
        """Whether the job has to stop because its time is up."""
        return self._reason == OUT_OF_TIME

    def check(self) -> None:
        """Raise if the job has to stop.

        Raises:
            StoppedError: The job has to stop.
        """
        if self.reason:
            raise StoppedError(f"{self.reason}; the next attempt continues")

    def sleep(self, seconds: float) -> None:
        """Wait, unless the job has to stop.

        Raises:
            StoppedError: The job has to stop.
        """
        self._wait(seconds)
        self.check()
