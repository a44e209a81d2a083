"""The template's parameters as the command line takes them and hands them to sam."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from millrace.errors import InvalidRunRequest

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""The functions' runtime here: `sam build` needs the interpreter, and the embedded AWS runs functions with it."""

NO_PARAMETERS: Mapping[str, str] = {}
OURS = ("Image", "LambdaRuntime")
"""Parameters that follow from this machine."""


def parameters_of(given: Iterable[str], ours: tuple[str, ...] = OURS) -> dict[str, str]:
    """Read `NAME=VALUE …`.

    Args:
        given: What the user wrote.
        ours: Parameters that no user can choose here.

    Raises:
        InvalidRunRequest: One is not of that form, is given twice, or is none that a user can choose here.
    """
    parameters: dict[str, str] = {}
    for words in given:
        name, equals, value = words.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9]{1,255}", name) or name in ours or not value.isprintable():
            allowed = f"NAME=VALUE, a parameter of template.yaml, not {' or '.join(ours)}, and a value in one line"
            raise InvalidRunRequest("parameter", words, allowed)
        if name in parameters:
            raise InvalidRunRequest("parameter", words, f"{name} once")
        parameters[name] = value
    return parameters


def quoted(value: str) -> str:
    """A value as sam takes it apart: in quotes, it stays whole.

    sam takes back a backslash before a quote or a blank and leaves any other, so that it can be told no text with a
    backslash before a quote. In JSON those are written by their numbers.
    """
    if value.startswith(("{", "[")):
        value = re.sub(r'\\(["\\])', lambda found: f"\\u{ord(found[1]):04x}", value)
    return '"' + value.replace("\\ ", "\\\\ ").replace('"', '\\"') + '"'
