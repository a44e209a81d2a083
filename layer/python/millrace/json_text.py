"""Reading JSON that others wrote: whatever it is, it is read, or refused by an error that says what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from millrace.errors import InvalidRunRequest, UsageError

MOST_LEVELS = 64
"""How deep a request may be nested. Python reads some hundred levels more than it can copy, write or show again."""


def read_json(text: str | bytes) -> Any:
    """The document.

    Raises:
        ValueError: It is no JSON, is not UTF-8, is nested too deeply, or has a number of more than 4,300 digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply to be read") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own words name a function to call
        raise ValueError("a whole number in it has more digits than can be read, 4,300") from None


def check_plain(value: object, field: str) -> None:
    """See that a value can be written and read again: no unpaired surrogate, no NaN, and not too deep.

    Args:
        value: What JSON, or a command line, gave.
        field: What it is called in the error, where it is no field of an object.

    Raises:
        InvalidRunRequest: It cannot; a field of an object is named, dotted.
    """
    left: list[tuple[object, str, int]] = [(value, "", 1)]
    while left:
        part, path, level = left.pop()
        if isinstance(part, str) and not _is_text(part):
            raise InvalidRunRequest(path or field, part, "text of valid Unicode, without an unpaired surrogate")
        if isinstance(part, float) and not math.isfinite(part):
            raise InvalidRunRequest(path or field, part, "a finite number")
        if not isinstance(part, Mapping | list | tuple):
            continue
        if level > MOST_LEVELS:
            raise InvalidRunRequest(
                path or field, f"nested in {level} levels and more", f"at most {MOST_LEVELS} levels"
            )
        if not isinstance(part, Mapping):
            left += [(element, path, level + 1) for element in part]
            continue
        for name, element in part.items():
            if not _is_text(str(name)):
                raise InvalidRunRequest(path or field, str(name), "names of valid Unicode, no unpaired surrogate")
            # A path of three names is enough to find the place; one of sixty is unreadable.
            deeper = path if path.count(".") >= 2 else f"{path}.{name}" if path else str(name)
            left.append((element, deeper, level + 1))


def check_arguments(arguments: Sequence[str]) -> None:
    """See that a command line is text: Python keeps a byte that is not UTF-8 as half a surrogate pair.

    Raises:
        UsageError: An argument is not.
    """
    for number, argument in enumerate(arguments, start=1):
        if not _is_text(argument):
            shown = argument.encode("ascii", "backslashreplace").decode()[:200]
            raise UsageError(f"argument {number} is not UTF-8: {shown}")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
