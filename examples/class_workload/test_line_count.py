"""LineCount, tested as the jobs call it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from line_count import LineCount

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from millrace.records.plan import Item


@pytest.fixture(autouse=True)
def _code_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(Path(__file__).parent))


def test_lines_are_counted_across_chunks() -> None:
    workload = load_workload("line_count:LineCount", {})
    with SpooledOutputs(lambda name: None if name in LineCount.item_suffixes else "not declared") as files:
        counted = workload.migrate(Item("a.txt", 7, '"etag"'), [b"one\nt", b"wo\n"], files)
        (held,) = files
        held.file.seek(0)
        assert held.file.read() == b"2\n"
    assert counted == {"lines": 2, "bytes": 7}


def test_shards_add_up() -> None:
    workload = load_workload("line_count:LineCount", {"end": ";"})
    files = []
    for lines in (2, 40):
        partial = workload.partial()
        partial.add({"lines": lines, "bytes": 100})
        partial.write(file := BytesIO())
        files.append(BytesIO(file.getvalue()))
    assert workload.merge(files, SpooledOutputs(lambda _name: None)) == {"bytes": 200, "lines": 42}
