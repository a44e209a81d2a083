"""Reading one S3 object as a stream that survives broken connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.s3.requests import Content, Requests
from millrace.s3.retry import Backoff, Retries

if TYPE_CHECKING:
    from types import TracebackType

CHUNK_BYTES = 262_144
"""What one step of the iteration reads at most."""

WRONG_CHECKSUM = "FlexibleChecksumError"
"""The code of botocore's error for a body that does not match its checksum."""


class ObjectReader:
    """The bytes of one object in chunks. A read that breaks continues where it stopped, if the object is unchanged.

    `S3.open` makes it. It is an iterator, and a context manager that closes the connection.

    Attributes:
        etag: The object's ETag.
        length: How many bytes the read will give.
        object_length: How many bytes the object has, also where a range of it is read.
    """

    def __init__(
        self,
        requests: Requests,
        backoff: Backoff,
        uri: S3Uri,
        *,
        etag: str | None,
        version_id: str | None,
        first_byte: int | None,
        last_byte: int | None,
    ) -> None:
        self._requests = requests
        self._backoff = backoff
        self._uri = uri
        self._version_id = version_id
        self._if_match = etag
        self._first = first_byte or 0
        self._last = last_byte
        self._read = 0
        self._ended = False
        answer = backoff.run(self._get)
        self._body = answer.body
        self.length = answer.length
        self.object_length = answer.object_length
        self.etag = answer.etag
        self._last = self._first + self.length - 1
        self._if_match = self.etag
        self._tries = Retries(backoff)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next bytes.

        Raises:
            StopIteration: The object, or the range, has been read to its end.
            ChangedError: The connection broke, and the object is another one by now.
            StorageError: S3 failed through every retry.
        """
        while not self._ended:
            try:
                chunk = self._body.read(CHUNK_BYTES)
            except StorageError as error:
                if error.code == WRONG_CHECKSUM:  # all bytes came, and they are not the object's
                    raise
                if self._read < self.length:
                    self._reopen(error)
                    continue
                chunk = b""
            if chunk:
                self._read += len(chunk)
                if self._read > self.length:
                    self.close()
                    raise StorageError(
                        f"the body is longer than its {self.length} bytes", operation="get", target=str(self._uri)
                    )
                self._tries = Retries(self._backoff)
                return chunk
            if self._read == self.length:
                self.close()
                self._ended = True
            else:
                self._reopen(_truncated(self._uri, self._read, self.length))
        raise StopIteration  # each time: a workload may ask again, to hear whether the job has to stop

    def close(self) -> None:
        """Let go of the connection."""
        self._body.close()

    def _reopen(self, error: StorageError) -> None:
        """Wait, then ask for the rest.

        Raises:
            StorageError: The given error, where the tries are used up; or what the new request met.
        """
        self.close()
        self._tries.wait(error)
        self._body = self._backoff.run(self._get).body

    def _get(self) -> Content:
        position = self._first + self._read
        ranged = position > 0 or (self._last is not None and not self._read)
        return self._requests.get(
            self._uri,
            etag=self._if_match,
            version_id=self._version_id,
            first_byte=position if ranged else None,
            last_byte=self._last if ranged else None,
        )


def read_small(
    requests: Requests, uri: S3Uri, most_bytes: int, etag: str | None, version_id: str | None
) -> bytes | None:
    """Try once to read an object that should be small: `S3.read_small`.

    Raises:
        StorageError: S3 refused, failed or could not be reached, or the connection broke.
    """
    answer = requests.get(uri, etag=etag, version_id=version_id)
    body, length = answer.body, answer.length
    if length > most_bytes:
        body.close()
        return None
    content = body.read(CHUNK_BYTES)
    while more := body.read(CHUNK_BYTES):  # botocore compares the checksum at the end
        content += more
    if len(content) != length:
        raise _truncated(uri, len(content), length)
    return content


def _truncated(uri: S3Uri, read: int, length: int) -> StorageError:
    return StorageError(
        f"the body ended after {read} of {length} bytes",
        operation="get",
        target=str(uri),
        code="TruncatedBody",
        transient=True,
    )
