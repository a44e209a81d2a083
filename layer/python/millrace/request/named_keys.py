"""The keys of single objects that a run request names."""

from __future__ import annotations

from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri

MAX_KEYS = 1000
"""How many single objects a request may name: an execution input holds 256 KiB, and more are a prefix's business."""


def checked_keys(value: object, source: S3Uri) -> list[str] | None:
    """The keys, relative to the source, in the order given; None where none are named.

    Raises:
        InvalidRunRequest: It is no list of 1 to 1,000 different keys, each legal behind the source's.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(key, str) and key for key in value):
        raise InvalidRunRequest("keys", value, 'a list of keys below the source, ["in/new.csv"]')
    if not 1 <= len(value) <= MAX_KEYS:
        raise InvalidRunRequest("keys", f"{len(value)} keys", f"1 to {MAX_KEYS:,}; leave it out to work all objects")
    for key in value:
        S3Uri.parse(str(source.join(key)), "keys")
    if len(set(value)) < len(value):
        raise InvalidRunRequest("keys", value, "each key once")
    return list(value)
