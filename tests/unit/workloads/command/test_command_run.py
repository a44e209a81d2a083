"""The workload `command` in the migrate job: postponed items, a missing program, a stop."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.stop import Stop
from batch_jobs.workloads.registry import load_workload
from millrace.errors import StoppedError, TryAgainError, WorkloadUnavailableError
from tests.run_in_memory import RunInMemory


def planned(objects: dict[str, bytes], *command: str, concurrency: int = 1, **options: Any) -> RunInMemory:
    """A planned run of a command."""
    request = {"workload": "command", "options": {"command": list(command), **options}}
    run = RunInMemory(objects, request=request, concurrency=concurrency, load=load_workload)
    run.plan()
    return run


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_run_of_a_command(concurrency: int) -> None:
    """Outputs are beside their keys, a bad item has its row, the result adds up."""
    objects = {"in/a.txt": b"b\na\n", "in/b/c.txt": b"z\n", "in/odd.txt": b"odd"}
    run = planned(objects, "sh", "-c", "grep -q odd $0 && exit 9; sort $0", "{input}", concurrency=concurrency)
    rows = {row.key: row.error_code for row in run.migrate().outcomes}
    run.merge(100)
    assert rows == {"in/a.txt": None, "in/b/c.txt": None, "in/odd.txt": "COMMAND_FAILED"}
    assert run.outputs() == {"a.txt.out": b"a\nb\n", "b/c.txt.out": b"z\n"}
    assert run.result()["result"]["exit_codes"] == {"0": 2}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_postponed_items_fail_the_attempt_and_only_they_are_worked_again(concurrency: int, tmp_path: Path) -> None:
    """The first attempt does the others and saves them; the second does what was left."""
    log, ready = tmp_path / "log", tmp_path / "ready"
    script = f"echo {{name}} >> {log}; case {{name}} in b) test -e {ready} || {{{{ echo busy >&2; exit 75; }}}};; esac"
    objects = {f"in/{name}": b"" for name in "abc"}
    run = planned(objects, "sh", "-c", script, concurrency=concurrency)
    with pytest.raises(TryAgainError, match=r"exit code 75.*; 2 of 3 items are done and saved"):
        run.migrate(attempt=1)
    ready.touch()
    assert run.migrate(attempt=2).counts.succeeded == 3
    assert sorted(log.read_text().split()) == ["a", "b", "b", "c"]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_missing_interpreter_ends_the_shard(concurrency: int, tmp_path: Path) -> None:
    """Exit code 2 and no commit, instead of a row for each item."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    run = planned({f"in/{n}": b"" for n in range(8)}, str(script), concurrency=concurrency)
    with pytest.raises(WorkloadUnavailableError) as caught:
        run.migrate()
    assert caught.value.exit_code == 2
    assert run.file("shards/00000.json") is None


@pytest.mark.parametrize("concurrency", [1, 4])
def test_sigterm_ends_the_commands(concurrency: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop in the middle of long commands: no directory is left, progress is saved, and it is soon over."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    run = planned({f"in/{n}": b"" for n in range(4)}, "sleep", "60", concurrency=concurrency)
    stop = Stop()
    threading.Timer(0.5, stop.request, ["SIGTERM"]).start()
    started = time.monotonic()
    with pytest.raises(StoppedError, match="SIGTERM; 0 of 4 items"):
        run.migrate(stop=stop)
    assert time.monotonic() - started < 30
    assert not list(scratch.iterdir())
