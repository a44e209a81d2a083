"""The run request, from a command's options to the execution input."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from console.directories import Place, refuse_overlap
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.options import WORKLOAD_OPTIONS, Option
from millrace.request import RunRequest


@dataclass(frozen=True)
class RunOrder:
    """What the user asked for, checked before anything is started.

    Attributes:
        source: The folder or URI to read.
        destination: The folder or URI to write.
        rest: The other fields of the execution input that the user gave.
    """

    source: Place
    destination: Place
    rest: dict[str, Any]

    @classmethod
    def check(cls, source: str, destination: str, rest: dict[str, Any]) -> RunOrder:
        """Check an order with the rules that Prepare Run checks the execution input with.

        Raises:
            InvalidRunRequest: A field is wrong; nothing has been started.
        """
        order = cls(Place.parse(source, "source"), Place.parse(destination, "destination"), rest)
        refuse_overlap(order.source, order.destination)
        # The names of the stack's buckets are not known yet; any two that differ do for the check.
        RunRequest.parse(order.request("source-folder", "destination-folder"))
        return order

    def request(self, source_bucket: str, result_bucket: str) -> dict[str, Any]:
        """The execution input.

        Args:
            source_bucket: The stack's bucket for sources, for a folder of this machine.
            result_bucket: The stack's bucket for results, likewise.
        """
        return {
            "source": str(self.source.uri(source_bucket)),
            "destination": str(self.destination.uri(result_bucket)),
            **self.rest,
        }

    def destination_uri(self, result_bucket: str) -> S3Uri:
        """The destination in S3."""
        return self.destination.uri(result_bucket)


def workload_options(workload: str, given: Iterable[str]) -> dict[str, object]:
    """Read `--option K=V …` by the types that the workload declares.

    A whole number, true or false, or a string is written as it is. A list is a JSON list, or the option given
    several times. Whether a name is known and a value allowed is for `RunRequest.parse` to say.

    Args:
        workload: The workload's name.
        given: The options in the user's words.

    Raises:
        InvalidRunRequest: One has no `=`, or is given twice without being a list.
    """
    declared = {option.name: option for option in WORKLOAD_OPTIONS.get(workload, ())}
    options: dict[str, object] = {}
    for words in given:
        name, equals, text = words.partition("=")
        if not equals or not name:
            raise InvalidRunRequest("option", words, "NAME=VALUE")
        value = _value(declared.get(name), text)
        earlier = options.get(name)
        if isinstance(earlier, list) and isinstance(value, list):
            value = [*earlier, *value]
        elif name in options:
            raise InvalidRunRequest(f"options.{name}", text, "one value; it is given twice")
        options[name] = value
    return options


def _value(option: Option | None, text: str) -> object:
    default = option.default if option else ""
    if isinstance(default, tuple):
        found = _json(text)
        return found if isinstance(found, list) else [text]
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, int):
        found = _json(text)
        return found if isinstance(found, int) else text
    return text


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
