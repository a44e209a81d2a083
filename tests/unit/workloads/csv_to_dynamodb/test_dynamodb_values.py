"""Cells as attribute values: types, limits, sizes."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb.values import ENCODERS, CellError, exact_number, item_bytes


def value(kind: str, text: str) -> Any:
    """The cell as boto3 would give it back."""
    return TypeDeserializer().deserialize(json.loads("{" + ENCODERS[kind](text) + "}"))


@given(st.text())
def test_strings_are_kept_character_by_character(text: str) -> None:
    """Control characters, quotes and backslashes included."""
    assert value("S", text) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20))
def test_numbers_are_exact(number: Decimal) -> None:
    """A number of at most 38 digits comes out as it went in, however it is written."""
    assert value("N", str(number)) == number
    assert value("N", f" {number:E} ") == number
    assert exact_number(str(number)) == exact_number(f"{number:f}000") == number


@pytest.mark.parametrize("text", ["7", "7.0", "007", "+7", "7.", "0.7e1", "70E-1"])
def test_one_number_has_one_form_as_a_key(text: str) -> None:
    """Texts of the same number are the same key."""
    assert str(exact_number(text)) == "7"
    assert value("N", text) == 7


@pytest.mark.parametrize(
    "text",
    ["abc", "1,5", "1 000", "NaN", "Infinity", "0x1F", "1_000", "٣", "1e", "--1", ".", "9" * 39, "1e126", "1e-131",
     "1." + "0" * 500],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    """So is what DynamoDB would round or refuse; the message shows the cell."""
    with pytest.raises(CellError, match="number"):
        value("N", text)


def test_the_limits_of_numbers_are_within() -> None:
    """38 digits, and both ends of the range."""
    for text in ("9" * 38, "9.99e125", "1e-130", "-" + "1" * 38, "0", "-0.0", "1" + "0" * 100):
        assert json.loads("{" + ENCODERS["N"](text) + "}")["N"]
        assert exact_number(text) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("TRUE", True), ("yes", True), ("1", True), (" f ", False), ("no", False)]
)
def test_booleans(text: str, expected: bool) -> None:  # noqa: FBT001 - the expectation
    """The usual words count, in any case."""
    assert value("BOOL", text) is expected


def test_binaries_are_base64() -> None:
    """DynamoDB takes bytes as base64, and so the cell goes as it came, without blanks around it."""
    assert ENCODERS["B"](" AAEC/w== ") == '"B":"AAEC/w=="'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_json_documents_become_maps_and_lists(document: Any) -> None:
    """Objects, arrays, strings, numbers, booleans and null come back as they were."""
    assert value("JSON", json.dumps(document)) == document


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("BOOL", "maybe", "true or false"),
        ("B", "not base64!", "base64"),
        ("B", "AAA", "base64"),
        ("JSON", "{", "not JSON"),
        ("JSON", "NaN", "not a number"),
        ("JSON", "[" * 32 + "]" * 32, "deeper than 31"),
        ("JSON", "[" * 100_000, "not JSON"),
    ],
)
def test_other_cells_that_are_refused(kind: str, text: str, words: str) -> None:
    """The message says what the cell is not, and shows no more than 80 characters of it."""
    with pytest.raises(CellError, match=words) as caught:
        value(kind, text)
    assert len(str(caught.value)) < 150


def test_the_size_of_an_item_is_that_of_names_and_values() -> None:
    """Escapes and JSON's marks do not count (developer guide, item sizes and formats)."""
    item: Any = {"né": {"S": '"é'}, "l": {"L": [{"N": "123"}, {"NULL": True}]}, "m": {"M": {"k": {"B": "AAEC"}}}}
    assert item_bytes(item) == (3 + 3) + (1 + 3 + (1 + 3) + (1 + 1)) + (1 + 3 + 1 + 1 + 3)


@pytest.mark.parametrize("text", ["1" * 4_000_000 + "x", "1." * 2_000_000, "-" + "9" * 300 + "x" * 90, " " * 4_000_000])
def test_a_long_cell_that_is_no_number_is_told_at_once(text: str) -> None:
    """The pattern of a number tries every way to share out digits: a long text never comes to it."""
    started = time.process_time()
    with pytest.raises(CellError):
        value("N", text)
    assert time.process_time() - started < 2
