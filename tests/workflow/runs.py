"""Starting runs, interrupting their jobs, and looking at what they wrote."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.find.aws import Aws
from console.find.executions import new_name
from millrace.layout import RunFolder, S3Uri
from millrace.source.sharding import LONGEST_SHARD_SECONDS, SHARD_SECONDS
from tests.embedded_control import control

if TYPE_CHECKING:
    from mypy_boto3_batch.literals import JobStatusType
    from mypy_boto3_batch.type_defs import KeyValuesPairTypeDef

SECONDS = 120.0
PAUSE_SECONDS = 0.05
UNENDED: tuple[JobStatusType, ...] = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


def until(what: str, answer: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Ask until the answer is true, and return it: for what the AWS APIs have no way to wait for."""
    deadline = time.monotonic() + seconds
    while True:
        found = answer()
        if found:
            return found
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(PAUSE_SECONDS)


def exit_codes(job: Mapping[str, Any]) -> list[int | None]:
    """The exit code of each attempt of a job."""
    return [attempt["container"].get("exitCode") for attempt in job["attempts"]]


def a_child_each(max_items: int) -> dict[str, Any]:
    """Into a request: shards of so many items, a plan job, and a pace that makes each shard worth a child of an array.

    With three shards or more, or two of one item or two. There are 16 children at most, the stack's slots; four of
    them run at once on the embedded AWS of these tests.
    """
    # No more than a shard may take, and not enough for one item less.
    seconds = min((LONGEST_SHARD_SECONDS - 1) / max_items, SHARD_SECONDS / (max_items - 0.5))
    return {"max_items": max_items, "plan": "job", "pace": {"seconds_per_item": seconds}}


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        execution: The execution's ARN.
        folder: The run folder.
    """

    execution: str
    folder: RunFolder

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.run_id


@dataclass(frozen=True)
class Runs:
    """The runs of one stack.

    Attributes:
        aws: Clients of the embedded AWS.
        s3: A boto3 S3 client, past the proxy.
        state_machine: The state machine's ARN.
        queue: The job queue's ARN.
    """

    aws: Aws
    s3: Any
    state_machine: str
    queue: str

    def start(self, source: str, destination: str, run_id: str | None = None, **request: Any) -> Run:
        """Start an execution; `max_items` is the shard limit, the rest goes into its input as it is."""
        given: dict[str, Any] = {"source": source, "destination": destination, **request}
        if run_id is not None:
            given["run_id"] = run_id
        if "max_items" in given:
            given["shard"] = {"max_items": given.pop("max_items")}
        name = new_name()
        arn = self.aws.step_functions.start_execution(
            stateMachineArn=self.state_machine, name=name, input=json.dumps(given)
        )["executionArn"]
        return Run(arn, RunFolder.of(S3Uri.parse_folder(destination), run_id or name))

    def wait(self, run: Run, status: str = "SUCCEEDED", seconds: float = SECONDS) -> dict[str, Any]:
        """Wait for the execution's end, which must be this one; returns its output, or what DescribeExecution says."""

        def ended() -> Mapping[str, Any] | None:
            described = self.aws.step_functions.describe_execution(executionArn=run.execution)
            return None if described["status"] == "RUNNING" else described

        described = until(f"the end of {run.execution}", ended, seconds)
        assert described["status"] == status, described
        return dict(json.loads(described["output"]) if status == "SUCCEEDED" else described)

    def redrive(self, run: Run) -> None:
        """Start the execution again where it failed."""
        self.aws.step_functions.redrive_execution(executionArn=run.execution)

    def undisturbed_words(self, source: str, destination: str) -> bytes:
        """The words.csv of another run over the same source, to another destination and in one shard."""
        run = self.start(source, f"{destination}undisturbed/")
        self.wait(run)
        return self.file(run, "words.csv")

    # Jobs

    def jobs(self, run: Run, verb: str) -> list[dict[str, Any]]:
        """The plan, migrate or merge jobs of a run, first submitted first; without an array's children."""
        name: list[KeyValuesPairTypeDef] = [{"name": "JOB_NAME", "values": [f"{run.run_id}-{verb}"]}]
        found = self.aws.batch.list_jobs(jobQueue=self.queue, filters=name)["jobSummaryList"]
        found.sort(key=lambda job: job["createdAt"])
        return self.describe(job["jobId"] for job in found)

    def describe(self, job_ids: Iterable[str]) -> list[dict[str, Any]]:
        """What DescribeJobs says of these jobs, in their order."""
        ids = list(job_ids)
        pages = (self.aws.batch.describe_jobs(jobs=ids[start : start + 100]) for start in range(0, len(ids), 100))
        found: dict[str, Any] = {job["jobId"]: job for page in pages for job in page["jobs"]}
        return [found[job_id] for job_id in ids]

    def job(self, run: Run, verb: str, index: int | None = None) -> dict[str, Any]:
        """The last such job of a run, or a child of that array job."""
        job = self.jobs(run, verb)[-1]
        return job if index is None else self.describe([f"{job['jobId']}:{index}"])[0]

    def worker(self, run: Run, shard: int) -> dict[str, Any]:
        """The child of an array that claimed a shard: its own one, or one that helps it."""
        claim = self.read(run.folder.claim(shard))
        assert claim is not None, f"nobody is at shard {shard}"
        return self.describe([json.loads(claim)["job"]])[0]

    def unended(self, run: Run, verb: str) -> list[Mapping[str, Any]]:
        """The jobs of a run that have not ended, in whatever state they are, and an array's children among them."""
        found: list[Mapping[str, Any]] = []
        for job in self.jobs(run, verb):
            found += [job] if job["status"] in UNENDED else []
            if "arrayProperties" in job:
                for status in UNENDED:
                    pages = self.aws.batch.get_paginator("list_jobs").paginate(
                        arrayJobId=job["jobId"], jobStatus=status
                    )
                    found += [child for page in pages for child in page["jobSummaryList"]]
        return found

    def kill(self, job_id: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a job's process."""
        os.kill(self.control(f"batch/jobs/{job_id}/process")["pid"], number)

    def interrupt(self, job_id: str, status_reason: str, grace_seconds: float = 0) -> None:
        """End a job's attempt as the loss of its host would."""
        self.control(f"batch/jobs/{job_id}/interrupt", {"status_reason": status_reason, "grace_seconds": grace_seconds})

    def fail_start(self, job_name: str, status_reason: str, reason: str) -> None:
        """Let the next start of a job of this name fail."""
        self.control("batch/start-faults", {"job_name": job_name, "status_reason": status_reason, "reason": reason})

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the embedded AWS for a fault or a process: docs/local-aws.md, "Endpoints of its own"."""
        return control(str(self.aws.endpoint_url), path, body)

    # Objects

    def put(self, folder: str, objects: Mapping[str, bytes]) -> None:
        """Write objects below a folder, by their names."""
        uri = S3Uri.parse_folder(folder)
        with ThreadPoolExecutor(8) as executor:
            list(
                executor.map(
                    lambda each: self.s3.put_object(Bucket=uri.bucket, Key=uri.key + each[0], Body=each[1]),
                    objects.items(),
                )
            )

    def delete(self, folder: str, names: Iterable[str]) -> None:
        """Delete objects below a folder."""
        uri = S3Uri.parse_folder(folder)
        for name in names:
            self.s3.delete_object(Bucket=uri.bucket, Key=uri.key + name)

    def read(self, uri: S3Uri) -> bytes | None:
        """An object; None where there is none."""
        try:
            body: bytes = self.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None
        return body

    def file(self, run: Run, name: str) -> bytes:
        """A file of the run folder, which must be there."""
        body = self.read(run.folder.file(name))
        assert body is not None, run.folder.file(name)
        return body

    def names(self, folder: S3Uri) -> list[str]:
        """What is below a folder."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.key)
        return [found["Key"].removeprefix(folder.key) for page in pages for found in page.get("Contents", [])]

    def committed(self, run: Run) -> list[int]:
        """The shards that have their commit."""
        return [int(name.removesuffix(".json")) for name in self.names(run.folder.file("shards/"))]

    def items(self, run: Run, shard: int) -> list[str]:
        """The keys of a shard's items."""
        plan = json.loads(self.file(run, "plan.json"))
        lines = self.read(run.folder.shard_items(shard, plan["digest"]))
        assert lines is not None
        return [json.loads(line)["key"] for line in lines.splitlines()]

    def report(self, run: Run) -> list[dict[str, str]]:
        """The rows of report.csv."""
        return list(csv.DictReader(StringIO(self.file(run, "report.csv").decode(), newline="")))
