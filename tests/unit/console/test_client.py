"""`millrace.run`: what it takes, whom it asks, and what a run gives back."""

from __future__ import annotations

import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import millrace
from batch_jobs.workloads.registry import load_workload
from console import client, launch
from console.client import ClientRun
from console.errors import RunStateError
from console.find.run_lookup import FoundRun
from millrace.client import Start
from millrace.errors import InvalidRunRequest, UsageError
from millrace.s3.verbs import S3
from tests.run_in_memory import RunInMemory

REPOSITORY = Path(__file__).parents[3]
ROWS = """
from millrace import workload


@workload()
def long_lines(body, *, least: int = 3):
    for number, line in enumerate(body.lines()):
        if len(line) >= least:
            yield {"number": number, "line": line}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Start]:
    """What the command was asked to start; it stands behind the entry point."""
    seen: list[Start] = []
    entry = SimpleNamespace(load=lambda: seen.append)
    monkeypatch.setattr(metadata, "entry_points", lambda **_given: [entry])
    return seen


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function `long_lines` of a module of the user's own."""
    (tmp_path / "long_rows.py").write_text(ROWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "long_rows", raising=False)
    return import_module("long_rows").long_lines


def test_a_function_is_sent_by_its_file(asked: list[Start], rows: Any, tmp_path: Path) -> None:
    """Its module's file and its name are what `--code` would be given; the other fields are passed on."""
    millrace.run(source="s3://in/a/", destination=Path("out"), workload=rows, stack="s", include=["*.txt"])
    assert asked == [
        Start("s3://in/a/", "out", None, f"{tmp_path}/long_rows.py:long_lines", "s", {}, {"include": ["*.txt"]})
    ]


def test_a_name_is_passed_on(asked: list[Start]) -> None:
    """A built-in workload, or one of a module that `code` names."""
    millrace.run(source="s3://in/", destination="s3://out/", options={"top": 5}, region="eu-west-1")
    millrace.run(source="s3://in/", destination="s3://out/", workload="jobs:count", code=Path("jobs.py"))
    assert [(each.workload, each.code, each.stack) for each in asked] == [
        ("word-count", None, "millrace"),
        ("jobs:count", "jobs.py", "millrace"),
    ]
    assert (asked[0].options, asked[0].region) == ({"top": 5}, "eu-west-1")


def test_what_is_no_workload_of_a_file_is_refused(asked: list[Start], rows: Any) -> None:
    """A function without the decorator, one that another made, one without a file: named, and nothing is started."""

    @millrace.workload()
    def inner(body: Any) -> dict[str, int]:
        return {"lines": sum(1 for _ in body.lines())}

    made: dict[str, Any] = {}
    exec(compile(ROWS, "<cell>", "exec"), made)
    for bad, why in ((len, "@workload"), (inner, "at the top of a module"), (made["long_lines"], "save it as one")):
        with pytest.raises(InvalidRunRequest, match=why):
            millrace.run(source="s3://in/", destination="s3://out/", workload=bad)
    assert callable(rows)
    assert asked == []


def test_without_the_command_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job there is no such entry point: the error says what to do."""
    monkeypatch.setattr(metadata, "entry_points", lambda **_given: [])
    with pytest.raises(UsageError, match='under: if __name__ == "__main__"'):
        millrace.run(source="s3://in/", destination="s3://out/")


def test_the_entry_point_is_declared_and_leads_to_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project declares it, and the path of modules is as before once it was called."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    assert declared == {"millrace.client": {"start": "millrace._launch:start"}}
    seen: list[Start] = []
    monkeypatch.setattr(client, "start", seen.append)
    before = [*sys.path]
    start = Start("s3://in/", "s3://out/", "copy", None, "s")
    launch.start(start)
    assert seen == [start]
    assert sys.path == before


def ended(run: RunInMemory) -> ClientRun:
    """A run as `start` gives it."""
    target: Any = SimpleNamespace(aws=SimpleNamespace(s3=S3(run.client.stub)), command=lambda *words: " ".join(words))
    found = FoundRun("run", "arn:aws:states:::execution:m:run", {"destination": "s3://result/out/"}, run.folder)
    return ClientRun(target, found)


@pytest.mark.usefixtures("rows")
def test_results_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Result, counts, rows and failures, each from the run folder, once it is there."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    objects = {"in/a": b'one\nthree, "x"\n', "in/b": b"\xff\xff\xff\xff\n", "in/c": b"-2+3\n"}
    run = RunInMemory(objects, {"workload": "long_rows:long_lines", "tolerated_failure_count": 1}, load=load_workload)
    run.plan()
    with pytest.raises(RunStateError, match=r"call wait\(\) first; if it failed, status run says why"):
        _ = ended(run).result
    run.migrate()
    run.merge()
    given = ended(run)
    assert given.run_id == "run"
    assert given.folder == "s3://result/out/_millrace/run/"
    assert given.counts["failed"] == 1
    assert given.result["rows"] == 3
    assert [(row["number"], row["line"]) for row in given.rows()] == [("0", "one"), ("1", 'three, "x"'), ("0", "'-2+3")]
    assert [(row["key"], row["error_code"]) for row in given.failures()] == [("in/b", "NOT_TEXT")]
    table = given.rows(to="arrow")
    assert table.to_pylist() == [
        {"number": 0, "line": "one"},
        {"number": 1, "line": 'three, "x"'},
        {"number": 0, "line": "-2+3"},
    ]
    assert given.rows(to="polars").rows() == [tuple(row.values()) for row in table.to_pylist()]
    assert given.rows(to="pandas").to_dict("records") == table.to_pylist()
    with pytest.raises(RunStateError, match=r"its result has no words\.csv; it has .*rows\.csv"):
        given.rows("words.csv")


def test_a_run_on_aws_is_checked_before_anything_is_asked() -> None:
    """As the command line does: a wrong field is named, whatever stack there is."""
    with pytest.raises(InvalidRunRequest, match="include"):
        client.start(
            Start("s3://letters/", "s3://out-put/", "copy", None, "s", {}, {"include": "*"}, region="eu-west-1")
        )
