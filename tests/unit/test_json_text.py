"""JSON that others wrote, and command lines: whatever they hold, one clear error with exit code 2, never a crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs import __main__ as entry
from batch_jobs.__main__ import _read_request
from batch_jobs.arguments import parse_arguments, request_given
from console.operations.request_options import read_input
from millrace.errors import DamagedFileError, InvalidRunRequest, ManifestError, MillraceError, UsageError
from millrace.json_text import check_plain, read_json
from millrace.layout import RunFolder, S3Uri
from millrace.queue_rules import parse_queue_rules
from millrace.records.commit import Commit
from millrace.records.files import read_result
from millrace.records.folders import read_request
from millrace.records.plan import Plan
from millrace.request.run_request import RunRequest
from millrace.settings import FunctionSettings
from millrace.source.manifest.inventory import read_report
from millrace.workload.registry import option_value
from millrace.workload.totals import Totals
from prepare_run import prepare_run
from tests.run_in_memory import RESULT, RunInMemory

LEVELS = (100, 1_500, 100_000)
PLACES = {"source": "s3://source/in/", "destination": "s3://result/out/"}


def nested(levels: int, *, objects: bool = False) -> str:
    """JSON in so many levels."""
    return '{"a":' * levels + "1" + "}" * levels if objects else "[" * levels + "]" * levels


def deep(levels: int) -> list[Any]:
    """A list in so many levels, as a reader without a limit makes it."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("levels", LEVELS[1:])
def test_json_that_is_nested_too_deeply_is_no_json(levels: int, *, objects: bool) -> None:
    """As any other text that cannot be read."""
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(nested(levels, objects=objects))


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("field", ["options", "keys", "shard", "share", "unknown", "upload", "source"])
def test_prepare_run_refuses_deep_requests(field: str, levels: int) -> None:
    """InvalidRunRequest that names the field, whether Prepare Run knows it or not."""
    run = RunInMemory()
    request = {**PLACES, field: {"x": deep(levels)} if field == "options" else deep(levels)}
    if field == "options":
        request["workload"] = "acme.mine"
    event = {"input": request, "execution_arn": "a", "execution_name": "n", "started_at": "t"}
    with pytest.raises(InvalidRunRequest, match=rf"{field}.* is 'nested in 65 levels and more'") as caught:
        prepare_run(event, run.job().s3, FunctionSettings(queues={"standard": "q"}))
    assert caught.value.exit_code == 2


def test_a_value_that_is_nested_too_deeply_to_be_shown_is_told() -> None:
    """An error must not fail where it shows what was given."""
    assert "a list that is nested too deeply" in str(InvalidRunRequest("x", deep(5_000), "less"))


def test_a_request_of_many_levels_is_taken_as_far_as_it_can_be_written() -> None:
    """What passes can be copied, written and read again."""
    request = RunRequest.parse({**PLACES, "workload": "acme.mine", "options": {"x": deep(60)}})
    assert json.loads(json.dumps(request.to_json(), indent=2))["options"] == {"x": deep(60)}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"options": {"a": "\ud800"}}, "options.a is '\\ud800'"),
        ({"options": {"a": ["x", {"b": "\udfffx"}]}}, "options.a.b is "),
        ({"options": {"\ud800": 1}}, "options is "),
        ({"\udc80": 1}, "input is "),
        ({"include": ["*.txt", "\udc80*"]}, "include is "),
        ({"keys": ["a\ud83d"]}, "keys is "),
        ({"source": "s3://source/\ud800/"}, "source is "),
        ({"workload": "\ud800"}, "workload is "),
        ({"manifest": "s3://a/\ud800.csv"}, "manifest is "),
        ({"options": {"a": float("nan")}}, "options.a is nan"),
        ({"options": {"a": [float("-inf")]}}, "options.a is -inf"),
    ],
)
def test_what_cannot_be_written_as_json_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    """Half a surrogate pair, NaN and infinity; and the message itself can be written."""
    with pytest.raises(InvalidRunRequest) as caught:
        RunRequest.parse({**PLACES, "workload": "acme.mine", **given})
    assert str(caught.value).startswith(named)
    str(caught.value).encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_whatever_passes_can_be_written_and_read_again(value: object) -> None:
    """And only what cannot is refused."""
    try:
        check_plain(value, "x")
    except InvalidRunRequest as refused:
        str(refused).encode()
        with pytest.raises((ValueError, UnicodeEncodeError)):
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    else:
        assert read_json(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


FOLDER = RunFolder.of(S3Uri(RESULT, "out/"), "run")


def _in_memory(name: str, text: bytes) -> RunInMemory:
    run = RunInMemory()
    run.client.store(RESULT, run.folder.file(name).key, text)
    return run


READERS: dict[str, Callable[[bytes], object]] = {
    "plan": lambda text: Plan.from_json(text, "plan.json"),
    "plan's options": lambda text: Plan.from_json(b'{"options":%b}' % text, "plan.json"),
    "commit": lambda text: Commit.from_json(text, "commit"),
    "run.json of a job": lambda text: _read_request(FOLDER, text),
    "request of a job": lambda text: _read_request(
        FOLDER,
        b'{"request":{"source":"s3://aaa/","destination":"s3://bbb/","workload":"a.b","options":{"x":%b}}}' % text,
    ),
    "run.json of a function": lambda text: read_request(FOLDER, _in_memory("run.json", text).job().s3),
    "result": lambda text: read_result(FOLDER, _in_memory("result.json", text).job().s3),
    "partial": lambda text: Totals().read(BytesIO(text)),
}


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("name", READERS)
def test_run_files_that_are_nested_too_deeply_are_damaged(name: str, levels: int) -> None:
    """As any other file that Millrace did not write."""
    with pytest.raises(DamagedFileError):
        READERS[name](nested(levels).encode())


@pytest.mark.parametrize("levels", LEVELS)
def test_a_commit_with_a_deep_job_is_damaged(levels: int) -> None:
    """What is written of a commit is compared with its digest, if it can be."""
    run = RunInMemory({"in/a": b"a"})
    run.plan()
    run.migrate()
    key = run.folder.commit(0).key
    text = (run.file("shards/00000.json") or b"").replace(
        b'"partial":{', b'"partial":{"x":%b,' % nested(levels).encode()
    )
    run.client.store(RESULT, key, text)
    with pytest.raises(DamagedFileError):
        run.migrate()


def test_deep_manifests_settings_and_options_are_refused() -> None:
    """An inventory's manifest.json, the queues and their rules, a command's option."""
    text = nested(1_500)
    run = _in_memory("manifest.json", text.encode())
    with pytest.raises(ManifestError):
        read_report(run.folder.file("manifest.json"), run.job().s3)
    with pytest.raises(InvalidRunRequest, match="QUEUES is"):
        FunctionSettings.from_environment({"QUEUES": text})
    with pytest.raises(InvalidRunRequest, match="QUEUE_RULES is"):
        parse_queue_rules(text, ["standard"])
    assert option_value("acme.mine", f"x={text}") == ("x", text)


@pytest.mark.parametrize("levels", LEVELS[1:])
def test_a_deep_manifest_ends_the_plan_with_exit_code_2(levels: int) -> None:
    """A line of JSON Lines may hold anything."""
    line = b'{"key": "a", "more": %b}\n' % nested(levels).encode()
    run = RunInMemory({"in/a": b"a"}, request={"manifest": f"s3://{RESULT}/list.jsonl"})
    run.client.store(RESULT, "list.jsonl", line)
    with pytest.raises(ManifestError) as caught:
        run.plan()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("levels", LEVELS[1:])
def test_a_deep_input_file_is_refused_by_the_command(levels: int, tmp_path: Path) -> None:
    """`millrace start --input`."""
    (tmp_path / "input.json").write_text(nested(levels, objects=True))
    with pytest.raises(InvalidRunRequest, match="nested too deeply"):
        read_input(tmp_path / "input.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_input_file_may_be_written_by_powershell(encoding: str, tmp_path: Path) -> None:
    """It writes UTF-16, or a byte order mark in front of UTF-8."""
    (tmp_path / "input.json").write_text('{"source": "s3://b/ä/"}', encoding)
    assert read_input(tmp_path / "input.json") == {"source": "s3://b/ä/"}


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\xe4{}", b"{} x", b"[" * 99, b"1" * 5000, b'{"a": ' + b"1" * 5000 + b"}", b""]
)
def test_an_input_file_that_is_no_json_is_refused(raw: bytes, tmp_path: Path) -> None:
    """Bytes of another encoding, and whole numbers that Python does not read, are errors like any other."""
    (tmp_path / "input.json").write_bytes(raw)
    with pytest.raises(InvalidRunRequest, match="a file with a JSON object") as caught:
        read_input(tmp_path / "input.json")
    assert "sys." not in str(caught.value)


def test_a_whole_number_that_is_too_long_to_be_shown_is_told() -> None:
    """The error about it must not fail itself."""
    assert "is a int that is too long to be shown" in str(InvalidRunRequest("priority", 10**5000, "0 to 9999"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--request", "s3://bucket/\udcff/run.json"],
        ["migrate", "--plan", "s3://b/plan.json", "--\udce9"],
        ["\udc80"],
        ["plan", "--source", "s3://aaa/", "--destination", "s3://bbb/", "--plan", "s3://bbb/p", "--option", "a=\udc80"],
    ],
)
def test_arguments_that_are_not_utf8_are_wrong_usage(arguments: list[str]) -> None:
    """Exit code 2, with the number of the argument, in a message that can be written."""
    with pytest.raises(UsageError, match=r"argument \d is not UTF-8: .*\\udc") as caught:
        parse_arguments(arguments)
    str(caught.value).encode()
    assert entry.main(arguments) == 2


def test_an_option_in_json_with_half_a_pair_is_refused() -> None:
    """JSON can spell what UTF-8 cannot."""
    words = ["--source", "s3://aaa/", "--destination", "s3://bbb/", "--plan", "s3://bbb/_millrace/r/plan.json"]
    option = ["--workload", "acme.mine", "--option", 'a=["\\ud800"]']
    with pytest.raises(MillraceError, match=r"options\.a is"):
        RunRequest.parse(request_given(parse_arguments(["plan", *words, *option])))
    assert entry.main(["plan", *words, *option]) == 2


@pytest.mark.parametrize(
    "words",
    [
        [b"start", b"--source", b"s3://aaa/", b"--destination", b"s3://bbb/", b"--include", b"caf\xe9"],
        [b"\xff"],
        [b"start", b"--source", b"s3://aaa/\xff/", b"--destination", b"s3://bbb/"],
    ],
)
def test_the_command_refuses_arguments_that_are_not_utf8(words: list[bytes]) -> None:
    """As the shell hands them over; one line, exit code 2."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "layer/python")])}
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"console", *words], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"millrace: error: argument ")
    assert done.stderr.count(b"\n") == 1
