"""What became of the rows of one object: counts per file in it, and the rejected rows."""

from __future__ import annotations

import heapq
import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

from batch_jobs.workloads.csv_to_dynamodb.keyed_writes import KeyedWrites, Place, Refusal
from millrace.errors import ErrorCode, ItemError

_SPOOL_BYTES = 262_144

_FEW_ROWS = 20
"""No more rejected rows of an object are kept beside its shard's commit."""


class MiscountError(Exception):
    """The rows of an object do not add up."""


@dataclass(slots=True)
class FileCounts:
    """The rows of one file; every row read is written, replaced or rejected.

    Attributes:
        key: The object's key.
        member: The file's name in the zip; empty elsewhere.
        first_byte: Where the part begins that was read, in an object that is cut into parts; None for a whole one.
        read: Rows read.
        written: Rows that DynamoDB took.
        replaced: Rows not written because a later one in the same batch has the same key.
        rejected: Bad rows.
        nameless: Columns without a name, which were imported as `column_3`.
    """

    key: str
    member: str = ""
    first_byte: int | None = None
    read: int = 0
    written: int = 0
    replaced: int = 0
    rejected: int = 0
    nameless: int = 0


class RejectedRows:
    """Rejected rows, in memory while they are few."""

    def __init__(self) -> None:
        self._ours = _spool(self)
        self._tables = _spool(self)

    def add(self, place: Place, reason: str) -> None:
        """Add a row that was not sent; they come in order."""
        self._ours.write(_line(place, reason))

    def add_refused(self, refusal: Refusal) -> None:
        """Add a row that DynamoDB refuses; they come in order, too."""
        self._tables.write(_line(*refusal))

    def __iter__(self) -> Iterator[tuple[Place, str]]:
        """All of them in order, whichever came first."""
        return heapq.merge(_rows(self._ours), _rows(self._tables))

    def close(self) -> None:
        """Let go of the files."""
        self._ours.close()
        self._tables.close()


@dataclass(frozen=True, slots=True)
class ImportedObject:
    """What became of one object: a workload's contribution.

    Attributes:
        files: The counts of each file in it, in order.
        rejected: The rejected rows.
    """

    files: list[FileCounts]
    rejected: RejectedRows

    def to_json(self) -> dict[str, Any] | None:
        """All of it as JSON; None where many rows were rejected. It is left as it was."""
        if sum(counts.rejected for counts in self.files) > _FEW_ROWS:
            return None
        return {"files": [asdict(counts) for counts in self.files], "rejected": list(self.rejected)}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> ImportedObject:
        """What `to_json` was given."""
        rejected = RejectedRows()
        for (number, line), reason in given["rejected"]:
            rejected.add((number, line), reason)
        return cls([FileCounts(**counts) for counts in given["files"]], rejected)


class ObjectTally:
    """Counts the rows of one object while it is imported.

    Args:
        fails: Whether a bad row fails the object.
    """

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails
        self._files: list[FileCounts] = []
        self._rejected = RejectedRows()

    def begin(self, counts: FileCounts) -> int:
        """Continue with the next file.

        Returns:
            Its number.
        """
        self._files.append(counts)
        return len(self._files) - 1

    def check_full(self, empty: Sequence[ItemError]) -> None:
        """See whether there was anything: one empty file takes nothing from the others of its archive.

        Raises:
            ItemError: The first of the errors, where every file has one.
        """
        if empty and len(empty) == len(self._files):
            raise empty[0]

    def reject(self, place: Place, reason: str) -> None:
        """Count a row that was not sent.

        Raises:
            ItemError: `BAD_ROW`: a bad row fails the object.
        """
        self._count(place, reason)
        self._rejected.add(place, reason)

    def refuse(self, refusal: Refusal) -> None:
        """Count a row that DynamoDB refuses.

        Raises:
            ItemError: `BAD_ROW`: a bad row fails the object.
        """
        self._count(*refusal)
        self._rejected.add_refused(refusal)

    def imported(self, writes: KeyedWrites) -> ImportedObject:
        """What became of the object, once everything is written.

        Raises:
            MiscountError: Rows were lost, which must never happen.
        """
        for number, counts in enumerate(self._files):
            counts.replaced = writes.replaced[number]
            counts.written = counts.read - counts.replaced - counts.rejected
        if sum(counts.written for counts in self._files) != writes.written:
            raise MiscountError(f"{writes.written} rows were written, which does not go with {self._files}")
        return ImportedObject(self._files, self._rejected)

    def close(self) -> None:
        """Let go of the rejected rows."""
        self._rejected.close()

    def _count(self, place: Place, reason: str) -> None:
        counts = self._files[place[0]]
        counts.rejected += 1
        if self._fails:
            where = f"{counts.member}: line" if counts.member else "line"
            message = f"{where} {place[1]}: {reason}; rows before it may be in the table (on_bad_row is fail)"
            raise ItemError(ErrorCode.BAD_ROW, message)


def _spool(owner: object) -> SpooledTemporaryFile[bytes]:
    file = SpooledTemporaryFile[bytes](_SPOOL_BYTES, prefix="millrace-rows-")
    weakref.finalize(owner, file.close)
    return file


def _line(place: Place, reason: str) -> bytes:
    return json.dumps([place, reason]).encode() + b"\n"


def _rows(file: SpooledTemporaryFile[bytes]) -> Iterator[tuple[Place, str]]:
    file.seek(0)
    for line in file:
        (number, row), reason = json.loads(line)
        yield (number, row), reason
