"""What the documents list is what the code has."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import sys
import unicodedata
from pathlib import Path

from millrace.errors import ErrorCode
from millrace.report.completion import COLUMNS
from millrace.request.run_request import RunRequest

REPOSITORY = Path(__file__).parents[2]


def document(name: str) -> str:
    """A document's text."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """What stands in backquotes in the first column of its tables."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_error_code_is_documented() -> None:
    """docs/failures.md has a row for each code, in the enum's order, and for nothing else."""
    assert first_cells(document("docs/failures.md")) == [code.value for code in ErrorCode]


def test_every_column_is_documented() -> None:
    """docs/report.md has a row for each column, in the report's order."""
    assert first_cells(document("docs/report.md").partition("## failures.jsonl")[0]) == list(COLUMNS)


def test_the_example_of_a_report_is_one() -> None:
    """The report shown in docs/report.md has the columns of today, and known codes."""
    shown = re.search(r"```csv\n(.*?)```", document("docs/report.md"), re.DOTALL)
    assert shown is not None
    header, *rows = csv.reader(io.StringIO(shown[1]))
    assert header == list(COLUMNS)
    assert {row[header.index("ErrorCode")] for row in rows} - {""} <= {code.value for code in ErrorCode}


def test_every_field_of_a_request_is_documented() -> None:
    """docs/run-request.md has a row for each field, in the request's order."""
    assert first_cells(document("docs/run-request.md")) == list(RunRequest.__dataclass_fields__)


def test_the_page_shows_every_optional_field_with_its_default() -> None:
    """In the request's order; `include` has an example instead."""
    shown = re.search(r'```json\n(\{"workload".*?)```', document("docs/run-request.md"), re.DOTALL)
    assert shown is not None
    fields = json.loads(shown[1])
    folders = {"source": "s3://letters/in/", "destination": "s3://results/out/"}
    assert [*folders, *fields] == list(RunRequest.__dataclass_fields__)
    assert RunRequest.parse({**folders, **fields, "include": []}) == RunRequest.parse(folders)


def test_the_picture_shows_the_function_of_the_readme() -> None:
    """Each of its lines passes by in the recording, which has no key of the embedded AWS that it was made on."""
    picture = document("docs/screenshots/demo.svg")
    shown = {html.unescape(re.sub(r"<[^>]*>", "", row)) for row in re.findall(r"<text .*?</text>", picture)}
    function = re.search(r"```python\n(.*?)```", document("README.md"), re.DOTALL)
    assert function is not None
    assert {line.strip() for line in function[1].splitlines()} - {""} <= shown
    assert "AWS_" not in picture


def test_the_unicode_version_of_a_word_is_documented() -> None:
    """docs/workloads/word-count.md says which version the Python of this test has, and that of the image's base."""
    text = document("docs/workloads/word-count.md")
    versions = dict(re.findall(r"(3\.\d+) has (?:Unicode )?(\d+\.\d)", text))
    assert versions[f"3.{sys.version_info.minor}"] == unicodedata.unidata_version[:4]
    base = re.search(r"ARG BASE_IMAGE=python:(3\.\d+)", document("batch_jobs/Dockerfile"))
    assert base is not None
    assert base[1] in versions
