"""The objects that a request names one by one: looked up, where a folder is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from millrace.in_order import in_order
from millrace.layout import S3Uri
from millrace.s3.listing_page import ListedObject, Page
from millrace.s3.verbs import S3

GONE = '"gone"'
"""The ETag in the plan of an object that was not there. No object ever has it: its read is refused for sure."""


def named_objects(source: S3Uri, keys: Iterable[str], s3: S3, check: Callable[[], None], concurrency: int) -> Page:
    """The objects of these keys, in the order in which a listing would name them.

    One that is not there is yielded all the same, with the ETag `GONE`: S3 then refuses the read, and its row says
    NOT_FOUND, or SOURCE_CHANGED where it came back meanwhile.

    Args:
        source: The source folder.
        keys: The objects' keys, relative to it.
        s3: Where to look.
        check: Called before each request; may raise to stop.
        concurrency: How many requests are under way at once.

    Raises:
        StorageError: S3 cannot be asked.
    """

    def look_up(key: str) -> ListedObject:
        check()
        # A listing of one key, rather than HEAD: that would need the right to read the object, which who plans has not.
        found = next(s3.list(source.bucket, key, page_size=1), None)
        return found if found is not None and found.key == key else ListedObject(key, 0, GONE, "STANDARD")

    return list(in_order(look_up, sorted(source.key + key for key in keys), concurrency))
