"""A row of a manifest: one object, checked; whichever file format it comes from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from millrace.errors import ManifestError, shortened
from millrace.layout import MAX_KEY_BYTES, S3Uri

UNKNOWN = -1
"""The size of an object of which the manifest does not say it."""

COLUMNS = ("bucket", "key", "versionid", "size", "etag", "storageclass", "islatest", "isdeletemarker")
"""What is read of a manifest, by its squeezed name: `VersionId` and `version_id` are one."""

Cells = Sequence[Any]
"""A row's cells in the order of COLUMNS; None, or empty, where the manifest has none."""


class Row(NamedTuple):
    """One object; its fields in the order by which rows are sorted.

    Attributes:
        key: Its whole key.
        version_id: Its version; empty where none is named.
        size: In bytes; UNKNOWN where it is not said.
        etag: With quotes, as If-Match has it; empty where it is not said.
        storage_class: STANDARD where it is not said.
    """

    key: str
    version_id: str
    size: int
    etag: str
    storage_class: str


def squeezed(name: str) -> str:
    """A column's name without what differs between formats; `version` is S3 Batch Operations' `VersionId`."""
    found = re.sub(r"[^a-z0-9]", "", name.lower())
    return "versionid" if found == "version" else found


def checked_rows(
    cells: Iterable[Cells], source: S3Uri, name: str, skipped: Counter[str], *, whole_bucket: bool
) -> Iterator[Row]:
    """The objects that rows name.

    Args:
        cells: The rows.
        source: The source folder, which they have to be in.
        name: The manifest's URI, for errors.
        skipped: Counts rows that are no object to work: not_latest, delete_markers, not_in_source.
        whole_bucket: Whether the manifest is a report of a whole bucket: rows elsewhere in it are skipped, not refused.

    Raises:
        ManifestError: A row is bad, or names an object outside of the source.
    """
    for number, (bucket, key, version_id, size, etag, storage_class, latest, marker) in enumerate(cells, start=1):
        if latest in _FALSE:
            skipped["not_latest"] += 1
        elif marker in _TRUE:
            skipped["delete_markers"] += 1
        elif bucket and bucket != source.bucket:
            raise _refused(name, number, f"it names bucket {shortened(repr(bucket))}; the source is {source}")
        elif not isinstance(key, str) or not key:
            raise _refused(name, number, "it has no key")
        elif not key.startswith(source.key):
            if not whole_bucket:
                raise _refused(name, number, f"key {shortened(repr(key))} is outside the source {source}")
            skipped["not_in_source"] += 1
        else:
            _check_key(name, number, key)
            yield Row(
                key,
                _text(name, number, "version", version_id),
                _size(name, number, size),
                _etag(name, number, etag),
                _text(name, number, "storage class", storage_class) or "STANDARD",
            )


_QUOTE = '"'
_TAG = re.compile(r"\"?[!#-~]{1,128}\"?")
_TRUE, _FALSE = (True, "true", "TRUE", "True"), (False, "false", "FALSE", "False")


def _size(name: str, number: int, given: object) -> int:
    if given is None or given == "":
        return UNKNOWN
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,18}", given):
        return int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < 10**18:
        raise _refused(name, number, f"its size is {shortened(repr(given))}, which is not a number of bytes")
    return given


def _text(name: str, number: int, what: str, given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > MAX_KEY_BYTES or not given.isprintable():
        raise _refused(name, number, f"its {what} is {given!a}")
    return given


def _etag(name: str, number: int, given: object) -> str:
    """With its quotes: it becomes a header, If-Match (RFC 9110, 8.8.3)."""
    if given is None or given == "":
        return ""
    if not isinstance(given, str) or not _TAG.fullmatch(given):
        raise _refused(name, number, f"its ETag is {given!a}")
    return f'"{given.strip(_QUOTE)}"'


def _check_key(name: str, number: int, key: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise _refused(name, number, f"key {key!a} is no valid Unicode") from None
    if length > MAX_KEY_BYTES:
        raise _refused(name, number, f"its key is {length} bytes long; S3 allows {MAX_KEY_BYTES}")


def _refused(name: str, number: int, why: str) -> ManifestError:
    return ManifestError(f"row {number}: {why}", operation="read the manifest", target=name)
