"""The examples in examples/: short, tested as their authors would, and right in a whole run."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch_jobs.workloads.registry import load_workload
from millrace.workload.registry import is_own_workload
from tests.run_in_memory import RunInMemory

EXAMPLES = Path(__file__).parents[3] / "examples"
FUNCTIONS = ("log_analysis/slow_requests", "csv_to_parquet/csv_to_parquet", "compaction/compaction", "scoring/scoring")
REQUESTS: list[dict[str, Any]] = [
    {"path": f"/{n % 7}", "status": 200, "seconds": random.Random(n).random() * 3} for n in range(3000)
]
LINES = [json.dumps(request) + "\n" for request in REQUESTS]
LOGS = {f"in/{n}.log.gz": gzip.compress("".join(LINES[n::4]).encode()) for n in range(4)}


def run(
    folder: str, name: str, objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> RunInMemory:
    """All jobs of a run of an example."""
    assert is_own_workload(name)
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(EXAMPLES / folder))
    monkeypatch.setattr(sys, "path", [*sys.path])
    done = RunInMemory(objects, {"workload": name, "options": options, "shard": {"max_items": 2}}, load=load_workload)
    done.all()
    return done


@pytest.mark.parametrize("example", [*FUNCTIONS, "own_workload/line_count"])
def test_an_example_is_short(example: str) -> None:
    """Under 40 lines, docstrings and imports among them."""
    assert len((EXAMPLES / f"{example}.py").read_text().splitlines()) < 40


NO_PDFTOTEXT = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="apt-get install poppler-utils")


@pytest.mark.parametrize(
    "folder",
    [*(example.partition("/")[0] for example in FUNCTIONS), pytest.param("pdf_text", marks=NO_PDFTOTEXT)],
)
def test_the_examples_own_tests_pass(folder: str, tmp_path: Path) -> None:
    """As its author would run them, in its folder."""
    alone = ("-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, str(EXAMPLES / folder)],
        cwd=EXAMPLES / folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES / folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_readmes_function_in_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has at most 15 lines, and gives the quantiles of packed logs as it stands there."""
    readme = (EXAMPLES.parent / "README.md").read_text()
    shown = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert len(shown[1].splitlines()) <= 15
    (tmp_path / "latency.py").write_text(shown[1])
    told = run(str(tmp_path), "latency:latencies", LOGS, monkeypatch).result()["result"]
    assert told["logs"] == len(LOGS)
    assert told["seconds"]["count"] == len(REQUESTS)
    assert told["seconds"]["max"] == max(request["seconds"] for request in REQUESTS)


def test_the_documented_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that docs/workloads/your-own.md shows, as it stands there."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "log_analysis"))
    page = (EXAMPLES.parent / "docs/workloads/your-own.md").read_text()
    (shown,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import try_on" in text)
    names: dict[str, Any] = {}
    exec(shown, names)
    names["test_slow_requests_are_rows"]()


def test_slow_requests_in_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of all logs are in one table, as a count of our own finds them."""
    done = run("log_analysis", "slow_requests:slow_requests", LOGS, monkeypatch, limit=2.5)
    rows = list(csv.DictReader(io.StringIO((done.file("rows.csv") or b"").decode())))
    wanted = [request for n in range(4) for request in REQUESTS[n::4] if request["seconds"] > 2.5]
    assert [(row["path"], float(row["seconds"])) for row in rows] == [(r["path"], r["seconds"]) for r in wanted]


def test_latencies_in_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quantiles of all logs are within a percent in rank of the sorted numbers'."""
    told = run("log_analysis", "slow_requests:latencies", LOGS, monkeypatch).result()["result"]
    ranked = sorted(request["seconds"] for request in REQUESTS)
    assert told["requests"] == told["seconds"]["count"] == len(ranked)
    assert told["statuses"]["top"] == {"200": len(ranked)}
    for name, rank in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        low, high = (ranked[int(len(ranked) * max(0, min(rank + d, 0.999)))] for d in (-0.01, 0.01))
        assert low <= told["seconds"][name] <= high


def test_csv_to_parquet_in_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has its table beside its key, and rows are counted over all."""
    objects = {f"in/{n}.csv": f"id,name,price,sold\n{n},x,1.5,2026-01-0{n + 1}\n".encode() for n in range(3)}
    done = run("csv_to_parquet", "csv_to_parquet:csv_to_parquet", objects, monkeypatch)
    assert done.result()["result"] == {"rows": 3}
    tables = {key: pq.read_table(io.BytesIO(data)).to_pylist() for key, data in done.outputs().items()}
    assert {key: rows[0]["id"] for key, rows in tables.items()} == {f"{n}.csv.parquet": n for n in range(3)}


def test_compaction_in_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record of every small file is in the large one, in the order of the keys."""
    done = run("compaction", "compaction:compaction", LOGS, monkeypatch)
    assert done.result()["result"] == {"records": len(REQUESTS), "files": 1}
    joined = gzip.decompress(done.file("part-00000.jsonl.gz") or b"").splitlines()
    assert [json.loads(line) for line in joined] == [request for n in range(4) for request in REQUESTS[n::4]]


def test_scoring_in_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a row for each text, as CSV and as Parquet."""
    objects = {"in/a.txt": b"a river\na tax\n", "in/b.txt": b"a river\n"}
    done = run("scoring", "scoring:scoring", objects, monkeypatch, query="a river")
    rows = pq.read_table(io.BytesIO(done.file("rows.parquet") or b"")).to_pylist()
    assert [(row["key"], row["line"], row["score"] == 1.0) for row in rows] == [
        ("in/a.txt", 1, True), ("in/a.txt", 2, False), ("in/b.txt", 1, True),
    ]  # fmt: skip
    assert len((done.file("rows.csv") or b"").splitlines()) == 4
