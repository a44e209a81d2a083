"""report.html of any run: merged, broken, stopped, at work."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from millrace.report.page.document import report_page
from millrace.report.run_page import read_for_page, unmerged
from millrace.report.run_report import RunReport, write_report
from millrace.s3.verbs import S3
from tests.report_pages import Found
from tests.run_in_memory import RunInMemory, fast

OBJECTS = {**{f"in/{number:02}": b"x" * number for number in range(9)}, "in/bad": b"bad"}


def a_run(*shards: int) -> RunInMemory:
    """Ten items in five shards, planned; some of the shards are committed."""
    run = RunInMemory(OBJECTS, {"shard": {"max_items": 2}, "tolerated_failure_percent": 10})
    run.plan()
    for shard in shards:
        run.migrate(shard)
    return run


def reported(run: RunInMemory) -> tuple[RunReport, S3]:
    """Its report, and its S3."""
    s3 = S3(run.client.stub, fast())
    return write_report(run.folder, s3, io.BytesIO(), io.BytesIO(), concurrency=1), s3


def page(report: RunReport, document: dict[str, Any], s3: S3, *beside: str) -> Found:
    """What is on the page."""
    read = read_for_page(s3, document["files"])
    return Found(report_page(report.plan, document, report.figures, read, beside=beside).decode())


def test_of_a_merged_run_it_is_the_page_that_merge_wrote() -> None:
    """Made from the commits again, the page has the bytes of the one in the run folder."""
    run = a_run(*range(5))
    run.merge()
    report, s3 = reported(run)
    document = json.loads(s3.read(report.folder.file("result.json")))
    made = report_page(report.plan, document, report.figures, read_for_page(s3, document["files"]))
    assert made == s3.read(report.folder.file("report.html"))


def test_away_from_the_run_folder_it_links_only_what_lies_beside_it() -> None:
    """Files that are elsewhere stand there with their addresses."""
    run = a_run(*range(5))
    run.merge()
    report, s3 = reported(run)
    document = json.loads(s3.read(report.folder.file("result.json")))
    found = page(report, document, s3, "report.csv")
    assert [address for address in found.addresses if address.startswith("./")] == ["./report.csv"]
    assert all(uri in found.words for uri in document["files"].values())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("RUNNING", "Running: this page"),
        ("ABORTED", "Cancelled before completion"),
        ("TIMED_OUT", "Timed out before completion"),
        ("FAILED", "Failed before completion"),
        ("", "Not complete"),
    ],
)
def test_of_any_other_run_it_shows_what_is_committed(status: str, said: str) -> None:
    """Outcome, the error, what was not run apart from what failed, and the shards that are there."""
    report, s3 = reported(a_run(0, 4))
    document = unmerged(report, status, "Migrate Shards failed: <b>no luck</b>")
    words = page(report, document, s3, "report.csv").words
    for each in (said, "Migrate Shards failed: <b>no luck</b>", "2 of 5", "NOT_RUN, 6 items", "NOT_TEXT, 1 item"):
        assert each in words
    counts = document["counts"]
    assert (counts["items"], counts["succeeded"], counts["failed"], counts["not_run"]) == (10, 3, 1, 6)


def test_a_run_without_any_commit_has_a_page() -> None:
    """It has counts, and no part about shards."""
    report, s3 = reported(a_run())
    words = page(report, unmerged(report, "ABORTED"), s3).words
    assert "NOT_RUN, 10 items" in words
    assert "Timeline" not in words


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the workload's files only those that fit a page are read, and only those that the result names."""
    _, s3 = reported(a_run())
    read = read_for_page(s3, {"sheet": "s3://source/in/05"})
    assert (read("sheet"), read("other")) == (b"xxxxx", None)
    monkeypatch.setattr("millrace.report.run_page.PAGE_FILE_BYTES", 4)
    assert read("sheet") is None
