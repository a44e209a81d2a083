"""What SubmitJob and the definitions and resources around it refuse and accept."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.account import Account, unique


def refused(account: Account, queue: str, definition: str, **settings: Any) -> str:
    """The message with which SubmitJob refuses; it must be a ClientException with 400."""
    with pytest.raises(account.batch.exceptions.ClientException) as error:
        account.submit(queue, definition, **settings)
    response: Any = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(response["Error"]["Message"])


@pytest.fixture(scope="module")
def definition(account: Account) -> str:
    """A definition that does nothing."""
    return account.shell("true")


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a.b", "ä", "a" * 129])
def test_job_names(account: Account, queue: str, definition: str, name: str) -> None:
    """A job name has 1 to 128 of [A-Za-z0-9_-] and starts with a letter or a number."""
    refused(account, queue, definition, jobName=name)


@pytest.mark.parametrize(
    "settings",
    [
        {"retryStrategy": {"attempts": 0}},
        {"retryStrategy": {"attempts": 11}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*"}] * 6}},
        {"retryStrategy": {"evaluateOnExit": [{"action": "EXIT", "onReason": "*"}]}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onStatusReason": "a(b"}]}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "1x"}]}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*a"}]}},
        {"timeout": {"attemptDurationSeconds": 59}},
        {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}},
        {"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "many"}]}},
        {"shareIdentifier": "a"},
        {"schedulingPriorityOverride": 10_000},
        {"dependsOn": [{"jobId": "no-such-job"}]},
        {"dependsOn": [{"jobId": "a"}] * 21},
        {"dependsOn": [{"type": "SEQUENTIAL"}]},
        {"parameters": {"long": "x" * 31_000}},
    ],
    ids=str,
)
def test_wrong_settings(account: Account, queue: str, definition: str, settings: dict[str, Any]) -> None:
    """What the API documents as out of range is refused."""
    refused(account, queue, definition, **settings)


def test_unknown_queue(account: Account, definition: str) -> None:
    """A queue that does not exist is named in the refusal."""
    assert "no-such-queue" in refused(account, "no-such-queue", definition)


def test_a_disabled_queue(account: Account, definition: str) -> None:
    """A disabled queue takes no jobs."""
    queue = account.queue()
    account.batch.update_job_queue(jobQueue=queue, state="DISABLED")

    refused(account, queue, definition)


def test_definitions_have_revisions(account: Account, queue: str) -> None:
    """A name without revision means the latest active one, at the time of the submission."""
    first = account.shell("true")
    name = first.rpartition("/")[2].partition(":")[0]
    container = account.batch.describe_job_definitions(jobDefinitions=[first])["jobDefinitions"][0][
        "containerProperties"
    ]
    second = account.batch.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=container
    )

    assert second["revision"] == 2
    assert account.job(account.submit(queue, name))["jobDefinition"].endswith(":2")
    assert account.job(account.submit(queue, f"{name}:1"))["jobDefinition"].endswith(":1")
    account.batch.deregister_job_definition(jobDefinition=second["jobDefinitionArn"])
    assert account.job(account.submit(queue, name))["jobDefinition"].endswith(":1")
    refused(account, queue, second["jobDefinitionArn"])
    statuses = account.batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    assert {(item["revision"], item["status"]) for item in statuses} == {(1, "ACTIVE"), (2, "INACTIVE")}


@pytest.mark.parametrize(("vcpus", "memory"), [("0.25", "4096"), ("1", "1024"), ("3", "8192"), ("32", "131072")])
def test_fargate_pairs(account: Account, vcpus: str, memory: str) -> None:
    """Fargate offers only certain pairs of vCPU and memory."""
    needs = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]
    container = {"resourceRequirements": needs, "executionRoleArn": "arn:aws:iam::123456789012:role/x"}
    with pytest.raises(account.batch.exceptions.ClientException):
        account.definition("true", container=container, platformCapabilities=["FARGATE"])


@pytest.mark.embedded("Fargate has no job of that size")
def test_overrides_replace_resources(account: Account, queue: str, definition: str) -> None:
    """ResourceRequirements of the submission replace those of the definition by type."""
    overrides = {"resourceRequirements": [{"type": "MEMORY", "value": "128"}]}
    job = account.ended(account.submit(queue, definition, containerOverrides=overrides))

    assert {item["type"]: item["value"] for item in job["container"]["resourceRequirements"]} == {
        "VCPU": "1", "MEMORY": "128",
    }  # fmt: skip


def test_fair_share_needs_an_identifier(account: Account, definition: str) -> None:
    """A queue with a scheduling policy wants shareIdentifier on every job."""
    queue = account.queue(policy=policy(account))

    assert "shareIdentifier" in refused(account, queue, definition)
    assert account.ended(account.submit(queue, definition, shareIdentifier="a"))["shareIdentifier"] == "a"


@pytest.mark.embedded("it counts on the order of jobs that a real host starts seconds apart")
def test_shares_take_turns(account: Account) -> None:
    """A share with one job does not wait behind another's hundred; a higher priority goes first inside a share."""
    queue = account.queue(max_vcpus=1, policy=policy(account))
    job = account.shell("true")
    with account.kept_busy(queue, shareIdentifier="crowd"):
        crowd = [account.submit(queue, job, shareIdentifier="crowd") for _ in range(5)]
        single = account.submit(queue, job, shareIdentifier="single")
        urgent = account.submit(queue, job, shareIdentifier="crowd", schedulingPriorityOverride=9)
    started = {job_id: account.ended(job_id)["startedAt"] for job_id in [*crowd, single, urgent]}

    assert started[single] < started[crowd[-1]]
    assert started[urgent] < started[crowd[2]]


@pytest.mark.embedded("it counts on which of two jobs Batch starts first, in an environment of one job")
def test_queues_have_priorities(account: Account) -> None:
    """Of two queues on one environment, the one with the higher priority starts first."""
    environment = account.environment(max_vcpus=1)
    low, high = unique("low"), unique("high")
    for name, priority in ((low, 1), (high, 5)):
        order = [{"order": 1, "computeEnvironment": environment}]
        account.batch.create_job_queue(jobQueueName=name, priority=priority, computeEnvironmentOrder=order)
    job = account.shell("true")
    with account.kept_busy(low):
        late = account.submit(low, job)
        urgent = account.submit(high, job)

    assert account.ended(urgent)["stoppedAt"] <= account.ended(late)["startedAt"]


def test_vcpus_limit_what_runs(account: Account) -> None:
    """An environment of two vCPUs runs one job of two at a time, and never one of four."""
    queue = account.queue(max_vcpus=2)
    definition = account.shell("sleep 0.1")
    two, four = (
        {"resourceRequirements": [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]}
        for vcpus, memory in (("2", "4096"), ("4", "8192"))
    )
    big = account.submit(queue, definition, containerOverrides=four)
    first = account.submit(queue, definition, containerOverrides=two)
    second = account.submit(queue, definition, containerOverrides=two)

    assert account.ended(second)["startedAt"] >= account.ended(first)["stoppedAt"]
    assert account.job(big)["status"] == "RUNNABLE"
    assert account.job(big)["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


def test_listing_a_queue(account: Account) -> None:
    """ListJobs shows RUNNING jobs unless a status or a filter is given, in pages."""
    queue = account.queue()
    definition = account.shell("true")
    names = [unique("job") for _ in range(3)]
    for name in names:
        account.ended(account.submit(queue, definition, jobName=name))

    assert account.batch.list_jobs(jobQueue=queue)["jobSummaryList"] == []
    page = account.batch.list_jobs(jobQueue=queue, jobStatus="SUCCEEDED", maxResults=2)
    rest = account.batch.list_jobs(jobQueue=queue, jobStatus="SUCCEEDED", nextToken=page["nextToken"])
    assert {job["jobName"] for job in page["jobSummaryList"] + rest["jobSummaryList"]} == set(names)
    assert "nextToken" not in rest
    found = account.batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [names[0].upper()]}])
    assert [job["jobName"] for job in found["jobSummaryList"]] == [names[0]]


def test_deleting_resources(account: Account) -> None:
    """A queue must be disabled before it goes, and its environment must not be in use."""
    queue = account.queue()
    (described,) = account.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    environment = described["computeEnvironmentOrder"][0]["computeEnvironment"]
    calls: tuple[Callable[[], object], ...] = (
        lambda: account.batch.delete_job_queue(jobQueue=queue),
        lambda: account.batch.delete_compute_environment(computeEnvironment=environment),
    )
    for call in calls:
        with pytest.raises(account.batch.exceptions.ClientException):
            call()
    account.batch.update_job_queue(jobQueue=queue, state="DISABLED")
    account.batch.delete_job_queue(jobQueue=queue)
    account.batch.update_compute_environment(computeEnvironment=environment, state="DISABLED")
    account.batch.delete_compute_environment(computeEnvironment=environment)

    assert account.batch.describe_job_queues(jobQueues=[queue])["jobQueues"] == []


def test_tags(account: Account, queue: str) -> None:
    """Queues, definitions and jobs carry tags."""
    arn = account.batch.describe_job_queues(jobQueues=[queue])["jobQueues"][0]["jobQueueArn"]
    account.batch.tag_resource(resourceArn=arn, tags={"Owner": "me", "Gone": "x"})
    account.batch.untag_resource(resourceArn=arn, tagKeys=["Gone"])
    found = account.batch.list_tags_for_resource(resourceArn=arn)["tags"]
    assert (found["Owner"], "Gone" in found) == ("me", False)

    answer = account.batch.submit_job(
        jobName="tagged", jobQueue=queue, jobDefinition=account.shell("true"), tags={"Run": "1"}
    )
    assert account.batch.list_tags_for_resource(resourceArn=answer["jobArn"])["tags"] == {"Run": "1"}


def policy(account: Account) -> str:
    """A new fair-share policy; returns its ARN."""
    arn: str = account.batch.create_scheduling_policy(name=unique("policy"), fairsharePolicy={})["arn"]
    return arn
