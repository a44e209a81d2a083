"""Which columns of a CSV file become which attributes of a DynamoDB item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batch_jobs.workloads.csv_to_dynamodb.files.start import has_text, least_cells
from batch_jobs.workloads.csv_to_dynamodb.rows import ItemLayout, RowEncoder, TableKey
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError, TableRefusedError

_PLACEHOLDER = re.compile(r"\{(source_key|file_name|member|line|imported_at)\}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row comes from: what computed attributes are made of.

    Attributes:
        key: The object's key.
        member: The file's name in the zip; empty elsewhere.
        imported_at: The run's time: ISO 8601, UTC.
    """

    key: str
    member: str
    imported_at: str

    def texts(self) -> dict[str, str]:
        """By placeholder, but for `line`."""
        file_name = (self.member or self.key).rstrip("/").rpartition("/")[2]
        named = {"source_key": self.key, "file_name": file_name, "member": self.member}
        return {**named, "imported_at": self.imported_at}


@dataclass(frozen=True)
class ItemMapping:
    """Which cells become which attributes.

    Attributes:
        key: The table's key.
        columns: Attributes by column; empty: every column under its own name.
        types: Types by attribute; a string where nothing is said.
        key_columns: The columns that fill the table's key.
        key_prefix: Put in front of the partition key.
        constants: Texts by attribute.
        computed: Templates by attribute.
        empty_cells: What an empty cell becomes: omit, null, string or reject.
    """

    key: TableKey
    columns: Mapping[str, str]
    types: Mapping[str, str]
    key_columns: tuple[str, ...]
    key_prefix: str
    constants: Mapping[str, str]
    computed: Mapping[str, str]
    empty_cells: str

    @classmethod
    def of(cls, options: Mapping[str, Any], key: TableKey) -> ItemMapping:
        """The mapping that a workload's checked options describe, for the table.

        Raises:
            TableRefusedError: The table's key does not go with the options.
            InvalidRunRequest: The options do not go together.
        """
        check_attributes(options)
        key_columns = tuple(options["key_columns"])
        if len(key_columns) > len(key.names):
            raise _other_key(key, f"key_columns has {len(key_columns)} columns")
        for name, kind in options["types"].items():
            if name in key.types and key.types[name] != kind:
                raise _other_key(key, f"types says that {name} is {kind}, the table says {key.types[name]}")
        if options["key_prefix"] and key.types[key.names[0]] != "S":
            raise _other_key(key, "key_prefix needs a partition key of type S")
        return cls(
            key=key,
            columns=options["columns"],
            types={**options["types"], **key.types},
            key_columns=key_columns,
            key_prefix=options["key_prefix"],
            constants=options["constants"],
            computed=options["computed"],
            empty_cells=options["empty_cells"],
        )

    def bind(self, names: Sequence[str], source: Source) -> RowEncoder:
        """The encoder for the rows of one file.

        Args:
            names: The file's columns.
            source: Where the rows come from.

        Raises:
            ItemError: `WRONG_COLUMNS`: the file lacks a column that the options name, or has one twice that is used, or
                the key is nowhere.
        """
        found = _Columns.of(names, self.columns, self.key_columns, {*self.constants, *self.computed})
        cells = dict(found.cells)
        cells |= {
            attribute: found.index[name] for attribute, name in zip(self.key.names, self.key_columns, strict=False)
        }
        made: list[Callable[[int], str]] = []
        for attribute, template in {**self.constants, **self.computed}.items():
            # Texts that are the same in every row are cells, too, as if the file had a column of them.
            literal = attribute in self.constants
            made.append(_text_of(template, {} if literal else source.texts(), literal=literal))
            cells[attribute] = len(names) + len(made) - 1
        for attribute in self.key.names:
            if attribute not in cells:
                raise _wrong_columns(f"nothing gives the table's key attribute {attribute!r}", names)
        return RowEncoder(
            ItemLayout(
                key=self.key,
                cells=cells,
                made=made,
                types=self.types,
                key_prefix=self.key_prefix,
                empty_cells=self.empty_cells,
                columns=found.labels,
                unnamed=found.unnamed,
            ),
            nameless=found.nameless,
        )


def columns_of(options: Mapping[str, Any], names: Sequence[str]) -> None:
    """See whether a file has the columns that the options name, each once.

    Raises:
        ItemError: `WRONG_COLUMNS`.
    """
    made = {*options["constants"], *options["computed"]}
    _Columns.of(names, options["columns"], tuple(options["key_columns"]), made)


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the columns of one file are used for.

    Attributes:
        labels: Their names; `column_3` where the third has none.
        index: Their positions by name, and by label.
        cells: The positions by attribute.
        unnamed: The nameless columns at the end, in which no row may have anything.
        nameless: How many nameless columns are imported under a label.
    """

    labels: list[str]
    index: dict[str, int]
    cells: dict[str, int]
    unnamed: Sequence[int]
    nameless: int

    @classmethod
    def of(
        cls, names: Sequence[str], columns: Mapping[str, str], key_columns: Sequence[str], made: set[str]
    ) -> _Columns:
        labels = [name if has_text(name) else f"column_{number}" for number, name in enumerate(names, start=1)]
        index: dict[str, int] = {}
        twice: set[str] = set()
        for position, (name, label) in enumerate(zip(names, labels, strict=True)):
            for word in {name, label}:
                if index.setdefault(word, position) != position:
                    twice.add(word)
        wanted = [*columns, *key_columns]
        if missing := [name for name in wanted if name not in index]:
            raise _wrong_columns(f"there is no column {', '.join(map(repr, missing[:5]))}", names)
        used = {index[name] for name in key_columns}
        unnamed: list[int] = []
        nameless = 0
        cells = {attribute: index[name] for name, attribute in columns.items()}
        if not columns:
            named = least_cells(names)
            unnamed = [position for position in range(named, len(names)) if position not in used]
            imported = [position for position in range(named) if position not in used and labels[position] not in made]
            cells = {labels[position]: position for position in imported}
            nameless = sum(labels[position] != names[position] for position in imported)
            wanted += cells
        if repeated := sorted(twice.intersection(wanted)):
            raise _wrong_columns(f"the header has a column twice: {', '.join(map(repr, repeated[:5]))}", names)
        return cls(labels, index, cells, unnamed, nameless)


def check_attributes(options: Mapping[str, Any]) -> None:
    """See whether the attributes that the options name go together.

    Raises:
        InvalidRunRequest: An attribute has no name, or two sources.
    """
    seen: set[str] = set()
    for field, attributes in (
        ("columns", options["columns"].values()),
        ("constants", options["constants"]),
        ("computed", options["computed"]),
    ):
        for attribute in attributes:
            if not attribute:
                raise InvalidRunRequest(f"options.{field}", attribute, "attributes that have a name")
            if attribute in seen:
                raise InvalidRunRequest(f"options.{field}", attribute, "each attribute once")
            seen.add(attribute)


def _text_of(template: str, texts: Mapping[str, str], *, literal: bool) -> Callable[[int], str]:
    if literal:
        return lambda _line: template
    if "{line}" not in template:
        text = _PLACEHOLDER.sub(lambda found: texts[found[1]], template)
        return lambda _line: text
    pieces = [_PLACEHOLDER.sub(lambda found: texts[found[1]], piece) for piece in template.split("{line}")]
    return lambda line: str(line).join(pieces)


def _other_key(key: TableKey, why: str) -> TableRefusedError:
    names = ", ".join(f"{name} ({key.types[name]})" for name in key.names)
    return TableRefusedError(f"{why}; the table's key is {names}", operation="import into", target=key.table)


def _wrong_columns(why: str, names: Sequence[str]) -> ItemError:
    found = ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    hint = "; is the option delimiter another character?" if len(names) == 1 else ""
    return ItemError(ErrorCode.WRONG_COLUMNS, f"{why}; the columns are {found}{hint}")
