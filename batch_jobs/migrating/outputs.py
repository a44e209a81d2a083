"""The outputs of items: files that a workload writes, held until the job uploads them; where S3's own copies go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from millrace.errors import ErrorCode, ItemError
from millrace.layout import S3Uri, output_fault
from millrace.s3.header_values import content_type_fault
from millrace.workload.contract import ServerSideCopy

if TYPE_CHECKING:
    from types import TracebackType

SPOOL_BYTES = 4_194_304
"""What a file holds in memory; beyond that it is on disk."""


def temporary_file() -> BinaryIO:
    """A file that is in memory while it is small, and gone when it is closed."""
    return cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES))


def file_digest(file: BinaryIO) -> str:
    """The SHA-256 of a whole file, in hex."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1_048_576):
        digest.update(block)
    return digest.hexdigest()


class SpooledFile(SpooledTemporaryFile[bytes]):
    """A file whose writer may close it without losing it."""

    def __init__(self) -> None:
        super().__init__(SPOOL_BYTES)

    def close(self) -> None:
        """Nothing: `SpooledOutputs.discard` lets go of the file."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing, as `close`."""

    def discard(self) -> None:
        """Let go of the file."""
        super().close()


@dataclass(frozen=True, slots=True)
class Held:
    """A file that a workload wrote."""

    name: str
    content_type: str
    file: SpooledFile


class SpooledOutputs:
    """The `Outputs` that a workload is given. A context manager: on leaving, the files are gone.

    Args:
        refuse: Says why a name may not be used, or None.
    """

    def __init__(self, refuse: Callable[[str], str | None]) -> None:
        self._refuse = refuse
        self._files: dict[str, Held] = {}

    def open(self, name: str, content_type: str = "application/octet-stream") -> BinaryIO:
        """A new file to write.

        Raises:
            ValueError: The workload may not write a file of that name, or did already, or not with that content type.
        """
        reason = "it is open already" if name in self._files else self._refuse(name)
        reason = reason or content_type_fault(content_type)
        if reason:
            raise ValueError(f"the workload cannot write {name!r}: {reason}")
        held = self._files[name] = Held(name, content_type, SpooledFile())
        return cast("BinaryIO", held.file)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._files.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for held in self:
            held.file.discard()


def transfer_output(workload: ServerSideCopy[Any], source: S3Uri, destination: S3Uri, key: str) -> S3Uri:
    """Where the output of an item goes that S3 itself copies.

    Args:
        workload: Names it.
        source: The source folder.
        destination: The destination folder.
        key: The item's whole key.

    Raises:
        ItemError: `KEY_NOT_USABLE`: nothing can be written there.
    """
    output = destination.join(workload.output_key(key[len(source.key) :]))
    reason = output_fault(output)
    if reason:
        raise ItemError(ErrorCode.KEY_NOT_USABLE, reason)
    return output
