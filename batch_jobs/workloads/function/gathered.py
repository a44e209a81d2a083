"""What a function gives for an item, and a shard's share of it: totals, rows, or values for a merge function.

A partial is lines of JSON: a head, then one block per item, in the order of the items' keys. It is the same whatever
the order in which items were done. Rows go through a temporary file: a shard's rows do not have to fit in memory.
"""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import IO, Any, BinaryIO, Literal

from millrace.errors import DamagedFileError, WorkloadFaultError
from millrace.json_text import read_json
from millrace.records.plan import Item
from millrace.workload.quantiles import Quantiles

Kind = Literal["totals", "rows", "values"]

LONGEST_ROW_BYTES = 1_000_000
"""A row, or a value for a merge function, as JSON."""

_IN_MEMORY_BYTES = 1 << 16
_LARGEST = 10**300
"""Whole numbers beyond no longer fit in a float, nor, in the end, in Python's conversion to text."""

_NAME = re.compile(r"[\w-]{1,60}")
"""What a Counter inside a dict may be called: its file has that name."""

Place = tuple[bytes, int]
"""An item's place in the result: its key in UTF-8, and where its range begins."""


def place_of(item: Item) -> Place:
    """The item's place in the result."""
    return item.key.encode(), item.first_byte or 0


@dataclass(slots=True)
class Gathered:
    """What one item gave.

    Attributes:
        place: The item's place.
        kind: What it is; None where the function gave nothing.
        numbers: Totals by name.
        counts: Counters by name; that of a function that returns just one has the name "".
        sketches: Quantiles by name; that of a function that returns just one has the name "".
        columns: The names of the rows' columns, in the order in which they came, and the type of each.
        lines: How many rows or values there are.
        file: The rows, as lines of JSON; the caller that adds it closes it.
    """

    place: Place
    kind: Kind | None = None
    numbers: dict[str, int | Fraction] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    sketches: dict[str, bytes] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    file: IO[bytes] | None = None

    @classmethod
    def totals(cls, place: Place, given: Mapping[Any, Any] | Quantiles) -> Gathered:
        """A Counter, a Quantiles, or a dict that has numbers, Counters and Quantiles by name.

        Raises:
            TypeError: It holds something else.
            ValueError: A number is NaN or infinite, or a name cannot be one.
        """
        made = cls(place, "totals")
        named = {"": given} if isinstance(given, Counter | Quantiles) else given
        for name, value in named.items():
            if not isinstance(name, str):
                raise TypeError(f"a dict that is added up has texts as names, and {name!r:.100} is none")
            if isinstance(value, Quantiles):
                made.sketches[name] = value.to_bytes()
            elif isinstance(value, Counter):
                if name and not _NAME.fullmatch(name):
                    raise ValueError(f"a Counter's name has letters, digits, '_' and '-', up to 60: {name!r:.100}")
                made.counts[name] = Counter({_text(key): _whole(number) for key, number in value.items()})
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(
                    f"a dict is added up: its values are numbers, Counters or Quantiles, and {name!r:.100} is a "
                    f"{type(value).__name__}; yield dicts to make rows"
                )
            elif not (abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)):
                raise ValueError(f"a total has finite numbers, and {name!r:.100} is not one, or is too large")
            else:
                made.numbers[name] = value if isinstance(value, int) else Fraction(value)
        return made

    @classmethod
    def of_lines(cls, place: Place, kind: Kind) -> Gathered:
        """Rows, or values, to be added one by one."""
        return cls(place, kind, file=tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, prefix="millrace-rows-"))

    def to_json(self, most_bytes: int) -> dict[str, Any] | None:
        """All of it as JSON; None where its rows have more bytes than this. It is left as it was."""
        rows = ""
        if self.file is not None:
            if self.file.seek(0, 2) > most_bytes:
                return None
            self.file.seek(0)
            rows = self.file.read().decode()
        return {
            "place": [self.place[0].decode(), self.place[1]],
            "kind": self.kind,
            "numbers": {name: _number_text(number) for name, number in self.numbers.items()},
            "counts": self.counts,
            "sketches": {name: base64.b64encode(data).decode() for name, data in self.sketches.items()},
            "columns": self.columns,
            "lines": self.lines,
            "rows": rows,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Gathered:
        """What `to_json` was given."""
        key, first_byte = given["place"]
        place, kind = (key.encode(), first_byte), given["kind"]
        made = cls.of_lines(place, kind) if kind in {"rows", "values"} else cls(place, kind)
        made.numbers = {name: _number(text) for name, text in given["numbers"].items()}
        made.counts = {name: Counter(counts) for name, counts in given["counts"].items()}
        made.sketches = {name: base64.b64decode(text) for name, text in given["sketches"].items()}
        made.columns, made.lines = dict(given["columns"]), given["lines"]
        if made.file is not None:
            made.file.write(given["rows"].encode())
        return made

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Around what adds rows: nobody else closes the file of an item that fails."""
        try:
            yield
        except BaseException:
            if self.file is not None:
                self.file.close()
            raise

    def add_row(self, row: object) -> None:
        """Add a row.

        Raises:
            TypeError: It is no dict with texts as names.
            ValueError: It has no fields, cannot be JSON, or is longer than `LONGEST_ROW_BYTES`.
        """
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            raise TypeError(f"a row is a dict with texts as names, and this is a {type(row).__name__}")
        if not row:
            raise ValueError("a row has no fields")
        for name, value in row.items():
            self.columns[name] = wider(self.columns.get(name, "none"), type_of(value))
        self.add_value(dict(row))

    def add_value(self, value: object) -> None:
        """Add a value for a merge function.

        Raises:
            TypeError: JSON cannot hold it.
            ValueError: JSON cannot hold it, or it is longer than `LONGEST_ROW_BYTES`.
        """
        line = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if len(line) > LONGEST_ROW_BYTES:
            raise ValueError(f"a row has {len(line):,} bytes as JSON; the most is {LONGEST_ROW_BYTES:,}")
        if self.file is None:
            raise ValueError("rows are added before they are taken")
        self.file.write(line)
        self.lines += 1


class GatheredPartial:
    """A shard's share of the result of a workload that is a function.

    Args:
        workload: The workload's name, for errors.
    """

    def __init__(self, workload: str) -> None:
        self.kind: Kind | None = None
        self.numbers: dict[str, int | Fraction] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.sketches: dict[Place, dict[str, bytes]] = {}
        self.columns: dict[Place, dict[str, str]] = {}
        self.blocks: dict[Place, tuple[int, int, int]] = {}
        """Where in the file the lines of an item are: offset, bytes, lines."""
        self._known_columns: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._sketched: set[str] = set()
        self._workload = workload
        self._file: Any = tempfile.TemporaryFile(prefix="millrace-rows-")  # noqa: SIM115 - the finalizer closes it
        weakref.finalize(self, self._file.close)

    def add(self, contribution: Gathered) -> None:
        """Add what one item gave.

        Raises:
            WorkloadUnavailableError: It is of another kind than that of the items before.
        """
        given = contribution
        with given.file or nullcontext() as file:
            self._take_kind(given.kind)
            self._add_totals(given.numbers, given.counts)
            if given.sketches:
                self.sketches[given.place] = given.sketches
                self._sketched |= given.sketches.keys()
            if file is not None and given.lines:
                file.seek(0)
                self._append(given.place, file, given.lines)
                self._take_columns(given.place, given.columns)
        self._check_names()

    def write(self, file: BinaryIO) -> None:
        """Write the partial. The same contributions give the same bytes, in whatever order they were added."""
        numbers = {name: _number_text(self.numbers[name]) for name in sorted(self.numbers)}
        counts = {name: dict(sorted(self.counts[name].items())) for name in sorted(self.counts)}
        places = sorted({*self.sketches, *self.blocks})
        _write_line(file, {"kind": self.kind, "numbers": numbers, "counts": counts, "items": len(places)})
        for place in places:
            sketches = {name: base64.b64encode(data).decode() for name, data in self.sketches.get(place, {}).items()}
            start, size, lines = self.blocks.get(place, (0, 0, 0))
            head = {"key": place[0].decode(), "first_byte": place[1], "bytes": size, "lines": lines}
            _write_line(file, {**head, "columns": self.columns.get(place, {}), "sketches": sketches})
            self.copy_block(start, size, file)

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is not a partial.
            WorkloadUnavailableError: It is of another kind than what is there.
        """
        head = _read_line(file)
        try:
            self._take_kind(head["kind"])
            self._add_totals(
                {name: _number(text) for name, text in head["numbers"].items()},
                {name: Counter(counts) for name, counts in head["counts"].items()},
            )
            for _ in range(head["items"]):
                block = _read_line(file)
                place = (block["key"].encode(), block["first_byte"])
                if block["sketches"]:
                    self.sketches[place] = {name: base64.b64decode(text) for name, text in block["sketches"].items()}
                    self._sketched |= block["sketches"].keys()
                if block["lines"]:
                    self._append(place, file, block["lines"], block["bytes"])
                    self._take_columns(place, block["columns"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedFileError(f"this is not a partial: {error!r}", operation="read the partial") from error
        self._check_names()

    def lines(self) -> Iterator[bytes]:
        """The rows or values, in the order of the items' keys, as lines of JSON."""
        for place in sorted(self.blocks):
            start, _, count = self.blocks[place]
            self._file.seek(start)
            for _ in range(count):
                yield self._file.readline()

    def row_bytes(self) -> int:
        """How many bytes all rows have as lines of JSON."""
        return sum(size for _, size, _ in self.blocks.values())

    def all_columns(self) -> dict[str, str]:
        """The columns of all rows, in the order in which they first came, and the type of each."""
        columns: dict[str, str] = {}
        for place in sorted(self.columns):
            for name, kind in self.columns[place].items():
                columns[name] = wider(columns.get(name, "none"), kind)
        return columns

    def all_quantiles(self) -> dict[str, Quantiles]:
        """The quantiles by name, merged in the order of the items' keys."""
        merged: dict[str, Quantiles] = {}
        for place in sorted(self.sketches):
            for name, data in self.sketches[place].items():
                merged.setdefault(name, Quantiles()).merge(Quantiles.from_bytes(data))
        return merged

    def copy_block(self, start: int, size: int, file: BinaryIO) -> None:
        """Copy bytes of the temporary file to another one."""
        self._file.seek(start)
        while size > 0:
            chunk = self._file.read(min(size, 1 << 20))
            file.write(chunk)
            size -= len(chunk)

    def _append(self, place: Place, source: IO[bytes], lines: int, size: int | None = None) -> None:
        start = self._file.seek(0, 2)
        if size is None:
            shutil.copyfileobj(source, self._file)
        else:
            while (left := size - (self._file.tell() - start)) > 0:
                chunk = source.read(min(left, 1 << 20))
                if not chunk:
                    raise ValueError("the file ends inside an item's rows")
                self._file.write(chunk)
        self.blocks[place] = (start, self._file.tell() - start, lines)

    def _take_columns(self, place: Place, columns: dict[str, str]) -> None:
        """Keep an item's columns; items with the same ones share them, as a million of them have few kinds."""
        self.columns[place] = self._known_columns.setdefault(tuple(columns.items()), columns)

    def _take_kind(self, kind: Kind | None) -> None:
        if kind is None:
            return
        if self.kind is not None and kind != self.kind:
            given = f"{_WORDS[kind]} for one item and {_WORDS[self.kind]} for another"
            raise self._mixed(given, "the same kind for every item, or None")
        self.kind = kind

    def _add_totals(self, numbers: Mapping[str, int | Fraction], counts: Mapping[str, Counter[str]]) -> None:
        for name, number in numbers.items():
            self.numbers[name] = self.numbers.get(name, 0) + number
        for name, counter in counts.items():
            self.counts.setdefault(name, Counter()).update(counter)

    def _check_names(self) -> None:
        sets = (self.numbers.keys(), self.counts.keys(), self._sketched)
        both = next((one & other for one, other in combinations(sets, 2) if one & other), None)
        if both:
            given = f"values of two kinds under the name {min(both)!r:.100}"
            raise self._mixed(given, "each kind a name of its own")

    def _mixed(self, given: str, instead: str) -> WorkloadFaultError:
        return WorkloadFaultError(
            f"the function gives {given}; one kind can be merged. Have it give {instead}, and start a new run",
            operation="add up the items",
            target=self._workload,
        )


_WORDS = {"totals": "totals", "rows": "rows", "values": "values for its merge function"}


def type_of(value: object) -> str:
    """A column's type for one value: none, bool, int, float, str, or json for what a cell holds as JSON."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "float"
    return "str" if isinstance(value, str) else "json"


def wider(one: str, other: str) -> str:
    """The type that holds values of both: whole numbers fit in a column of floats, everything fits in JSON."""
    if other in {one, "none"}:
        return one
    if one == "none":
        return other
    return "float" if {one, other} == {"int", "float"} else "json"


def _text(key: object) -> str:
    if isinstance(key, str):
        key.encode()  # an unpaired surrogate is a ValueError here, and not in the merge
        return key
    if isinstance(key, int | float | bool) or key is None:
        return json.dumps(key)
    raise TypeError(f"a Counter counts texts or numbers, and this is a {type(key).__name__}")


def _whole(number: object) -> int:
    if type(number) is not int:
        raise TypeError(f"a Counter's numbers are whole ones, and this is a {type(number).__name__}")
    return number


def _number_text(number: int | Fraction) -> str:
    """Exact: floats are fractions, so that their sum does not depend on the order."""
    return str(number) if isinstance(number, int) else f"{number.numerator}/{number.denominator}"


def _number(text: str) -> int | Fraction:
    top, slash, bottom = text.partition("/")
    return Fraction(int(top), int(bottom)) if slash else int(top)


def _write_line(file: BinaryIO, document: dict[str, Any]) -> None:
    file.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def _read_line(file: BinaryIO) -> dict[str, Any]:
    try:
        document = read_json(file.readline())
    except ValueError as error:
        raise DamagedFileError(f"this is not a partial: {error}", operation="read the partial") from error
    if not isinstance(document, dict):
        raise DamagedFileError("this is not a partial: a line is no object", operation="read the partial")
    return document
