"""The compiled table: compiled, loaded, done without, and kept within its bounds."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batch_jobs.native import c_source, word_library
from batch_jobs.native.c_source import CompilerMissingError, CSource
from batch_jobs.workloads.word_count.compiled_counter import CompiledCounter
from batch_jobs.workloads.word_count.word_counter import MiscountError
from batch_jobs.workloads.word_count.workload import WordCount
from millrace.workload.registry import checked_options

MEMORY = Path(__file__).parents[3] / "memory"


def test_a_library_of_another_source_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name tells the source: once that is changed, the job does without until it is compiled anew."""
    compiled = word_library.SOURCE.library_path
    changed = tmp_path / "word_table.c"
    changed.write_bytes(word_library.SOURCE.path.read_bytes() + b"\n")
    monkeypatch.setattr(word_library, "SOURCE", CSource(changed))
    shutil.copy(compiled, tmp_path)
    assert word_library.word_library.__wrapped__() is None


def test_without_the_package_the_machines_own_compiler_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a wheel there is no ziglang: what is called `cc` makes the library, and where nothing is, that is said."""
    source, programs = tmp_path / "word_table.c", tmp_path / "bin"
    shutil.copy(word_library.SOURCE.path, source)
    programs.mkdir()
    lines = ("#!/bin/sh", f'echo used > "{tmp_path}/used"', f'exec "{sys.executable}" -m ziglang cc "$@"')
    (programs / "cc").write_text("\n".join(lines))
    (programs / "cc").chmod(0o755)
    monkeypatch.setattr(c_source, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    word_library.load(CSource(source).compile(word_library.load))
    assert (tmp_path / "used").is_file()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissingError, match="neither the package ziglang nor the command cc"):
        CSource(source).compile(word_library.load)


def test_compiling_replaces_what_an_older_source_was_compiled_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One library remains, it can be loaded, and no file of the compiler stays behind."""
    source = tmp_path / "word_table.c"
    shutil.copy(word_library.SOURCE.path, source)
    monkeypatch.setattr(word_library, "SOURCE", CSource(source))
    path = word_library.SOURCE.library_path
    path.with_name(path.name.replace(path.name.split("-")[1], "0123456789ab")).touch()
    assert word_library.SOURCE.compile(word_library.load) == path
    assert word_library.word_library.__wrapped__() is not None
    assert sorted(tmp_path.iterdir()) == [path, source]


@pytest.mark.parametrize("engine", ["compiled", "Python"])
def test_the_log_says_which_engine_counts(
    engine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A job without the library is slow, not wrong; its log tells."""
    if engine == "Python":
        monkeypatch.setattr("batch_jobs.workloads.word_count.workload.word_library", lambda: None)
    with caplog.at_level(logging.INFO):
        WordCount(checked_options("word-count", {}))
    assert [vars(record)["fields"]["engine"] for record in caplog.records] == [engine]


def test_a_count_that_the_table_loses_is_an_error() -> None:
    """More tokens read than counted: the counts are refused by name."""
    counter = CompiledCounter()
    counter._tokens.count_text(b"mill race", last=True)
    counter._tokens.add_lines(b"water\t1\n")
    with pytest.raises(MiscountError, match="2 tokens were read, 3 counted"):
        counter.count([])


def test_random_input_stays_within_bounds(tmp_path: Path) -> None:
    """A short form of `make test-memory`: under the sanitizers where there is a cc, else under zig's own."""
    found = shutil.which("cc")
    compiler = [found, "-fsanitize=address,undefined"] if found else [sys.executable, "-m", "ziglang", "cc", "-O0"]
    program = tmp_path / "fuzz"
    source = MEMORY / "word_table_fuzz.c"
    subprocess.run([*compiler, "-g", "-fno-sanitize-recover=all", "-o", program, source], check=True, timeout=120)
    ran = subprocess.run([program, "2000"], check=False, capture_output=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, b"2000 rounds\n"), ran.stderr.decode()
