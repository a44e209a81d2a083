"""How much a job decodes at once: pictures are small as files and large in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition


class PixelBudget:
    """Lets threads in as long as what they hold together stays within a limit; one alone may hold more.

    Args:
        limit_bytes: The limit.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Generator[None, None, None]:
        """Wait until so many bytes may be held, and hold them inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()
