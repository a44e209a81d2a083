"""The runnable jobs of one job queue, in the order in which they may start.

Without fair share: first in, first out. With it: the share that uses the least (its vCPUs times its weight factor) goes
first, and of equals the one served longest ago; inside a share the higher scheduling priority, then first in, first
out. A retried job goes to the front.
"""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator

from local_aws.batch.jobs import ArrayJob, Job, Record, Status

_FIFO_SHARE = ""


class ReadyQueue:
    """Not locked: the scheduler's lock covers it."""

    def __init__(self) -> None:
        """Start empty."""
        self._shares: dict[str, list[tuple[int, int, Record]]] = {}
        self._order = itertools.count()
        self._front = itertools.count(-1, -1)
        self._used: defaultdict[str, float] = defaultdict(float)
        self._served: defaultdict[str, int] = defaultdict(int)

    def add(self, record: Record, *, first: bool = False) -> None:
        """Queue a runnable job, or an array whose untouched children are runnable."""
        order = next(self._front if first else self._order)
        entries = self._shares.setdefault(record.spec.share or _FIFO_SHARE, [])
        # Priorities and orders differ in at least one number, so records are never compared.
        bisect.insort(entries, (-record.spec.priority, order, record))

    def started(self, job: Job) -> None:
        """Count the job's vCPUs towards its share."""
        self._served[job.spec.share or _FIFO_SHARE] = next(self._order)
        self._used[job.spec.share or _FIFO_SHARE] += job.spec.vcpus

    def stopped(self, job: Job) -> None:
        """Give the job's vCPUs back."""
        self._used[job.spec.share or _FIFO_SHARE] -= job.spec.vcpus

    def candidates(self, weight: Callable[[str], float]) -> Iterator[Record]:
        """The queued jobs in starting order; `weight` is a share's weight factor (a low one means a big share)."""
        for share in sorted(self._shares, key=lambda name: (self._used[name] * weight(name), self._served[name])):
            self._drop_finished(share)
            yield from [entry[2] for entry in self._shares.get(share, ())]

    def take(self, record: Record) -> Job | None:
        """Remove a candidate and return the job to start; an array gives its next untouched child and stays queued."""
        if isinstance(record, ArrayJob):
            return record.take_untouched()
        entries = self._shares[record.spec.share or _FIFO_SHARE]
        entries[:] = [entry for entry in entries if entry[2] is not record]
        return record

    def _drop_finished(self, share: str) -> None:
        entries = [entry for entry in self._shares[share] if _is_waiting(entry[2])]
        if entries:
            self._shares[share] = entries
        else:
            del self._shares[share]


def _is_waiting(record: Record) -> bool:
    if isinstance(record, ArrayJob):
        return record.untouched_status is Status.RUNNABLE and record.next_index < record.size
    return record.status is Status.RUNNABLE
