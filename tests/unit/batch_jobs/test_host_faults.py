"""Faults of the host: never an object's row, whatever wraps them; the attempt ends, and the next one continues."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.exceptions import HTTPClientError
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs import __main__ as entry
from batch_jobs.host_faults import _HINTS, check_words, fault_error, host_fault
from batch_jobs.workloads.csv_to_dynamodb.files.zip_members import zip_members
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    DamagedFileError,
    ErrorCode,
    HostFaultError,
    ItemError,
    StorageError,
    WorkloadUnavailableError,
)
from millrace.records.plan import Item
from millrace.workload.contract import Outputs
from millrace.workload.registry import checked_options
from tests.run_in_memory import RunInMemory, Sizes

FAULTS: list[BaseException] = [
    *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)),
    *(OSError(number, os.strerror(number)) for number in (errno.ENOMEM, errno.EIO, errno.EROFS)),
    MemoryError(),
    FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
    RuntimeError("can't start new thread"),
]


def raised(error: BaseException) -> NoReturn:
    """Raise it."""
    raise error


def caused(fault: BaseException) -> NoReturn:
    """As a library that names the cause."""
    try:
        raised(fault)
    except BaseException as error:
        raise ItemError(ErrorCode.DAMAGED, "this is no sound file") from error


def hidden(fault: BaseException) -> NoReturn:
    """As a library that hides the cause."""
    try:
        raised(fault)
    except BaseException:  # noqa: BLE001 - what a library does
        raise ItemError(ErrorCode.DAMAGED, "this is no sound file") from None


def meanwhile(fault: BaseException) -> NoReturn:
    """As an error that comes while another is dealt with."""
    try:
        raised(fault)
    finally:
        raise ValueError("cannot clean up")


def argument(fault: BaseException) -> NoReturn:
    """As urllib3 and botocore, which put it into the arguments."""
    raise HTTPClientError(error=RuntimeError("proxy", fault))


def grouped(fault: BaseException) -> NoReturn:
    """As a task group."""
    raise BaseExceptionGroup("tasks", [KeyError("a"), fault])


def deep(fault: BaseException) -> NoReturn:
    """Wrapped twice."""
    try:
        hidden(fault)
    except ItemError as error:
        raise RuntimeError("the reader failed") from error


WRAPPED = [raised, caused, hidden, meanwhile, argument, grouped, deep]


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_host_fault_is_found_whatever_wraps_it(
    fault: BaseException, wrap: Callable[[BaseException], NoReturn]
) -> None:
    """By its cause, its context, its arguments or its group."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever the library raises
        wrap(fault)
    assert host_fault(caught.value) is not None


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "a"),
        PermissionError(errno.EACCES, "Permission denied"),
        OSError("cannot identify the picture: No space left on device"),
        ValueError("[Errno 28] No space left on device"),
        ItemError(ErrorCode.DAMAGED, "os error 28"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
    ids=repr,
)
def test_what_an_object_can_cause_is_no_host_fault(error: Exception) -> None:
    """Least of all by what its bytes say."""
    assert host_fault(error) is None


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Errors can be each other's context."""
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert host_fault(one) is None


def test_a_full_disk_below_sqlite_is_one() -> None:
    """SQLite tells it by a code of its own."""
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a)")
    database.execute("pragma max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as caught:
        database.execute("insert into t values (zeroblob(100000))")
    fault = host_fault(caught.value)
    database.close()
    assert fault is not None
    assert fault.errno == errno.ENOSPC


class Failing(Sizes):
    """Measures items, and fails for one with what it is given."""

    def __init__(self, options: Mapping[str, Any], fail: Callable[[], None]) -> None:
        super().__init__(options)
        self._fail = fail

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
        """Fail for the key that ends in b."""
        if item.key.endswith("b"):
            self._fail()
        return super().migrate(item, body, outputs)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_host_fault_is_no_row_and_the_next_attempt_goes_on(
    wrap: Callable[[BaseException], NoReturn], concurrency: int
) -> None:
    """The attempt ends with exit code 1 and saved progress; nothing is committed, and nothing lost."""
    broken = True
    asked: list[str] = []

    def fail() -> None:
        asked.append("b")
        if broken:
            wrap(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    run = RunInMemory(
        {f"in/{key}": key.encode() for key in "abc"},
        concurrency=concurrency,
        load=lambda _name, options: Failing(options, fail),
    )
    run.plan()
    with pytest.raises(HostFaultError, match=r"No space left.*of 3 items are done and saved") as caught:
        run.migrate()
    assert caught.value.exit_code == 1
    assert run.file("shards/00000.json") is None
    broken = False
    assert run.migrate(attempt=2).counts.succeeded == 3


def test_progress_that_does_not_fit_on_the_disk_hides_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends with the fault all the same."""

    def fail() -> None:
        monkeypatch.setattr(
            "batch_jobs.migrating.progress.temporary_file", lambda: raised(OSError(errno.ENOSPC, "full"))
        )
        raise OSError(errno.ENOSPC, "full")

    run = RunInMemory({"in/a": b"a", "in/b": b"b"}, load=lambda _name, options: Failing(options, fail))
    run.plan()
    with pytest.raises(HostFaultError, match="1 of 2 items are done, the next attempt continues"):
        run.migrate()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Fills the disk of temporary files, once it is called."""
    with ExitStack() as opened:

        def temporary(*_given: Any, **_named: Any) -> Any:
            return opened.enter_context(Path("/dev/full").open("r+b", buffering=0))

        def fill() -> None:
            monkeypatch.setattr("tempfile.TemporaryFile", temporary)
            monkeypatch.setattr("batch_jobs.workloads.csv_to_dynamodb.files.zip_members.TemporaryFile", temporary)

        yield fill


def _zip() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", "id,b\n" + "1,2\n" * 10)
    return file.getvalue()


class Unzipping(Sizes):
    """Measures the members of zip archives."""

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> tuple[str, int]:
        """Unpack the archive."""
        members = [chunk for _name, chunks in zip_members(body, ["*"], 1 << 20) for chunk in chunks]
        return super().migrate(item, members, outputs)


LONG = b" ".join(b"word%d" % number for number in range(500_000))


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    ("load", "body"),
    [
        (lambda _name, options: Unzipping(options), _zip()),
        (lambda _name, _options: load_workload("word-count", checked_options("word-count", {})), LONG),
    ],
    ids=["zip archive", "output"],
)
def test_a_full_disk_is_no_row_whoever_writes_to_it(
    load: Callable[..., Any], body: bytes, concurrency: int, full_disk: Callable[[], None]
) -> None:
    """Where the workload keeps an archive, or the job an output, on a disk that is really full."""
    run = RunInMemory({"in/a": body}, concurrency=concurrency, load=load)
    run.plan()
    full_disk()
    with pytest.raises(HostFaultError, match="No space left"):
        run.migrate()
    assert run.file("shards/00000.json") is None


@pytest.mark.parametrize(
    "script",
    [
        "cat {input} > /dev/full",
        "echo 'sort: write failed: /tmp/x: No space left on device' >&2; exit 2",
        "echo \"OSError: [Errno 28] No space left on device: '/a'\" >&2; exit 1",
        "echo 'fork: Cannot allocate memory' >&2; exit 1",
        "printf 'Traceback:\\n\\nMemoryError\\n' >&2; exit 1",
        "echo 'open: Too many open files' >&2",
        "echo 'rg: ./a: Too many open files (os error 24)' >&2; exit 2",
        "echo 'write /tmp/a: no space left on device' >&2; exit 1",
        "echo 'Error: EMFILE: too many open files, open /a' >&2; exit 1",
    ],
)
def test_a_commands_host_fault_is_no_row(script: str) -> None:
    """What the program says of it at its end counts, whether it failed or only wrote nothing."""
    run = RunInMemory(
        {"in/a": b"a"},
        request={"workload": "command", "options": {"command": ["sh", "-c", f"{script} # {{input}} {{output}}"]}},
        load=load_workload,
    )
    run.plan()
    with pytest.raises(HostFaultError):
        run.migrate()


def test_a_host_faults_error_quotes_no_object() -> None:
    """It goes to the log and to notifications: a command's last line, or an author's text, may quote its object."""
    script = "echo 'cannot write SECRET: No space left on device' >&2; exit 1 # {input}"
    run = RunInMemory(
        {"in/a": b"a"},
        request={"workload": "command", "options": {"command": ["sh", "-c", script]}},
        load=load_workload,
    )
    run.plan()
    with pytest.raises(HostFaultError) as caught:
        run.migrate()
    texts = [str(caught.value)]
    for error in (OSError(errno.ENOSPC, "SECRET"), MemoryError("SECRET"), sqlite3.OperationalError("SECRET")):
        fault = host_fault(error)
        texts += [str(fault_error(fault, "work the item", "s3://b/a"))] if fault else []
    assert all("SECRET" not in text for text in texts)
    assert "No space left on device; give the job more disk" in texts[0]


def test_a_command_on_a_full_disk_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it says nothing, or even that all is well."""
    run = RunInMemory(
        {"in/a": b"a"},
        request={"workload": "command", "options": {"command": ["true", "{input}"]}},
        load=load_workload,
    )
    run.plan()
    room = os.statvfs("/")
    full = os.statvfs_result([*room[:4], 0, *room[5:]])
    monkeypatch.setattr("batch_jobs.host_faults.os.statvfs", lambda _path: full)
    with pytest.raises(HostFaultError, match="No space left"):
        run.migrate()


@given(st.sampled_from(["line 3: No space left on device", "Too many open files"]), st.text("abc \n", min_size=1))
def test_what_a_command_cites_of_its_object_is_no_host_fault(cited: str, more: str) -> None:
    """Only the end of the last line counts: logs are full of such words."""
    check_words(f"cannot parse {cited!r} here: {more.strip()}!")


def test_no_file_handles_left_are_no_row(tmp_path: Path) -> None:
    """With a limit that the system really enforces."""
    script = tmp_path / "job.py"
    script.write_text(
        "import resource\n"
        "from tests.run_in_memory import RunInMemory\n"
        "from batch_jobs.workloads.registry import load_workload\n"
        "from millrace.errors import HostFaultError\n"
        "run = RunInMemory({'in/a': b'a'}, request={'workload': 'command', 'options': {'command': ['true']}}, "
        "load=load_workload)\n"
        "run.plan()\n"
        "held = [open('/dev/null') for _ in range(10)]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1].fileno() + 1, 10_000))\n"
        "try:\n    run.migrate()\n"
        "except HostFaultError as error:\n    print('told', error.exit_code, 'Too many open files' in str(error))\n"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "layer/python")])}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "told 1 True\n", done.stderr


@pytest.mark.parametrize("kind", [DamagedFileError, WorkloadUnavailableError])
def test_a_job_ends_with_exit_code_1_whatever_a_host_fault_was_taken_for(
    kind: type[DamagedFileError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input is never tried again: a full disk must not pass for it."""

    def run(_given: object) -> None:
        try:
            raised(OSError(errno.ENOSPC, "full"))
        except OSError as error:
            raise kind("it cannot be read") from error

    monkeypatch.setattr(entry, "_run", run)
    assert entry.main(["merge", "--plan", "s3://b/_millrace/r/plan.json"]) == 1
    monkeypatch.setattr(entry, "_run", lambda _given: raised(kind("it is damaged")))
    assert entry.main(["merge", "--plan", "s3://b/_millrace/r/plan.json"]) == 2


def test_no_file_handles_for_a_connection_is_no_row() -> None:
    """S3 was not asked at all: nothing is wrong with the object."""

    def refuse(verb: str, _bucket: str, key: str) -> None:
        if verb == "get_object" and key == "in/a":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    run = RunInMemory({"in/a": b"a"})
    run.plan()
    run.client.before = refuse
    with pytest.raises((HostFaultError, StorageError)) as caught:
        run.migrate()
    assert isinstance(caught.value, HostFaultError)


def test_sys_exit_in_a_workload_is_its_row() -> None:
    """It ends neither the job nor, with exit code 0, the run without a result."""
    run = RunInMemory({"in/b": b"b"}, load=lambda _name, options: Failing(options, lambda: sys.exit(0)))
    run.plan()
    assert run.migrate().outcomes[0].error_code == "WORKLOAD_FAILED"


def test_what_helps_exists() -> None:
    """A hint names parameters of the template and variables that the jobs read, by the names that they have."""
    root = Path(__file__).parents[3]
    known = (root / "template.yaml").read_text() + (root / "layer/python/millrace/settings.py").read_text()
    named = {name for hint in _HINTS.values() for name in re.findall(r"\((\w+)\)", hint)}
    assert named
    assert [name for name in named if not re.search(rf"\b{name}\b", known)] == []
