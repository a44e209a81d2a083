"""The workload `command`: what becomes of commands that behave, and of those that do not."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    ErrorCode,
    InvalidRunRequest,
    ItemError,
    StoppedError,
    TryAgainError,
    WorkloadUnavailableError,
)
from millrace.records.plan import Item
from millrace.workload.registry import checked_options


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands' private directories are made; each test leaves it empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def worked(
    *command: str, key: str = "in/a b.txt", body: Iterator[bytes] | None = None, **options: Any
) -> tuple[dict[str, bytes], dict[str, int]]:
    """The outputs by suffix, and the contribution."""
    workload = load_workload("command", checked_options("command", {"command": list(command), **options}))
    with SpooledOutputs(lambda name: None if name in workload.item_suffixes else "undeclared") as files:
        contribution = workload.migrate(Item(key, 9, '"e"'), body or iter([b"one\n", b"two\n"]), files)
        made = {}
        for held in files:
            held.file.seek(0)
            made[held.name] = held.file.read()
        return made, contribution


def python(program: str) -> list[str]:
    """A Python program as a command; its braces doubled."""
    return [sys.executable, "-c", program.replace("{", "{{").replace("}", "}}"), "{input}", "{output}"]


def failure(*command: str, **options: Any) -> ItemError:
    """The row's error."""
    with pytest.raises(ItemError) as caught:
        worked(*command, **options)
    return caught.value


def test_standard_output_is_the_output(scratch: Path) -> None:
    """Without `{output}` the standard output is kept; nothing is left on the disk."""
    made, contribution = worked("wc", "-l", "{input}", output_suffixes=[".lines"])
    assert made[".lines"].startswith(b"2 ")
    assert contribution["commands"] == contribution["exit_code_0"] == 1
    assert not list(scratch.iterdir())


def test_output_files_are_the_outputs() -> None:
    """Two files with their own suffixes, their names ending as the outputs' do; standard output is not kept."""
    program = (
        "import sys; [open(n, 'w').write(n.rpartition('/')[2]) for n in sys.argv[2:4]]; print('this goes nowhere')"
    )
    made, _ = worked(*python(program), "{output2}", output_suffixes=[".first.txt", "/second.json"])
    assert made == {".first.txt": b"a_b.txt.first.txt", "/second.json": b"second.json"}


def test_a_command_may_have_no_output() -> None:
    """With no suffix, the command is run for its effects."""
    assert worked("true", output_suffixes=[])[0] == {}


def test_the_directory_and_the_environment_are_the_commands_own(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts in its private directory; it has a path, a home, a locale and what was asked for, no credentials."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("REGION_OF_MINE", "north")
    made, _ = worked(
        sys.executable,
        "-c",
        "import os; print(os.getcwd(), *sorted(os.environ), os.environ['REGION_OF_MINE'], os.environ['A'], sep='\\n')",
        environment=["REGION_OF_MINE", "A=b=c"],
    )
    folder, *rest = made[".out"].decode().splitlines()
    assert Path(folder).parent == scratch
    assert set(rest) - {"LC_CTYPE"} == {"A", "HOME", "LANG", "PATH", "REGION_OF_MINE", "TMPDIR", "north", "b=c"}


def test_a_bad_item_has_the_end_of_stderr_in_its_row() -> None:
    """The exit code and the last lines are told."""
    error = failure("sh", "-c", "echo this line is odd >&2; exit 3")
    assert error.code is ErrorCode.COMMAND_FAILED
    assert error.message == "the command ended with exit code 3: this line is odd"


def test_a_flood_on_stderr_is_kept_short() -> None:
    """20 MB on stderr are read as they come; the row holds the last two thousand bytes."""
    program = "import sys; [sys.stderr.write('x' * 9999 + '\\n') for _ in range(2000)]; sys.exit('the end')"
    error = failure(*python(program))
    assert error.message.endswith("the end")
    assert len(error.message) < 2100


def test_a_command_that_hangs_is_killed_with_all_it_started(scratch: Path, tmp_path: Path) -> None:
    """The time limit ends the whole process group, one that ignores SIGTERM too."""
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; wait; sleep 60"
    started = time.monotonic()
    error = failure("sh", "-c", script, time_limit_seconds=1)
    assert error.code is ErrorCode.COMMAND_TIMED_OUT
    assert time.monotonic() - started < 30
    assert not [pid for pid in pids.read_text().split() if running(int(pid))]
    assert not list(scratch.iterdir())


def test_what_a_command_leaves_behind_is_killed(tmp_path: Path) -> None:
    """A background process of a command that exited 0 goes too, and nobody waits for it."""
    pid = tmp_path / "pid"
    started = time.monotonic()
    made, _ = worked("sh", "-c", f"sleep 60 & echo $! > {pid}; echo done")
    assert made == {".out": b"done\n"}
    assert time.monotonic() - started < 30
    assert not running(int(pid.read_text()))


def running(pid: int) -> bool:
    """Whether a process lives; a zombie that waits for its parent does not."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("program", ["pass", "import os, sys; os.symlink('/etc/passwd', sys.argv[2])"])
def test_a_command_that_writes_nothing_is_told(program: str) -> None:
    """No file, or a link that leads elsewhere: a row, not an empty output and not someone else's file."""
    assert failure(*python(program)).code is ErrorCode.NO_OUTPUT


def test_a_command_killed_by_a_signal_is_a_row() -> None:
    """The signal is named."""
    error = failure("sh", "-c", "kill -SEGV $$")
    assert error.code is ErrorCode.COMMAND_FAILED
    assert "SIGSEGV" in error.message


def test_try_again_fails_the_attempt() -> None:
    """75 is EX_TEMPFAIL of sysexits.h; another code can be named."""
    with pytest.raises(TryAgainError, match="exit code 75"):
        worked("sh", "-c", "echo busy >&2; exit 75")
    with pytest.raises(TryAgainError, match="SIGKILL"):
        worked("sh", "-c", "kill -KILL $$", retry_exit_codes=["137"])


def test_an_exit_code_that_no_option_names_ends_the_job() -> None:
    """With `bad_item_exit_codes` narrowed, the rest means that the command itself is wrong."""
    with pytest.raises(WorkloadUnavailableError, match="exit code 64"):
        worked("sh", "-c", "exit 64", bad_item_exit_codes=["1-2"])
    assert failure("sh", "-c", "exit 2", bad_item_exit_codes=["1-2"]).code is ErrorCode.COMMAND_FAILED


def test_success_may_have_other_exit_codes() -> None:
    """`grep` ends with 1 where nothing matches."""
    made, contribution = worked("grep", "three", "{input}", success_exit_codes=["0-1"])
    assert made == {".out": b""}
    assert contribution["exit_code_1"] == 1


def test_a_program_that_is_missing_ends_the_job(tmp_path: Path) -> None:
    """Found out before any item, or at the start of one where it is its interpreter; never a row per item."""
    with pytest.raises(WorkloadUnavailableError, match="no such program"):
        worked("no-such-program-of-ours", "{input}")
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(WorkloadUnavailableError, match="cannot be started"):
        worked(str(script))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"command": []}, "options.command"),
        ({"command": ["cat", "{output2}"]}, "options.output_suffixes"),
        ({"command": ["cat", "{input}"], "output_suffixes": [".a", ".b"]}, "options.output_suffixes"),
        ({"command": ["cat", "{output}"], "output_suffixes": [""]}, "options.output_suffixes"),
        ({"command": ["cat"], "environment": ["NOT_SET_ANYWHERE"]}, "options.environment"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], field: str) -> None:
    """What is wrong is named before any item is worked."""
    with pytest.raises(InvalidRunRequest) as caught:
        load_workload("command", checked_options("command", options))
    assert caught.value.field == field


def test_a_job_that_has_to_stop_ends_its_command(scratch: Path) -> None:
    """The news comes behind the last chunk; the command is killed, its directory removed."""

    def body() -> Iterator[bytes]:
        yield b"all"
        raise StoppedError("SIGTERM")

    started = time.monotonic()
    with pytest.raises(StoppedError):
        worked("sleep", "60", body=body())
    assert time.monotonic() - started < 30
    assert not list(scratch.iterdir())


def test_a_full_disk_is_raised_as_it_is() -> None:
    """It is not the item's fault, which the job decides: other items took the room."""

    def body() -> Iterator[bytes]:
        yield b"some"
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space left"):
        worked("cat", "{input}", body=body())


def test_the_key_is_no_path(scratch: Path) -> None:
    """A key of dots and slashes names a file inside the private directory, whatever it says."""
    made, _ = worked("echo", "{input}", "{key}", "{name}", key="in/../../etc/..")
    source, key, name = made[".out"].decode().split()
    assert Path(source).is_relative_to(scratch)
    assert Path(source).name == name == "_.."
    assert key == "in/../../etc/.."


def test_merge_adds_up_commands_time_and_exit_codes() -> None:
    """Two shards' sums, the time in seconds."""
    options: dict[str, Any] = checked_options("command", {"command": ["true"]})
    workload = load_workload("command", options)
    files = []
    for milliseconds, code in ((1500, "exit_code_0"), (250, "exit_code_1")):
        partial = workload.partial()
        partial.add({"commands": 1, "milliseconds": milliseconds, code: 1})
        partial.write(file := BytesIO())
        files.append(BytesIO(file.getvalue()))
    result = workload.merge(files, SpooledOutputs(lambda _name: None))
    assert result == {"commands": 2, "seconds": 1.75, "exit_codes": {"0": 1, "1": 1}}
