"""The items of a source: its listing, filtered, large objects cut into ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from batch_jobs.job import Job
from batch_jobs.listing_pages import listing_pages
from batch_jobs.named_objects import named_objects
from batch_jobs.sharding import ItemStore
from batch_jobs.splitting import cut_large
from batch_jobs.workloads import Splitting
from millrace.layout import S3Uri
from millrace.listing import ItemFilter
from millrace.listing_page import Page
from millrace.request import RunRequest


def source_items(request: RunRequest, job: Job) -> tuple[ItemStore, Mapping[str, int]]:
    """The items that a run works, in the order of their keys' UTF-8 bytes.

    Returns:
        The items, and how many objects were none, by reason.

    Raises:
        BucketNotFoundError: The source bucket is missing.
        AccessDeniedError: The source may not be listed.
        StoppedError: The job has to stop.
    """
    source = S3Uri.parse_folder(request.source, "source")
    chosen = ItemFilter(source.key, request.include, request.exclude)
    may_cut = _may_cut(request, job)
    items = ItemStore()
    pages = [
        (page[0].key, items.add(cut_large(chosen.items(page), request.shard.target_bytes, may_cut)))
        for page in _pages(request, source, job)
    ]
    items.reorder(places for _, places in sorted(pages, key=lambda page: page[0]))
    return items, dict(chosen.skipped)


def _pages(request: RunRequest, source: S3Uri, job: Job) -> Iterator[Page]:
    return listing_pages(source, job) if request.keys is None else iter([named_objects(source, request.keys, job)])


def _may_cut(request: RunRequest, job: Job) -> Callable[[str], bool]:
    """Whether the workload can work ranges of an object; the workload is made when the first large one turns up."""

    @cache
    def splitting() -> Splitting | None:
        made: object = job.load(request.workload, request.options)
        return made if isinstance(made, Splitting) else None

    def may_cut(key: str) -> bool:
        workload = splitting()
        return workload is not None and workload.splits(key)

    return may_cut
