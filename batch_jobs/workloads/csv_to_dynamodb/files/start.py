"""How a CSV file begins: blank lines and Excel's `sep=` line, which are no rows, and which delimiter the rows have."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat

SAMPLE_LINES = 100
SAMPLE_CHARACTERS = 65_536
"""`auto` looks at the first lines, up to the one that reaches either number."""

_DELIMITERS = ("\t", "|", ";", ",")
"""What `auto` looks for. Of equals the first wins: commas are common inside cells, tabs are not."""

_STATED = re.compile(r'("?)sep=([^\w"\r\n])\2*\1(?:\2| )*[\r\n]*', re.ASCII | re.IGNORECASE)
"""Excel's first line, `sep=;`. It names the delimiter and is no row.

Other programs save it again as a row of one cell: quoted, and with a delimiter for each further column.
"""


class Start(NamedTuple):
    """The beginning of a file.

    Attributes:
        skipped: How many lines come before the first row.
        lines: The lines from there on that were read.
        delimiter: What separates the cells.
    """

    skipped: int
    lines: list[str]
    delimiter: str


def read_start(lines: Iterator[str], form: CsvFormat, length: Callable[[str], int] = len) -> Start:
    """Read the beginning of a file. The first lines decide alone, so that each range of a file is read alike.

    Args:
        lines: The file's lines, endings included; taken as far as needed.
        form: How the file is written.
        length: How many characters a line has.
    """
    skipped = characters = 0
    delimiter = "" if form.delimiter == "auto" else form.delimiter
    stated = False
    sample: list[str] = []
    for line in lines:
        if not sample and not line.strip("\r\n"):
            skipped += 1
            continue
        if not sample and not stated and (mark := _stated(line, form)):
            stated = True
            delimiter = delimiter or mark
            skipped += 1
            continue
        sample.append(line)
        characters += length(line)
        if delimiter or len(sample) >= SAMPLE_LINES or characters >= SAMPLE_CHARACTERS:
            break
    return Start(skipped, sample, delimiter or _judged(sample, form))


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a row has nothing in it: no header, whatever the number of its cells."""
    return not any(map(has_text, cells))


def has_text(cell: str) -> bool:
    """Whether there is more in a cell than spaces and tabs."""
    return bool(cell.strip(" \t"))


def least_cells(names: Sequence[str]) -> int:
    """How many cells a row has at least: nameless columns at the end may be missing."""
    return next((number for number in range(len(names), 0, -1) if has_text(names[number - 1])), 0)


def _stated(line: str, form: CsvFormat) -> str:
    found = _STATED.fullmatch(line) if len(line) <= 100 else None
    return found[2] if found and found[2].isascii() and found[2] not in {form.quote, form.escape} else ""


def _judged(sample: list[str], form: CsvFormat) -> str:
    best = max(_DELIMITERS, key=lambda candidate: _fit(sample, form, candidate))
    # No candidate cuts the header: a row with a comma in it is more likely bad than meant as one cell.
    return best if _fit(sample, form, best)[:2] > (False, False) else ","


def _fit(sample: list[str], form: CsvFormat, delimiter: str) -> tuple[bool, bool, float, int, int]:
    """How well a delimiter cuts the rows; more is better.

    Returns:
        Whether there are as many cells as `column_names` has; whether there are several; the share of rows that have
        as many cells as the first one; minus the quotes that are left in cells; the cells of the first row that do not
        begin with a space.
    """
    rows = [cells for cells in _rows(sample, form.dialect(delimiter)) if cells is None or not is_blank(cells)]
    first = (rows[0] if rows else None) or []
    least = least_cells(first)
    alike = [cells is not None and least <= len(cells) <= len(first) for cells in rows[1:]]
    quotes = sum(cell.count(form.quote) for cells in rows for cell in cells or ()) if form.quote else 0
    return (
        bool(form.column_names) and least <= len(form.column_names) <= len(first),
        len(first) > 1,
        sum(alike) / len(alike) if alike else 1.0,
        -quotes,
        sum(not cell.startswith(" ") for cell in first),
    )


def _rows(sample: list[str], dialect: dict[str, object]) -> Iterator[list[str] | None]:
    """The rows, None where one cannot be read; one that continues behind the sample is left out."""
    reader = csv.reader(sample, strict=True, **dialect)  # type: ignore[arg-type]
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if str(error) == "unexpected end of data":
                return
            yield None
