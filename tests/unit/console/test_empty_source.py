"""A run that worked nothing says what is where it looked, and what was probably meant."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.errors import EmptySourceError
from console.find.empty_source import check_not_empty, what_was_there
from console.find.run_lookup import FoundRun
from console.terminal import Terminal
from millrace.s3.verbs import S3
from tests.in_memory_s3 import error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory


def nothing_worked(objects: dict[str, bytes], **request: Any) -> tuple[Any, FoundRun]:
    """An AWS and a run on it that was planned over these objects."""
    run = RunInMemory(objects, request)
    assert run.plan().items == 0
    given = {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", **request}
    return SimpleNamespace(s3=S3(run.client.stub)), FoundRun("run", "arn", given, run.folder)


@pytest.mark.parametrize(
    ("objects", "request_", "says"),
    [
        ({}, {}, "there is no object under s3://source/in/. The bucket source is empty."),
        ({"elsewhere/a": b"1"}, {}, "its first keys: elsewhere/a."),
        ({"input/a.txt": b"1", "in.csv": b"1"}, {"source": f"s3://{SOURCE}/i/"}, "begin alike: in.csv, input/a.txt."),
        (
            {"in/a.txt": b"1"},
            {"source": f"s3://{SOURCE}/in/a.txt"},
            "s3://source/in/a.txt is an object, and a source is a folder: --source s3://source/in/ --include a.txt",
        ),
        (
            {"in/b[1] c.txt": b"1"},
            {"source": f"s3://{SOURCE}/in/b[1] c.txt"},
            "--source s3://source/in/ --include 'b[[]1] c.txt' works it alone",
        ),
        ({"top": b"1"}, {"source": f"s3://{SOURCE}/top"}, "--source s3://source/ --include top works it alone"),
        ({"in/sub/": b""}, {}, "s3://source/in/ holds 1 folder marker (empty keys ending in /) only."),
        (
            {"in/a.csv": b"1", "in/d/b.csv": b"1"},
            {"include": ["*.txt"]},
            (
                "2 objects under s3://source/in/, none left by include '*.txt' (2 not included). "
                "Patterns match the whole key behind the source: a.csv, d/b.csv."
            ),
        ),
        ({"in/a": b"1"}, {"exclude": ["*"]}, "none left by exclude '*' (1 excluded)"),
        ({"in/\x1b[2Jx": b"1"}, {"include": ["y"]}, r"\x1b[2Jx"),
    ],
)
def test_what_was_there_is_said(objects: dict[str, bytes], request_: dict[str, Any], says: str) -> None:
    """Nothing at all, something nearby, an object given as a folder, patterns that match nothing: each in its words."""
    aws, found = nothing_worked(objects, **request_)
    words = what_was_there(aws, found)

    assert says in words
    assert "\x1b" not in words


def test_a_source_that_may_not_be_read_is_no_crash() -> None:
    """Who starts runs need not be allowed to read the source: the sentence is shorter then."""
    aws, found = nothing_worked({})

    def refuse(_verb: str, bucket: str, _key: str) -> None:
        if bucket == SOURCE:
            raise error("AccessDenied", 403)

    aws.s3.requests.client.before = refuse
    assert "it cannot be looked at from here" in what_was_there(aws, found)


def test_an_empty_folder_of_this_machine_is_named_as_the_user_knows_it() -> None:
    """Not by the prefix that the embedded AWS serves it under, nor by other folders' keys."""
    aws, found = nothing_worked({"elsewhere/a": b"1"})
    assert what_was_there(aws, found, Path("/data/texts")) == "there is no file in /data/texts."
    filtered = nothing_worked({"in/a.csv": b"1"}, include=["*.txt"])
    assert "none left by include" in what_was_there(*filtered, Path("/data/texts"))


def test_an_empty_run_is_refused_unless_it_is_allowed() -> None:
    """Without --allow-empty the command exits with 2 and the sentence; with it, or with items, it does not."""
    aws, found = nothing_worked({})
    terminal = Terminal()
    terminal.notes.file = io.StringIO()

    with pytest.raises(EmptySourceError, match=r"there is no object under .*--allow-empty") as raised:
        check_not_empty(aws, found, {"counts": {"items": 0}}, terminal, allowed=False)
    check_not_empty(aws, found, {"counts": {"items": 0}}, terminal, allowed=True)
    check_not_empty(aws, found, {"counts": {"items": 1}}, terminal, allowed=False)

    assert raised.value.exit_code == 2
