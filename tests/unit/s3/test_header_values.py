"""What S3 takes as content type, metadata and tags: checked as options, and before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.migrating.outputs import SpooledOutputs
from millrace.errors import InvalidRunRequest
from millrace.s3.header_values import content_type_fault, metadata_fault
from millrace.workload.options import check_options
from millrace.workload.registry import workload_records

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("copy", {"content_type": "text/plain\r\nX-Evil: 1"}),
    ("copy", {"content_type": "té/xt"}),
    ("copy", {"content_type": " text/plain"}),
    ("copy", {"content_type": "\x00"}),
    ("copy", {"content_type": "x" * 1025}),
    ("copy", {"metadata": {"a b": "c"}}),
    ("copy", {"metadata": {"": "c"}}),
    ("copy", {"metadata": {"ä": "c"}}),
    ("copy", {"metadata": {"a": "c\nd"}}),
    ("copy", {"metadata": {"a": "c "}}),
    ("copy", {"metadata": {"a": "b", "A": "c"}}),
    ("copy", {"metadata": {"a": "x" * 2048}}),
    ("copy", {"tags": {"": "b"}}),
    ("copy", {"tags": {"a" * 129: "b"}}),
    ("copy", {"tags": {"a": "b" * 257}}),
    ("copy", {"tags": {"AWS:a": "b"}}),
    ("copy", {"tags": {"a": "b&c"}}),
    ("copy", {"tags": {"a": "b\n"}}),
    ("copy", {"tags": {"a": "\ud800"}}),
    ("copy", {"tags": {str(number): "" for number in range(11)}}),
    ("copy", {"kms_key": "arn:aws:kms\n", "encryption": "aws:kms"}),
    ("copy", {"kms_key": "schlüssel", "encryption": "aws:kms"}),
    ("command", {"command": ["true"], "content_type": "a\tb\x7f"}),
    ("command", {"command": ["true"], "content_type": ""}),
]
RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("copy", {"content_type": 'multipart/mixed; boundary="a b"'}),
    ("copy", {"metadata": {"x-y_z.1": "", "b": "a  b"}}),
    ("copy", {"metadata": {"a": "x" * 2047}}),
    ("copy", {"tags": {"Ärger 1_.:/=+-@": "値" * 256}}),
    ("copy", {"kms_key": "arn:aws:kms:eu-west-1:123456789012:key/a-b", "encryption": "aws:kms"}),
    ("command", {"command": ["true"], "content_type": "text/csv; charset=utf-8"}),
]


@pytest.mark.parametrize(("workload", "options"), WRONG)
def test_what_s3_would_refuse_is_refused_with_the_request(workload: str, options: dict[str, Any]) -> None:
    """Prepare Run checks the options with these rules: nothing is planned, read or paid for."""
    name = next(reversed(options)) if "encryption" not in options else "kms_key"
    with pytest.raises(InvalidRunRequest, match=f"options.{name}"):
        check_options(workload_records()[workload].options, options)


@pytest.mark.parametrize(("workload", "options"), RIGHT)
def test_what_s3_takes_is_taken(workload: str, options: dict[str, Any]) -> None:
    """The limits themselves, Unicode letters in tags, parameters of a media type."""
    checked = check_options(workload_records()[workload].options, options)
    assert {name: checked[name] for name in options} == options


@given(st.text(max_size=60))
def test_what_is_let_through_is_a_header_value(text: str) -> None:
    """Whatever passes is one line of ASCII that no signature strips; outputs.open refuses what does not pass."""
    fault = content_type_fault(text)
    with SpooledOutputs(lambda _name: None) as files:
        if fault is None:
            assert text == text.strip()
            assert text.isascii()
            assert text.isprintable()
            files.open("a", text)
        else:
            with pytest.raises(ValueError, match="a content type is"):
                files.open("a", text)
    assert (metadata_fault({"name": text}) is None) == (fault is None or text == "")
