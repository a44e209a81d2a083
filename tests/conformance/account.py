"""A handful of resources in an account, and what tests ask of them: in the embedded AWS, or one that is real."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from console import embedded_aws
from tests.embedded_control import control

PACE = {"deadline": 30.0, "pause": 0.02}
"""How long what a test waits for may take, and how long it pauses between two looks, in seconds."""
ROLE = "arn:aws:iam::123456789012:role/any"
ENDED = {"SUCCEEDED", "FAILED"}


def unique(prefix: str) -> str:
    """A name that nothing else has."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def until(what: str, answer: Callable[[], Any], seconds: float | None = None) -> Any:
    """Ask until the answer is true, and return it; `what` names it when the time is over."""
    seconds = PACE["deadline"] if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while True:
        value = answer()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(PACE["pause"])


class Account:
    """Clients of one server, and shorthands for what most tests do.

    Attributes:
        endpoint_url: The server's address.
        account_id: The account's number.
        region: The Region's name.
        role: The role of state machines and functions.
        network: The network of a Fargate compute environment.
        container: What a job's container is made of, but for its command.
        definition_settings: What else its job definition has.
    """

    account_id = "123456789012"
    region = "us-east-1"
    role = ROLE
    network: Mapping[str, Any] = {"subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]}
    container: Mapping[str, Any] = {
        "image": "command:latest",
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
    }
    definition_settings: Mapping[str, Any] = {}

    def __init__(self, endpoint_url: str, key: str | None = None, secret: str | None = None) -> None:
        """Talk to this server; the default key is the account's root."""
        self.endpoint_url = endpoint_url
        if key is None or secret is None:
            found = embedded_aws.credentials(endpoint_url)
            key, secret = found.access_key, found.secret_key
        self.signer: Any = {"aws_access_key_id": key, "aws_secret_access_key": secret}
        self._session = boto3.Session(**self.signer, region_name="us-east-1")

    def client(self, service: Any) -> Any:
        """A boto3 client without retries: a test wants to see the first answer."""
        return self._session.client(
            service, endpoint_url=self.endpoint_url, config=Config(retries={"total_max_attempts": 1})
        )

    @cached_property
    def batch(self) -> Any:
        """Batch."""
        return self.client("batch")

    @cached_property
    def states(self) -> Any:
        """Step Functions."""
        return self.client("stepfunctions")

    @cached_property
    def logs(self) -> Any:
        """CloudWatch Logs."""
        return self.client("logs")

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call an endpoint under /_local_aws/."""
        answer: dict[str, Any] = control(self.endpoint_url, path, body, method)
        return answer

    def environment(self, max_vcpus: int = 16) -> str:
        """A new compute environment; returns its ARN."""
        answer = self.batch.create_compute_environment(
            computeEnvironmentName=unique("environment"),
            type="MANAGED",
            computeResources={"type": "FARGATE", "maxvCpus": max_vcpus, **self.network},
        )
        arn: str = answer["computeEnvironmentArn"]
        return arn

    def queue(self, *, max_vcpus: int = 16, priority: int = 1, policy: str | None = None) -> str:
        """A new job queue with an environment of its own; returns its name."""
        name = unique("queue")
        fair = {} if policy is None else {"schedulingPolicyArn": policy}
        self.batch.create_job_queue(
            jobQueueName=name,
            priority=priority,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": self.environment(max_vcpus)}],
            **fair,
        )
        return name

    def definition(self, *command: str, **settings: Any) -> str:
        """A new job definition that runs a command; returns its ARN."""
        container = {**self.container, "command": list(command)} | settings.pop("container", {})
        settings = {**self.definition_settings, **settings}
        answer = self.batch.register_job_definition(
            jobDefinitionName=unique("definition"), type="container", containerProperties=container, **settings
        )
        arn: str = answer["jobDefinitionArn"]
        return arn

    def shell(self, script: str, **settings: Any) -> str:
        """A new job definition that runs a shell script."""
        return self.definition("sh", "-c", script, **settings)

    def submit(self, queue: str, definition: str, **settings: Any) -> str:
        """Submit a job; returns its id."""
        answer = self.batch.submit_job(
            **{"jobName": unique("job"), "jobQueue": queue, "jobDefinition": definition} | settings
        )
        job_id: str = answer["jobId"]
        return job_id

    @contextmanager
    def kept_busy(self, queue: str, **settings: Any) -> Iterator[None]:
        """Run one job in a queue of one vCPU until the block ends: what is submitted inside starts afterwards."""
        job_id = self.submit(queue, self.shell("exec sleep 600"), **settings)
        self.reached(job_id, "RUNNING")
        try:
            yield
        finally:
            self.batch.terminate_job(jobId=job_id, reason="make room")

    def job(self, job_id: str) -> dict[str, Any]:
        """DescribeJobs of one job."""
        (job,) = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        found: dict[str, Any] = job
        return found

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended."""
        until(f"{job_id} has ended", lambda: self.job(job_id)["status"] in ENDED)
        return self.job(job_id)

    def reached(self, job_id: str, status: str) -> dict[str, Any]:
        """The job once it is in this state."""
        until(f"{job_id} is {status}", lambda: self.job(job_id)["status"] == status)
        return self.job(job_id)

    def output(self, job_id: str, group: str = "/aws/batch/job") -> list[str]:
        """What the job has written so far, line by line."""
        stream = self.job(job_id)["container"]["logStreamName"]
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def machine(self, definition: dict[str, Any]) -> str:
        """A new state machine; returns its ARN."""
        answer = self.states.create_state_machine(
            name=unique("machine"), roleArn=self.role, definition=json.dumps(definition)
        )
        arn: str = answer["stateMachineArn"]
        return arn

    def function(self, code: str) -> str:
        """A new function whose module has a `handler`; returns its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("index.py", code)
        answer = self.client("lambda").create_function(
            FunctionName=unique("function"), Runtime="python3.11", Handler="index.handler", Role=self.role,
            Code={"ZipFile": archive.getvalue()},
        )  # fmt: skip
        arn: str = answer["FunctionArn"]
        return arn

    def start(self, machine: str, data: Any = None, name: str | None = None) -> str:
        """Start an execution; returns its ARN."""
        answer = self.states.start_execution(
            stateMachineArn=machine, name=name or unique("run"), input=json.dumps({} if data is None else data)
        )
        arn: str = answer["executionArn"]
        return arn

    def execution(self, arn: str) -> dict[str, Any]:
        """The execution once it does not run any more."""
        until(
            "the execution has ended", lambda: self.states.describe_execution(executionArn=arn)["status"] != "RUNNING"
        )
        described: dict[str, Any] = self.states.describe_execution(executionArn=arn)
        return described

    def run(self, states: dict[str, Any], data: Any = None, **settings: Any) -> dict[str, Any]:
        """Run states, of which the first is the start, to the end of the execution."""
        definition = {"StartAt": next(iter(states)), "States": states, **settings}
        return self.execution(self.start(self.machine(definition), data))

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The events of an execution."""
        events: list[dict[str, Any]] = self.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        return events
