"""Keeping a run's requests to S3 below a rate, whatever the number of its children.

S3 gives a prefix 3,500 writes and 5,500 reads a second at first, and more only by and by (S3 user guide, optimizing
performance): ten thousand children that each keep a hundred requests under way would be told to slow down for minutes.
So each child gets its share beforehand, and a child that is told to slow down halves what it has under way besides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from batch_jobs.job import Job
from millrace.run.plan import Plan

_EARLY_SECONDS = 0.02
"""A request may go so much before its time: to wait for less would cost more CPU than a small object."""

_READS = frozenset({"get_object", "head_object", "list_objects_v2", "get_object_attributes"})
_NO_REQUESTS = frozenset({"meta", "exceptions", "can_paginate", "get_paginator", "get_waiter", "close"})


class RequestRate:
    """Lets threads pass one at a time, so that together they keep to a rate. What was not used in time is lost.

    Args:
        per_second: The rate; 0 where there is none.
        sleep: Waits so many seconds.
        clock: Seconds that only ever grow.
    """

    def __init__(self, per_second: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._seconds = 1 / per_second if per_second else 0.0
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self) -> None:
        """Wait for a place."""
        if not self._seconds:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + self._seconds
        if start - now > _EARLY_SECONDS:
            self._sleep(start - now)


class PacedClient:
    """A client whose requests wait for their places.

    Args:
        client: Botocore's, or one with its methods.
        reads: For what S3 counts as GET or HEAD.
        writes: For all else.
    """

    def __init__(self, client: Any, reads: RequestRate, writes: RequestRate) -> None:
        self._client = client
        self._reads = reads
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        """The client's method, behind the waiting; it is looked up once."""
        method = getattr(self._client, name)
        if name in _NO_REQUESTS or not callable(method):
            return method
        rate = self._reads if name in _READS else self._writes

        def paced(**given: Any) -> Any:
            rate.take()
            return method(**given)

        self.__dict__[name] = paced
        return paced


def paced_client(client: Any, plan: Plan, job: Job) -> Any:
    """The client for the items of a child's shards: it keeps to the child's share of the run's rates.

    Args:
        client: The job's.
        plan: Says how many reads and writes a second the run may do.
        job: Says among how many children they are shared.
    """
    children = job.settings.array_size or 1
    at_once = min(children, job.settings.slots or children)
    rates = (plan.reads_per_second, plan.writes_per_second)
    if not any(rates):
        return client
    return PacedClient(client, *(RequestRate(rate / at_once, job.stop.sleep, job.clock) for rate in rates))
