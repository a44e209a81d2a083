"""The items of a source: its listing, or what a manifest names, filtered, large objects cut into ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from batch_jobs.job import Job
from batch_jobs.planning.cutting import Cutting
from batch_jobs.planning.parquet_rows import read_parquet
from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.key_order import ascending
from millrace.planning.listed_items import listed_items
from millrace.planning.listing_pages import listing_pages
from millrace.planning.named_objects import named_objects
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.s3.listing_page import Page
from millrace.source.filters import ItemFilter
from millrace.source.manifest.objects import manifest_items

_CHECKED_EVERY = 4096
"""After how many items of a manifest the job looks whether it has to stop."""


def source_items(request: RunRequest, job: Job) -> tuple[ItemStore, Mapping[str, int]]:
    """The items that a run works, in the order of their keys' UTF-8 bytes.

    Returns:
        The items, and how many objects were none, by reason.

    Raises:
        BucketNotFoundError: The source bucket is missing.
        ListingError: The keys do not strictly ascend.
        AccessDeniedError: The source may not be listed, or the manifest not be read.
        ManifestError: The manifest cannot be read, or names what is outside of the source.
        StoppedError: The job has to stop.
    """
    source = S3Uri.parse_folder(request.source, "source")
    cutting = Cutting(request, job)
    if request.manifest is None:
        return listed_items(request, _pages(request, source, job), cutting.cut)
    chosen = ItemFilter(source.key, request.include, request.exclude)
    named = manifest_items(S3Uri.parse(request.manifest), source, chosen, job.s3, read_parquet)
    items = ItemStore(cutting.cut(ascending(_until_stopped(named, job), source)))
    return items, dict(chosen.skipped)


def _until_stopped(items: Iterable[Item], job: Job) -> Iterator[Item]:
    for number, item in enumerate(items):
        if not number % _CHECKED_EVERY:
            job.stop.check()
        yield item


def _pages(request: RunRequest, source: S3Uri, job: Job) -> Iterator[Page]:
    if request.keys is None:
        return listing_pages(source, job.s3, job.stop.check, job.settings.concurrency)
    return iter([named_objects(source, request.keys, job.s3, job.stop.check, job.settings.concurrency)])
