"""A cell's text as an attribute value in DynamoDB's JSON: `"S":"…"`, `"N":"…"`, without the braces around it.

Rules and limits: DynamoDB developer guide, supported data types, and Service quotas for items and attributes.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from millrace.encoded_text import undecoded

quoted: Callable[[str], str] = encode_basestring
"""A text as a JSON string, quotes included, nothing escaped that need not be."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)

_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})

_MAX_DEPTH = 31
"""One level less than DynamoDB allows: the item itself is one."""


class CellError(ValueError):
    """A cell cannot be what its column says. The message says why, without the column's name."""


def string(text: str) -> str:
    """A string: the cell's text, character by character."""
    return f'"S":{quoted(text)}'


def number(text: str) -> str:
    """A number, exactly; blanks around it do not count.

    Raises:
        CellError: It is no number, or one that DynamoDB would round or refuse.
    """
    stripped = text.strip()
    return f'"N":"{stripped if _PLAIN_NUMBER.fullmatch(stripped) else exact_number(stripped)}"'


def exact_number(text: str) -> Decimal:
    """The number, normalised: two texts of the same number give the same.

    Raises:
        CellError: It is no number, has more than 38 significant digits, or is outside 1E-130 to 9.99E+125.
    """
    # Before the pattern, which tries every way to share out the digits of a text that is no number.
    if len(text) > 400:
        raise CellError(f"{shown(text)} is too long for a number: more than 400 characters")
    if not _NUMBER.fullmatch(text):
        raise CellError(f"{shown(text)} is not a number")
    value = Decimal(text)
    if not value:
        return Decimal(0)
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    if len(digits) > 38 or not -130 <= value.adjusted() <= 125:
        raise CellError(f"{shown(text)} is more than a DynamoDB number holds: 38 digits, 1E-130 to 9.99E+125")
    return Decimal((value.as_tuple().sign, tuple(map(int, digits)), value.adjusted() - len(digits) + 1))


def boolean(text: str) -> str:
    """True or false, in any case: true, t, yes, y, 1; false, f, no, n, 0.

    Raises:
        CellError: It is neither.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return '"BOOL":true'
    if word in _FALSE:
        return '"BOOL":false'
    raise CellError(f"{shown(text)} is not true or false")


def binary(text: str) -> str:
    """Bytes, given in base64.

    Raises:
        CellError: It is not base64.
    """
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise CellError(f"{shown(text)} is not base64") from None
    return f'"B":"{base64.b64encode(raw).decode()}"'


def document(text: str) -> str:
    """A JSON document: objects become maps, arrays lists.

    Raises:
        CellError: It is not JSON, too deep, or holds a number that DynamoDB would round or refuse.
    """
    try:
        value = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except (ValueError, RecursionError):
        raise CellError(f"{shown(text)} is not JSON") from None
    found = _document(value, 1)
    # Bytes of the file that are no UTF-8 came with the text; all else was written as \ud800.
    if undecoded(found) and not undecoded(text):
        raise CellError("the JSON document holds an unpaired surrogate")
    return found


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """What DynamoDB counts for an item: names and values, no JSON (developer guide, item sizes and formats)."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def shown(text: str) -> str:
    """The text as an error shows it: quoted, in ASCII, at most 80 characters."""
    return ascii(text) if len(text) <= 80 else ascii(text[:79]) + "…"


class _Number(str):
    """A number's digits as the JSON document has them."""

    __slots__ = ()


def _document(value: Any, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise CellError(f"the JSON document is deeper than {_MAX_DEPTH} levels")
    match value:
        case None:
            return '"NULL":true'
        case bool():
            return f'"BOOL":{"true" if value else "false"}'
        case _Number():
            return number(value)
        case str():
            return string(value)
        case list():
            return '"L":[' + ",".join(f"{{{_document(entry, depth + 1)}}}" for entry in value) + "]"
        case _:
            entries = (f"{quoted(name)}:{{{_document(entry, depth + 1)}}}" for name, entry in value.items())
            return '"M":{' + ",".join(entries) + "}"


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content) + 1) // 2 + 1
        case "B":
            return len(base64.b64decode(content))
        case "L":
            return 3 + sum(1 + _value_bytes(entry) for entry in content)
        case "M":
            return 3 + len(content) + item_bytes(content)
        case _:
            return 1


ENCODERS: dict[str, Callable[[str], str]] = {
    "S": string,
    "N": number,
    "BOOL": boolean,
    "B": binary,
    "JSON": document,
}
"""By the types that the option `types` names."""
