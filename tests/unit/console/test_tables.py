"""Rows of a result as tables of pandas, Polars and Arrow: values and types as they were yielded."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from console.transfer import tables
from console.transfer.tables import rows_of_parquet, table_of_csv, table_of_parquet
from millrace.errors import InvalidRunRequest, UsageError

LINES = ['"name","n","share","ok","more"\n', '"\'=1","007","","true","[1]"\n', '"","","-0.5","false",""\n']
TYPES = {"n": "int", "share": "float", "ok": "bool", "more": "json", "name": "str"}
VALUES = [
    {"name": "=1", "n": 7, "share": None, "ok": True, "more": "[1]"},
    {"name": "", "n": None, "share": -0.5, "ok": False, "more": ""},
]
PLAIN: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    "pandas": lambda table: table.astype(object).where(table.notna(), None).to_dict("records"),
    "polars": lambda table: table.to_dicts(),
    "arrow": lambda table: table.to_pylist(),
}
"""The rows of a table as dicts, by the kind of table."""
KINDS = {
    "pandas": {"name": "string", "n": "Int64", "share": "Float64", "ok": "boolean", "more": "string"},
    "polars": {"name": "String", "n": "Int64", "share": "Float64", "ok": "Boolean", "more": "String"},
    "arrow": {"name": "string", "n": "int64", "share": "double", "ok": "bool", "more": "string"},
}


def kinds(to: str, table: Any) -> dict[str, str]:
    """The types of a table's columns."""
    found: dict[str, Any] = (
        {field.name: field.type for field in table.schema}
        if to == "arrow"
        else dict(table.schema if to == "polars" else table.dtypes)
    )
    return {name: str(kind) for name, kind in found.items()}


@pytest.mark.parametrize("to", PLAIN)
@pytest.mark.parametrize("at_once", [1, 100])
def test_a_csv_file_is_a_typed_table(monkeypatch: pytest.MonkeyPatch, to: str, at_once: int) -> None:
    """A number is a number, a text that looks like one or like a formula is that text, however many rows at once."""
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", at_once)
    table = table_of_csv(to, LINES, TYPES)
    assert PLAIN[to](table) == VALUES
    assert kinds(to, table) == KINDS[to]


@pytest.mark.parametrize("to", PLAIN)
def test_a_table_may_have_no_rows(to: str) -> None:
    """An empty table has its columns, with their types."""
    table = table_of_csv(to, LINES[:1], TYPES)
    assert PLAIN[to](table) == []
    assert kinds(to, table) == KINDS[to]


@pytest.mark.parametrize("to", PLAIN)
def test_a_column_of_no_known_type_has_texts(to: str) -> None:
    """In a file other than rows.csv nothing is guessed: a status 007 stays as it is."""
    assert PLAIN[to](table_of_csv(to, ['"key","count"\n', '"007","2"\n'], {})) == [{"key": "007", "count": "2"}]


def parquet(*numbers: int | None) -> io.BytesIO:
    """A Parquet file with one column of whole numbers."""
    file = io.BytesIO()
    pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), file)
    file.seek(0)
    return file


@pytest.mark.parametrize("to", PLAIN)
def test_parquet_files_are_one_table(to: str) -> None:
    """The parts of a large rows.parquet follow each other, and a missing number does not make the others floats."""
    table = table_of_parquet(to, [parquet(1, None), parquet(3)])
    assert PLAIN[to](table) == [{"n": 1}, {"n": None}, {"n": 3}]
    assert kinds(to, table) == {"n": KINDS[to]["n"]}


def test_rows_of_parquet_files_come_one_by_one() -> None:
    """With their types."""
    assert list(rows_of_parquet([parquet(1, None), parquet(3)])) == [{"n": 1}, {"n": None}, {"n": 3}]


@pytest.mark.parametrize(("to", "package"), [("pandas", "pandas"), ("polars", "polars"), ("arrow", "pyarrow")])
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, to: str, package: str) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install {package}"):
        table_of_csv(to, LINES, TYPES)


def test_a_frame_of_parquet_needs_pyarrow_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pandas reads Parquet by pyarrow, Polars by itself."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pip install pyarrow"):
        table_of_parquet("pandas", [parquet(1)])
    assert isinstance(table_of_parquet("polars", [parquet(1)]), pl.DataFrame)


def test_another_word_is_refused() -> None:
    """`to` has three words."""
    with pytest.raises(InvalidRunRequest, match='"pandas", "polars" or "arrow"'):
        table_of_csv("numpy", LINES, TYPES)
