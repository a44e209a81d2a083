"""From a command's options to the execution input."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest

from batch_jobs.workloads.registry import load_workload
from console.commands.local.run import run
from console.operations.request_options import request_fields, request_options
from console.run_order import RunOrder, workload_options
from millrace.errors import InvalidRunRequest


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([], {}),
        (["top=5"], {"top": 5}),
        (["stop_words=the"], {"stop_words": ["the"]}),
        (["stop_words=the", "stop_words=a=b"], {"stop_words": ["the", "a=b"]}),
        (['stop_words=["und", "die"]', "top=1"], {"stop_words": ["und", "die"], "top": 1}),
        (["stop_words=[]"], {"stop_words": []}),
        (["top=many"], {"top": "many"}),
        (["stop_words=and,the"], {"stop_words": ["and", "the"]}),
    ],
)
def test_workload_options_have_their_declared_types(given: list[str], options: dict[str, object]) -> None:
    """Numbers are numbers, lists are lists; what cannot be read stays text, for the check to name."""
    assert workload_options("word-count", given) == options


def test_an_object_of_strings_is_json() -> None:
    """The column names of a CSV file, say."""
    words = ["table=films", 'columns={"": "id", "title": "name"}', "header=false"]
    expected = {"table": "films", "columns": {"": "id", "title": "name"}, "header": False}
    assert workload_options("csv-to-dynamodb", words) == expected


def test_options_of_ones_own_workload_are_json_or_text() -> None:
    """What it declares is not known here: a number, true and a list are what they look like, all else is text."""
    words = ["top=5", "deep=true", "end=;", 'names=["a"]', 'names=["b"]']
    expected = {"top": 5, "deep": True, "end": ";", "names": ["a", "b"]}
    assert workload_options("line_count:LineCount", words) == expected


def test_options_of_a_function_end_with_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the words of a command line to the function's arguments; a wrong one is named, with exit code 2."""
    (tmp_path / "typed_options.py").write_text(
        "import enum\nfrom typing import Literal\nfrom millrace import workload\n"
        "class Level(enum.Enum):\n    LOW = 'low'\n    HIGH = 'high'\n"
        "@workload()\ndef typed(body, *, limit: float = 1.0, top: int = 3, deep: bool = False, end: str = '',\n"
        "          words: list[str] = [], shares: list[float] = [], level: Level = Level.LOW,\n"
        "          kind: Literal['x', '1'] = 'x'):\n    return {}\n"
    )
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = "typed_options:typed"

    def arguments(*words: str) -> dict[str, Any]:
        given = load_workload(name, workload_options(name, words))._options  # type: ignore[attr-defined]
        return {option: given[option] for option in {word.partition("=")[0] for word in words}}

    assert arguments("limit=0.5") == {"limit": 0.5}
    assert isinstance(arguments("limit=2")["limit"], float)
    assert arguments("top=-4", "deep=true", "end=a=b") == {"top": -4, "deep": True, "end": "a=b"}
    assert arguments('end="5"') == {"end": "5"}
    assert arguments("words=a", "words=b") == {"words": ["a", "b"]}
    assert arguments('words=["a"]', "words=b", 'words=["c", "d"]') == {"words": ["a", "b", "c", "d"]}
    assert arguments("shares=1", "shares=0.5") == {"shares": [1.0, 0.5]}
    assert arguments("level=high")["level"].value == "high"
    assert arguments('kind="1"') == {"kind": "1"}
    for wrong in (
        ["limit=fast"], ["limit=true"], ["limit=[1]"], ["limit=NaN"], ["limit=1e400"], ["top=1.0"], ["top=x"],
        ["deep=1"], ["deep=yes"], ["end=5"], ["words=a"], ["words=1", "words=2"], ["shares=a", "shares=b"],
        ["level=middle"], ["level=HIGH"], ["kind=1"], ["top=1", "top=2"], ["limits=1"],
    ):  # fmt: skip
        with pytest.raises(InvalidRunRequest, match=f"options.{wrong[0].partition('=')[0]}") as caught:
            arguments(*wrong)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("given", [["top"], ["=5"], ["top=5", "top=6"], ["unknown=5"]])
def test_an_option_that_says_nothing_clear_is_refused(given: list[str]) -> None:
    """An option without a value or a name, with two values, or unknown to the workload, is refused."""
    with pytest.raises(InvalidRunRequest):
        workload_options("word-count", given)


def parsed(*arguments: str) -> dict[str, Any]:
    """The execution input's fields that `millrace local run` makes of these arguments."""
    context = run.make_context("run", ["--source", "s", "--destination", "d", *arguments])
    assert isinstance(context, click.Context)
    return request_fields(context.params)


def test_only_what_was_given_is_asked_for() -> None:
    """Defaults are the state machine's business: without options the input holds the workload alone."""
    assert parsed() == {"workload": "word-count"}


def test_every_option_has_its_field() -> None:
    """Each option of the command lands in its field of the execution input."""
    assert parsed(
        *("--include", "*.txt", "--include", "*.md", "--exclude", "old/*", "--max-items", "3", "--target-bytes", "9"),
        *("--max-shards", "7", "--tolerated-failure-percent", "2.5", "--run-id", "r-1", "--option", "top=4"),
        *("--manifest", "s3://lists/today.csv", "--reuse", "latest", "--reuse-required", "--verify-outputs"),
        *("--mirror", "--mirror-limit-percent", "0", "--name", "Nightly", "--tag", "team=search", "--tag", "urgent"),
        "--requester-pays",
    ) == {
        "workload": "word-count",
        "options": {"top": 4},
        "manifest": "s3://lists/today.csv",
        "include": ["*.txt", "*.md"],
        "exclude": ["old/*"],
        "shard": {"max_items": 3, "target_bytes": 9, "max_shards": 7},
        "tolerated_failure_percent": 2.5,
        "run_id": "r-1",
        "reuse": "latest",
        "reuse_required": True,
        "verify_outputs": True,
        "mirror": True,
        "mirror_limit_percent": 0,
        "requester_pays": True,
        "name": "Nightly",
        "tags": {"team": "search", "urgent": ""},
    }


class Read(dict[str, Any]):
    """A command's options, none of them given, that remember which were asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names))
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return () if name in SEVERAL else super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The same."""
        self.asked.add(name)
        return super().get(name, default)


SEVERAL = ("options", "include", "exclude", "tags")
"""Options that may be given several times."""


def test_no_option_is_dropped() -> None:
    """Each option of a request is asked for when its fields are made: none is accepted and then forgotten."""
    command = click.command()(request_options(lambda **_given: None))
    given = Read(str(option.name) for option in command.params)
    request_fields(given)
    assert set(given) - given.asked == {"code_python", "code_platform"}  # for `send_code`


def test_an_explicit_nought_is_asked_for() -> None:
    """`--tolerated-failure-percent 0` is said, not dropped as empty."""
    assert parsed("--tolerated-failure-percent", "0")["tolerated_failure_percent"] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"workload": "word-cuont"}, "workload"),
        ({"workload": "word-count", "options": {"topp": 1}}, "options.topp"),
        ({"workload": "word-count", "options": {"top": "many"}}, "options.top"),
        ({"workload": "word-count", "shard": {"max_items": 0}}, "shard.max_items"),
        ({"workload": "word-count", "tolerated_failure_percent": 101}, "tolerated_failure_percent"),
        ({"workload": "word-count", "run_id": "no good"}, "run_id"),
    ],
)
def test_a_bad_order_fails_before_anything_is_started(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    """The rules of Prepare Run are applied here too, so a slip costs no deployment."""
    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidRunRequest) as caught:
        RunOrder.check(str(tmp_path / "in"), str(tmp_path / "out"), fields)
    assert caught.value.field == field


def test_the_request_names_the_stacks_buckets_for_folders(tmp_path: Path) -> None:
    """A folder becomes a prefix of the stack's bucket; an S3 URI stays as it is."""
    (tmp_path / "in").mkdir()
    order = RunOrder.check(str(tmp_path / "in"), "s3://mine/out", {"workload": "word-count"})
    request = order.request("source-bucket", "result-bucket")
    assert request["source"].startswith("s3://source-bucket/directories/in-")
    assert request["destination"] == "s3://mine/out/"
