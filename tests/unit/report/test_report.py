"""The completion report: exact, parseable, and safe to open in a spreadsheet."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import ErrorCode
from millrace.records.outcome import Counts, Outcome
from millrace.records.plan import Item
from millrace.report.completion import COLUMNS, ReportWriter, exact_cell, safe_cell

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
items = st.builds(Item, key=texts, size=st.integers(0, 10**12), etag=st.just('"e"'), version_id=st.none() | texts)
outcomes = st.builds(Outcome.succeeded, items, st.lists(texts, max_size=2)) | st.builds(
    Outcome.failed, items, st.sampled_from(ErrorCode), texts, st.sampled_from([None, 403, 404, 412])
)


def written(*shards: list[Outcome]) -> tuple[ReportWriter, str, list[dict[str, object]]]:
    """The writer, report.csv and the lines of failures.jsonl."""
    report, failures = io.BytesIO(), io.BytesIO()
    writer = ReportWriter("source", report, failures)
    for index, shard in enumerate(shards):
        writer.add(index, shard)
    lines = failures.getvalue().split(b"\n")[:-1]
    return writer, report.getvalue().decode(), [json.loads(line) for line in lines]


@given(st.lists(st.lists(outcomes, max_size=5), max_size=4))
def test_the_report_parses_back(shards: list[list[Outcome]]) -> None:
    """A row per item with its exact key, version, message and outputs, whatever characters they have."""
    writer, report, failures = written(*shards)
    header, *rows = csv.reader(io.StringIO(report, newline=""))
    flat = [(index, outcome) for index, shard in enumerate(shards) for outcome in shard]

    assert tuple(header) == COLUMNS
    assert len(rows) == len(flat) == writer.counts.items
    for row, (index, outcome) in zip(rows, flat, strict=True):
        cells = dict(zip(header, map(exact_cell, row), strict=True))
        assert cells["Key"] == outcome.key
        assert cells["VersionId"] == (outcome.version_id or "")
        assert cells["TaskStatus"] == outcome.status.lower()
        assert cells["ErrorCode"] == (outcome.error_code or "")
        assert cells["ResultMessage"] == (outcome.message or "")
        assert cells["Shard"] == str(index)
        assert json.loads(cells["Outputs"] or "[]") == list(outcome.outputs)
    failed = [outcome for _, outcome in flat if outcome.error_code]
    assert [(line["key"], line["error_code"]) for line in failures] == [(one.key, one.error_code) for one in failed]
    assert writer.counts == Counts.of(outcome for _, outcome in flat)
    assert sum(writer.codes.values()) == writer.counts.failed


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])  # noqa: RUF001 - a full-width sign
def test_a_formula_is_neutralised(start: str) -> None:
    """No cell begins with what a spreadsheet runs."""
    key = f"{start}HYPERLINK(0)"
    _, report, failures = written([Outcome.failed(Item(key, 1, '"e"'), ErrorCode.NOT_TEXT, key)])
    rows = list(csv.reader(io.StringIO(report, newline="")))

    assert not [cell for row in rows for cell in row if cell.startswith(start)]
    assert failures[0]["key"] == key


@given(texts)
def test_a_neutralised_cell_can_be_read_back(text: str) -> None:
    """Stripping one leading apostrophe gives the exact text, for texts that begin with apostrophes too."""
    assert exact_cell(safe_cell(text)) == text


def test_the_first_columns_are_those_of_s3_batch_operations() -> None:
    """Tools for S3 Batch Operations' reports find their columns where they expect them."""
    assert COLUMNS[:7] == (
        "Bucket",
        "Key",
        "VersionId",
        "TaskStatus",
        "ErrorCode",
        "HTTPStatusCode",
        "ResultMessage",
    )
