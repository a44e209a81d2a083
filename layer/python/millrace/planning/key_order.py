"""The order that a plan's keys have to have: each behind the one before it, so that none is there twice.

Keys are compared as text, code point by code point, which is the order of their UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from operator import lt

from millrace.errors import ListingError
from millrace.layout import S3Uri
from millrace.records.plan import Item
from millrace.s3.listing_page import Page, page_keys


def page_ends(page: Page, source: S3Uri) -> tuple[str, str]:
    """The first and the last key of a page.

    Args:
        page: The page; not empty.
        source: The folder that was listed.

    Raises:
        ListingError: The page's keys do not strictly ascend, or are outside of the folder.
    """
    keys = page_keys(page)
    if not all(map(lt, keys, islice(keys, 1, None))):
        raise _disorder(source, *next(pair for pair in pairwise(keys) if pair[0] >= pair[1]))
    for key in (keys[0], keys[-1]):  # what is between two keys of a folder is in it
        if not key.startswith(source.key):
            raise ListingError(f"it names {key!r}, which is outside of it", operation="list", target=str(source))
    return keys[0], keys[-1]


def check_pages(ends: Iterable[tuple[str, str]], source: S3Uri) -> None:
    """See that pages, in the order that they shall have, do not overlap.

    Args:
        ends: The first and the last key of each.
        source: The folder that was listed.

    Raises:
        ListingError: A page begins with a key that is not behind the last one of the page before it.
    """
    for (_, last), (first, _) in pairwise(ends):
        if first <= last:
            raise _disorder(source, last, first)


def ascending(items: Iterable[Item], source: S3Uri) -> Iterator[Item]:
    """The items, while their keys strictly ascend, or their ranges within one key.

    Raises:
        ListingError: An item is not behind the one before it.
    """
    key, first_byte = "", -1
    for item in items:
        next_byte = -1 if item.first_byte is None else item.first_byte
        if (item.key, next_byte) <= (key, first_byte):
            raise _disorder(source, key, item.key)
        key, first_byte = item.key, next_byte
        yield item


def _disorder(source: S3Uri, one: str, other: str) -> ListingError:
    return ListingError(
        f"{other!r} comes behind {one!r}: keys have to ascend strictly, or an object would be planned twice. Plan "
        "again; an S3 directory bucket, which lists in no order, cannot be a source: name its objects in a manifest",
        operation="list",
        target=str(source),
    )
