"""What a job logs: nothing of what an object holds, unless an operator asks for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from batch_jobs.__main__ import _failed
from batch_jobs.job_log import log_to_stderr, set_level
from millrace.errors import LONGEST_MESSAGE, DamagedFileError, ErrorCode, MillraceError, TryAgainError
from millrace.records.commit import Commit
from tests.run_in_memory import RunInMemory, Sizes
from tests.unit.workloads.command.test_command_run import planned

SECRET = "4111 1111 1111 1111"


@pytest.fixture(autouse=True)
def logged() -> Iterator[StringIO]:
    """What a job logs; afterwards the log is as it was."""
    root, written = logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    log_to_stderr()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    set_level("NOTSET")
    root.handlers[:] = handlers
    root.setLevel(level)


class Quoting(Sizes):
    """Sizes, whose errors quote the object."""

    def migrate(self, *given: Any) -> tuple[str, int]:
        """A cell is looked up, and is not there."""
        text = b"".join(given[1]).decode()
        try:
            return dict[str, str]()[text], 1
        except KeyError as error:
            raise ValueError(f"no such cell: {text}") from error

    def merge(self, *_given: Any) -> dict[str, Any]:
        """A word is not there."""
        raise ValueError(f"no such word: {SECRET}")


def worked(**given: Any) -> tuple[RunInMemory, Commit]:
    """A run of one object, whose workload's error quotes it."""
    run = RunInMemory({"in/a": SECRET.encode()}, given, load=lambda _name, options: Quoting(options))
    run.plan()
    return run, run.migrate()


def test_a_workloads_error_is_logged_without_its_text(logged: StringIO) -> None:
    """The row in the run folder has the text; the log has types, files and lines, of the cause too."""
    _, commit = worked()
    line = next(line for line in map(json.loads, logged.getvalue().splitlines()) if "traceback" in line)

    assert SECRET in (commit.outcomes[0].message or "")
    assert SECRET not in logged.getvalue()
    assert line["item"] == "s3://source/in/a"
    assert "KeyError" in line["traceback"]
    assert line["traceback"].endswith("ValueError")
    assert "test_job_log.py" in line["traceback"]


def test_an_operator_may_ask_for_the_text(logged: StringIO) -> None:
    """At the level DEBUG, which is not the default, an error is logged as Python tells it."""
    set_level("DEBUG")
    worked()
    assert SECRET in logged.getvalue()


def test_an_unexpected_error_of_a_job_is_told_without_its_text(logged: StringIO) -> None:
    """The last line goes into notifications: type and place of the error are enough to look for it."""
    run, _ = worked(tolerated_failure_percent=100)
    with pytest.raises(ValueError, match="no such word") as raised:
        run.merge()
    assert _failed(raised.value, 1) == 1
    line = json.loads(logged.getvalue().splitlines()[-1])

    assert SECRET not in json.dumps(line)
    assert (line["error"], line["exit_code"]) == ("ValueError", 1)
    assert "in merge, " in line["message"]
    assert "test_job_log.py:" in line["message"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left on device", SECRET), "OSError: No space left on device"),
        (ModuleNotFoundError("No module named 'acme'"), "No module named 'acme'"),
        (DamagedFileError("it is cut off", operation="merge", target="s3://a/b"), "merge s3://a/b: it is cut off"),
    ],
)
def test_what_cannot_quote_an_object_is_told_in_words(error: Exception, text: str, logged: StringIO) -> None:
    """The system's errors and our own say what is wrong."""
    _failed(error, 1)
    assert text in json.loads(logged.getvalue())["message"]
    assert SECRET not in logged.getvalue()


@pytest.mark.parametrize("options", [{"retry_exit_codes": ["3"]}, {"bad_item_exit_codes": ["4"]}])
def test_a_commands_stderr_is_in_no_log(options: dict[str, Any], logged: StringIO) -> None:
    """Where its exit code ends the attempt or the job, the error does not repeat what the command said."""
    script = f"echo '{SECRET}' >&2; exit 3"
    run = planned({"in/a": b"1"}, "sh", "-c", script, **options)
    with pytest.raises(MillraceError, match="exit code 3") as raised:
        run.migrate()
    _failed(raised.value, raised.value.exit_code)

    assert SECRET not in logged.getvalue()
    assert "DEBUG" in str(raised.value)


def test_a_commands_stderr_is_in_its_row() -> None:
    """A bad item's row, in the run folder, ends with the command's last words."""
    run = planned({"in/a": b"1"}, "sh", "-c", f"echo '{SECRET}' >&2; exit 3")
    row = run.migrate().outcomes[0]
    assert (row.error_code, SECRET in (row.message or "")) == (ErrorCode.COMMAND_FAILED, True)


def test_a_message_is_cut_whatever_it_quotes() -> None:
    """A document of a megabyte in an error, a key of 1,024 bytes a hundred times: the message has its limit."""
    assert len(TryAgainError("x" * 10**6).message) == LONGEST_MESSAGE
    assert str(MillraceError("short", operation="merge", target="s3://a/b")) == "merge s3://a/b: short"
