"""The edge of the command line: one last line for people, exit codes, and a quick --help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from console import __main__ as edge
from console.embedded_aws import PortTakenError
from console.errors import DeployError, RunFailedError, RunInterrupted, RunNotFoundError
from console.verbs import Invocation, debug_option
from millrace.errors import InvalidRunRequest, TooManyFailuresError


def ended(error: BaseException, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a verb that raises this."""

    @click.command
    @debug_option
    def verb() -> None:
        raise error

    monkeypatch.setattr(edge.millrace, "get_command", lambda _context, _name: verb)
    return edge._run(["verb", *arguments])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InvalidRunRequest("source", "x", "y"), 2, "source is 'x'; allowed: y"),
        (TooManyFailuresError("3 of 4"), 3, "3 of 4"),
        (RunFailedError("Merge", "Oops", "broken", exit_code=1), 1, "Merge failed: Oops: broken"),
        (PortTakenError("port 1 is taken"), 1, "port 1 is taken"),
        (
            PermissionError(13, "Permission denied", "f"),
            1,
            "PermissionError: [Errno 13] Permission denied: 'f' (--debug",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.UsageError("bad flag"), 2, "bad flag"),
    ],
)
def test_an_error_is_one_last_line(
    error: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong ends with `millrace: error: …` and its own exit code, and no traceback."""
    assert ended(error, monkeypatch) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    # After ^C click ends the terminal's line first.
    assert captured.err.lstrip("\n").startswith(f"millrace: error: {says}")
    assert captured.err.strip().count("\n") == 0


@pytest.mark.parametrize(
    "error",
    [
        InvalidRunRequest("source", "x" * 100_000, "y"),
        InvalidRunRequest("options." + "x" * 100_000, ["x " * 100_000], "y"),
        RunNotFoundError("there is no such run", operation="find the run", target="x" * 100_000),
        RunNotFoundError("there is no such run", operation="find the run", target="s3://b/" + "x" * 100_000),
        click.UsageError(f"Invalid value: {'x ' * 100_000!r} is not a number."),
        ValueError("x" * 100_000),
    ],
)
def test_long_values_are_cut(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever raises it, with whatever somebody gave: the last line can be read, its end is there."""
    ended(error, monkeypatch)
    told = capsys.readouterr().err
    assert len(told) < 7000
    assert "…" in told
    assert told.rstrip()[-1] != "x"


def test_what_is_to_be_copied_is_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The longest key that S3 takes is not cut: its URI is what somebody pastes."""
    uri = "s3://bucket/" + "k" * 1024
    ended(TooManyFailuresError("3 of 4", operation="merge", target=uri), monkeypatch)
    assert f"{uri}: 3 of 4" in capsys.readouterr().err


def test_ctrl_c_while_watching_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The watcher has said that the run continues, and how to come back: no error follows."""
    assert ended(RunInterrupted("the run continues"), monkeypatch) == 130
    assert capsys.readouterr().err.strip() == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --debug the error goes through as it is."""
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError(), monkeypatch, "--debug")


def test_details_stand_above_the_last_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines of sam's output come first, the error last."""
    ended(DeployError("it failed", operation="sam build", details="  a\n  b"), monkeypatch)
    assert capsys.readouterr().err == "  a\n  b\nmillrace: error: sam build: it failed\n"


def test_a_command_line_to_paste_names_the_run_once() -> None:
    """The line that comes back to a run is the user's own with the run id, quoted where it must be."""
    given = ("local", "run", "--source", "a b", "--run-id", "old", "--json", "--run-id=older")
    assert Invocation(given).again(run_id="new") == "millrace local run --source 'a b' --json --run-id new"


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The real command."""
    return subprocess.run([sys.executable, "-m", "console", *arguments], capture_output=True, text=True, check=False)


def test_every_verb_has_its_help() -> None:
    """`--help` of each verb exits 0, and names itself."""
    for verb in ("run", "up", "deploy", "status", "down"):
        helped = run("local", verb, "--help")
        assert helped.returncode == 0
        assert (
            helped.stdout.startswith(f"Usage: python -m console local {verb}")
            or "Usage: millrace local" in helped.stdout
        )


@pytest.mark.parametrize("arguments", [("lcoal",), ("local", "rnu"), ("local", "run", "--sorce", "x")])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    """A wrong verb or flag is wrong usage, and the line says where to look."""
    wrong = run(*arguments)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("millrace: error: No such ")
    assert "--help" in wrong.stderr


def test_help_does_not_wait_for_boto3() -> None:
    """boto3 takes a third of a second to load: help, and a request that is refused, do without it."""
    code = "import sys; from console.__main__ import _run; _run(sys.argv[1:]); print('boto3' in sys.modules)"
    for arguments in (["--help"], ["local", "run", "--source", "nowhere", "--destination", "x"]):
        told = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert told.stdout.splitlines()[-1] == "False"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    """`millrace … | head` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "console", "local", "status", "--state-dir", str(tmp_path)]
    with os.fdopen(writer, "wb") as pipe:
        gone = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert gone.returncode == 1
    assert gone.stderr == ""


def test_local_status_as_json_of_what_is_down(tmp_path: Path) -> None:
    """A document with every field, null for what is not there, so that a program need not read the sentence."""
    command = [sys.executable, "-m", "console", "local", "status", "--state-dir", str(tmp_path), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told == dict.fromkeys(("endpoint_url", "pid", "log_file", "stack", "source", "sources", "results"))
