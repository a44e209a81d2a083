"""Reading a byte range of an object, from a little before it to as far behind it as the workload asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from millrace.errors import ChangedError
from millrace.layout import S3Uri
from millrace.records.plan import Item
from millrace.s3.reader import ObjectReader
from millrace.s3.verbs import S3
from millrace.workload.contract import LOOK_BACK_BYTES

if TYPE_CHECKING:
    from types import TracebackType

READ_ON_BYTES = 65_536
"""What the first request asks for beyond the range: records longer than this cost a request more."""

STEP_BYTES = 1_048_576
"""What each further request asks for."""


def open_item(s3: S3, uri: S3Uri, item: Item) -> ObjectReader | PartsReader:
    """Begin to read an item: a whole object, or a range.

    Raises:
        ChangedError: The object's ETag is not the planned one.
        StorageError: S3 refused, failed or could not be reached.
    """
    if item.first_byte is None or item.last_byte is None:
        return s3.open(uri, etag=item.etag, version_id=item.version_id)
    if item.head_bytes is not None:  # cut at records: the object's head, then the range's own bytes, and no more
        head = [(0, item.head_bytes - 1)] if item.head_bytes else []
        return PartsReader(s3, uri, item, [*head, (item.first_byte, item.last_byte)])
    return RangeReader(s3, uri, item, item.first_byte, item.last_byte)


class PartsReader:
    """The bytes of some parts of an object, one after the other, in chunks.

    A part is asked for only when the bytes before it are used up. An iterator, and a context manager that closes the
    connection.

    Args:
        s3: Where to read.
        uri: The object.
        item: The range.
        parts: The first and last byte of each part; not empty.
    """

    def __init__(self, s3: S3, uri: S3Uri, item: Item, parts: Iterable[tuple[int, int]]) -> None:
        self._s3 = s3
        self._uri = uri
        self._item = item
        self._parts = iter(parts)
        self._reader = self._open(*next(self._parts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next bytes.

        Raises:
            StopIteration: The parts have been read to their end.
            StorageError: S3 failed through every retry, or the object is another one by now.
        """
        while True:
            chunk = next(self._reader, None)
            if chunk is not None:
                return chunk
            part = next(self._parts, None)
            if part is None:
                raise StopIteration
            self._reader = self._open(*part)

    def _open(self, first_byte: int, last_byte: int) -> ObjectReader:
        return _open_range(self._s3, self._uri, self._item, first_byte, last_byte)


class RangeReader(PartsReader):
    """The bytes of a range: those before it that the contract promises, its own, and the object's rest."""

    def __init__(self, s3: S3, uri: S3Uri, item: Item, first_byte: int, last_byte: int) -> None:
        super().__init__(s3, uri, item, _reading_on(item.size, first_byte, last_byte))


def _reading_on(size: int, first_byte: int, last_byte: int) -> Iterator[tuple[int, int]]:
    start, end = max(0, first_byte - LOOK_BACK_BYTES), last_byte + 1 + READ_ON_BYTES
    while start < size:
        yield start, min(end, size) - 1
        start, end = end, end + STEP_BYTES


def _open_range(s3: S3, uri: S3Uri, item: Item, first_byte: int, last_byte: int) -> ObjectReader:
    """Ask for some bytes of an object that has the planned ETag, and the size by which it was cut.

    Raises:
        ChangedError: It has not; a manifest may say a wrong size beside a right ETag, and bytes would be lost.
    """
    reader = s3.open(uri, etag=item.etag, version_id=item.version_id, first_byte=first_byte, last_byte=last_byte)
    if reader.object_length != item.size:
        reader.close()
        raise ChangedError(
            f"the object has {reader.object_length} bytes, and was planned with {item.size}",
            operation="get",
            target=str(uri),
            of_item=True,
        )
    return reader
