"""The items of listed objects: filtered, large ones cut into ranges, in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter

from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.key_order import check_pages, page_ends
from millrace.planning.plain_lines import plain_lines
from millrace.planning.splitting import whole_up_to
from millrace.request.run_request import RunRequest
from millrace.run.plan import Item
from millrace.s3.listing_page import Page
from millrace.source.filters import ItemFilter


def listed_items(
    request: RunRequest, pages: Iterable[Page], cut: Callable[[Iterable[Item]], Iterator[Item]]
) -> tuple[ItemStore, Mapping[str, int]]:
    """The items that a run works, in the order of their keys' UTF-8 bytes.

    Args:
        request: The checked request.
        pages: The source's objects; the pages in any order, none empty.
        cut: Puts ranges in place of the large items that may be cut.

    Returns:
        The items, and how many objects were none, by reason.

    Raises:
        ListingError: The keys do not strictly ascend, or are outside of the source.
    """
    source = S3Uri.parse_folder(request.source, "source")
    chosen = ItemFilter(source.key, request.include, request.exclude)
    items = ItemStore()
    most_whole = whole_up_to(request)

    def add(page: Page) -> range:
        plain = None if chosen.has_patterns else plain_lines(page, most_whole)
        return items.add(cut(chosen.items(page))) if plain is None else items.add_lines(*plain)

    added = [(page_ends(page, source), add(page)) for page in pages]
    added.sort(key=itemgetter(0))
    check_pages((ends for ends, _ in added), source)
    items.reorder(places for _, places in added)
    return items, dict(chosen.skipped)
