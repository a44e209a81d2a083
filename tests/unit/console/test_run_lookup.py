"""Finding the run that a person means."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.errors import RunNotFoundError, RunStateError
from console.find.run_lookup import FoundRun, find_run, running_executions
from millrace.layout import RunFolder, S3Uri
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

ARN = "arn:aws:states:eu-west-1:1:execution:machine:"
REQUEST = {"source": "s3://in/", "destination": "s3://out/"}


class Account:
    """An AWS with these executions, the newest first: name, input, status."""

    def __init__(self, *executions: tuple[str, object, str]) -> None:
        self.executions = executions
        self.step_functions = self
        self.client = InMemoryS3Client("out")
        self.s3 = S3(self.client.stub)
        self.listed = 0

    def get_paginator(self, _operation: str) -> SimpleNamespace:
        """One execution a page."""

        def paginate(statusFilter: str = "", **_given: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
            for name, _, status in self.executions:
                self.listed += 1
                if statusFilter in ("", status):
                    yield {"executions": [{"name": name, "executionArn": ARN + name, "status": status}]}

        return SimpleNamespace(paginate=paginate)

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        """One of them."""
        for name, given, status in self.executions:
            if executionArn == ARN + name:
                return {"executionArn": executionArn, "input": json.dumps(given), "status": status}
        raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution")

    def find(self, given: str) -> FoundRun:
        """The run that these words mean."""
        return find_run(self, "machine", given)  # type: ignore[arg-type]


@pytest.fixture
def account() -> Account:
    """Three runs, one of them resumed once by `millrace resume` and once by hand."""
    return Account(
        ("20261121-b", REQUEST, "RUNNING"),
        ("by-hand", {**REQUEST, "run_id": "20261121-a"}, "RUNNING"),
        ("20261121-a-resume-0123abcd", {**REQUEST, "run_id": "20261121-a"}, "FAILED"),
        ("20261121-a", REQUEST, "FAILED"),
        ("other", "no request", "FAILED"),
    )


def test_runs_that_uploads_started() -> None:
    """They are found by the beginning of their id, as every run is."""
    keys = ["in/b.csv", "in/a.csv"]
    account = Account(
        ("upload-4711", {**REQUEST, "keys": keys, "run_id": "upload-4711", "once": True}, "RUNNING"),
        ("upload-by-hand", "no request", "FAILED"),
        ("20261121-a", {**REQUEST, "keys": ["in/c.csv"]}, "SUCCEEDED"),
    )
    assert (account.find("upload-47").run_id, account.find("upload-47").execution_arn) == (
        "upload-4711", f"{ARN}upload-4711",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "run_id", "name"),
    [
        ("-", "20261121-b", "20261121-b"),
        ("20261121-b", "20261121-b", "20261121-b"),
        ("20261121-a", "20261121-a", "20261121-a-resume-0123abcd"),
        ("20261121-a-r", "20261121-a", "20261121-a-resume-0123abcd"),
        (f"{ARN}20261121-a", "20261121-a", "20261121-a"),
        ("by", "20261121-a", "by-hand"),
        ("oth", "other", "other"),
    ],
)
def test_a_run_is_found_by_what_people_have(account: Account, given: str, run_id: str, name: str) -> None:
    """By id, the beginning of one, an ARN or as the latest; of a resumed run the newest execution is meant."""
    found = account.find(given)
    assert (found.run_id, found.execution_arn) == (run_id, ARN + name)


def test_a_run_is_not_looked_for_behind_itself(account: Account) -> None:
    """Older executions than the exact one are not listed: a resumption is never older."""
    account.find("20261121-b")
    assert account.listed == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("2026", "2 runs start with it: 20261121-b, 20261121-a; give more"),
        ("x\x1b[2J", r"x\x1b[2J: there is no such run"),
        (f"{ARN}none", "there is no such execution"),
        ("s3://out/_millrace/none/", "this is not a run folder"),
    ],
)
def test_what_is_not_there_or_not_clear_is_told(account: Account, given: str, says: str) -> None:
    """A wrong or ambiguous name is wrong usage, and is never let through to the terminal as it is."""
    with pytest.raises(RunNotFoundError) as caught:
        account.find(given)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_no_run_at_all_is_told() -> None:
    """The latest of none is none."""
    with pytest.raises(RunNotFoundError, match="there are no runs yet"):
        Account().find("-")


def test_a_refused_input_is_still_a_run(account: Account) -> None:
    """It can be looked at, and what needs its folder says that it has none."""
    found = account.find("other")
    assert (found.folder, found.request) == (None, {})
    with pytest.raises(RunStateError, match="has no folder"):
        _ = found.run


def test_a_run_is_found_by_its_folder(account: Account) -> None:
    """The folder's run.json is enough: Step Functions forgets executions after 90 days."""
    document = {"run_id": "old", "execution_arn": f"{ARN}old", "request": REQUEST}
    account.client.store("out", "_millrace/old/run.json", json.dumps(document).encode())
    found = account.find("s3://out/_millrace/old")
    assert (found.run_id, found.execution_arn, found.execution) == ("old", f"{ARN}old", {})
    assert found.run.folder.root == S3Uri("out", "_millrace/old/")


def test_every_execution_at_work_on_a_run_is_found(account: Account) -> None:
    """Also one that was started by hand under a name of its own."""
    folder = RunFolder.of(S3Uri("out", ""), "20261121-a")
    assert running_executions(account, "machine", folder) == [f"{ARN}by-hand"]  # type: ignore[arg-type]
