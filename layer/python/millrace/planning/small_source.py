"""Planning a small source without a job: from one page of its listing, or from the keys that the request names.

What takes longer, what has to be cut, and what needs the workload's own code is left to the plan job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from millrace.errors import StoppedError
from millrace.layout import RunFolder, S3Uri
from millrace.planning.listed_items import listed_items
from millrace.planning.making import PlanMaker
from millrace.planning.named_objects import named_objects
from millrace.planning.splitting import whole_up_to
from millrace.records.plan import Item, Plan
from millrace.request.run_request import RunRequest
from millrace.s3.listing_page import Page
from millrace.workload.record import WorkloadRecord
from millrace.workload.registry import is_own_workload, workload_records


class _MustBeCut(Exception):  # noqa: N818 - no error: the plan job's turn
    """An object may be cut."""


def plan_small_source(request: RunRequest, folder: RunFolder, maker: PlanMaker) -> Plan | None:
    """Plan a run, or keep its plan, as the plan job would, where that takes a few seconds.

    Args:
        request: The checked request.
        folder: The run's folder.
        maker: Who makes the plan.

    Returns:
        The plan; None where the plan job has to make it, or to look at the one that is there. Then nothing is written
        but shard files that no plan names.

    Raises:
        RunIdentityError: There is a plan, and it is for something else.
        ListingError: The source's keys do not strictly ascend.
        StorageError: The source cannot be listed, or the destination not be written.
    """
    if folder.retry or not may_be_planned(request):
        return None
    record = workload_records()[request.workload]
    kept = maker.kept(request, folder)
    if kept is not None:
        return kept
    try:
        pages = _pages(request, maker)
        if pages is None:
            return None
        items, skipped = listed_items(request, pages, _Whole(request, record).only)
        return maker.make(request, folder, items, skipped, merge_seconds=record.merge_seconds)
    except (_MustBeCut, StoppedError):
        return None


def may_be_planned(request: RunRequest) -> bool:
    """Whether a request lets its run be planned without a job, were its source a small one."""
    if request.plan == "job" or request.manifest is not None or request.reuse is not None:
        return False
    if is_own_workload(request.workload):
        return False
    return not workload_records()[request.workload].compares_outputs(request.options)


def _pages(request: RunRequest, maker: PlanMaker) -> list[Page] | None:
    """The source's objects; None where there are more than a page of them."""
    source = S3Uri.parse_folder(request.source, "source")
    if request.keys is not None:
        return [named_objects(source, request.keys, maker.s3, maker.check, maker.concurrency)]
    page, more = maker.s3.list_page(source.bucket, source.key)
    return None if more else [page] if page else []


class _Whole:
    """Sees that no item may be cut."""

    def __init__(self, request: RunRequest, record: WorkloadRecord) -> None:
        self._most = whole_up_to(request)
        self._options = request.options
        self._record = record

    def only(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items.

        Raises:
            _MustBeCut: The plan job would cut one of them.
        """
        for item in items:
            if item.size > self._most and item.etag and self._record.may_cut(self._options, item.key):
                raise _MustBeCut
            yield item
