"""What the tests of the notify function share: AWS's events as documented, and services that remember what they got."""

from __future__ import annotations

import json
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

QUEUE = "arn:aws:batch:eu-west-1:123456789012:job-queue/standard-abc"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:millrace"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:millrace:run-1"
FOLDER = "out/_millrace/run-1/"
INPUT = {"source": "s3://letters/in/", "destination": "s3://results/out/"}
STARTED = 1_795_252_447_000  # 2026-11-21T09:54:07Z


def run_event(status: str, **detail: Any) -> dict[str, Any]:
    """As Step Functions tells it (developer guide, execution status change events), with a field of the future."""
    given = {
        "executionArn": EXECUTION,
        "stateMachineArn": MACHINE,
        "name": "run-1",
        "status": status,
        "startDate": STARTED,
        "stopDate": STARTED + 723_000,
        "input": json.dumps(INPUT),
        "output": None,
        "redriveCount": 0,
        "redriveStatus": "NOT_REDRIVABLE" if status == "SUCCEEDED" else "REDRIVABLE",
        "error": None,
        "cause": None,
        "fromTheFuture": {"x": 1},
        **detail,
    }
    return {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": given}


def job_event(status: str, **detail: Any) -> dict[str, Any]:
    """As Batch tells it (user guide, job state change events): an array's parent, with a field of the future."""
    given = {
        "jobArn": "arn:aws:batch:eu-west-1:123456789012:job/job-7",
        "jobId": "job-7",
        "jobName": "run-1-migrate",
        "jobQueue": QUEUE,
        "status": status,
        "statusReason": "Array Child Job failed" if status == "FAILED" else None,
        "attempts": [],
        "startedAt": STARTED,
        "stoppedAt": STARTED + 61_000,
        "container": {"command": ["migrate", "--plan", f"s3://results/{FOLDER}plan.json"], "environment": []},
        "arrayProperties": {"size": 1000, "statusSummary": {"SUCCEEDED": 998, "FAILED": 2}},
        "fromTheFuture": [],
        **detail,
    }
    return {"source": "aws.batch", "detail-type": "Batch Job State Change", "detail": given}


def blocked_event(**detail: Any) -> dict[str, Any]:
    """As Batch tells it (user guide, job queue blocked events)."""
    given = {
        "jobArn": "arn:aws:batch:eu-west-1:123456789012:job/job-7",
        "jobId": "job-7",
        "jobName": "run-1-plan",
        "jobQueue": QUEUE,
        "status": "RUNNABLE",
        "statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        "attempts": [],
        "container": {"command": ["plan", "--request", f"s3://results/{FOLDER}run.json"]},
        **detail,
    }
    return {
        "source": "aws.batch",
        "detail-type": "Batch Job Queue Blocked",
        "time": "2026-11-21T10:00:00Z",
        "detail": given,
    }


def refusal(code: str, operation: str = "Any") -> ClientError:
    """The error of a boto3 client."""
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Topic:
    """SNS, as far as Publish goes; `broken` calls fail first."""

    def __init__(self, broken: int = 0) -> None:
        self.published: list[dict[str, Any]] = []
        self.broken = broken

    def publish(self, **given: Any) -> dict[str, str]:
        """Take a message."""
        if self.broken:
            self.broken -= 1
            raise refusal("InternalError", "Publish")
        self.published.append(given)
        return {"MessageId": "1"}


class Bus:
    """EventBridge, as far as PutEvents goes; each entry of `answers` is the error code of one entry, or None."""

    def __init__(self, *answers: str | None) -> None:
        self.put: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self._answers = list(answers)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Take the entries that no answer refuses; HTTP 200 whatever happens."""
        self.calls.append(len(Entries))
        answers: list[dict[str, str]] = []
        for entry in Entries:
            code = self._answers.pop(0) if self._answers else None
            if code is None:
                self.put.append(entry)
            answers.append({"EventId": "1"} if code is None else {"ErrorCode": code, "ErrorMessage": "no"})
        return {"FailedEntryCount": sum("ErrorCode" in each for each in answers), "Entries": answers}

    def details(self) -> list[dict[str, Any]]:
        """The details of what was taken."""
        return [json.loads(entry["Detail"]) for entry in self.put]


class Table:
    """DynamoDB, as far as powertools' idempotency goes: a put that fails where a record is, unless it has expired."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def put_item(self, *, Item: dict[str, Any], ExpressionAttributeValues: Any, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """Write a record, or refuse."""
        self.calls["put"] += 1
        with self._lock:
            found = self.items.get(Item["id"]["S"])
            if found is not None and int(found["expiration"]["N"]) >= int(ExpressionAttributeValues[":now"]["N"]):
                raise refusal("ConditionalCheckFailedException", "PutItem")
            self.items[Item["id"]["S"]] = Item
        return {}

    def get_item(self, *, Key: dict[str, Any], **_given: Any) -> dict[str, Any]:  # noqa: N803
        """Read a record."""
        return {"Item": self.items[Key["id"]["S"]]}

    def update_item(self, *, Key: dict[str, Any], ExpressionAttributeValues: Any, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """Complete a record."""
        given = ExpressionAttributeValues
        self.items[Key["id"]["S"]] |= {
            "data": given[":response_data"],
            "expiration": given[":expiry"],
            "status": given[":status"],
        }
        return {}

    def delete_item(self, *, Key: dict[str, Any], **_given: Any) -> dict[str, Any]:  # noqa: N803
        """Forget a record."""
        self.items.pop(Key["id"]["S"], None)
        return {}


class Batch:
    """Batch, as far as looking for a failed child goes."""

    def __init__(self, jobs: dict[str, dict[str, Any]] | None = None) -> None:
        self.jobs = jobs or {}

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        """The jobs that it has not forgotten."""
        return {"jobs": [self.jobs[job] for job in jobs if job in self.jobs]}

    def get_paginator(self, operation: str) -> SimpleNamespace:
        """Every list in one page."""
        assert operation == "list_jobs"
        return SimpleNamespace(paginate=lambda **given: iter([self._list_jobs(**given)]))

    def _list_jobs(self, *, arrayJobId: str, jobStatus: str) -> dict[str, Any]:  # noqa: N803
        """An array's children of one status."""
        found = [job for job in self.jobs if job.startswith(f"{arrayJobId}:")]
        return {
            "jobSummaryList": [{"jobId": job} for job in found if self.jobs[job].get("status", "FAILED") == jobStatus]
        }


class Logs:
    """CloudWatch Logs: lines by stream."""

    def __init__(self, lines: dict[str, list[str]] | None = None) -> None:
        self.lines = lines or {}

    def get_log_events(self, *, logStreamName: str, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """A stream's lines."""
        if logStreamName not in self.lines:
            raise refusal("ResourceNotFoundException", "GetLogEvents")
        return {"events": [{"message": line} for line in self.lines[logStreamName]]}
