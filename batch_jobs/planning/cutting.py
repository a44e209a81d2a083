"""Cutting the large objects of a source, if the run's workload can work ranges of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from batch_jobs.job import Job
from batch_jobs.migrating.item_body import Body
from batch_jobs.workloads.own import own_part
from millrace.cost.ranges import longest_range, most_whole
from millrace.errors import AccessDeniedError, ArchivedError, ChangedError, ItemError, ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.planning.splitting import cut_large
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.workload import RecordSplitting, RecordStart, Splitting, is_packed

log = logging.getLogger(__name__)


class Cutting:
    """Cuts items into ranges, where the run's workload can work them."""

    def __init__(self, request: RunRequest, job: Job) -> None:
        self._request = request
        self._job = job
        self._bucket = S3Uri.parse_folder(request.source, "source").bucket

    def cut(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with ranges in place of the large ones that may be cut.

        Raises:
            StorageError: An object that has to be read for it could not be read just now.
            StoppedError: The job has to stop.
        """
        longest = longest_range(self._request, at_records=isinstance(self._workload, RecordSplitting))
        return cut_large(items, most_whole(self._request), self._may_cut, self._record_starts, range_bytes=longest)

    @cached_property
    def _workload(self) -> object:
        return self._job.load(self._request.workload, self._request.options)

    def _may_cut(self, key: str) -> bool:
        workload = self._workload
        if is_packed(key) and not getattr(workload, "splits_packed", False):
            return False
        with own_part(self._request.workload, "splits"):
            return isinstance(workload, Splitting) and workload.splits(key)

    def _record_starts(self, item: Item, places: Sequence[int]) -> Sequence[RecordStart] | None:
        workload = self._workload
        if not isinstance(workload, RecordSplitting):
            return None
        log.info("reading an object for its records", extra={"fields": {"key": item.key, "bytes": item.size}})
        uri = S3Uri(self._bucket, item.key)
        try:
            with self._job.item_s3().open(uri, etag=item.etag, version_id=item.version_id) as reader:
                return list(workload.record_starts(item, Body(reader, self._job.stop), places))
        except (ItemError, ObjectNotFoundError, ChangedError, AccessDeniedError, ArchivedError) as error:
            # In one piece, then; migrate meets the same, and reports it.
            log.info("the object is not cut", extra={"fields": {"key": item.key, "reason": str(error.code)}})
            return ()
