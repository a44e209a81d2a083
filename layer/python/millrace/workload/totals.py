"""The simplest partial: whole numbers by name, added up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from millrace.errors import DamagedFileError
from millrace.json_text import read_json


class Totals:
    """Whole numbers by name: `{"lines": 12, "blank": 3}`. One JSON object, its names sorted.

    A workload whose contributions are such mappings needs no partial of its own.

    Attributes:
        numbers: What was added so far.
    """

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()

    @classmethod
    def merged(cls, partials: Iterable[BinaryIO]) -> dict[str, int]:
        """The sums of several partials, by name, sorted.

        Raises:
            DamagedFileError: A partial is not one.
        """
        totals = cls()
        for file in partials:
            totals.read(file)
        return dict(sorted(totals.numbers.items()))

    def add(self, contribution: Mapping[str, int]) -> None:
        """Add one item's numbers."""
        self.numbers.update(contribution)

    def write(self, file: BinaryIO) -> None:
        """Write the sums. The same contributions give the same bytes, in whatever order they were added."""
        file.write(json.dumps(self.numbers, ensure_ascii=False, sort_keys=True).encode() + b"\n")

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is not a partial.
        """
        try:
            numbers = read_json(file.read())
        except ValueError as error:
            raise DamagedFileError(f"this is not a partial: {error}", operation="read the partial") from error
        if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
            raise DamagedFileError("this is not an object of whole numbers", operation="read the partial")
        self.numbers.update(numbers)
