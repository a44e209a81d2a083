"""Which folder an execution continues in: the run's, its newest retry's, or a new one's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from millrace.errors import DamagedFileError, InvalidRunRequest, RunIdentityError
from millrace.layout import RunFolder, S3Uri
from millrace.s3.verbs import S3
from millrace.settings import FunctionSettings
from prepare_run import prepare_run
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, fast

SETTINGS = FunctionSettings(queues={"standard": "arn:aws:batch:us-east-1:123456789012:job-queue/standard"})
FOLDER = "s3://result/out/_millrace/run/"


def event(name: str, **given: Any) -> dict[str, Any]:
    """What the state machine hands over for an execution."""
    return {
        "input": {"source": f"s3://{SOURCE}/in/", "destination": f"s3://{RESULT}/out/", **given},
        "execution_arn": f"arn:aws:states:us-east-1:123456789012:execution:millrace:{name}",
        "execution_name": name,
        "started_at": "2026-11-21T09:00:00Z",
    }


def prepared(run: RunInMemory, name: str, **given: Any) -> dict[str, Any]:
    """Prepare Run's answer."""
    return prepare_run(event(name, **run.request, **given), S3(run.client.stub, fast()), SETTINGS)


def retried(run: RunInMemory, name: str, **given: Any) -> dict[str, Any]:
    """Prepare Run's answer to an execution that retries the run's failed items."""
    return prepared(run, name, run_id="run", retry_failed=True, **given)


def started(*, merge: bool = True) -> RunInMemory:
    """A run of three items, of which one is bad."""
    run = RunInMemory(
        {"in/a": b"1", "in/b": b"bad", "in/c": b"333"}, {"shard": {"max_items": 2}, "tolerated_failure_count": 1}
    )
    prepared(run, "run")
    run.plan()
    for index in range(2):
        run.migrate(index)
    if merge:
        run.merge()
    return run


def work(run: RunInMemory, number: int) -> None:
    """Do the jobs of a retry."""
    retry = run.retry(number)
    for index in range(retry.plan().shards):
        retry.migrate(index)
    retry.merge()


def test_a_retry_has_a_folder_and_jobs_of_its_own() -> None:
    """Request and plan are in retries/001/, and the jobs' names say what they are."""
    run = started()
    answer = retried(run, "again", tolerated_failure_percent=7)

    assert answer["run_id"] == "run"
    assert answer["request"] == f"{FOLDER}retries/001/run.json"
    assert answer["plan"] == f"{FOLDER}retries/001/plan.json"
    assert answer["job_name"] == "run-retry-001"
    assert answer["tolerated_failure_percent"] == "7"
    document = json.loads(run.file("retries/001/run.json") or b"")
    assert document["retry"] == 1
    assert document["execution_arn"].endswith(":again")
    assert document["request"]["tolerated_failure_percent"] == 7


def test_a_second_call_of_the_same_execution_finds_its_retry() -> None:
    """Step Functions may call the function twice, and late: the retry may even be merged by then."""
    run = started()
    first = retried(run, "again")
    assert retried(run, "again") == first
    work(run, 1)
    assert retried(run, "again") == first


def test_an_unfinished_retry_is_gone_on_with() -> None:
    """Whether the next execution asks for a retry or names the run alone, it does what is missing of the newest one."""
    run = started()
    first = retried(run, "again")
    assert retried(run, "third") == first
    assert prepared(run, "fourth", run_id="run") == first


def test_a_finished_retry_is_followed_by_another() -> None:
    """The failed items of the chain so far are retried once more, in the next folder."""
    run = started()
    retried(run, "again")
    work(run, 1)
    assert retried(run, "third")["plan"] == f"{FOLDER}retries/002/plan.json"
    work(run, 2)
    assert prepared(run, "fourth", run_id="run")["plan"] == f"{FOLDER}retries/002/plan.json"


def test_two_executions_at_once_share_a_retry() -> None:
    """Who is second to write run.json continues the first one's retry; it is not worked twice over."""
    run = started()

    def first(verb: str, _bucket: str, _key: str) -> None:
        if verb == "put_object":
            run.client.before = lambda *_call: None
            retried(run, "first")

    run.client.before = first
    answer = retried(run, "second")

    assert answer["plan"] == f"{FOLDER}retries/001/plan.json"
    assert json.loads(run.file("retries/001/run.json") or b"")["execution_arn"].endswith(":first")


def test_a_run_that_failed_in_its_merge_can_be_retried() -> None:
    """What counts is that all shards have their commit: the merge may have broken, or found too many failures."""
    assert retried(started(merge=False), "again")["plan"] == f"{FOLDER}retries/001/plan.json"


@pytest.mark.parametrize(
    ("undo", "says"),
    [
        (lambda run: run.client.remove(RESULT, run.folder.commit(1).key), "2 shards 1 are not"),
        (lambda run: run.client.remove(RESULT, run.folder.plan.key), "a run that has its plan"),
    ],
)
def test_an_unfinished_run_is_not_retried(undo: Callable[[RunInMemory], None], says: str) -> None:
    """Where items were not run at all, going on comes first; nothing is written."""
    run = started(merge=False)
    undo(run)
    with pytest.raises(InvalidRunRequest, match=says) as raised:
        retried(run, "again")

    assert raised.value.field == "retry_failed"
    assert run.file("retries/001/run.json") is None


def test_an_unknown_run_is_not_retried() -> None:
    """The id is looked up first."""
    run = RunInMemory()
    with pytest.raises(InvalidRunRequest, match="run_id is 'run'; allowed: the id of an earlier run"):
        retried(run, "again")


def test_a_retry_cannot_be_of_something_else() -> None:
    """Workload, options, patterns and code version are the run's."""
    run = started()
    with pytest.raises(RunIdentityError, match=r'exclude was \[\], is \["b"\]'):
        retried(run, "again", exclude=["b"])
    newer = replace(SETTINGS, code_version="9.9")
    with pytest.raises(RunIdentityError, match=r'code version was .*, is "9\.9"'):
        prepare_run(event("again", **run.request, run_id="run", retry_failed=True), S3(run.client.stub, fast()), newer)


def test_a_damaged_request_is_named() -> None:
    """A run.json that is none is damage, with its place."""
    run = started()
    run.client.store(RESULT, run.folder.of_retry(1).request.key, b"{}")
    with pytest.raises(DamagedFileError, match=r"retries/001/run.json: this is not a run request"):
        retried(run, "again")


@pytest.mark.parametrize("destination", ["", "out/", "_millrace/x/", "out/_millrace/a/retries/001/"])
@pytest.mark.parametrize("number", [0, 1, 999])
def test_a_folder_knows_what_it_is(destination: str, number: int) -> None:
    """Run id, run folder and retry are read off a folder's key, wherever the destination is."""
    base = RunFolder.of(S3Uri("bucket", destination), "run-1")
    folder = base.of_retry(number)

    assert (folder.run_id, folder.retry, folder.base) == ("run-1", number, base)
    assert RunFolder.of_plan(folder.plan) == RunFolder.of_request(folder.request) == folder
    assert folder.of_retry(0) == base
    assert folder.of_retry(2) == base.of_retry(2)
