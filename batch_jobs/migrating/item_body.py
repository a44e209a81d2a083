"""An item's bytes on their way to the workload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from batch_jobs.stop import Stop
from millrace.errors import StoppedError, StorageError


class Body:
    """An item's bytes, as the workload gets them: an iterator of chunks.

    Args:
        chunks: The bytes.
        stop: Whether to stop.

    Attributes:
        error: What broke the reading. It counts, whatever the workload makes of it.
    """

    def __init__(self, chunks: Iterator[bytes], stop: Stop) -> None:
        self.error: StorageError | StoppedError | None = None
        self._chunks = chunks
        self._stop = stop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next chunk."""
        try:
            self._stop.check()
            return next(self._chunks)
        except (StorageError, StoppedError) as error:
            self.error = error
            raise
