"""`millrace new-workload`: what it writes works at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from batch_jobs.workloads.registry import load_workload
from console.__main__ import _run
from console.packing.package import workload_of
from tests.run_in_memory import RunInMemory


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which modules can be imported."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "made"), [("find-links", "find_links:find_links"), ("Sum2", "sum2:sum2")])
def test_the_new_workload_runs(
    name: str, made: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is planned, migrated and merged by its function, as it was written, and the command says how."""
    assert _run(["new-workload", name]) == 0
    folder = made.partition(":")[0]
    assert f"--code {folder}" in capsys.readouterr().out
    assert workload_of(folder, None) == made
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(here / folder))
    run = RunInMemory({"in/a": b"one\ntwo\n", "in/b": b"three"}, request={"workload": made}, load=load_workload)
    run.all()
    assert run.outputs() == {"a.lines": b"2\n", "b.lines": b"0\n"}
    assert run.result()["result"] == {"bytes": 13, "lines": 2}


def test_its_own_test_passes(here: Path) -> None:
    """As its author would run it, in its folder."""
    assert _run(["new-workload", "find-links", "--directory", "mine/links"]) == 0
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=here / "mine/links",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "layer/python")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_is_called_as_in_the_example(here: Path) -> None:
    """Every file has the new names: module, function, entry point, image."""
    assert _run(["new-workload", "find-links"]) == 0
    texts = {path.name: path.read_text() for path in (here / "find_links").iterdir()}
    assert sorted(texts) == ["Dockerfile", "find_links.py", "pyproject.toml", "test_find_links.py"]
    left = ("line_count", "LineCount", "line-count", "own_workload", "acme")
    assert {word for text in texts.values() for word in left if word in text} == set()
    project = tomllib.loads(texts["pyproject.toml"])["project"]
    assert project["entry-points"]["millrace.workloads"] == {"my.find-links": "find_links:find_links"}
    assert "COPY find_links.py" in texts["Dockerfile"]


@pytest.mark.parametrize("name", ["", "3d", "a b", "../up", "json", "class", "Batch-Jobs", "naïve", "a--b", "x" * 61])
def test_a_name_that_cannot_be_a_module_is_refused(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, what a name is like, and nothing written."""
    assert _run(["new-workload", "--", name]) == 2
    assert "millrace: error: " in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_folder_that_is_there_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A workload under work is not written over."""
    (here / "find_links").mkdir()
    assert _run(["new-workload", "find-links"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert not list((here / "find_links").iterdir())
