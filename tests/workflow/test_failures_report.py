"""A large run whose source changes under it: every planned item has its row, and the rest is counted right."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from millrace.layout import S3Uri
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Gate
from tests.workflow.runs import Runs
from tests.workflow.texts import NOT_TEXT, counted, texts, totals

ITEMS = 10_000


@pytest.mark.long
def test_ten_thousand_items_of_which_54_fail(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """Of 10,000 planned objects 5 are not text, and 37 are deleted and 12 changed before migrate reads the first one:
    the report has exactly those 54 failed rows, planned is succeeded plus failed, and words.csv equals an independent
    count of the rest.
    """
    bodies = texts(ITEMS, words=4)
    bad = random.Random(54).sample(list(bodies), 54)
    deleted, changed, not_text = bad[:37], bad[37:49], bad[49:]
    runs.put(source, bodies | dict.fromkeys(not_text, NOT_TEXT))

    gate = Gate()
    with proxy.when("GET", f"^{source}", gate) as read:
        run = runs.start(source, destination, max_items=1000, tolerated_failure_percent=1)
        read.wait_for_hits()
        assert json.loads(runs.file(run, "plan.json"))["items"] == ITEMS
        runs.delete(source, deleted)
        runs.put(source, {name: bodies[name][::-1] + b"s" for name in changed})
        gate.open()
        output = runs.wait(run)

    expected = {
        **dict.fromkeys(deleted, "NOT_FOUND"),
        **dict.fromkeys(changed, "SOURCE_CHANGED"),
        **dict.fromkeys(not_text, "NOT_TEXT"),
    }
    assert output["status"] == "SUCCEEDED_WITH_FAILURES"
    assert output["failures"] == Counter(expected.values())
    assert output["counts"] == {
        "items": ITEMS,
        "succeeded": ITEMS - 54,
        "failed": 54,
        "shards": 10,
        "bytes": sum(len(body) for name, body in bodies.items() if name not in expected),
    }
    rows = runs.report(run)
    names = [row["Key"].rpartition("/")[2] for row in rows]
    assert names == list(bodies)
    failed = {name: row["ErrorCode"] for name, row in zip(names, rows, strict=True) if row["TaskStatus"] == "failed"}
    assert failed == expected
    told = [json.loads(line) for line in runs.file(run, "failures.jsonl").splitlines()]
    assert {row["key"].rpartition("/")[2]: row["error_code"] for row in told} == expected
    uri = S3Uri.parse_folder(destination)
    written = {name.removesuffix(".words.txt") for name in runs.names(uri) if name.endswith(".words.txt")}
    assert written == bodies.keys() - expected.keys()
    rest = [body for name, body in bodies.items() if name not in expected]
    assert totals(runs.file(run, "words.csv")) == counted(rest)
