"""Array jobs: ids, variables, the parent's states, stopping, and size."""

import json
import sys
from functools import partial

import pytest

from tests.conformance.account import Account, until

SLEEP = "exec sleep 60"


@pytest.mark.embedded("its job runs a program, or reads a file, of this machine")
def test_children_know_their_place(account: Account, queue: str) -> None:
    """Child ids are `<parent>:<index>`, and children see index and size."""
    script = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('AWS_BATCH')}))"
    parent = account.submit(queue, account.definition(sys.executable, "-c", script), arrayProperties={"size": 3})

    assert account.ended(parent)["status"] == "SUCCEEDED"
    for index in range(3):
        child = account.job(f"{parent}:{index}")
        seen = json.loads(account.output(child["jobId"])[0])
        assert child["arrayProperties"]["index"] == index
        assert seen["AWS_BATCH_JOB_ID"] == f"{parent}:{index}"
        assert (seen["AWS_BATCH_JOB_ARRAY_INDEX"], seen["AWS_BATCH_JOB_ARRAY_SIZE"]) == (str(index), "3")


def test_the_parent_fails_only_when_all_have_ended(account: Account) -> None:
    """One failed child fails the parent, but its siblings run on, and the parent says nothing of the cause."""
    queue = account.queue(max_vcpus=2)
    script = f"test $AWS_BATCH_JOB_ARRAY_INDEX = 0 && exit 9; test $AWS_BATCH_JOB_ARRAY_INDEX = 1 || {SLEEP}"
    parent = account.submit(queue, account.shell(script), arrayProperties={"size": 3})
    account.reached(f"{parent}:0", "FAILED")
    account.reached(f"{parent}:2", "RUNNING")

    assert account.job(parent)["status"] == "PENDING"
    account.batch.terminate_job(jobId=f"{parent}:2", reason="enough")
    job = account.ended(parent)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert job["arrayProperties"]["size"] == 3
    summary = job["arrayProperties"]["statusSummary"]
    assert (summary["FAILED"], summary["SUCCEEDED"], sum(summary.values())) == (2, 1, 3)


def test_the_parent_never_runs(account: Account, queue: str) -> None:
    """The parent is PENDING while its children run."""
    parent = account.submit(queue, account.shell(SLEEP), arrayProperties={"size": 2})
    account.reached(f"{parent}:1", "RUNNING")

    assert account.job(parent)["status"] == "PENDING"
    account.batch.terminate_job(jobId=parent, reason="test")


def test_children_are_retried_alone(account: Account, queue: str) -> None:
    """A child that fails once succeeds at its second attempt, and the parent with it."""
    script = "test $AWS_BATCH_JOB_ARRAY_INDEX$AWS_BATCH_JOB_ATTEMPT != 11"
    definition = account.shell(script, retryStrategy={"attempts": 2})
    parent = account.submit(queue, definition, arrayProperties={"size": 3})

    assert account.ended(parent)["status"] == "SUCCEEDED"
    assert [len(account.job(f"{parent}:{index}")["attempts"]) for index in range(3)] == [1, 2, 1]


def test_terminating_the_parent_reaches_every_child(account: Account) -> None:
    """Running children end with an exit code, waiting ones without ever starting, all with the reason."""
    queue = account.queue(max_vcpus=1)
    parent = account.submit(queue, account.shell(SLEEP), arrayProperties={"size": 5})
    account.reached(f"{parent}:0", "RUNNING")
    account.batch.terminate_job(jobId=parent, reason="enough")
    job = account.ended(parent)

    assert job["status"] == "FAILED"
    assert job["arrayProperties"]["statusSummary"]["FAILED"] == 5
    first, last = account.job(f"{parent}:0"), account.job(f"{parent}:4")
    assert (first["statusReason"], first["container"]["exitCode"]) == ("enough", 143)
    assert (last["status"], last["statusReason"], last["attempts"]) == ("FAILED", "enough", [])


def test_one_child_can_be_cancelled(account: Account) -> None:
    """A cancelled child fails alone; the others run."""
    queue = account.queue(max_vcpus=1)
    with account.kept_busy(queue):
        parent = account.submit(queue, account.shell("true"), arrayProperties={"size": 3})
        account.batch.cancel_job(jobId=f"{parent}:2", reason="not this one")
    summary = account.ended(parent)["arrayProperties"]["statusSummary"]

    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)
    assert account.job(f"{parent}:2")["statusReason"] == "not this one"


def test_describing_a_waiting_child_does_not_disturb_it(account: Account) -> None:
    """A child that nobody has started is RUNNABLE, and starts all the same after it was described."""
    queue = account.queue(max_vcpus=1)
    with account.kept_busy(queue):
        parent = account.submit(queue, account.shell("true"), arrayProperties={"size": 3})
        until("the children wait for a place", lambda: account.job(f"{parent}:2")["status"] == "RUNNABLE")

    assert account.ended(parent)["status"] == "SUCCEEDED"


@pytest.mark.embedded("its 10,000 jobs would be paid for")
def test_a_big_array_is_cheap(account: Account) -> None:
    """10,000 children are submitted, described, listed and terminated, each within the time that a test waits."""
    queue = account.queue(max_vcpus=1)
    parent = account.submit(queue, account.shell(SLEEP), arrayProperties={"size": 10_000})
    account.reached(f"{parent}:0", "RUNNING")
    assert account.job(parent)["arrayProperties"]["statusSummary"]["RUNNABLE"] == 9_999
    account.batch.terminate_job(jobId=parent, reason="enough")
    assert account.ended(parent)["arrayProperties"]["statusSummary"]["FAILED"] == 10_000
    pages = account.batch.get_paginator("list_jobs").paginate(
        arrayJobId=parent, jobStatus="FAILED", PaginationConfig={"PageSize": 1000}
    )

    assert sum(len(page["jobSummaryList"]) for page in pages) == 10_000


@pytest.mark.parametrize("size", [0, 1, 10_001])
def test_sizes_outside_2_to_10000_are_refused(account: Account, queue: str, size: int) -> None:
    """SubmitJob accepts arrays of 2 to 10,000 only."""
    definition = account.shell("true")
    with pytest.raises(account.batch.exceptions.ClientException):
        account.submit(queue, definition, arrayProperties={"size": size})


def test_listing_children(account: Account, queue: str) -> None:
    """ListJobs of an array shows RUNNING children unless a status is named, with their index."""
    script = "test $AWS_BATCH_JOB_ARRAY_INDEX != 1"
    parent = account.submit(queue, account.shell(script), arrayProperties={"size": 3})
    account.ended(parent)

    assert account.batch.list_jobs(arrayJobId=parent)["jobSummaryList"] == []
    (failed,) = account.batch.list_jobs(arrayJobId=parent, jobStatus="FAILED")["jobSummaryList"]
    assert (failed["arrayProperties"]["index"], failed["container"]["exitCode"]) == (1, 1)


def test_a_dependent_job_waits_for_the_whole_array(account: Account) -> None:
    """A job that depends on an array is PENDING until the parent has ended."""
    queue = account.queue(max_vcpus=1)
    with account.kept_busy(queue):
        parent = account.submit(queue, account.shell("true"), arrayProperties={"size": 2})
        after = account.submit(queue, account.shell("true"), dependsOn=[{"jobId": parent}])
        assert account.job(after)["status"] == "PENDING"

    started = account.ended(after)["startedAt"]
    assert all(started >= account.job(f"{parent}:{index}")["stoppedAt"] for index in range(2))


def test_a_failed_dependency_fails_what_waits(account: Account) -> None:
    """The dependent job fails without an attempt."""
    queue = account.queue(max_vcpus=1)
    with account.kept_busy(queue):
        first = account.submit(queue, account.shell("exit 1"))
        after = account.submit(queue, account.shell("true"), dependsOn=[{"jobId": first}])
        array = account.submit(queue, account.shell("true"), dependsOn=[{"jobId": first}], arrayProperties={"size": 2})

    assert account.ended(after)["statusReason"] == "Dependent Job failed"
    assert account.ended(array)["status"] == "FAILED"
    assert account.job(f"{array}:0")["statusReason"] == "Dependent Job failed"


def test_n_to_n_dependencies(account: Account) -> None:
    """Each child waits for the child with its index: one failure fails one, and the others run."""
    queue = account.queue(max_vcpus=1)
    with account.kept_busy(queue):
        first = account.submit(
            queue, account.shell("test $AWS_BATCH_JOB_ARRAY_INDEX != 1"), arrayProperties={"size": 3}
        )
        second = account.submit(
            queue, account.shell("true"), arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}]
        )
    account.ended(second)

    statuses = [account.job(f"{second}:{index}")["status"] for index in range(3)]
    assert statuses == ["SUCCEEDED", "FAILED", "SUCCEEDED"]


def test_sequential_children(account: Account, queue: str) -> None:
    """Children of a SEQUENTIAL array run one after the other, and a failure fails all that follow."""
    script = "test $AWS_BATCH_JOB_ARRAY_INDEX != 2"
    parent = account.submit(
        queue, account.shell(script), arrayProperties={"size": 5}, dependsOn=[{"type": "SEQUENTIAL"}]
    )
    account.ended(parent)
    children = [account.job(f"{parent}:{index}") for index in range(5)]

    assert [child["status"] for child in children] == ["SUCCEEDED", "SUCCEEDED", "FAILED", "FAILED", "FAILED"]
    assert children[0]["stoppedAt"] <= children[1]["startedAt"]
    assert children[4]["statusReason"] == "Dependent Job failed"


@pytest.mark.embedded("it injects a fault by an endpoint of the embedded AWS")
def test_a_child_can_be_killed_and_comes_back(account: Account, queue: str) -> None:
    """A lost host takes one child only, and its retry finishes the array."""
    definition = account.shell("test $AWS_BATCH_JOB_ATTEMPT = 2 || exec sleep 60", retryStrategy={"attempts": 2})
    parent = account.submit(queue, definition, arrayProperties={"size": 2})
    for index in range(2):
        account.reached(f"{parent}:{index}", "RUNNING")
        process = f"batch/jobs/{parent}:{index}/process"
        until("it has a process", partial(lambda path: account.control("GET", path)["pid"], process))
        fault = {"status_reason": "Host EC2 (instance i-1) terminated."}
        account.control("POST", f"batch/jobs/{parent}:{index}/interrupt", fault)

    assert account.ended(parent)["status"] == "SUCCEEDED"


def test_the_parent_of_an_array_never_started(account: Account, queue: str) -> None:
    """DescribeJobs says `startedAt: 0` and no `stoppedAt` of an array that has ended, whether it failed or succeeded
    (recorded on AWS: aws/aws-parallelcluster, awsbatch-cli, tests/awsbatch/data/aws_api_responses).
    """
    for script, status in [("true", "SUCCEEDED"), ("exit 1", "FAILED")]:
        parent = account.ended(account.submit(queue, account.shell(script), arrayProperties={"size": 2}))
        assert (parent["status"], parent["startedAt"]) == (status, 0)
        assert "stoppedAt" not in parent
        assert account.job(f"{parent['jobId']}:0")["startedAt"] > 0
