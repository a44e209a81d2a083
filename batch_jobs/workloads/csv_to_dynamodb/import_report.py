"""The report of an import, from the shards' partials: `rejected_rows.csv`, `files.csv` and the run's counts."""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Iterable
from typing import Any, BinaryIO

from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts
from batch_jobs.workloads.csv_to_dynamodb.import_order import entries_in_order
from millrace.errors import DamagedFileError
from millrace.report.completion import safe_cell
from millrace.workload import Outputs

_NAMED_FILES = 20
"""How many files with rejected rows result.json names."""

_ROWS = 4096
"""How many rows are written at once."""


def write_report(partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
    """Write `rejected_rows.csv` (a row per rejected row) and `files.csv` (a row per file), both formula-safe.

    Args:
        partials: The shards' partials.
        results: Where the files go.

    Returns:
        `{"files", "rows_read", "rows_written", "rows_replaced", "rows_rejected", "most_rejected": [{"file", "member",
        "rejected"}, …]}`, at most 20 files there; and where columns have no name, `"nameless_columns": [{"file",
        "member", "columns"}, …]`, the first 20 files.

    Raises:
        DamagedFileError: A partial is not one.
    """
    totals = FileCounts(key="")
    files = entries = 0
    cut: set[tuple[str, str]] = set()
    most: list[tuple[int, int, FileCounts]] = []
    nameless: list[dict[str, Any]] = []
    with (
        results.open("rejected_rows.csv", "text/csv; charset=utf-8") as rejected_file,
        results.open("files.csv", "text/csv; charset=utf-8") as files_file,
    ):
        rejected = _Table(rejected_file, ("file", "member", "first_byte", "line", "reason"))
        counted = _Table(
            files_file, ("file", "member", "first_byte", "rows_read", "rows_written", "rows_replaced", "rows_rejected")
        )
        where: tuple[str, str, str] = ("", "", "")
        for entry in entries_in_order(partials):
            if not isinstance(entry, FileCounts):
                rejected.add((*where, str(entry.line), entry.reason))
                continue
            where = (entry.key, entry.member, "" if entry.first_byte is None else str(entry.first_byte))
            numbers = (entry.read, entry.written, entry.replaced, entry.rejected)
            counted.add((*where, *map(str, numbers)))
            files += entry.first_byte is None or where[:2] not in cut
            entries += 1
            if entry.first_byte is not None:
                cut.add(where[:2])
            _add(totals, entry)
            if entry.nameless and not entry.first_byte and len(nameless) < _NAMED_FILES:
                nameless.append({"file": entry.key, "member": entry.member, "columns": entry.nameless})
            if entry.rejected:
                # Of equal counts the one that came first stays.
                heapq.heappush(most, (entry.rejected, -entries, entry))
                if len(most) > _NAMED_FILES:
                    heapq.heappop(most)
        rejected.flush()
        counted.flush()
    if totals.read != totals.written + totals.replaced + totals.rejected:
        raise DamagedFileError("rows read are not those written, replaced and rejected", operation="merge the counts")
    return {
        "files": files,
        "rows_read": totals.read,
        "rows_written": totals.written,
        "rows_replaced": totals.replaced,
        "rows_rejected": totals.rejected,
        "most_rejected": [
            {"file": entry.key, "member": entry.member, "rejected": entry.rejected}
            for _, _, entry in sorted(most, reverse=True)
        ],
        **({"nameless_columns": nameless} if nameless else {}),
    }


class _Table:
    """A CSV file, every cell quoted, nothing in it that a spreadsheet runs."""

    def __init__(self, file: BinaryIO, names: tuple[str, ...]) -> None:
        self._file = file
        self._rows: list[list[str]] = []
        self.add(names)

    def add(self, cells: Iterable[str]) -> None:
        self._rows.append([safe_cell(cell) for cell in cells])
        if len(self._rows) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(self._rows)
        self._file.write(text.getvalue().encode())
        self._rows = []


def _add(totals: FileCounts, counts: FileCounts) -> None:
    totals.read += counts.read
    totals.written += counts.written
    totals.replaced += counts.replaced
    totals.rejected += counts.rejected
