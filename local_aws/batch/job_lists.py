"""ListJobs: the jobs of a queue or the children of an array, in pages."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from local_aws.batch.job_descriptions import summarize
from local_aws.batch.jobs import ArrayJob, Record, Status
from local_aws.batch.service import Batch
from local_aws.errors import ClientError
from local_aws.scope import Scope

Body = dict[str, Any]
MAX_RESULTS = 1000  # ListJobs.maxResults
DEFAULT_RESULTS = 100
FRONT_OF_QUEUE = 100  # GetJobQueueSnapshot.frontOfQueue.jobs


def list_jobs(batch: Batch, scope: Scope, body: Body) -> Body:
    """ListJobs; without a status and a filter it shows RUNNING jobs only.

    Raises:
        ClientError: no queue and no array is named, or a value is wrong.
    """
    limit = int(body.get("maxResults") or DEFAULT_RESULTS)
    token = str(body.get("nextToken") or "0")
    if not 1 <= limit <= MAX_RESULTS:
        raise ClientError(f"maxResults must be between 1 and {MAX_RESULTS}")
    if not token.isdigit():
        raise ClientError("nextToken is not valid")
    start = int(token)
    with batch.scheduler.lock:
        page = list(islice(_selected(batch, scope, body), start, start + limit + 1))
        answer: Body = {"jobSummaryList": [summarize(record) for record in page[:limit]]}
    if len(page) > limit:
        answer["nextToken"] = str(start + limit)
    return answer


def queue_snapshot(batch: Batch, scope: Scope, body: Body) -> Body:
    """GetJobQueueSnapshot: the first RUNNABLE jobs of a queue, array children among them; first submitted first.

    Raises:
        ClientError: there is no such queue.
    """
    queue_arn = batch.resources(scope).queue(str(body.get("jobQueue", "")))["jobQueueArn"]
    with batch.scheduler.lock:
        found: list[Record] = []
        for record in batch.scheduler.jobs.values():
            if record.spec.queue_arn == queue_arn and len(found) < FRONT_OF_QUEUE:
                if isinstance(record, ArrayJob):
                    found.extend(_children(record, Status.RUNNABLE))
                elif record.status is Status.RUNNABLE:
                    found.append(record)
        jobs = [
            {"jobArn": scope.arn("batch", f"job/{record.job_id}"), "earliestTimeAtPosition": record.spec.created_at}
            for record in found[:FRONT_OF_QUEUE]
        ]
    return {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": int(time.time() * 1000)}}


def _selected(batch: Batch, scope: Scope, body: Body) -> Iterable[Record]:
    status = Status(body.get("jobStatus") or Status.RUNNING)
    if body.get("arrayJobId"):
        parent = batch.scheduler.find(body["arrayJobId"])
        if not isinstance(parent, ArrayJob):
            raise ClientError(f"Job {body['arrayJobId']} is not an array job")
        return _children(parent, status)
    if not body.get("jobQueue"):
        raise ClientError("Either jobQueue or arrayJobId must be specified")
    queue_arn = batch.resources(scope).queue(body["jobQueue"])["jobQueueArn"]
    in_queue = (record for record in reversed(batch.scheduler.jobs.values()) if record.spec.queue_arn == queue_arn)
    filters = body.get("filters") or []
    if not filters:
        return (record for record in in_queue if record.status is status)
    if len(filters) > 1:
        raise ClientError("Only one filter can be used at a time")
    matches = _filter(filters[0]["name"], filters[0]["values"][0])
    narrowed = filters[0]["name"] == "SHARE_IDENTIFIER" and bool(body.get("jobStatus"))
    return (record for record in in_queue if matches(record) and (not narrowed or record.status is status))


def _children(parent: ArrayJob, status: Status) -> Iterator[Record]:
    for index in range(parent.size):
        if parent.child_status(index) is status:
            # A child without a record is shown as it would be; its record is made when something happens to it.
            yield parent.children.get(index) or parent.preview(index)


def _filter(name: str, value: str) -> Callable[[Record], bool]:
    if name == "JOB_NAME":
        return lambda record: _glob(value.lower(), record.spec.job_name.lower())
    if name == "JOB_DEFINITION" and value.startswith("arn:"):
        return lambda record: record.spec.definition_arn == value
    if name == "JOB_DEFINITION":
        return lambda record: _glob(value, record.spec.definition_arn.rpartition("/")[2].partition(":")[0])
    if name == "SHARE_IDENTIFIER":
        return lambda record: _glob(value, record.spec.share or "")
    if name in {"BEFORE_CREATED_AT", "AFTER_CREATED_AT"} and value.isdigit():
        before = name == "BEFORE_CREATED_AT"
        return lambda record: (record.spec.created_at < int(value)) is before
    raise ClientError(f"Filter {name} with value {value} is not valid")


def _glob(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
