"""On a laptop each run's jobs are told where its user's own modules are, and Python itself is told nothing of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console import embedded_aws
from console.checkout import ROOT
from local_aws.executors.executor import TaskRequest
from local_aws.executors.orphan_guard import OrphanGuard
from local_aws.executors.process_executor import ProcessExecutor

SERVER = "http://127.0.0.1:1"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of a server that this process knows."""
    monkeypatch.setitem(embedded_aws._state_dirs, SERVER, tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[OrphanGuard]:
    """Ends what a test leaves behind."""
    (tmp_path / "guard").mkdir()
    made = OrphanGuard(tmp_path / "guard")
    yield made
    made.close()


def _job(state: Path | None, guard: OrphanGuard, tmp_path: Path, command: str) -> dict[str, Any]:
    """What a job's process is started with: a stand-in for Python writes it down."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    )
    python.chmod(0o755)
    output = bytearray()
    folders = None if state is None else state / "workload-folders"
    request = TaskRequest(task_id="0" * 32, image="a", command=tuple(command.split()), environment={}, container={})
    task = ProcessExecutor(python, guard, folders).start(request, output.extend)
    assert task.wait().exit_code == 0
    words, environment = json.loads(output)
    return {**environment, "words": words}


def test_each_run_has_the_folders_that_it_was_started_from(
    state: Path, guard: OrphanGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs at once from two folders, the first one's jobs later than the second one's start."""
    for name, path in (("one", ""), ("two", os.pathsep.join(["", "libraries"]))):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        embedded_aws.keep_workload_folders(SERVER, f"run-{name}", {"PYTHONPATH": path})
    for verb in ("plan --request s3://b/out/_millrace/{}/run.json", "merge --plan s3://b/o/_millrace/{}/plan.json"):
        one = _job(state, guard, tmp_path, verb.format("run-one"))
        two = _job(state, guard, tmp_path, verb.format("run-two"))
        assert one["MILLRACE_WORKLOAD_PATH"] == str(tmp_path / "one")
        assert two["MILLRACE_WORKLOAD_PATH"] == f"{tmp_path / 'two'}{os.pathsep}{tmp_path / 'two/libraries'}"


def test_a_run_that_nobody_told_of_takes_the_latest_folders(
    state: Path, guard: OrphanGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduled one, or one that an upload starts; before any run there are none."""
    command = "plan --request s3://b/out/_millrace/scheduled/run.json"
    assert _job(state, guard, tmp_path, command)["MILLRACE_WORKLOAD_PATH"] == ""
    assert _job(None, guard, tmp_path, command)["MILLRACE_WORKLOAD_PATH"] == ""
    for number, name in enumerate(("z", "a")):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        embedded_aws.keep_workload_folders(SERVER, f"run-{name}", {})
        os.utime(state / "workload-folders" / f"run-{name}", (number, number))
    assert _job(state, guard, tmp_path, command)["MILLRACE_WORKLOAD_PATH"] == str(tmp_path / "a")


def test_python_looks_in_no_folder_of_the_users(
    state: Path, guard: OrphanGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the working directory, not the user's site directory, not what PYTHON variables of the user say."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "sitecustomize.py"))
    job = _job(state, guard, tmp_path, "plan --help")
    assert job["words"][:4] == ["-P", "-s", "-m", "batch_jobs"]
    assert {name for name in job if name.startswith("PYTHON")} == {"PYTHONPATH"}
    assert str(tmp_path) not in job["PYTHONPATH"].split(os.pathsep)
    server = embedded_aws._environment(ROOT)
    assert {name for name in server if name.startswith("PYTHON")} == {"PYTHONPATH", "PYTHONUNBUFFERED"}
    assert server["PYTHONPATH"] == str(ROOT)
