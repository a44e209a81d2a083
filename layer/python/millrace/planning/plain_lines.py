"""The lines of a whole page of a listing at once: most pages are plain, and an object need not be made for each."""

from __future__ import annotations

import json
from collections.abc import Sequence

from millrace.s3.listing_page import Page, WrittenPage, decoded_keys

_text = json.encoder.encode_basestring

_AS_THEY_STAND = bytes({*range(0x20, 0x7F)} - set(b'%+"\\'))
"""In keys: what is neither URL-encoded nor written by JSON in another way."""


def plain_lines(page: Page, whole_up_to_bytes: int) -> tuple[Sequence[bytes], Sequence[int]] | None:
    """The lines of a page's objects, as `millrace.run.plan.Item.to_line` makes them, and their sizes.

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
