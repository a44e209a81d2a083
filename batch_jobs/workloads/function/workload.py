"""A workload that is a function, as the jobs work it: what `millrace.workload.function` declares, on the contract."""

from __future__ import annotations

import csv
import inspect
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import Any, BinaryIO

from batch_jobs.workloads.function.gathered import Gathered, GatheredPartial, Place, place_of
from batch_jobs.workloads.function.parquet_table import write_parquet
from batch_jobs.workloads.function.time_limit import TimeLimit
from millrace.records.plan import Item
from millrace.report.completion import safe_cell
from millrace.workload.body import ItemBody
from millrace.workload.contract import Outputs
from millrace.workload.contribution import LARGEST_BYTES
from millrace.workload.function import Declaration
from millrace.workload.quantiles import Quantiles

ONE_FILE_BYTES = 1 << 30
"""A table with more rows, as JSON lines, is several Parquet files."""

PART_BYTES = 256 << 20
"""The rows of one of them."""

MOST_SHOWN = 20
"""How many of a Counter's keys result.json shows; its file has all."""


def class_of(declaration: Declaration) -> type[FunctionWorkload]:
    """The class that the jobs work with."""
    base = _LineSplitting if declaration.splits else FunctionWorkload
    return type(
        declaration.function.__name__,
        (base,),
        {
            "__module__": declaration.function.__module__,
            "name": declaration.function.__name__,
            "options": declaration.options,
            "item_suffixes": declaration.outputs,
            "declaration": declaration,
        },
    )


class FunctionWorkload:
    """The contract's side of a function; see `millrace.workload.contract.Workload`."""

    partial_suffix = ".jsonl"
    most_contribution_bytes = LARGEST_BYTES
    declaration: Declaration

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = self.declaration.arguments(options)
        seconds = self.declaration.item_seconds
        self._limit = TimeLimit(seconds) if seconds is not None else None

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Gathered:
        """Call the function, and see what it gives."""
        if self._limit is None:
            return self._gathered(item, body, outputs)
        gathered: Gathered = self._limit.keep(body, lambda chunks: self._gathered(item, chunks, outputs))
        return gathered

    def _gathered(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Gathered:
        given = self.declaration.call(item, ItemBody(item, body), outputs, self._options)
        place = place_of(item)
        if self.declaration.merge is not None:
            return _values(place, given)
        if given is None:
            return Gathered(place)
        if isinstance(given, Mapping | Quantiles):
            return Gathered.totals(place, given)
        if isinstance(given, Iterator | list | tuple):
            return _rows(place, given)
        raise TypeError(
            f"a workload's function gives a dict, a Counter, a Quantiles, rows or nothing, and this is a "
            f"{type(given).__name__}; a merge function takes anything else"
        )

    def contribution_to_json(self, contribution: Gathered) -> dict[str, Any] | None:
        """What an item gave, to be kept beside its shard's commit; None where it is long."""
        return contribution.to_json(self.most_contribution_bytes)

    def contribution_from_json(self, given: dict[str, Any]) -> Gathered:
        """What `contribution_to_json` was given."""
        return Gathered.from_json(given)

    def partial(self) -> GatheredPartial:
        """A new, empty partial."""
        return GatheredPartial(self.declaration.function.__name__)

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Add up the shards' shares; rows become files."""
        merged = self.partial()
        for file in partials:
            merged.read(file)
        function = self.declaration.merge
        if function is not None:
            values = map(json.loads, merged.lines())
            takes_results = len(inspect.signature(function).parameters) > 1
            return dict(function(values, results) if takes_results else function(values))
        if merged.kind == "rows":
            return _write_rows(merged, results, parquet=self.declaration.table == "parquet")
        return _totals(merged, results)


class _LineSplitting(FunctionWorkload):
    """One whose large objects may be cut at line ends."""

    def splits(self, _key: str) -> bool:
        """Every object's lines can be read by themselves; a compressed one is not asked about."""
        return True


def _values(place: Place, given: Any) -> Gathered:
    gathered = Gathered.of_lines(place, "values")
    with gathered.closed_on_error():
        for value in given if isinstance(given, Iterator) else () if given is None else (given,):
            gathered.add_value(value)
    return gathered


def _rows(place: Place, given: Iterable[Any]) -> Gathered:
    gathered = Gathered.of_lines(place, "rows")
    with gathered.closed_on_error():
        for row in given:
            gathered.add_row(row)
    return gathered


def _totals(merged: GatheredPartial, results: Outputs) -> dict[str, Any]:
    part: dict[str, Any] = {name: _shown(merged.numbers[name]) for name in sorted(merged.numbers)}
    shown = [(name, _write_counts(name or "counts", found, results)) for name, found in sorted(merged.counts.items())]
    shown += [(name, quantiles.summary()) for name, quantiles in sorted(merged.all_quantiles().items())]
    for name, of_name in shown:
        part |= {name: of_name} if name else of_name
    return part


def _shown(number: int | Fraction) -> int | float:
    return number if isinstance(number, int) else float(number)


def _write_counts(name: str, counter: Counter[str], results: Outputs) -> dict[str, Any]:
    """`{name}.csv`, the most frequent first, equal ones by name; and what result.json says of it."""
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    with _table(f"{name}.csv", results) as table:
        table.writerow(("key", "count"))
        table.writerows((safe_cell(key), str(count)) for key, count in ranked)
    return {"distinct": len(ranked), "total": sum(counter.values()), "top": dict(ranked[:MOST_SHOWN])}


def _write_rows(merged: GatheredPartial, results: Outputs, *, parquet: bool) -> dict[str, Any]:
    columns = merged.all_columns()
    count = 0
    with _table("rows.csv", results) as table:
        table.writerow([safe_cell(name) for name in columns])
        for line in merged.lines():
            row = json.loads(line)
            table.writerow([_cell(row.get(name)) for name in columns])
            count += 1
    if parquet:
        for name, lines in _parquet_files(merged):
            with results.open(name, "application/vnd.apache.parquet") as file:
                write_parquet(columns, lines, file)
    return {"rows": count, "columns": list(columns), "types": {name: _shown_type(columns[name]) for name in columns}}


def _parquet_files(merged: GatheredPartial) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The name of each Parquet file of a table, and its rows as lines of JSON, to be read before the next file's.

    Where a file ends depends on the rows alone, not on the shards: a run that reuses another has the same files.
    """
    if merged.row_bytes() <= ONE_FILE_BYTES:
        yield "rows.parquet", merged.lines()
        return
    for number, numbered in groupby(_numbered(merged.lines()), key=itemgetter(0)):
        yield f"rows-{number:05d}.parquet", (line for _, line in numbered)


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each row with the number of the file that it goes to: as many go to one as have `PART_BYTES`."""
    number = size = 0
    for line in lines:
        if size and size + len(line) > PART_BYTES:
            number, size = number + 1, 0
        size += len(line)
        yield number, line


def _shown_type(kind: str) -> str:
    """A column's type in result.json: one without any value has texts."""
    return "str" if kind == "none" else kind


@contextmanager
def _table(name: str, results: Outputs) -> Iterator[Any]:
    """A CSV file of the result, as `csv.writer` writes it; every field is quoted, as in report.csv."""
    with results.open(name, "text/csv") as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        yield csv.writer(text, quoting=csv.QUOTE_ALL)
        text.detach()


def _cell(value: object) -> str:
    """A number is written bare, a text is made safe: `-5` stays `-5`, and a formula is no formula."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    return json.dumps(value, ensure_ascii=False)
