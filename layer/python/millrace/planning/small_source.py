"""Planning a source without a job: from its listing, as far as that goes in seconds, or from the keys of the request.

What takes longer, what has to be read to be cut, and what needs the workload's own code is left to the plan job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from millrace.cost.ranges import longest_range, most_whole
from millrace.errors import MirrorLimitError, NothingToReuseError, StoppedError
from millrace.layout import RunFolder, S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.listed_items import listed_items
from millrace.planning.listing_pages import listing_pages
from millrace.planning.making import KeptItems, PlanMaker, cut_by
from millrace.planning.named_objects import named_objects
from millrace.planning.splitting import cut_large
from millrace.records.plan import Item, Plan
from millrace.request.run_request import RunRequest
from millrace.request.source_access import source_s3
from millrace.s3.listing_page import Page
from millrace.workload.pace import Pace
from millrace.workload.record import WorkloadRecord
from millrace.workload.registry import is_own_workload, workload_records

MOST_OBJECTS = 1_000_000
"""Of a longer listing the job is no slower: by then some fifteen seconds are gone, and 20 bytes of memory for each."""

MOST_REUSED = 1_500_000
"""So many where another run is reused: a plan job would be half of what a small change is billed."""


class Keeps(Protocol):
    """What a run keeps of an earlier one: `millrace.reuse.keeping.Keeping`, which itself needs this room."""

    @property
    def items_before(self) -> int:
        """How many items the earlier run has; 0 where there is none."""
        ...

    def keep(self, items: ItemStore, pace: Pace) -> KeptItems:
        """From its items, and the pace that shards are cut by."""
        ...


class FindsBase(Protocol):
    """Looks for the run that is reused: `Keeping.of`."""

    def __call__(self, request: RunRequest, folder: RunFolder, maker: PlanMaker, *, writes_outputs: bool) -> Keeps:
        """From the request, the folder, the maker, and whether the workload's items have outputs of their own."""
        ...


class _TheJobsTurn(Exception):  # noqa: N818 - no error
    """An object has to be read to be cut, or there are too many of them."""


def plan_small_source(request: RunRequest, folder: RunFolder, maker: PlanMaker, find_base: FindsBase) -> Plan | None:
    """Plan a run, or keep its plan, as the plan job would, where that takes seconds.

    Args:
        request: The checked request.
        folder: The run's folder.
        maker: Who makes the plan.
        find_base: Looks for the run that a request with `reuse` reuses.

    Returns:
        The plan; None where the plan job has to make it, or to look at the one that is there. Then nothing is written
        but files that no plan names. What cannot be, as there is nothing to reuse or too much is gone, the job says.

    Raises:
        RunIdentityError: There is a plan, and it is for something else.
        ListingError: The source's keys do not strictly ascend.
        StorageError: The source cannot be listed, or the destination not be written.
        OSError: There is no room for the items of so long a listing.
    """
    if folder.retry or not may_be_planned(request):
        return None
    record = workload_records()[request.workload]
    kept = maker.kept(request, folder)
    if kept is not None:
        return kept
    writes = record.writes_outputs(request.options)
    try:
        keeping = None if request.reuse is None else find_base(request, folder, maker, writes_outputs=writes)
        if keeping and keeping.items_before > most_objects(request):
            return None  # the listing is about as long
        items, skipped = listed_items(request, _pages(request, maker), lambda found: _cut(found, request, record))
        known = maker.known_pace(request)
        taken = keeping.keep(items, cut_by(known.pace, request, reuses=True)) if keeping else None
        return maker.make(request, folder, items, skipped, known=known, merge_seconds=record.merge_seconds, kept=taken)
    except (_TheJobsTurn, StoppedError, NothingToReuseError, MirrorLimitError):
        return None


def may_be_planned(request: RunRequest) -> bool:
    """Whether a request lets its run be planned without a job, were its source no larger than that."""
    if request.plan == "job" or request.manifest is not None:
        return False
    if is_own_workload(request.workload):
        return False
    return not workload_records()[request.workload].compares_outputs(request.options)


def most_objects(request: RunRequest) -> int:
    """How long a listing is planned without a job."""
    return MOST_OBJECTS if request.reuse is None else MOST_REUSED


def _pages(request: RunRequest, maker: PlanMaker) -> Iterator[Page]:
    """The source's objects.

    Raises:
        _TheJobsTurn: There are too many of them.
    """
    source, s3 = S3Uri.parse_folder(request.source, "source"), source_s3(maker.s3, request)
    if request.keys is not None:
        yield named_objects(source, request.keys, s3, maker.check, maker.concurrency)
        return
    listed, most = 0, most_objects(request)
    for page in listing_pages(source, s3, maker.check, maker.concurrency):
        listed += len(page)
        if listed > most:
            raise _TheJobsTurn
        yield page


def _cut(items: Iterable[Item], request: RunRequest, record: WorkloadRecord) -> Iterator[Item]:
    """The items, with ranges in place of the large ones that can be cut anywhere.

    Raises:
        _TheJobsTurn: One has to be read for that.
    """

    def record_starts(_item: Item, _places: Sequence[int]) -> None:
        if record.cuts_at_records:
            raise _TheJobsTurn

    return cut_large(
        items,
        most_whole(request),
        lambda key: record.may_cut(request.options, key),
        record_starts,
        range_bytes=longest_range(request, at_records=record.cuts_at_records),
    )
