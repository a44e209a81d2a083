"""What differs between Fargate and EC2: the region's variables, jobs' sizes, and the words for a start that failed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import Account

pytestmark = pytest.mark.embedded("it injects failed starts, and names a role that no account has")

FARGATE: dict[str, Any] = {
    "platformCapabilities": ["FARGATE"],
    "container": {
        "executionRoleArn": "arn:aws:iam::123456789012:role/any",
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
    },
}
SHOW = "python3 -c 'import json, os; print(json.dumps(dict(os.environ)))'"


def test_fargate_tells_the_region_and_ec2_does_not(account: Account, queue: str) -> None:
    """AWS_REGION and AWS_DEFAULT_REGION are Fargate's (aws/containers-roadmap#1611); a definition's own count."""
    own = {"environment": [{"name": "AWS_REGION", "value": "eu-west-1"}]}
    definitions = {
        "fargate": account.shell(SHOW, platformCapabilities=["FARGATE"], container=dict(FARGATE["container"])),
        "ec2": account.shell(SHOW),
        "ec2, own": account.shell(SHOW, container=own),
    }
    seen = {}
    for name, definition in definitions.items():
        job = account.ended(account.submit(queue, definition))
        variables = json.loads(account.output(job["jobId"])[0])
        seen[name] = variables.get("AWS_REGION"), variables.get("AWS_DEFAULT_REGION")
    assert seen == {
        "fargate": ("us-east-1", "us-east-1"), "ec2": (None, None), "ec2, own": ("eu-west-1", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
        "ResourceInitializationError: unable to pull secrets or registry auth",
        "Timeout waiting for network interface provisioning to complete.",
    ],
)
def test_a_start_that_fails_is_told_in_the_platforms_words(account: Account, queue: str, words: str) -> None:
    """A status reason that begins so is Fargate's; EC2 has "Task failed to start" and the words as the reason
    (nextflow-io/nextflow#5099, #5681). No exit code in either, so that only a rule for the words, or no rule, retries.
    """
    ends = [(words, None), ("Task failed to start", words)]
    for status_reason, reason in ends:
        definition = account.shell(
            "true",
            retryStrategy={"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "2"}]},
        )
        name = f"start-{'fargate' if reason is None else 'ec2'}-{words[:8].strip()}"
        fault = {"job_name": name, "status_reason": status_reason, "count": 1}
        account.control("POST", "batch/start-faults", fault | ({} if reason is None else {"reason": reason}))
        job = account.ended(account.submit(queue, definition, jobName=name))
        first = job["attempts"][0]
        assert first["statusReason"] == status_reason
        assert first["container"].get("reason") == reason
        assert "exitCode" not in first["container"]
        assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)


def needs(vcpus: str, mib: str) -> dict[str, Any]:
    """The size that a submission asks for, instead of its definition's."""
    return {"resourceRequirements": [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": mib}]}


def test_a_submission_may_ask_for_another_size(account: Account, queue: str) -> None:
    """It takes the place of the definition's, kind by kind, in what DescribeJobs says; the definition stays."""
    fargate = account.shell("true", platformCapabilities=["FARGATE"], container=dict(FARGATE["container"]))
    job = account.ended(account.submit(queue, fargate, containerOverrides=needs("0.25", "1024")))
    assert (job["status"], job["container"]["resourceRequirements"]) == (
        "SUCCEEDED", needs("0.25", "1024")["resourceRequirements"],
    )  # fmt: skip
    memory_alone = {"resourceRequirements": needs("", "2048")["resourceRequirements"][1:]}
    job = account.ended(account.submit(queue, fargate, containerOverrides=memory_alone))
    assert job["container"]["resourceRequirements"] == needs("0.25", "2048")["resourceRequirements"]
    (definition,) = account.batch.describe_job_definitions(jobDefinitions=[fargate])["jobDefinitions"]
    assert definition["containerProperties"]["resourceRequirements"] == FARGATE["container"]["resourceRequirements"]


@pytest.mark.parametrize(("vcpus", "mib"), [("0.25", "4096"), ("0.3", "1024"), ("0", "1024"), ("a", "1024")])
def test_a_size_that_fargate_has_not_is_refused(account: Account, queue: str, vcpus: str, mib: str) -> None:
    """At once, by SubmitJob: Batch API reference, ResourceRequirement, has the pairs."""
    fargate = account.shell("true", platformCapabilities=["FARGATE"], container=dict(FARGATE["container"]))
    with pytest.raises(ClientError, match="resource"):
        account.submit(queue, fargate, containerOverrides=needs(vcpus, mib))
