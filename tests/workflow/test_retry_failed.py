"""Retrying the failed items of a run through the real state machine, under the jobs' own roles."""

from __future__ import annotations

import csv
import hashlib
import json
from io import StringIO

from millrace.layout import S3Uri
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.runs import Runs
from tests.workflow.texts import NOT_TEXT, counted, texts, totals


def test_failed_items_are_migrated_again(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Three of twelve objects are not text. When two of them are put right, `retry_failed` reads those three alone, and
    result.json then names a report with one failed row and the words.csv of a run that never failed for the other two.
    """
    bodies = texts(12)
    names = list(bodies)
    bad = [names[1], names[5], names[11]]
    runs.put(source, bodies | dict.fromkeys(bad, NOT_TEXT))
    run = runs.start(source, destination, max_items=3, tolerated_failure_count=3)
    first = runs.wait(run)
    assert (first["failures"], first["retry"]) == ({"NOT_TEXT": 3}, None)
    assert first["reused"] == {"shards": 0, "items": 0}

    runs.put(source, {name: bodies[name] for name in bad[:2]})
    proxy.clear()
    again = runs.start(source, destination, run.run_id, max_items=3, retry_failed=True, tolerated_failure_percent=10)
    output = runs.wait(again)

    assert output["failures"] == {"NOT_TEXT": 1}
    assert output["counts"]["succeeded"] == 11
    assert output["retry"] == {"number": 1, "items": 3, "succeeded": 2, "failed": 1}
    assert output["reused"] == {"shards": 4, "items": 9}
    asked = {name: proxy.count("GET", f"{source}{name}$") for name in names}
    assert asked == {name: int(name in bad) for name in names}
    result = json.loads(runs.file(run, "result.json"))
    assert {name: result[name] for name in ("files", "report", "retry")} == {
        name: output[name] for name in ("files", "report", "retry")
    }
    words = runs.read(S3Uri.parse(output["files"]["words.csv"]))
    assert words is not None
    assert result["digests"]["words.csv"] == f"sha256:{hashlib.sha256(words).hexdigest()}"
    assert totals(words) == counted(body for name, body in bodies.items() if name != bad[2])
    report = runs.read(S3Uri.parse(output["report"]))
    assert report is not None
    rows = list(csv.DictReader(StringIO(report.decode(), newline="")))
    assert [row["Key"].rpartition("/")[2] for row in rows] == names
    assert [row["Retry"] for row in rows] == ["1" if name in bad else "" for name in names]
    assert runs.file(run, "retries/001/_SUCCESS")

    resumed = runs.wait(runs.start(source, destination, run.run_id, max_items=3, tolerated_failure_percent=10))
    assert resumed["reused"] == {"shards": 5, "items": 12}
    assert {**resumed, "reused": None} == {**output, "reused": None}
