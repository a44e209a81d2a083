"""The completion report of any run, from what is committed."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

import pytest

from millrace.errors import DamagedFileError, RunIdentityError
from millrace.report.run_report import RunReport, write_report
from millrace.s3.verbs import S3
from tests.in_memory_s3 import error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, fast

OBJECTS = {**{f"in/{number:02}": b"x" * number for number in range(9)}, "in/bad": b"bad"}


def a_run(**request: Any) -> RunInMemory:
    """Ten items in five shards, planned."""
    run = RunInMemory(OBJECTS, {"shard": {"max_items": 2}, **request})
    run.plan()
    return run


def reported(run: RunInMemory, concurrency: int = 1) -> tuple[RunReport, bytes, bytes]:
    """What was found, report.csv and failures.jsonl."""
    report, failures = io.BytesIO(), io.BytesIO()
    found = write_report(run.folder, S3(run.client.stub, fast()), report, failures, concurrency=concurrency)
    return found, report.getvalue(), failures.getvalue()


def rows(report: bytes) -> list[dict[str, str]]:
    """The rows of a report."""
    return list(csv.DictReader(io.StringIO(report.decode(), newline="")))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_has_no_commit_was_not_run(concurrency: int) -> None:
    """Every planned item has a row, in the plan's order: what came of it, or NOT_RUN."""
    run = a_run()
    run.migrate(0)
    run.migrate(4)
    found, report, failures = reported(run, concurrency)

    assert found.codes == {"NOT_RUN": 6, "NOT_TEXT": 1}
    assert (found.counts.items, found.counts.succeeded, found.counts.failed) == (10, 3, 7)
    assert (found.shards_done, found.retries, found.plan.shards) == (2, 0, 5)
    assert [(row["Key"], row["ErrorCode"], row["Shard"]) for row in rows(report)] == [
        ("in/00", "", "0"),
        ("in/01", "", "0"),
        *((f"in/{number:02}", "NOT_RUN", str(number // 2)) for number in range(2, 8)),
        ("in/08", "", "4"),
        ("in/bad", "NOT_TEXT", "4"),
    ]
    assert Counter(json.loads(line)["error_code"] for line in failures.splitlines()) == found.codes


def test_a_plan_alone_is_a_report_of_nothing_run() -> None:
    """Before the first commit, all is NOT_RUN; the message says why."""
    found, report, _ = reported(a_run())

    assert found.codes == {"NOT_RUN": 10}
    assert {row["ResultMessage"] for row in rows(report)} == {
        "its shard has no commit: the run ended before, or has not ended yet"
    }


def test_a_merged_run_has_the_report_that_merge_wrote() -> None:
    """The same bytes, from the same commits."""
    run = a_run(tolerated_failure_count=1)
    run.all()
    found, report, failures = reported(run)

    assert report == run.file("report.csv")
    assert failures == run.file("failures.jsonl")
    assert found.counts.failed == 1


def test_an_empty_run_has_an_empty_report() -> None:
    """No items, no rows: the header alone."""
    run = RunInMemory()
    run.plan()
    found, report, failures = reported(run)

    assert (found.counts.items, rows(report), failures) == (0, [], b"")
    assert report.count(b"\r\n") == 1


def test_an_unfinished_retry_keeps_the_rows_before_it() -> None:
    """A failed item that the retry has not come to keeps its row; one that it made good has the new one."""
    run = RunInMemory(OBJECTS, {"shard": {"max_items": 1}, "tolerated_failure_percent": 100})
    run.client.denied.add((SOURCE, "in/03"))
    run.all()
    run.client.denied.clear()
    retry = run.retry()
    retry.plan()
    assert reported(run)[0].codes == {"ACCESS_DENIED": 1, "NOT_TEXT": 1}
    retry.migrate(0)
    found, report, _ = reported(run)

    assert (found.codes, found.retries, found.shards_done) == ({"NOT_TEXT": 1}, 1, 10)
    assert [(row["Key"], row["Retry"]) for row in rows(report) if row["Retry"]] == [("in/03", "1")]
    retry.migrate(1)
    retry.merge()
    assert reported(run)[1] == retry.file("report.csv")
    assert reported(retry)[1] == retry.file("report.csv")


def test_a_run_without_a_plan_has_no_report() -> None:
    """Where nothing was planned, that is said, with the place."""
    with pytest.raises(DamagedFileError, match=r"s3://result/out/_millrace/run/plan.json: there is no plan"):
        reported(RunInMemory())


def test_a_commit_of_another_plan_is_refused() -> None:
    """A report never mixes two runs."""
    run = a_run()
    run.migrate(0)
    other = a_run(options={}, exclude=["bad"])
    other.client.store(RESULT, run.folder.commit(0).key, run.file("shards/00000.json") or b"")
    with pytest.raises(RunIdentityError, match="it commits shard 0 of plan"):
        reported(other)


def test_one_shard_at_a_time_is_in_memory() -> None:
    """With one fetch ahead, the rows of a shard are written before the next commit is asked for."""
    run = a_run()
    for index in range(5):
        run.migrate(index)
    report = io.BytesIO()
    written: list[int] = []

    def look(verb: str, _bucket: str, key: str) -> None:
        if verb == "get_object" and "/shards/" in key:
            written.append(report.getvalue().count(b"\r\n"))

    run.client.before = look
    write_report(run.folder, S3(run.client.stub, fast()), report, io.BytesIO(), concurrency=1)

    assert written == [1, 3, 5, 7, 9]


def test_a_denied_run_folder_is_an_error() -> None:
    """Not being allowed to look is not the same as there being nothing."""
    run = a_run()

    def deny(_verb: str, _bucket: str, key: str) -> None:
        if "/shards/" in key:
            raise error("AccessDenied", 403)

    run.client.before = deny
    with pytest.raises(Exception, match="AccessDenied"):
        reported(run)
