"""What S3 takes as a content type, as metadata and as tags: they become HTTP headers, and are checked before."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from millrace.errors import InvalidRunRequest

_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

LONGEST_CONTENT_TYPE = 1024
"""All headers of a request have 8 KiB (S3 user guide, PUT object)."""

MOST_METADATA = 2048
"""The most bytes of all names and values of an object's metadata (S3 user guide, user-defined metadata)."""

MOST_TAGS = 10
"""S3 user guide, object tagging; there the lengths and characters of a tag, too."""

CONTENT_TYPE_FORM = f"printable ASCII with no space at either end, at most {LONGEST_CONTENT_TYPE} characters"


def content_type_fault(text: str) -> str | None:
    """What is wrong with a content type, or None."""
    fine = len(text) <= LONGEST_CONTENT_TYPE and _VALUE.fullmatch(text)
    return None if fine else f"a content type is {CONTENT_TYPE_FORM}"


def metadata_fault(metadata: Mapping[str, str]) -> str | None:
    """What is wrong with user-defined metadata, or None."""
    for name, text in metadata.items():
        if not _NAME.fullmatch(name):
            return f"the name {name!r} is no HTTP header's: letters, digits and !#$%&'*+.^_`|~-"
        if text and not _VALUE.fullmatch(text):
            return f"the value of {name} is not printable ASCII with no space at either end, as HTTP headers are"
    if len({name.lower() for name in metadata}) < len(metadata):
        return "two names differ in upper and lower case alone, and S3 keeps them in lower case"
    size = sum(len(name) + len(text) for name, text in metadata.items())
    return f"names and values have {size:,} bytes, and S3 takes {MOST_METADATA:,}" if size > MOST_METADATA else None


def tags_fault(tags: Mapping[str, str]) -> str | None:
    """What is wrong with an object's tags, or None."""
    if len(tags) > MOST_TAGS:
        return f"there are {len(tags)}, and S3 takes at most {MOST_TAGS}"
    for name, text in tags.items():
        if not 1 <= _units(name) <= 128 or _units(text) > 256:
            return f"a name has 1 to 128 characters and a value at most 256; that of {name[:128]!r} is not so"
        if name.lower().startswith("aws:"):
            return f"{name!r} begins with aws:, which is AWS's own"
        if not all(letter in "_.:/=+-@" or unicodedata.category(letter)[0] in "LZN" for letter in name + text):
            return f"{name!r} has other characters than letters, digits, spaces and _.:/=+-@ in its name or value"
    return None


def check_content_type(field: str, text: str) -> None:
    """See that a content type can be written; an empty one means none.

    Raises:
        InvalidRunRequest: It cannot.
    """
    if text and content_type_fault(text):
        raise InvalidRunRequest(field, text, CONTENT_TYPE_FORM)


def check_metadata(field: str, metadata: Mapping[str, str]) -> None:
    """See that metadata can be written.

    Raises:
        InvalidRunRequest: It cannot.
    """
    _check(field, metadata, metadata_fault(metadata))


def check_tags(field: str, tags: Mapping[str, str]) -> None:
    """See that tags can be written.

    Raises:
        InvalidRunRequest: They cannot.
    """
    _check(field, tags, tags_fault(tags))


def check_header(field: str, text: str) -> None:
    """See that a text can be a header's value; an empty one means none.

    Raises:
        InvalidRunRequest: It cannot.
    """
    if text and (len(text) > LONGEST_CONTENT_TYPE or not _VALUE.fullmatch(text) or " " in text):
        raise InvalidRunRequest(
            field, text, f"printable ASCII without spaces, at most {LONGEST_CONTENT_TYPE} characters"
        )


def _check(field: str, value: Mapping[str, str], fault: str | None) -> None:
    if fault is not None:
        raise InvalidRunRequest(field, dict(value), f"what S3 takes: {fault}")


def _units(text: str) -> int:
    """How long a text is in UTF-16, as S3 counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
