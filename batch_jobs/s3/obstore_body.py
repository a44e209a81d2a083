"""An object's bytes as obstore gives them, read as botocore's are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ResponseStreamingError
from obstore.exceptions import BaseError

FAILURES = (BaseError, OSError)
"""What obstore raises: its own errors, and FileNotFoundError for 404."""

_AT_ONCE = 262_144
"""Up to so many bytes are taken off the connection in one step."""


class ObstoreBody:
    """An object's bytes on their way, with botocore's `read` and `close`."""

    def __init__(self, result: Any, length: int) -> None:
        self._result = result
        self._at_once = length <= _AT_ONCE
        self._chunks: Iterator[Any] | None = None
        self._rest = memoryview(b"")

    def read(self, amount: int) -> bytes:
        """So many bytes at most; none at the end.

        Raises:
            ResponseStreamingError: The connection broke.
        """
        if not self._rest:
            if self._result is None:
                return b""
            try:
                self._rest = memoryview(self._next())
            except FAILURES as failure:
                raise ResponseStreamingError(error=str(failure).partition("\n")[0]) from failure
        taken, self._rest = self._rest[:amount], self._rest[amount:]
        return bytes(taken)

    def close(self) -> None:
        """Let go of the connection."""
        self._result = self._chunks = None

    def _next(self) -> Any:
        if self._at_once:
            result, self._result = self._result, None
            return result.bytes()
        if self._chunks is None:
            self._chunks = iter(self._result.stream(min_chunk_size=_AT_ONCE))
        return next(self._chunks, b"")
