"""Rows of one CSV file as items of a DynamoDB table, in the JSON that goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from batch_jobs.workloads.csv_to_dynamodb.files.start import has_text
from batch_jobs.workloads.csv_to_dynamodb.values import ENCODERS, CellError, exact_number, item_bytes, quoted, shown
from millrace.encoded_text import undecoded

MAX_ITEM_BYTES = 409_600
"""400 KB, names and values together: Service quotas, items."""

MAX_KEY_BYTES = (2048, 1024)
"""Partition key and sort key: Service quotas, partition keys and sort keys."""


@dataclass(frozen=True, slots=True)
class TableKey:
    """What a table says of itself.

    Attributes:
        table: Its name or ARN, as it is written to.
        names: The partition key's attribute, and the sort key's where there is one.
        types: The types, S, N or B, of these and of the indexes' key attributes.
    """

    table: str
    names: tuple[str, ...]
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ItemLayout:
    """What an item is made of, in terms of one file's cells.

    Attributes:
        key: The table's key.
        cells: The position of each attribute's cell in a row.
        made: What makes the cells that the file does not have, of the row's line; they come behind the others.
        types: Types by attribute; a string where nothing is said.
        key_prefix: Put in front of the partition key.
        empty_cells: What an empty cell becomes: omit, null, string or reject.
        columns: The names of the file's columns, for errors.
        unnamed: The columns in which no row may have anything, because they have no name.
    """

    key: TableKey
    cells: Mapping[str, int]
    made: Sequence[Callable[[int], str]]
    types: Mapping[str, str]
    key_prefix: str
    empty_cells: str
    columns: Sequence[str]
    unnamed: Sequence[int] = ()


class RowError(ValueError):
    """A row cannot become an item. The message says why."""


class RowEncoder:
    """Makes items of rows.

    Args:
        layout: What an item is made of.
        nameless: How many columns got a name of ours.

    Attributes:
        nameless: As given.
    """

    def __init__(self, layout: ItemLayout, *, nameless: int = 0) -> None:
        key = layout.key
        self.nameless = nameless
        self._unnamed = layout.unnamed
        self._made = layout.made
        self._columns = layout.columns
        self._prefix = layout.key_prefix
        self._key = [
            (layout.cells[name], f"{quoted(name)}:{{", key.types[name], limit)
            for name, limit in zip(key.names, MAX_KEY_BYTES, strict=False)
        ]
        self._strings: list[tuple[int, str, str | None]] = []
        self._others: list[tuple[int, str, Callable[[str], str], str | None]] = []
        for name, position in layout.cells.items():
            if name in key.names:
                continue
            kind = layout.types.get(name, "S")
            # An index takes no item whose key attribute is empty or NULL; an item without it is just not in the index.
            empty_cells = "omit" if name in key.types and layout.empty_cells != "reject" else layout.empty_cells
            empty = _empty(name, empty_cells, kind)
            if kind == "S":
                self._strings.append((position, f'{quoted(name)}:{{"S":', empty))
            else:
                self._others.append((position, f"{quoted(name)}:{{", ENCODERS[kind], empty))

    def encode(self, line: int, cells: list[str] | str) -> tuple[Hashable, bytes]:
        """The row's key, equal for equal keys, and `{"PutRequest":{"Item":{…}}}`.

        Args:
            line: Where the row is.
            cells: Its cells, or why it cannot be read.

        Raises:
            RowError: The row cannot be an item.
        """
        if isinstance(cells, str):
            raise RowError(cells)
        if self._unnamed:
            self._check_unnamed(cells)
        if self._made:
            cells = [*cells, *[make(line) for make in self._made]]
        key, parts = self._key_of(cells)
        for position, head, empty in self._strings:
            text = cells[position]
            if text:
                parts.append(head + quoted(text))
            elif empty:
                parts.append(empty)
            elif empty is None:
                raise RowError(f"{self._label(position)} is empty")
        if self._others:
            parts += self._typed(cells)
        return key, _checked_wire('{"PutRequest":{"Item":{' + "},".join(parts) + "}}}}")

    def _check_unnamed(self, cells: list[str]) -> None:
        for position in self._unnamed:
            if has_text(cells[position]):
                raise RowError(f"cell {position + 1} is {shown(cells[position])}, but its column has no name")

    def _typed(self, cells: list[str]) -> Iterator[str]:
        for position, head, encoder, empty in self._others:
            text = cells[position]
            if text and not text.isspace():
                try:
                    yield head + encoder(text)
                except CellError as error:
                    raise RowError(f"{self._label(position)}: {error}") from None
            elif empty:
                yield empty
            elif empty is None:
                raise RowError(f"{self._label(position)} is empty")

    def _key_of(self, cells: list[str]) -> tuple[Hashable, list[str]]:
        values: list[Hashable] = []
        parts: list[str] = []
        prefix = self._prefix
        for position, head, kind, limit in self._key:
            text = cells[position]
            if not text or (kind != "S" and text.isspace()):
                raise RowError(f"{self._label(position)} is empty, but it is part of the table's key")
            text = prefix + text
            prefix = ""
            if len(text) * 4 > limit and len(text.encode(errors="replace")) > limit:
                raise RowError(f"{self._label(position)} is longer than a key may be: {limit:,} bytes")
            try:
                value = ENCODERS[kind](text)
                # 7, 7.0 and 007 are one key.
                values.append(exact_number(text.strip()) if kind == "N" else value)
            except CellError as error:
                raise RowError(f"{self._label(position)}: {error}") from None
            parts.append(head + value)
        return (values[0] if len(values) == 1 else tuple(values)), parts

    def _label(self, position: int) -> str:
        if position < len(self._columns):
            return f"column {self._columns[position]!r}"
        return "a constant or computed attribute"


def _checked_wire(text: str) -> bytes:
    try:
        wire = text.encode()
    except UnicodeEncodeError:
        raise RowError(undecoded(text)) from None
    if len(wire) > MAX_ITEM_BYTES:
        size = item_bytes(json.loads(wire)["PutRequest"]["Item"])
        if size > MAX_ITEM_BYTES:
            raise RowError(f"the item would have {size:,} bytes, DynamoDB allows {MAX_ITEM_BYTES:,}")
    return wire


def _empty(name: str, empty_cells: str, kind: str) -> str | None:
    """What stands for an empty cell, unclosed as the rest; empty: nothing; None: the row is bad."""
    if empty_cells == "reject":
        return None
    if empty_cells == "null":
        return f'{quoted(name)}:{{"NULL":true'
    return f'{quoted(name)}:{{"S":""' if empty_cells == "string" and kind == "S" else ""
