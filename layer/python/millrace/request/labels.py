"""The name and the tags that people give a run, to find it again: checked as AWS checks tags.

Tags on AWS resources: at most 50, a key of 1 to 128 characters that does not begin with `aws:`, a value of at most 256;
letters, digits and spaces of any script, and `_ . : / = + - @` (AWS General Reference, "Tag naming limits and
requirements"). A name follows the rules of a value, and is not empty.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from millrace.errors import InvalidRunRequest

MAX_TAGS = 50
MAX_KEY = 128
MAX_VALUE = 256
_SIGNS = "_.:/=+-@"
_WORDS = "letters, digits, spaces and _ . : / = + - @"


def checked_name(value: object) -> str | None:
    """The name of a run.

    Args:
        value: What the request has; None for a run without a name.

    Raises:
        InvalidRunRequest: It is not 1 to 256 characters that a tag may have.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not _is_allowed(value, MAX_VALUE):
        raise InvalidRunRequest("name", value, f"1 to {MAX_VALUE} characters: {_WORDS}")
    return value


def checked_tags(value: object) -> dict[str, str]:
    """The tags of a run.

    Args:
        value: What the request has.

    Raises:
        InvalidRunRequest: They are not an object of texts, too many, too long, or have other characters.
    """
    if not isinstance(value, Mapping) or len(value) > MAX_TAGS:
        raise InvalidRunRequest("tags", value, f'an object of at most {MAX_TAGS} texts, {{"team": "search"}}')
    for key, text in value.items():
        if not isinstance(key, str) or not key.strip() or not _is_allowed(key, MAX_KEY):
            raise InvalidRunRequest("tags", key, f"keys of 1 to {MAX_KEY} characters: {_WORDS}")
        if key.lower().startswith("aws:"):
            raise InvalidRunRequest("tags", key, "keys that do not begin with aws: these are AWS's own")
        if not isinstance(text, str) or not _is_allowed(text, MAX_VALUE):
            raise InvalidRunRequest(f"tags.{key}", text, f"a text of at most {MAX_VALUE} characters: {_WORDS}")
    return dict(value)


def labels_of(request: Mapping[str, object]) -> tuple[str | None, dict[str, str]]:
    """The name and the tags of a request that somebody else may have written; what is none of ours is left out."""
    try:
        name = checked_name(request.get("name"))
    except InvalidRunRequest:
        name = None
    try:
        return name, checked_tags(request.get("tags") or {})
    except InvalidRunRequest:
        return name, {}


def tags_text(tags: Mapping[str, str]) -> str:
    """The tags for people: `team=search, stage=test`; empty where there are none."""
    return ", ".join(f"{key}={value}" if value else key for key, value in sorted(tags.items()))


def _is_allowed(text: str, most: int) -> bool:
    return len(text) <= most and all(
        each in _SIGNS or unicodedata.category(each)[0] in "LN" or unicodedata.category(each) == "Zs" for each in text
    )
