"""How often, and after which pauses, a call to S3 is made again.

botocore retries first, three attempts a call. Under a storm of SlowDown its standard mode runs out of tokens after
about a hundred retries per client and then gives up at once (botocore/retries/standard.py); this layer takes over
then.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from millrace.errors import StorageError, ThrottledError

Answer = TypeVar("Answer")

THROTTLED_SCALE_SECONDS = 1.0
OTHER_SCALE_SECONDS = 0.05
CEILING_SECONDS = 20.0


def full_jitter(scale_seconds: float, failed: int, chance: Callable[[], float] = random.random) -> float:
    """How long to wait before the next attempt: AWS SDKs and Tools guide, retry behaviour, standard mode.

    Args:
        scale_seconds: The longest wait after the first failure; it doubles with each further one, up to 20 s.
        failed: How many attempts failed before the last one.
        chance: A random number from 0 to 1.
    """
    return chance() * min(scale_seconds * 2.0 ** min(failed, 30), CEILING_SECONDS)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Makes a call again while S3 is busy or broken, after pauses with full jitter.

    Attributes:
        attempts: The most attempts at one call, the first one included.
        budget_seconds: No pause begins that would end later than this after the first attempt.
        sleep: Waits so many seconds. Given anew by tests, and by jobs that must not sleep through a SIGTERM.
        chance: A random number from 0 to 1.
        clock: Seconds that only ever grow.
        note: Called with every attempt that failed.
    """

    attempts: int = 12
    budget_seconds: float = 180.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=random.random)
    clock: Callable[[], float] = time.monotonic
    note: Callable[[StorageError], None] = lambda _error: None

    def run(self, call: Callable[[], Answer]) -> Answer:
        """Make the call, again and again while it fails with a transient error.

        Raises:
            StorageError: It failed for good, or for the last time.
        """
        tries = Retries(self)
        while True:
            try:
                return call()
            except StorageError as error:
                tries.wait(error)


class Retries:
    """The failed attempts at one thing so far.

    Args:
        backoff: How many there may be.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failed = 0
        self._started = backoff.clock()

    def wait(self, error: StorageError) -> None:
        """Wait before the next attempt.

        Raises:
            StorageError: The error itself, where it is not transient or the attempts or the time are used up.
        """
        self._backoff.note(error)
        scale = THROTTLED_SCALE_SECONDS if isinstance(error, ThrottledError) else OTHER_SCALE_SECONDS
        pause = full_jitter(scale, self._failed, self._backoff.chance)
        self._failed += 1
        late = self._backoff.clock() - self._started + pause > self._backoff.budget_seconds
        if not error.transient or late or self._failed >= self._backoff.attempts:
            raise error
        self._backoff.sleep(pause)
