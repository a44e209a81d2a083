"""What items gave, kept as JSON, makes the same partial as what they gave."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts, ImportedObject, RejectedRows
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from batch_jobs.workloads.function.workload import class_of
from batch_jobs.workloads.images.contact_sheet import Cell
from batch_jobs.workloads.images.totals import Pictured
from batch_jobs.workloads.images.workload import Images
from batch_jobs.workloads.registry import load_workload
from millrace.workload import Item, workload
from millrace.workload.contribution import LARGEST_BYTES, ContributionTexts
from millrace.workload.function import DECLARATION
from millrace.workload.quantiles import Quantiles
from millrace.workload.registry import checked_options

KEYS = st.sampled_from(["a", "é", "\U0001f600b"])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=32)


def written(loaded: Any, contributions: list[Any]) -> bytes:
    """The partial of some contributions."""
    partial, file = loaded.partial(), io.BytesIO()
    for contribution in contributions:
        partial.add(contribution)
    partial.write(file)
    return file.getvalue()


def is_kept(loaded: Any, contribution: Any) -> bool:
    """Whether a contribution is kept; the partial takes it then."""
    kept = ContributionTexts(loaded).of(contribution) is not None
    written(loaded, [contribution])
    return kept


def same(loaded: Any, make: Callable[[], Any]) -> bool:
    """Whether the partial of a contribution is that of its text; read, and then taken, as migrate does."""
    texts, contribution = ContributionTexts(loaded), make()
    text = texts.of(contribution)
    assert text is not None
    assert len(text) <= getattr(loaded, "most_contribution_bytes", LARGEST_BYTES)
    return written(loaded, [contribution]) == written(loaded, texts.read([text])) == written(loaded, [make()])


GIVEN: list[Any] = [None]
"""What the functions give next."""


@workload()
def gives(item: Any) -> Any:  # noqa: ARG001 - a workload takes something
    """Whatever it is told to."""
    return GIVEN[0]() if callable(GIVEN[0]) else GIVEN[0]


@workload(merge=lambda values: {"values": list(values)})
def merged(item: Any) -> Any:  # noqa: ARG001 - a workload takes something
    """The same, for a merge function."""
    return GIVEN[0]() if callable(GIVEN[0]) else GIVEN[0]


def function(declared: Any) -> Any:
    """A function as a workload."""
    return class_of(getattr(declared, DECLARATION))({})


@given(
    KEYS,
    st.one_of(
        st.none(),
        st.dictionaries(st.text(max_size=5), NUMBERS, max_size=4),
        st.dictionaries(st.text(max_size=5), st.integers(), max_size=4).map(Counter),
        st.lists(
            st.dictionaries(st.text(max_size=5), NUMBERS | st.text(max_size=9) | st.none(), min_size=1, max_size=3),
            max_size=3,
        ),
    ),
)
def test_what_a_function_gives(key: str, value: Any) -> None:
    """Totals, counters, rows and nothing."""
    GIVEN[0] = value
    for loaded in (function(gives), function(merged)):

        def make(loaded: Any = loaded) -> Any:
            return loaded.migrate(Item(key, 1, '"1"', first_byte=5, last_byte=9), [b"x"], None)

        if is_kept(loaded, make()):
            assert same(loaded, make)


def test_quantiles_are_kept() -> None:
    """As bytes, in text."""
    quantiles = Quantiles()
    for number in range(10):
        quantiles.add(number / 3)
    GIVEN[0] = quantiles
    loaded = function(gives)
    assert same(loaded, lambda: loaded.migrate(Item("a", 1, '"1"'), [b"x"], None))


def test_long_rows_are_not_kept() -> None:
    """They would cost as much as the partial."""
    loaded = function(gives)
    for length, kept in ((10, True), (LARGEST_BYTES, False)):
        GIVEN[0] = [{"text": "x" * length}]
        assert is_kept(loaded, loaded.migrate(Item("a", 1, '"1"'), [b"x"], None)) == kept


@given(st.integers(0, 20), st.booleans())
def test_what_became_of_a_file(rejected: int, zipped: bool) -> None:  # noqa: FBT001 - drawn
    """Its counts, and its rejected rows; where many were rejected, nothing is kept."""
    loaded = CsvToDynamoDB.__new__(CsvToDynamoDB)

    def make(rows: int = rejected) -> ImportedObject:
        refused = RejectedRows()
        for line in range(rows):
            refused.add((0, line), f"why {line}")
        files = [FileCounts("a.csv", "m" if zipped else "", read=rows + 3, written=3, rejected=rows)]
        return ImportedObject([*files, *([FileCounts("a.csv", "n")] if zipped else [])], refused)

    assert same(loaded, make)
    assert ContributionTexts(loaded).of(make(21)) is None


@given(KEYS, st.none() | st.binary(max_size=6000))
def test_a_picture(key: str, jpeg: bytes | None) -> None:
    """Its numbers, and its cell of the contact sheet."""
    loaded = load_workload("images", checked_options("images", {}))
    assert isinstance(loaded, Images)
    cell = None if jpeg is None else Cell(key, jpeg, 12, 9)
    assert same(loaded, lambda: Pictured("JPEG", 7, 8, 9, cell))


@pytest.mark.parametrize(("value", "kept"), [({"a": 1, "b": [None, True, "é"]}, True), ([], True), ("x", True)])
def test_plain_json_is_kept(value: Any, kept: bool) -> None:  # noqa: FBT001 - a column of the table
    """It comes back as it was."""
    texts = ContributionTexts(object())
    text = texts.of(value)
    assert (text is not None) == kept
    assert texts.read([text or b""] * 2) == [value, value]


@pytest.mark.parametrize(
    "value", [(1, 2), {"a": 1.5}, {1: 2}, Counter("a"), {"a": (1,)}, b"x", {"a": "\ud800"}, "x" * 2000, {"\udfff": 1}]
)
def test_what_json_would_change_is_not_kept(value: Any) -> None:
    """Nor what is long."""
    assert ContributionTexts(object()).of(value) is None
