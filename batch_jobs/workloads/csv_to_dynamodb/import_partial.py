"""A shard's share of an import's report: JSON Lines, for each file its counts, then its rejected rows."""

from __future__ import annotations

import io
import json
import weakref
from collections.abc import Iterator
from dataclasses import asdict
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple

from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts, ImportedObject
from millrace.errors import DamagedFileError

_SPOOL_BYTES = 4_194_304


class RejectedRow(NamedTuple):
    """A rejected row of the file whose counts came before."""

    line: int
    reason: str


class ImportPartial:
    """The files of a shard, in the order of their keys. What is more than 4 MiB is on disk."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile[bytes](_SPOOL_BYTES, prefix="millrace-import-")
        weakref.finalize(self, self._file.close)
        self._parts: list[tuple[str, int, int, int]] = []

    def add(self, contribution: ImportedObject) -> None:
        """Add one object, and let go of its rejected rows."""
        self._file.seek(0, io.SEEK_END)
        rows = iter(contribution.rejected)
        row = next(rows, None)
        for number, counts in enumerate(contribution.files):
            start = self._file.tell()
            self._file.write(entry_line(asdict(counts)))
            while row is not None and row[0][0] == number:
                self._file.write(entry_line((row[0][1], row[1])))
                row = next(rows, None)
            self._remember(counts, start)
        contribution.rejected.close()

    def write(self, file: BinaryIO) -> None:
        """Write every object. The same contributions give the same bytes, in whatever order they were added."""
        for _, _, start, end in sorted(self._parts):
            self._file.seek(start)
            left = end - start
            while left:
                block = self._file.read(min(left, 1_048_576))
                file.write(block)
                left -= len(block)

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is not a partial.
        """
        self._file.seek(0, io.SEEK_END)
        counts: FileCounts | None = None
        start = self._file.tell()
        for entry in read_import(file):
            if isinstance(entry, FileCounts):
                if counts is not None:
                    self._remember(counts, start)
                counts, start = entry, self._file.tell()
                self._file.write(entry_line(asdict(entry)))
            else:
                self._file.write(entry_line(entry))
        if counts is not None:
            self._remember(counts, start)

    def _remember(self, counts: FileCounts, start: int) -> None:
        # The files of one zip come one after another: their place keeps them in order.
        self._parts.append((counts.key, counts.first_byte or 0, start, self._file.tell()))


def read_import(file: BinaryIO) -> Iterator[FileCounts | RejectedRow]:
    """What a partial holds: each file's counts, followed by its rejected rows.

    Raises:
        DamagedFileError: It is not a partial, or cut off.
    """
    counts: FileCounts | None = None
    left = 0
    for line in file:
        try:
            entry = json.loads(line)
            found = FileCounts(**entry) if isinstance(entry, dict) else RejectedRow(*entry)
        except (ValueError, TypeError) as error:
            raise _damaged(f"a line is neither counts nor a row: {error}") from error
        if isinstance(found, FileCounts):
            if left:
                break
            counts, left = found, found.rejected
        else:
            left -= 1
        if counts is None or left < 0:
            break
        yield found
    else:
        if not left:
            return
    raise _damaged("the rejected rows are not as many as the counts say")


def _damaged(why: str) -> DamagedFileError:
    return DamagedFileError(why, operation="read the partial")


def entry_line(entry: object) -> bytes:
    """A line of a partial."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
