"""The items of listed objects: filtered, large ones cut into ranges, in the order of their keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.key_order import check_pages, page_ends
from millrace.planning.splitting import whole_up_to
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.s3.listing_page import Page, WrittenPage, decoded_keys
from millrace.source.filters import ItemFilter

_text = json.encoder.encode_basestring

_AS_THEY_STAND = bytes({*range(0x20, 0x7F)} - set(b'%+"\\'))
"""In keys: what is neither URL-encoded nor written by JSON in another way."""


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


def plain_lines(page: Page, whole_up_to_bytes: int) -> tuple[Sequence[bytes], Sequence[int]] | None:
    """The lines of a whole page of a listing at once, without an object for each: most pages are plain.

    They are as `millrace.records.plan.Item.to_line` makes them; beside them the objects' sizes.

    None where objects have to be looked at one by one: one may be a folder marker, or is so large that it may be cut,
    or has another storage class than STANDARD, or an ETag of another form; or the page is not as S3 writes it.

    Args:
        page: The page; not empty.
        whole_up_to_bytes: No object of that size is cut.
    """
    if not isinstance(page, WrittenPage):
        return None
    keys, tags, _, sizes, classes = zip(*page.rows, strict=True)
    lengths = list(map(int, sizes))
    marked = 0 in lengths and any(key[-1:] == b"/" for key in keys)
    if marked or max(lengths) > whole_up_to_bytes or b"" in tags or not {b"STANDARD", b""}.issuperset(classes):
        return None
    if b"".join(keys).translate(None, _AS_THEY_STAND):
        keys = tuple(_text(key)[1:-1].encode() for key in decoded_keys(keys))
    lines = zip(keys, sizes, tags, strict=True)
    return [b'{"key":"%b","size":%b,"etag":"\\"%b\\""}\n' % line for line in lines], lengths
