"""The completion report: a row per item, and what became of it.

`report.csv` holds the columns of S3 Batch Operations' report and more; every field is quoted. A cell that begins
with a character that makes a spreadsheet run it as a formula (OWASP, CSV injection) gets an apostrophe in front, and
so does a cell that begins with an apostrophe: stripping one leading apostrophe from every cell gives the exact text.
`failures.jsonl` holds a JSON object per failed item, its key unaltered.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import BinaryIO

from millrace.records.outcome import Counts, Outcome

COLUMNS = (
    "Bucket",
    "Key",
    "VersionId",
    "TaskStatus",
    "ErrorCode",
    "HTTPStatusCode",
    "ResultMessage",
    "Size",
    "ETag",
    "FirstByte",
    "LastByte",
    "Shard",
    "Outputs",
    "Retry",
    "ReusedFrom",
)
"""The first seven as in S3 user guide, batch operations completion reports; Outputs is a JSON list of URIs; Retry says
which retry of the failed items the row comes from, and is empty for the run's first try; ReusedFrom names the earlier
run that worked the item, and is empty where this one did."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")  # noqa: RUF001 - full-width ones count too
"""What a spreadsheet may run, and the apostrophe itself."""


class ReportWriter:
    """Writes report.csv and failures.jsonl row by row, into files of the caller.

    Args:
        bucket: The source bucket.
        report: Takes report.csv.
        failures: Takes failures.jsonl.

    Attributes:
        counts: The rows so far.
        codes: The failed rows so far, by error code.
    """

    def __init__(self, bucket: str, report: BinaryIO, failures: BinaryIO) -> None:
        self.counts = Counts()
        self.codes: Counter[str] = Counter()
        self._bucket = bucket
        self._report = report
        self._failures = failures
        self._report.write(_csv([COLUMNS]))

    def add(
        self,
        shard: int,
        outcomes: Sequence[Outcome],
        retries: Sequence[int] | None = None,
        reused_from: Sequence[str] | None = None,
    ) -> None:
        """Write a shard's outcomes: a row each.

        Args:
            shard: The shard of the run's first plan.
            outcomes: In its order.
            retries: Which retry each comes from; None: all from the run's first try.
            reused_from: Which earlier run worked each; None: this one worked all.
        """
        self.counts += Counts.of(outcomes)
        origins = zip(outcomes, retries or repeat(0), reused_from or repeat(""), strict=False)
        self._report.write(_csv(_row(self._bucket, shard, *origin) for origin in origins))
        for outcome in outcomes:
            if outcome.error_code is not None:
                self.codes[outcome.error_code.value] += 1
                row = {"bucket": self._bucket, **outcome.to_json(), "shard": shard}
                self._failures.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def safe_cell(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet might run it, or where it begins with one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def exact_cell(cell: str) -> str:
    """The text that `safe_cell` was given."""
    return cell.removeprefix("'")


def _row(bucket: str, shard: int, outcome: Outcome, retry: int, reused_from: str) -> list[str]:
    succeeded = outcome.status == "SUCCEEDED"
    status = (200 if outcome.first_byte is None else 206) if succeeded else outcome.http_status
    cells = (
        bucket,
        outcome.key,
        outcome.version_id,
        outcome.status.lower(),
        outcome.error_code,
        status,
        outcome.message,
        outcome.size,
        outcome.etag,
        outcome.first_byte,
        outcome.last_byte,
        shard,
        json.dumps(outcome.outputs, ensure_ascii=False) if outcome.outputs else None,
        retry or None,
        reused_from,
    )
    return ["" if cell is None else safe_cell(str(cell)) for cell in cells]


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    # Every field quoted: a spreadsheet that splits at semicolons would find a formula behind one in a bare field.
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()
