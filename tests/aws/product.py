"""Millrace as its users have it: deployed by make, asked by the command line, on the account of a target."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from console.find.stack import Stack
from console.local.deployment import STAND_IN_IMAGE
from millrace.layout import RunFolder, S3Uri
from tests.aws.static import ROOT
from tests.aws.target import MOST_VCPUS, TAG, Target
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
        self.parameters |= {"MaxvCpus": str(MOST_VCPUS), **parameters}
        given = dict(self.parameters)
        image = {}
        if self.target.endpoint_url is not None:
            given["LambdaRuntime"] = f"python3.{sys.version_info.minor}"
            image = {"IMAGE": STAND_IN_IMAGE, "SAM_CLI_POLL_DELAY": "0.5"}
        words = " ".join(f'{name}="{_escaped(value)}"' for name, value in given.items())
        made = {"STACK": self.name, "PARAMETERS": words, "TAGS": f"{TAG}={self.target.run}", **image}
        return self._program(["make", "deploy"], made, answer="y\n")

    def delete(self) -> str:
        """Empty its buckets, which a stack leaves behind, and delete it by `sam delete`."""
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
