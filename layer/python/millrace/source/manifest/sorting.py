"""Rows in the order of their keys, each once, in bounded memory: past a limit they go to disk as sorted runs."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import BinaryIO, cast

from millrace.errors import ManifestError
from millrace.source.manifest.rows import Row

ROWS_IN_MEMORY = 250_000
"""About 100 MB."""

_BATCH = 500
"""How many rows of a run are read at once."""


def in_key_order(
    rows: Iterable[Row], name: str, skipped: Counter[str], rows_in_memory: int = ROWS_IN_MEMORY
) -> Iterator[Row]:
    """The rows in the order of their keys' UTF-8 bytes; a row that comes twice is given once.

    Args:
        rows: In any order.
        name: The manifest's URI, for the error.
        skipped: Counts what came again as `duplicates`.
        rows_in_memory: How many rows are held before they go to a temporary file.

    Raises:
        ManifestError: Two rows name one key and say different things of it.
    """
    with ExitStack() as files:
        runs: list[Iterable[Row]] = []
        rows = iter(rows)
        while run := sorted(islice(rows, rows_in_memory)):
            if len(run) < rows_in_memory:
                runs.append(run)
                break
            file = cast("BinaryIO", files.enter_context(tempfile.TemporaryFile(prefix="millrace-manifest-")))
            for start in range(0, len(run), _BATCH):
                file.write(json.dumps(run[start : start + _BATCH]).encode() + b"\n")
            runs.append(_rows_of(file))
        yield from _once(heapq.merge(*runs), name, skipped)


def _rows_of(file: BinaryIO) -> Iterator[Row]:
    file.seek(0)
    for line in file:
        yield from map(Row._make, json.loads(line))


def _once(rows: Iterable[Row], name: str, skipped: Counter[str]) -> Iterator[Row]:
    last: Row | None = None
    for row in rows:
        if last is None or row.key != last.key:
            yield row
            last = row
        elif row == last:
            skipped["duplicates"] += 1
        else:
            raise ManifestError(
                f"two rows name the key {row.key!r}, with different versions, sizes or ETags: a run works one version "
                "of an object, as its outputs are named by its key",
                operation="read the manifest",
                target=name,
            )
