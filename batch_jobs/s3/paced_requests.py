"""Keeping a run's requests to S3 below a rate, whatever the number of its children.

S3 gives a prefix 3,500 writes and 5,500 reads a second at first, and more only by and by (S3 user guide, optimizing
performance): ten thousand children that each keep a hundred requests under way would get SlowDown for minutes.
So each child gets its share beforehand, and a child that gets SlowDown also halves what it has under way.
"""

from __future__ import annotations

from typing import Any

from batch_jobs.job import Job
from batch_jobs.rate import Rate
from millrace.layout import S3Uri
from millrace.records.plan import Plan
from millrace.s3.requests import Content, Requests

EARLY_SECONDS = 0.02
"""A request may go this much before its time: a shorter wait would cost more CPU than a small object."""

_READS = frozenset({"head_object", "list_objects_v2", "get_object_attributes"})


class PacedRequests:
    """Requests that wait for their places.

    Args:
        requests: Makes them.
        reads: For what S3 counts as GET or HEAD.
        writes: For all else.
    """

    def __init__(self, requests: Requests, reads: Rate, writes: Rate) -> None:
        self._requests = requests
        self._reads = reads
        self._writes = writes

    def paying(self, bucket: str) -> PacedRequests:
        """The same requests, with what reads this bucket on the bill of who asks."""
        return PacedRequests(self._requests.paying(bucket), self._reads, self._writes)

    def get(self, uri: S3Uri, **given: Any) -> Content:
        """GetObject."""
        self._reads.take()
        return self._requests.get(uri, **given)

    def put(self, uri: S3Uri, body: bytes, **given: Any) -> None:
        """PutObject."""
        self._writes.take()
        self._requests.put(uri, body, **given)

    def ask(self, operation: str, uri: S3Uri, method: str, **given: Any) -> dict[str, Any]:
        """Any other request."""
        (self._reads if method in _READS else self._writes).take()
        return self._requests.ask(operation, uri, method, **given)


def paced(requests: Requests, plan: Plan, job: Job) -> Requests:
    """The requests for the items of a child's shards: they keep to the child's share of the run's rates.

    Args:
        requests: The job's.
        plan: Says how many reads and writes a second the run may do.
        job: Says among how many children they are shared.
    """
    children = job.settings.array_size or 1
    at_once = min(children, job.settings.slots or children)
    rates = (plan.reads_per_second, plan.writes_per_second)
    if not any(rates):
        return requests
    return PacedRequests(requests, *(Rate(rate / at_once, job.stop.sleep, job.clock, EARLY_SECONDS) for rate in rates))
