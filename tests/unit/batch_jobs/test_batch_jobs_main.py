"""`python -m batch_jobs` as Batch starts it: exit codes, the last line, and signals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from batch_jobs.__main__ import _read_request, main
from batch_jobs.arguments import parse_arguments, request_given
from millrace.errors import InvalidRunRequest, RunIdentityError, UsageError
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest

NO_AWS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
PLAN = "s3://results/_millrace/r/plan.json"


def run(*arguments: str, **environ: str) -> tuple[int, dict[str, Any]]:
    """Exit code and last line of a job."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MILLRACE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "batch_jobs", *arguments],
        check=False,
        capture_output=True,
        env={**kept, **NO_AWS, **environ},
        timeout=60,
    )
    assert done.stdout == b""
    return done.returncode, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], "UsageError", "the following arguments are required: plan | migrate | merge"),
        (["mirgate"], "UsageError", "invalid choice: 'mirgate'"),
        (["plan"], "UsageError", "--source is missing"),
        (["migrate"], "UsageError", "--plan"),
        (["migrate", "--plan", PLAN, "--index", "x"], "UsageError", "invalid int value"),
        (["migrate", "--plan", "results"], "InvalidRunRequest", "plan is 'results'; allowed: an S3 URI"),
        (["merge", "--plan", "s3://results/x"], "InvalidRunRequest", "the URI of a run's plan.json"),
        (["plan", "--request", "s3://results/x"], "InvalidRunRequest", "the URI of a run's run.json"),
        (
            ["plan", "--source", "s3://aaa/a", "--destination", "s3://aaa/a/c", "--plan", PLAN],
            "InvalidRunRequest",
            "destination is 's3://aaa/a/c/'",
        ),
        (
            ["plan", "--source", "s3://aaa", "--destination", "s3://bbb", "--plan", PLAN, "--option", "tpo=1"],
            "InvalidRunRequest",
            "did you mean top?",
        ),
        (
            ["plan", "--source", "s3://aaa", "--destination", "s3://bbb", "--plan", PLAN, "--max-shards", "100001"],
            "InvalidRunRequest",
            "shard.max_shards is 100001",
        ),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], error: str, message: str) -> None:
    """A wrong command line ends at once, with a last line that says what was wrong."""
    code, line = run(*arguments)

    assert code == 2
    assert (line["level"], line["error"], line["exit_code"]) == ("ERROR", error, 2)
    assert message in line["message"]


def test_a_wrong_environment_is_exit_2() -> None:
    """Batch's own variables are checked as well."""
    code, line = run("migrate", "--plan", PLAN, AWS_BATCH_JOB_ARRAY_INDEX="one")

    assert (code, line["error"]) == (2, "InvalidRunRequest")


def test_missing_credentials_are_exit_1() -> None:
    """Without credentials no call can succeed, and the last line says so."""
    code, line = run("merge", "--plan", PLAN)

    assert (code, line["error"]) == (1, "CredentialsError")
    assert PLAN in line["message"]


def test_an_unexpected_error_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of ours is one line with its traceback, and the last line names it."""

    def break_down(_given: object) -> None:
        raise ZeroDivisionError("a\x1b[31m\nb")

    monkeypatch.setattr("batch_jobs.__main__._run", break_down)
    assert main(["merge", "--plan", PLAN]) == 1

    first, last = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "ZeroDivisionError" in first["traceback"]
    assert (last["error"], last["exit_code"]) == ("ZeroDivisionError", 1)
    assert "ZeroDivisionError in break_down, " in last["message"]


def test_help_says_how() -> None:
    """--help is for people: on stdout, with an example and the exit codes; it needs no AWS."""
    done = subprocess.run(
        [sys.executable, "-m", "batch_jobs", "plan", "--help"], check=True, capture_output=True, text=True
    )

    assert "--target-bytes N" in done.stdout
    assert "Example: python -m batch_jobs plan --source" in re.sub(r"\s+", " ", done.stdout)


def test_a_refused_command_line_does_not_wait_for_botocore() -> None:
    """Wrong arguments are refused before the AWS library is imported."""
    code = "import sys; from batch_jobs.__main__ import main; main(['plan']); sys.exit('botocore' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_the_command_line_spells_out_a_request() -> None:
    """Every option of plan arrives in the request, of its own type."""
    given = parse_arguments(
        [
            *("plan", "--source", "s3://letters/in", "--destination", "s3://results", "--plan", PLAN),
            *("--option", "top=5", "--option", "stop_words=a,b", "--include", "*.txt", "--include", "*.md"),
            *("--exclude", "x*", "--target-bytes", "1000", "--max-items", "7", "--max-shards", "3"),
            *("--tolerated-failure-percent", "0.5"),
        ]
    )
    request = RunRequest.parse(request_given(given))

    assert (request.source, request.destination, request.workload) == (
        "s3://letters/in/",
        "s3://results/",
        "word-count",
    )
    assert (request.options["top"], request.options["stop_words"]) == (5, ["a", "b"])
    assert (request.include, request.exclude) == (["*.txt", "*.md"], ["x*"])
    assert (request.shard.target_bytes, request.shard.max_items, request.shard.max_shards) == (1000, 7, 3)
    assert request.tolerated_failure_percent == 0.5


def test_an_option_without_a_value_is_refused() -> None:
    """NAME alone is not NAME=VALUE."""
    arguments = ["plan", "--source", "s3://a", "--destination", "s3://b", "--plan", PLAN, "--option", "top"]
    with pytest.raises(InvalidRunRequest, match="NAME=VALUE"):
        request_given(parse_arguments(arguments))
    with pytest.raises(UsageError, match="--destination is missing"):
        request_given(parse_arguments(["plan", "--source", "s3://a"]))


def test_the_words_of_the_merge_state_are_understood() -> None:
    """Both tolerances come as text from Prepare Run; without them the plan's count."""
    words = ["merge", "--plan", PLAN, "--tolerated-failure-percent", "2.5", "--tolerated-failure-count", "1000000"]
    given = parse_arguments(words)

    assert (given.tolerated_failure_percent, given.tolerated_failure_count) == (2.5, 1_000_000)
    given = parse_arguments(words[:3])
    assert (given.tolerated_failure_percent, given.tolerated_failure_count) == (None, None)


def test_a_request_of_another_code_version_is_not_planned() -> None:
    """Functions and image of two versions are found out before anything is listed, and the error names both."""
    folder = RunFolder.of_request(S3Uri.parse("s3://results/_millrace/r/run.json"))
    text = json.dumps({"code_version": "1", "request": {"source": "s3://aaa/", "destination": "s3://bbb/"}}).encode()

    assert _read_request(folder, text, "1").source == "s3://aaa/"
    with pytest.raises(RunIdentityError, match="code version was 1, is 2"):
        _read_request(folder, text, "2")


class PanicException(BaseException):
    """What a Rust library raises when it panics: no Exception."""


@pytest.mark.parametrize(
    "raised", [PanicException("index out of bounds"), SystemExit(0), GeneratorExit(), MemoryError()]
)
def test_whatever_ends_a_job_is_its_last_line(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A panic of a native library, a SystemExit of somebody's: exit 1, and one JSON object says which."""

    def broken(*_given: Any) -> None:
        raise raised

    monkeypatch.setattr("batch_jobs.migrating.migrate.migrate", broken)
    monkeypatch.setattr("batch_jobs.s3.connection.connect", lambda *_given: None)
    assert main(["migrate", "--plan", PLAN]) == 1

    line = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (line["error"], line["exit_code"], line["level"]) == (type(raised).__name__, 1, "ERROR")
