"""The items of a source: its listing, or what a manifest names, filtered, large objects cut into ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter

from batch_jobs.cutting import Cutting
from batch_jobs.job import Job
from batch_jobs.key_order import ascending, check_pages, page_ends
from batch_jobs.listing_pages import listing_pages
from batch_jobs.named_objects import named_objects
from batch_jobs.parquet_rows import read_parquet
from batch_jobs.plain_lines import plain_lines
from batch_jobs.sharding import ItemStore
from batch_jobs.splitting import whole_up_to
from millrace.layout import S3Uri
from millrace.listing import ItemFilter
from millrace.listing_page import Page
from millrace.manifest.objects import manifest_items
from millrace.plan import Item
from millrace.request import RunRequest

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
        ManifestError: The manifest cannot be read, or names what lies outside of the source.
        StoppedError: The job has to stop.
    """
    source = S3Uri.parse_folder(request.source, "source")
    chosen = ItemFilter(source.key, request.include, request.exclude)
    cutting = Cutting(request, job)
    items = ItemStore()
    if request.manifest is not None:
        named = manifest_items(S3Uri.parse(request.manifest), source, chosen, job.s3, read_parquet)
        items.add(cutting.cut(ascending(_until_stopped(named, job), source)))
        return items, dict(chosen.skipped)
    whole_up_to_bytes = whole_up_to(request.shard.target_bytes)

    def add(page: Page) -> range:
        plain = None if chosen.has_patterns else plain_lines(page, whole_up_to_bytes)
        return items.add(cutting.cut(chosen.items(page))) if plain is None else items.add_lines(*plain)

    pages = [(page_ends(page, source), add(page)) for page in _pages(request, source, job)]
    pages.sort(key=itemgetter(0))
    check_pages((ends for ends, _ in pages), source)
    items.reorder(places for _, places in pages)
    return items, dict(chosen.skipped)


def _until_stopped(items: Iterable[Item], job: Job) -> Iterator[Item]:
    for number, item in enumerate(items):
        if not number % _CHECKED_EVERY:
            job.stop.check()
        yield item


def _pages(request: RunRequest, source: S3Uri, job: Job) -> Iterator[Page]:
    return listing_pages(source, job) if request.keys is None else iter([named_objects(source, request.keys, job)])
