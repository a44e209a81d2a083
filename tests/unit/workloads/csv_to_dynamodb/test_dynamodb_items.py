"""Rows as items: mapping, keys, empty cells, computed attributes, bad rows."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from batch_jobs.workloads.csv_to_dynamodb.items import ItemMapping, Source, check_attributes
from batch_jobs.workloads.csv_to_dynamodb.rows import RowError, TableKey
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError, TableRefusedError
from millrace.workload.registry import checked_options

SOURCE = Source("in/movies.zip", "data/movies.csv", "2026-11-21T09:00:00Z")
ID = TableKey("movies", ("id",), {"id": "S"})
PAIR = TableKey("movies", ("year", "title"), {"year": "N", "title": "S", "genre": "S"})


def encoded(
    names: list[str], cells: list[str] | str, key: TableKey = ID, /, **options: object
) -> tuple[object, dict[str, Any]]:
    """A row's key and item."""
    checked = checked_options("csv-to-dynamodb", {"table": "movies", **options})
    found, wire = ItemMapping.of(checked, key).bind(names, SOURCE).encode(2, cells)
    return found, json.loads(wire)["PutRequest"]["Item"]


def item(names: list[str], cells: list[str], key: TableKey = ID, /, **options: object) -> dict[str, Any]:
    """A row's item."""
    return encoded(names, cells, key, **options)[1]


def test_without_a_mapping_every_column_is_a_string_of_its_own_name() -> None:
    """Digits stay text, character by character: 007 keeps its zeros."""
    assert item(["id", "agent"], ["1", " 007"]) == {"id": {"S": "1"}, "agent": {"S": " 007"}}


def test_a_mapping_names_the_columns_that_count() -> None:
    """Columns go to the attributes named, others are left out; types are those of the attributes."""
    options: Any = {"columns": {"": "id", "vote": "rating", "ok": "ok"}, "types": {"rating": "N", "ok": "BOOL"}}
    expected = {"id": {"S": "7"}, "rating": {"N": "7.5"}, "ok": {"BOOL": True}}
    assert item(["", "title", "vote", "ok"], ["7", "x", "7.5", "yes"], **options) == expected


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["id", "a", "a"], {"columns": {"id": "id"}}),
        (["id", "a", "a"], {"constants": {"a": "x"}}),
        (["id", "", ""], {"columns": {"id": "id"}}),
        (["x", "x", "id"], {"columns": {}, "key_columns": ["id"], "computed": {"x": "{line}"}}),
    ],
)
def test_a_column_twice_counts_where_it_is_used(names: list[str], options: dict[str, object]) -> None:
    """A column that nothing is made of may come as often as it likes."""
    assert item(names, ["1", "2", "3"], **options)["id"]["S"] in {"1", "3"}


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        (["", "id"], ["17", "1"], {"column_1": {"S": "17"}, "id": {"S": "1"}}),
        (["id", "", "age"], ["1", "John", "30"], {"id": {"S": "1"}, "column_2": {"S": "John"}, "age": {"S": "30"}}),
        (["id", " ", "age"], ["1", "John", "30"], {"id": {"S": "1"}, "column_2": {"S": "John"}, "age": {"S": "30"}}),
        (["id", "title", "", ""], ["1", "Alien", "", " "], {"id": {"S": "1"}, "title": {"S": "Alien"}}),
    ],
)
def test_a_nameless_column_is_never_dropped_in_silence(
    names: list[str], cells: list[str], expected: dict[str, Any]
) -> None:
    """It has the name of its place; at the end of the header it is left out as long as nothing is in it."""
    assert item(names, cells) == expected


def test_text_in_a_nameless_column_at_the_end_is_a_bad_row() -> None:
    """The text would be lost."""
    with pytest.raises(RowError, match="cell 3 is 'x', but its column has no name"):
        item(["id", "title", ""], ["1", "Alien", "x"])
    assert item(["title", ""], ["Alien", "7"], key_columns=[""]) == {"id": {"S": "7"}, "title": {"S": "Alien"}}
    assert item(["id", ""], ["1", "7"], columns={"id": "id", "": "x"}) == {"id": {"S": "1"}, "x": {"S": "7"}}
    assert item(["id", ""], ["1", "7"], columns={"id": "id", "column_2": "x"})["x"] == {"S": "7"}


def test_half_a_surrogate_pair_is_named_as_such() -> None:
    """In a JSON document, and in a cell whose encoding can write one; a bad byte is named as a bad byte."""
    types: Any = {"types": {"v": "JSON"}}
    for text in ('["\\ud800"]', '{"\\udc80": 1}', '"\\udce9"'):
        with pytest.raises(RowError, match="column 'v': the JSON document holds an unpaired surrogate"):
            item(["id", "v"], ["1", text], **types)
    assert item(["id", "v"], ["1", '"\\ud83d\\ude00"'], **types)["v"] == {"S": "😀"}
    with pytest.raises(RowError, match="byte 0xE9 is not UTF-8"):
        item(["id", "v"], ["1", '["\udce9"]'], **types)
    with pytest.raises(RowError, match="an unpaired surrogate"):
        item(["id", "v"], ["1", "x\ud800"])
    with pytest.raises(RowError, match="an unpaired surrogate"):  # CESU-8, as Java and Oracle write it
        item(["id", "v"], ["1", b"x\xed\xa0\x80".decode("utf-8", "surrogateescape")])


def test_as_many_columns_as_there_may_be_take_little_time() -> None:
    """Names, types and rows are looked at once each."""
    names = ["id", *(f"c{number}" for number in range(65_535))]
    started = time.process_time()
    made = item(names, ["1", *[""] * 65_534, "x"])
    assert made == {"id": {"S": "1"}, "c65534": {"S": "x"}}
    assert time.process_time() - started < 10


def test_key_columns_fill_the_tables_key() -> None:
    """The columns named become the key attributes, in order, in the table's types, and nothing else."""
    found, made = encoded(["t", "y", "x"], ["Alien", "1979", "z"], PAIR, key_columns=["y", "t"])
    assert made == {"year": {"N": "1979"}, "title": {"S": "Alien"}, "x": {"S": "z"}}
    assert found == encoded(["t", "y", "x"], ["Alien", "1979.0", "other"], PAIR, key_columns=["y", "t"])[0]
    assert found != encoded(["t", "y", "x"], ["Aliens", "1979", "z"], PAIR, key_columns=["y", "t"])[0]


def test_the_key_prefix_goes_before_the_partition_key_alone() -> None:
    """The sort key stays as it is."""
    key = TableKey("t", ("a", "b"), {"a": "S", "b": "S"})
    assert item(["a", "b"], ["1", "2"], key, key_prefix="movie#") == {"a": {"S": "movie#1"}, "b": {"S": "2"}}


def test_constants_and_computed_attributes() -> None:
    """Constants are literal, computed ones are filled in, both can have types, and both can be keys."""
    made = item(
        ["a"],
        ["x"],
        constants={"kind": "{line}", "year": "2024"},
        computed={
            "id": "{file_name}#{line}#{line}",
            "at": "{imported_at}",
            "from": "{source_key}/{member}",
            "n": "{line}",
        },
        types={"year": "N", "n": "N"},
    )
    assert made == {
        "id": {"S": "movies.csv#2#2"},
        "a": {"S": "x"},
        "kind": {"S": "{line}"},
        "year": {"N": "2024"},
        "at": {"S": SOURCE.imported_at},
        "from": {"S": "in/movies.zip/data/movies.csv"},
        "n": {"N": "2"},
    }


@pytest.mark.parametrize(
    ("empty_cells", "expected"),
    [("omit", {}), ("null", {"s": {"NULL": True}, "n": {"NULL": True}}), ("string", {"s": {"S": ""}})],
)
def test_empty_cells(empty_cells: str, expected: dict[str, Any]) -> None:
    """They are left out, or NULL, or an empty string where the attribute is a string; blanks are no number."""
    assert item(["id", "s", "n"], ["1", "", " "], types={"n": "N"}, empty_cells=empty_cells) == {
        "id": {"S": "1"},
        **expected,
    }


@pytest.mark.parametrize("empty_cells", ["omit", "null", "string"])
def test_an_empty_key_of_an_index_is_left_out(empty_cells: str) -> None:
    """No index takes an empty or NULL key, so the item is just not in that index."""
    made = item(["year", "title", "genre"], ["1979", "Alien", ""], PAIR, empty_cells=empty_cells)
    assert made == {"year": {"N": "1979"}, "title": {"S": "Alien"}}


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["", "x", "1"], {}, "column 'id' is empty, but it is part of the table's key"),
        (["1", "", "1"], {"empty_cells": "reject"}, "column 's' is empty"),
        (["1", "x", " "], {"empty_cells": "reject"}, "column 'n' is empty"),
        (["1", "x", "many"], {}, "column 'n': 'many' is not a number"),
        (["1", "caf\udce9", "1"], {}, "byte 0xE9 is not UTF-8"),
        (["\udce9", "x", "1"], {}, "byte 0xE9 is not UTF-8"),
        (["é" * 1025, "x", "1"], {}, "longer than a key may be: 2,048 bytes"),
        (["1", "é" * 204_800, "1"], {}, "the item would have 409,60. bytes"),
        ("2 cells where there are 3 columns", {}, "2 cells where there are 3 columns"),
    ],
)
def test_bad_rows(cells: list[str] | str, options: dict[str, object], words: str) -> None:
    """What is wrong with a row is said with its column."""
    with pytest.raises(RowError, match=words):
        encoded(["id", "s", "n"], cells, types={"n": "N"}, **options)


def test_an_item_of_exactly_the_limit_is_taken() -> None:
    """Escapes, which are longer in JSON, do not count."""
    text = "\n" * (409_600 - len("id") - 1 - len("s"))
    assert item(["id", "s"], ["1", text])["s"] == {"S": text}
    with pytest.raises(RowError, match="409,601"):
        item(["id", "s"], ["1", text + "x"])


def test_a_key_that_is_no_number_is_a_bad_row() -> None:
    """Where the table's key is a number, the cell has to be one."""
    with pytest.raises(RowError, match="column 'year': 'MCMLXXIX' is not a number"):
        item(["year", "title"], ["MCMLXXIX", "Alien"], PAIR)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (["id;title"], {"columns": {"id": "id", "title": "t"}}, "no column 'id', 'title'.*delimiter"),
        (["title", "x"], {}, "nothing gives the table's key attribute 'id'"),
        (["id"], {"key_columns": ["isbn"]}, "no column 'isbn'"),
        ([f"c{n}" for n in range(12)], {}, "and 2 more"),
        (["id", "a", "a"], {}, "a column twice: 'a'"),
        (["id", "a", "a"], {"columns": {"id": "id", "a": "b"}}, "a column twice: 'a'"),
        (["k", "k", "id"], {"key_columns": ["k"]}, "a column twice: 'k'"),
        (["", "", "id"], {"columns": {"": "a", "id": "id"}}, "a column twice: ''"),
        (["", "column_1", "id"], {}, "a column twice: 'column_1'"),
    ],
)
def test_files_with_other_columns(columns: list[str], options: dict[str, object], words: str) -> None:
    """A file without the columns is refused as a whole; the message names what is there."""
    with pytest.raises(ItemError, match=words) as caught:
        encoded(columns, columns, **options)
    assert caught.value.code is ErrorCode.WRONG_COLUMNS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"types": {"year": "S"}}, "year is S, the table says N; the table's key is year .N., title .S."),
        ({"key_columns": ["a", "b", "c"]}, "key_columns has 3"),
        ({"key_prefix": "x"}, "key_prefix needs a partition key of type S"),
    ],
)
def test_options_that_do_not_go_with_the_table(options: dict[str, object], words: str) -> None:
    """No row could be written: the job ends, and is not tried again."""
    with pytest.raises(TableRefusedError, match=words) as caught:
        encoded(["year", "title"], ["1", "x"], PAIR, **options)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"columns": {"a": "x", "b": "x"}}, "columns"),
        ({"columns": {"a": "x"}, "constants": {"x": "1"}}, "constants"),
        ({"constants": {"x": "1"}, "computed": {"x": "1"}}, "computed"),
        ({"columns": {"a": ""}}, "columns"),
    ],
)
def test_attributes_are_named_once(options: dict[str, Any], field: str) -> None:
    """Two sources for one attribute are refused before anything is read."""
    with pytest.raises(InvalidRunRequest, match=f"options.{field}"):
        check_attributes(checked_options("csv-to-dynamodb", {"table": "movies", **options}))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "table"),
        ({"table": "no spaces"}, "table"),
        ({"table": "abc", "types": {"n": "NUMBER"}}, "types.n"),
        ({"table": "abc", "computed": {"x": "{row}"}}, "computed.x"),
        ({"table": "abc", "columns": ["a"]}, "columns"),
        ({"table": "abc", "columns": {"a": 1}}, "columns"),
        ({"table": "abc", "delimiter": "ab"}, "delimiter"),
    ],
)
def test_prepare_run_refuses_wrong_options(options: dict[str, object], field: str) -> None:
    """Missing, mistyped and misspelt options are refused by name before any job starts."""
    with pytest.raises(InvalidRunRequest, match=f"options.{field}"):
        checked_options("csv-to-dynamodb", options)
