"""Whole runs of `csv-to-dynamodb`, on an S3 and a DynamoDB in memory: the same machinery as any workload's."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from millrace.errors import TableRefusedError, TryAgainError
from tests.in_memory_dynamodb import InMemoryDynamoDB, client_error
from tests.run_in_memory import RunInMemory

OBJECTS = {
    "in/a.csv": b"id,name\n1,Alien\n2\n",
    "in/empty.csv": b"",
    "in/z.csv": b"id,name\n3,Brazil\n4,Cabaret\n",
}


def run_into(made: InMemoryDynamoDB, **request: Any) -> RunInMemory:
    """A run that writes to the table films."""

    def load(_name: str, options: dict[str, Any]) -> CsvToDynamoDB:
        return CsvToDynamoDB(options, made, TableRetryPolicy(0, lambda _dropped, _seconds: None))

    given = {"workload": "csv-to-dynamodb", "options": {"table": "films"}, "tolerated_failure_percent": 50, **request}
    return RunInMemory(objects=OBJECTS, request=given, load=load)  # type: ignore[arg-type]


def names_in(made: InMemoryDynamoDB) -> list[str]:
    """What the table holds."""
    return sorted(item["name"]["S"] for item in made.items("films"))


@pytest.fixture
def made() -> InMemoryDynamoDB:
    """A database with the table films."""
    database = InMemoryDynamoDB()
    database.create_table("films", ("id",))
    return database


def test_bad_rows_and_bad_objects_are_reported_apart(made: InMemoryDynamoDB) -> None:
    """Rows go to the table and to rejected_rows.csv, objects that cannot be read to the failure report."""
    run = run_into(made, shard={"max_items": 1})
    assert run.all().shards == 3
    assert names_in(made) == ["Alien", "Brazil", "Cabaret"]
    document = run.result()
    assert document["failures"] == {"DAMAGED": 1}
    assert document["result"] == {
        "table": "films",
        "files": 2,
        "rows_read": 4,
        "rows_written": 3,
        "rows_replaced": 0,
        "rows_rejected": 1,
        "most_rejected": [{"file": "in/a.csv", "member": "", "rejected": 1}],
    }
    rows = list(csv.reader(io.StringIO((run.file("rejected_rows.csv") or b"").decode(), newline="")))
    assert rows[1:] == [["in/a.csv", "", "", "3", "1 cells where there are 2 columns"]]


def test_a_missing_table_ends_the_job() -> None:
    """No object is blamed, nothing is committed, and Batch need not try again."""
    run = run_into(InMemoryDynamoDB())
    run.plan()
    with pytest.raises(TableRefusedError, match=r"no such table") as caught:
        run.migrate()
    assert caught.value.exit_code == 2
    assert not any("/shards/" in key for key in run.run_files())


def test_a_throttled_table_is_for_the_next_attempt(made: InMemoryDynamoDB) -> None:
    """An attempt that the table does not let through ends with exit code 1; the next one finishes the shard."""
    refused = iter([True])

    def before(operation: str, _request: dict[str, Any]) -> None:
        if operation == "BatchWriteItem" and next(refused, False):
            raise client_error("ThrottlingException")

    throttled = InMemoryDynamoDB(before)
    throttled.tables = made.tables
    run = run_into(throttled)
    run.plan()
    with pytest.raises(TryAgainError) as caught:
        run.migrate()
    assert caught.value.exit_code == 1
    run.migrate(attempt=2)
    run.merge()
    assert names_in(made) == ["Alien", "Brazil", "Cabaret"]
    assert run.result()["result"]["rows_written"] == 3


def test_the_import_time_is_the_plans(made: InMemoryDynamoDB) -> None:
    """Migrate tells the workload of the plan first: every attempt and every child write the same time."""
    options = {"table": "films", "computed": {"at": "{imported_at}"}}
    run = run_into(made, options=options, shard={"max_items": 1})
    planned_at = run.all().planned_at
    assert {item["at"]["S"] for item in made.items("films")} == {f"{planned_at[:19]}Z"}


def test_a_second_run_leaves_the_table_as_it_was(made: InMemoryDynamoDB) -> None:
    """The same objects give the same items and the same report."""
    reports = []
    for _ in range(2):
        run = run_into(made)
        run.all()
        reports.append((made.items("films"), run.file("files.csv"), run.file("rejected_rows.csv")))
    assert reports[0] == reports[1]
