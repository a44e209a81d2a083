"""Events of AWS delivered once more, in another order: EventBridge delivers at least once, and in any order."""

import random
import threading
from collections.abc import Callable


class KeptEvents:
    """Remembers the events that are put on the default bus, from when it is asked to, and puts them again."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._lock = threading.Lock()
        self._kept: list[Callable[[], None]] | None = None

    def start(self) -> None:
        """Keep what comes from now on; what was kept before is forgotten."""
        with self._lock:
            self._kept = []

    def keep(self, put: Callable[[], None]) -> None:
        """Remember how to put an event, if events are kept."""
        with self._lock:
            if self._kept is not None:
                self._kept.append(put)

    def put_again(self, copies: int, seed: int) -> int:
        """Put each kept event so many times again, all of them shuffled, and keep no more.

        Returns:
            How many events were kept.
        """
        with self._lock:
            kept, self._kept = self._kept or [], None
        again = kept * copies
        random.Random(seed).shuffle(again)  # noqa: S311 - no secret
        for put in again:
            put()
        return len(kept)
