"""The entries of several partials in the order of their files' keys, whatever the order of the partials.

A run that reuses an earlier one has the shards of that run first. Partials that follow each other by their keys are one
stretch, so that an ordinary run has one stretch alone; several stretches are merged, an entry of each in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts
from batch_jobs.workloads.csv_to_dynamodb.import_partial import RejectedRow, entry_line, read_import

_MOST_STRETCHES = 64
"""So many files are open at most: more stretches are merged into one."""

Place = tuple[str, int]
"""A file's place in the report: its key, and where its range begins."""


def entries_in_order(partials: Iterable[BinaryIO]) -> Iterator[FileCounts | RejectedRow]:
    """Each file's counts, followed by its rejected rows, in the order of the files' keys.

    Args:
        partials: Partials, each in that order in itself, opened for reading one at a time.

    Raises:
        DamagedFileError: A partial is not one.
    """
    with ExitStack() as files:
        stretches: list[BinaryIO] = []
        last: Place | None = None
        for partial in partials:
            first = True
            for entry in read_import(partial):
                if isinstance(entry, FileCounts):
                    place = _place(entry)
                    if last is None or (first and place < last):
                        if len(stretches) == _MOST_STRETCHES:
                            stretches = [_merged(stretches, files)]
                        stretches.append(_temporary(files))
                    first, last = False, place
                stretches[-1].write(_line(entry))
        yield from _in_order(stretches)


def _temporary(files: ExitStack) -> BinaryIO:
    return cast("BinaryIO", files.enter_context(TemporaryFile()))


def _merged(stretches: list[BinaryIO], files: ExitStack) -> BinaryIO:
    merged = _temporary(files)
    merged.writelines(map(_line, _in_order(stretches)))
    for stretch in stretches:
        stretch.close()
    return merged


def _in_order(stretches: list[BinaryIO]) -> Iterator[FileCounts | RejectedRow]:
    entries = []
    for stretch in stretches:
        stretch.seek(0)
        entries.append(read_import(stretch))
    # No two stretches have one place: an item is in one shard.
    heads = [(_place(head), number, head) for number, each in enumerate(entries) if (head := _head(next(each, None)))]
    heapq.heapify(heads)
    while heads:
        _, number, head = heads[0]
        yield head
        following = next(entries[number], None)
        while isinstance(following, RejectedRow):
            yield following
            following = next(entries[number], None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (_place(following), number, following))


def _head(entry: FileCounts | RejectedRow | None) -> FileCounts | None:
    return entry if isinstance(entry, FileCounts) else None


def _place(counts: FileCounts) -> Place:
    return counts.key, counts.first_byte or 0


def _line(entry: FileCounts | RejectedRow) -> bytes:
    return entry_line(asdict(entry) if isinstance(entry, FileCounts) else entry)
