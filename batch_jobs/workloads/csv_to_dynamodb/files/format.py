"""How a CSV file is written: delimiter, quotes, header, encoding."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from millrace.errors import InvalidRunRequest

_NO_TEXT_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})
"""What Python calls text encodings, too, but no file is written in: host names, and Python's literals. Host names
take quadratic time."""


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How a file is written.

    Attributes:
        delimiter: One character, or "auto": what cuts the first rows into the same number of cells.
        quote: One character; empty where nothing is quoted.
        escape: One character; empty where a quote inside quotes is doubled.
        header: Whether the first row holds the names of the columns.
        column_names: The names, where there is no header or it is not to be used.
        encoding: A text encoding of Python's; a byte order mark is dropped.
    """

    delimiter: str = "auto"
    quote: str = '"'
    escape: str = ""
    header: bool = True
    column_names: tuple[str, ...] = ()
    encoding: str = "utf-8"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The format that a workload's checked options describe.

        Raises:
            InvalidRunRequest: There is no such encoding, or nothing names the columns.
        """
        encoding = options["encoding"]
        try:
            "a".encode(encoding)
            encoding = codecs.lookup(encoding).name
        except (LookupError, ValueError):
            encoding = ""
        if not encoding or encoding.replace("_", "-") in _NO_TEXT_FILES:
            raise InvalidRunRequest("options.encoding", options["encoding"], "a text encoding of Python's: utf-8")
        names = tuple(options["column_names"])
        if not options["header"] and not names:
            raise InvalidRunRequest("options.column_names", [], "the columns' names, because there is no header")
        if len(set(names)) < len(names):
            raise InvalidRunRequest("options.column_names", list(names), "names that are all different")
        given = [mark for mark in (options["delimiter"], options["quote"], options["escape"]) if mark]
        if len(set(given)) < len(given):
            raise InvalidRunRequest("options.quote", options["quote"], "another character than delimiter and escape")
        return cls(
            delimiter=options["delimiter"],
            quote=options["quote"],
            escape=options["escape"],
            header=options["header"],
            column_names=names,
            encoding=encoding,
        )

    def dialect(self, delimiter: str) -> dict[str, Any]:
        """The arguments of `csv.reader`, with the delimiter that the file has."""
        return {
            "delimiter": delimiter,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape or None,
            "doublequote": not self.escape,
        }
