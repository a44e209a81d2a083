"""The Batch API: one function per operation, found by the request's path.

All of them take the scope and the body as JSON, and return the answer's body.
"""

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from local_aws.batch.job_descriptions import describe
from local_aws.batch.job_lists import list_jobs, queue_snapshot
from local_aws.batch.jobs import Job, Record
from local_aws.batch.service import Batch
from local_aws.errors import BatchApiError, ClientError, TooManyRequestsError
from local_aws.scope import Scope
from local_aws.shapes import input_shape

Body = dict[str, Any]
Operation = Callable[[Scope, Body], Body]
MAX_DESCRIBED_JOBS = 100  # DescribeJobs.jobs
MAX_BULK_JOBS = 50  # TerminateJobs.jobs, CancelJobs.jobs
MAX_TAGS = 50  # TagResource.tags
MAX_REASON_CHARACTERS = 1024  # TerminateJob.reason
_TAGS_PATH = "/v1/tags/"
_LOG = logging.getLogger("local_aws.batch.service")


class BatchApi:
    """Answers Batch requests."""

    def __init__(self, batch: Batch) -> None:
        """Serve this Batch."""
        self._batch = batch
        # A test sets this to make the next requests fail with 429.
        self.throttled_requests = 0
        self._operations: dict[str, Operation] = {
            "SubmitJob": self._submit_job,
            "DescribeJobs": self._describe_jobs,
            "GetJobQueueSnapshot": lambda scope, body: queue_snapshot(batch, scope, body),
            "ListJobs": lambda scope, body: list_jobs(batch, scope, body),
            "TerminateJob": lambda _, body: self._stop(body, batch.scheduler.terminate),
            "CancelJob": lambda _, body: self._stop(body, batch.scheduler.cancel),
            "TerminateJobs": lambda _, body: self._stop_many(body, batch.scheduler.terminate),
            "CancelJobs": lambda _, body: self._stop_many(body, batch.scheduler.cancel),
            "RegisterJobDefinition": lambda scope, body: batch.definitions(scope).register(body),
            "DeregisterJobDefinition": lambda scope, body: batch.definitions(scope).deregister(body),
            "DescribeJobDefinitions": lambda scope, body: batch.definitions(scope).describe(body),
            "DeleteJobQueue": self._delete_job_queue,
        } | {
            name: self._resource_operation(method)
            for name, method in (
                ("CreateComputeEnvironment", "create_compute_environment"),
                ("UpdateComputeEnvironment", "update_compute_environment"),
                ("DeleteComputeEnvironment", "delete_compute_environment"),
                ("DescribeComputeEnvironments", "describe_compute_environments"),
                ("CreateJobQueue", "create_job_queue"),
                ("UpdateJobQueue", "update_job_queue"),
                ("DescribeJobQueues", "describe_job_queues"),
                ("CreateSchedulingPolicy", "create_scheduling_policy"),
                ("UpdateSchedulingPolicy", "update_scheduling_policy"),
                ("DeleteSchedulingPolicy", "delete_scheduling_policy"),
                ("DescribeSchedulingPolicies", "describe_scheduling_policies"),
                ("ListSchedulingPolicies", "list_scheduling_policies"),
            )
        }
        self._by_path = {f"/v1/{name.lower()}": name for name in self._operations}

    def call(self, operation: str, scope: Scope, body: Body) -> Body:
        """Call an operation by its API name.

        Raises:
            BatchApiError: it is refused.
        """
        if self.throttled_requests > 0:
            self.throttled_requests -= 1
            raise TooManyRequestsError("Too Many Requests")
        missing = [name for name in input_shape(operation).required_members if body.get(name) is None]
        if missing:
            raise ClientError(f"{', '.join(missing)} must be specified")
        with self._batch.scheduler.lock:
            return self._operations[operation](scope, body)

    def request(
        self, method: str, path: str, body: bytes, query: dict[str, list[str]], scope: Scope
    ) -> tuple[int, str, Body]:
        """Answer an HTTP request with status, error code (empty: no error) and body."""
        try:
            return 200, "", self._route(method, path, body, query, scope)
        except BatchApiError as error:
            _LOG.info("%s refused: %s", path, error.message)
            return error.http_status, error.code, {"message": error.message}

    def _route(self, method: str, path: str, body: bytes, query: dict[str, list[str]], scope: Scope) -> Body:
        if path.startswith(_TAGS_PATH):
            return self._tags(method, unquote(path.removeprefix(_TAGS_PATH)), body, query, scope)
        operation = self._by_path.get(path.rstrip("/").lower())
        if operation is None or method != "POST":
            raise ClientError(f"The embedded AWS Batch has no operation {method} {path}")
        return self.call(operation, scope, _parse(body))

    def _submit_job(self, scope: Scope, body: Body) -> Body:
        record = self._batch.submit(scope, body)
        return {
            "jobArn": scope.arn("batch", f"job/{record.job_id}"),
            "jobName": record.spec.job_name,
            "jobId": record.job_id,
        }

    def _describe_jobs(self, _scope: Scope, body: Body) -> Body:
        job_ids = body["jobs"]
        if len(job_ids) > MAX_DESCRIBED_JOBS:
            raise ClientError(f"At most {MAX_DESCRIBED_JOBS} jobs can be described at once")
        found = [self._batch.scheduler.find(_job_id(job_id)) for job_id in job_ids]
        # 0 of a job that has not started (recorded on AWS: aws-parallelcluster); its events say nothing.
        return {"jobs": [{"startedAt": 0, **describe(record)} for record in found if record is not None]}

    def _stop(self, body: Body, stop: Callable[[Record, str], None]) -> Body:
        reason = _checked_reason(body)
        record = self._batch.scheduler.find(_job_id(body["jobId"]))
        if record is not None:  # a job that is not there counts as stopped (TerminateJobs says so; AWS keeps 7 days)
            stop(record, reason)
        return {}

    def _stop_many(self, body: Body, stop: Callable[[Record, str], None]) -> Body:
        if len(body["jobs"]) > MAX_BULK_JOBS:
            raise ClientError(f"At most {MAX_BULK_JOBS} jobs can be stopped at once")
        for job_id in body["jobs"]:
            self._stop({"jobId": job_id, "reason": body["reason"]}, stop)
        return {"successful": list(body["jobs"]), "errors": []}

    def _delete_job_queue(self, scope: Scope, body: Body) -> Body:
        self._batch.delete_queue(scope, body["jobQueue"])
        return {}

    def _resource_operation(self, method: str) -> Operation:
        def operation(scope: Scope, body: Body) -> Body:
            answer: Body = getattr(self._batch.resources(scope), method)(body)
            self._batch.scheduler.wake()
            return answer

        return operation

    def _tags(self, method: str, arn: str, body: bytes, query: dict[str, list[str]], scope: Scope) -> Body:
        with self._batch.scheduler.lock:
            tags = self._tagged(arn, scope)
            if method == "GET":
                return {"tags": dict(tags)}
            if method == "DELETE":
                for key in query.get("tagKeys", []):
                    tags.pop(key, None)
                return {}
            added = _parse(body).get("tags") or {}
            if len(tags | added) > MAX_TAGS:
                raise ClientError(f"A resource can have at most {MAX_TAGS} tags")
            tags.update(added)
            return {}

    def _tagged(self, arn: str, scope: Scope) -> dict[str, str]:
        resources = self._batch.resources(scope)
        for records in (resources.queues, resources.environments, resources.policies):
            if arn in records:
                return _tags_of(records[arn])
        if ":job-definition/" in arn:
            return _tags_of(self._batch.definitions(scope).active(arn))
        record = self._batch.scheduler.find(_job_id(arn))
        if record is None or (isinstance(record, Job) and record.index is not None):
            raise ClientError(f"Resource {arn} not found")
        return record.spec.tags


def _tags_of(record: Body) -> dict[str, str]:
    """The record's own tags, to be changed in place."""
    tags: dict[str, str] = record.setdefault("tags", {})
    return tags


def _job_id(reference: str) -> str:
    """A job's id, from the id itself or from its ARN."""
    return reference.rpartition("/")[2]


def _checked_reason(body: Body) -> str:
    reason = str(body["reason"])
    if len(reason) > MAX_REASON_CHARACTERS:
        raise ClientError(f"reason can be at most {MAX_REASON_CHARACTERS} characters")
    return reason


def _parse(body: bytes) -> Body:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise ClientError("The request body is not JSON") from None
    if not isinstance(value, dict):
        raise ClientError("The request body must be a JSON object")
    return value
