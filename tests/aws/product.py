"""Millrace as its users have it: deployed by make, asked by the command line, on the account of a target."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from console.checkout import Checkout
from console.find.stack import NESTED, Stack, stack_resources
from console.local.deployment import STAND_IN_IMAGE, alone
from millrace.aws.run_jobs import read_run_jobs
from millrace.layout import RunFolder, S3Uri
from tests.aws.static import ROOT
from tests.aws.target import MOST_JOB_SECONDS, MOST_VCPUS, TAG, Target
from tests.conformance.account import until
from tests.workflow.texts import totals

if TYPE_CHECKING:
    from console.find.aws import Aws

NAME = "millrace-test"
WORDS = ("mill", "race", "wheel", "été", "stone")
RUN_SECONDS = 1200.0


def texts(number: int) -> dict[str, bytes]:
    """So many texts, a few words each."""
    return {f"{each:03}.txt": " ".join(WORDS[: each % 5 + 1] * (each + 1)).encode() for each in range(number)}


def counted(bodies: dict[str, bytes]) -> dict[str, int]:
    """How often each word stands in them, counted here."""
    return dict(Counter(word for body in bodies.values() for word in body.decode().split()))


def stacks(target: Target) -> dict[str, str]:
    """The stacks that are there, nested ones too: name by id."""
    pages = target.client("cloudformation").get_paginator("describe_stacks").paginate()
    return {
        each["StackId"]: each["StackName"]
        for page in pages
        for each in page["Stacks"]
        if each["StackStatus"] != "DELETE_COMPLETE"
    }


@dataclass
class Product:
    """A deployed stack.

    Attributes:
        target: Where.
        name: The stack's name.
        parameters: The template's parameters, as they were deployed last.
    """

    target: Target
    name: str = NAME
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> Stack:
        """What the stack puts out."""
        return Stack.find(cast("Aws", self), self.name)

    @cached_property
    def cloudformation(self) -> Any:
        """All that finding a stack asks of an account."""
        return self.target.client("cloudformation")

    def client(self, service: str) -> Any:
        """A client that tags what it makes."""
        return self.target.client(service)

    def deploy(self, **parameters: str) -> str:
        """`make deploy` with these parameters beside the earlier ones; returns what it printed."""
        self.parameters |= {"MaxvCpus": str(MOST_VCPUS), "AttemptSeconds": str(MOST_JOB_SECONDS), **parameters}
        given = dict(self.parameters)
        image = {}
        if self.target.endpoint_url is not None:
            given["LambdaRuntime"] = f"python3.{sys.version_info.minor}"
            image = {"IMAGE": STAND_IN_IMAGE, "SAM_CLI_POLL_DELAY": "0.5"}
        words = " ".join(f'{name}="{_escaped(value)}"' for name, value in given.items())
        made = {"STACK": self.name, "PARAMETERS": words, "TAGS": f"{TAG}={self.target.run}", **image}
        with alone(Checkout(ROOT, Path()).build):  # other tests build there too
            return self._program(["make", "deploy"], made, answer="y\n")

    def touched(self) -> dict[str, Any]:
        """When each resource was last made or changed, those of nested stacks too, by its id.

        Without the nested stacks themselves: AWS finds out whether one changes by updating it.
        """
        found = stack_resources(self.cloudformation, self.name)
        return {
            each["PhysicalResourceId"]: each["LastUpdatedTimestamp"] for each in found if each["ResourceType"] != NESTED
        }

    def delete(self) -> str:
        """Delete it by `sam delete`; the buckets, which a stack leaves behind, go when the tests have ended."""
        self._look_at_jobs()
        buckets = {self.stack.source_bucket, self.stack.result_bucket}
        sam = str(ROOT / ".venv/bin/sam")
        told = self._program(
            [sam, "delete", "--no-prompts", "--stack-name", self.name, "--region", self.target.region], {}
        )
        self.target.made.extend(f"arn:aws:s3:::{bucket}" for bucket in sorted(buckets))
        return told

    def _look_at_jobs(self) -> None:
        """Describe every job of the stack, so that the target knows what they cost."""
        batch = self.client("batch")

        def ended(**of: str) -> list[dict[str, Any]]:
            pages = batch.get_paginator("list_jobs")
            found = (pages.paginate(jobStatus=status, **of) for status in ("SUCCEEDED", "FAILED"))
            return [job for each in found for page in each for job in page["jobSummaryList"]]

        jobs = [job for arn in self.stack.job_queue_arns for job in ended(jobQueue=arn)]
        children = [child for job in jobs if "arrayProperties" in job for child in ended(arrayJobId=job["jobId"])]
        ids = [job["jobId"] for job in [*jobs, *children]]
        for start in range(0, len(ids), 100):
            batch.describe_jobs(jobs=ids[start : start + 100])

    def millrace(self, verb: str, *arguments: str, fails: bool = False) -> str:
        """The command line on this stack; returns what it printed."""
        command = [sys.executable, "-m", "console", verb, *arguments]
        return self._program([*command, "--stack", self.name, "--region", self.target.region], {}, fails=fails)

    def place(self, name: str) -> tuple[str, str]:
        """A source and a destination of a test."""
        return f"s3://{self.stack.source_bucket}/{name}/", f"s3://{self.stack.result_bucket}/{name}/"

    def put(self, folder: str, bodies: dict[str, bytes]) -> None:
        """Put objects below a folder."""
        uri, client = S3Uri.parse_folder(folder), self.client("s3")
        for key, body in bodies.items():
            client.put_object(Bucket=uri.bucket, Key=uri.key + key, Body=body)

    def file(self, destination: str, run_id: str, name: str) -> bytes:
        """A file of a run."""
        uri = RunFolder.of(S3Uri.parse_folder(destination), run_id).file(name)
        body: bytes = self.client("s3").get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        return body

    def words(self, destination: str, run_id: str) -> dict[str, int]:
        """What a run has counted."""
        return totals(self.file(destination, run_id, "words.csv"))

    def result(self, destination: str, run_id: str) -> dict[str, Any]:
        """A run's result.json."""
        found: dict[str, Any] = json.loads(self.file(destination, run_id, "result.json"))
        return found

    def works(self, destination: str, run_id: str) -> bool:
        """Whether a job of a run has started to work its items."""
        folder = RunFolder.of(S3Uri.parse_folder(destination), run_id)
        jobs = read_run_jobs(self.client("batch"), self.stack.job_queue_arns, folder)
        return any(attempt.stage.startswith("migrate") for attempt in jobs.attempts)

    def execution(self, run_id: str) -> str:
        """A run's execution."""
        return f"{self.stack.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"

    def status(self, execution: str) -> str:
        """An execution's status."""
        return str(self.client("stepfunctions").describe_execution(executionArn=execution)["status"])

    def ended(self, execution: str, status: str) -> None:
        """Wait for an execution's end, which must be this one."""
        until(f"the end of {execution}", lambda: self.status(execution) != "RUNNING", RUN_SECONDS)
        assert self.status(execution) == status

    def _program(self, command: list[str], variables: dict[str, str], *, answer: str = "", fails: bool = False) -> str:
        environ = {**os.environ, **self.target.variables(), **variables}
        ended = subprocess.run(
            command, cwd=ROOT, env=environ, input=answer, capture_output=True, text=True, check=False
        )
        assert (ended.returncode != 0) == fails, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout + ended.stderr


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
