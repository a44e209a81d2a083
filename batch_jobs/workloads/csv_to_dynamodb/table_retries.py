"""Retries while a table is busy."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from batch_jobs.workloads.csv_to_dynamodb.table import BusyError
from millrace.errors import TableError
from millrace.s3.retry import OTHER_SCALE_SECONDS, full_jitter

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class TableRetryPolicy:
    """How long a table may be busy.

    Attributes:
        give_up_seconds: How long it may take nothing at all.
        sleep: Waits so many seconds, or until the event is set.
        chance: A random number from 0 to 1.
        clock: Seconds that only ever grow.
    """

    give_up_seconds: float = 300.0
    sleep: Callable[[threading.Event, float], object] = threading.Event.wait
    chance: Callable[[], float] = field(default=random.random)
    clock: Callable[[], float] = time.monotonic


class TableRetries:
    """The pauses before a table takes something again, ever longer; one object per thing that is tried.

    Args:
        policy: How long.
        table: The table's name, for the error.
        dropped: Set when the result is no longer needed.
    """

    def __init__(self, policy: TableRetryPolicy, table: str, dropped: threading.Event | None = None) -> None:
        self._policy = policy
        self._table = table
        self._dropped = dropped or threading.Event()
        self.progress()

    def progress(self) -> None:
        """The table took something: begin anew."""
        self._failed = 0
        self._since: float | None = None

    def pause(self, why: str) -> None:
        """Wait before the next try.

        Raises:
            TableError: It took nothing for too long.
        """
        now = self._policy.clock()
        if self._since is None:
            self._since = now
        seconds = full_jitter(OTHER_SCALE_SECONDS, self._failed, self._policy.chance)
        self._failed += 1
        if now + seconds - self._since > self._policy.give_up_seconds:
            limit = self._policy.give_up_seconds
            message = f"the table took nothing for {limit:g} seconds, last: {why}; raise its capacity or write slower"
            raise TableError(message, operation="write to the table", target=self._table)
        self._policy.sleep(self._dropped, seconds)

    def until_answered(self, call: Callable[[], Answer]) -> Answer:
        """Make a call until the table is not busy."""
        while True:
            try:
                return call()
            except BusyError as error:
                self.pause(str(error))
