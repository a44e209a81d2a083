"""The pace of a workload, how many seconds an item takes a child and how many its bytes: said, and shown by commits.

Only arithmetic: nothing is read or written here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from millrace.errors import InvalidRunRequest
from millrace.workload.options import unknown_name

SECONDS_PER_ITEM = (1e-6, 86_400.0)
"""What an item may be said to take: a microsecond to a day."""

BYTES_PER_SECOND = (1.0, 100e9)
"""How many bytes a child may be said to work in a second; the most of them stands for bytes that cost nothing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one child works that has one vCPU or more: all that it does for an item, requests included.

    Attributes:
        seconds_per_item: The requests and the fixed cost of one object, whatever its size.
        bytes_per_second: What its bytes cost on top.
        outputs: How many objects are written for each.
    """

    seconds_per_item: float
    bytes_per_second: float
    outputs: float = 1

    def seconds(self, items: float, size: float) -> float:
        """How long one child works so many items, of so many bytes together."""
        return items * self.seconds_per_item + size / self.bytes_per_second

    def slower(self, factor: float) -> Pace:
        """The pace of a child that takes so many times as long, within what a pace may be."""
        return replace(
            self,
            seconds_per_item=_within(SECONDS_PER_ITEM, self.seconds_per_item * factor),
            bytes_per_second=_within(BYTES_PER_SECOND, self.bytes_per_second / factor),
        )

    def known(self) -> dict[str, float]:
        """What of it is said and measured, as plan.json and latest.json hold it."""
        return {"seconds_per_item": self.seconds_per_item, "bytes_per_second": self.bytes_per_second}

    def given(self, known: Mapping[str, float] | None) -> Pace:
        """This pace, but for what is known better: seconds_per_item, bytes_per_second, or both."""
        return replace(self, **(known or {}))


def checked_pace(given: object, name: str = "pace") -> dict[str, float] | None:
    """What a user knows of a workload's pace.

    Args:
        given: An object of seconds_per_item, bytes_per_second, or both; None for nothing.
        name: The field, for the error.

    Raises:
        InvalidRunRequest: It is something else, or a number is out of bounds.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given:
        raise InvalidRunRequest(name, given, "an object of seconds_per_item, bytes_per_second, or both")
    for field_name, value in given.items():
        if field_name not in _PACE:
            raise InvalidRunRequest(f"{name}.{field_name}", value, unknown_name(str(field_name), _PACE))
        (low, high), allowed = _PACE[field_name]
        # Not a number is in no order with any: it is out of bounds.
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidRunRequest(f"{name}.{field_name}", value, allowed)
    return {field_name: float(value) for field_name, value in given.items()}


_PACE = {
    "seconds_per_item": (SECONDS_PER_ITEM, "a number of seconds, 0.000001 to 86,400, a day"),
    "bytes_per_second": (BYTES_PER_SECOND, "a number of bytes, 1 to 100,000,000,000"),
}


def _within(bounds: tuple[float, float], value: float) -> float:
    return min(max(value, bounds[0]), bounds[1])


LEAST_SECONDS = 10.0
"""Less work than this says nothing about a pace: a shard's own files and first request would count as its items'."""

_ALIKE = 1e-3
"""Shards are alike where the squares of items and bytes vary together but for this share: no line through them
separates what is the items' and what is the bytes'."""


class Worked(Protocol):
    """What a commit shows, a `ShardFigure` say: so many items, of so many bytes, took a child so many seconds."""

    @property
    def items(self) -> float: ...  # noqa: D102
    @property
    def bytes(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class WorkedShard:
    """Such a shard, of numbers."""

    items: float
    bytes: float
    seconds: float


def fitted(shards: Iterable[Worked], expected: Pace) -> Pace | None:
    """The pace that shards were worked at, by least squares over them, neither part of it negative.

    It comes out at the seconds that the shards took together, whatever single ones took. Where they do not show the
    items' share from the bytes' (a single one, or all alike), the two stand to each other as was expected.

    Args:
        shards: What was worked. What took no time, or has no number, is passed over.
        expected: The pace that was expected.

    Returns:
        The pace; None where too little was worked to measure it.
    """
    worked = [each for each in shards if each.items > 0 and each.bytes >= 0 and 0 < each.seconds < math.inf]
    seconds = math.fsum(each.seconds for each in worked)
    if seconds < LEAST_SECONDS:
        return None
    pace = _by_least_squares(worked, expected) or expected
    took = math.fsum(pace.seconds(each.items, each.bytes) for each in worked)
    return pace.slower(seconds / took)


def _by_least_squares(worked: list[Worked], expected: Pace) -> Pace | None:
    """Both parts of the pace, or the one that is not negative; None where the shards cannot separate them."""
    # In units of what was expected, so that neither sum drowns the other.
    points = [
        (each.items * expected.seconds_per_item, each.bytes / expected.bytes_per_second, each.seconds)
        for each in worked
    ]
    xx, xy, yy = (math.fsum(value) for value in zip(*((x * x, x * y, y * y) for x, y, _ in points), strict=True))
    xs, ys = (math.fsum(value) for value in zip(*((x * s, y * s) for x, y, s in points), strict=True))
    determinant = xx * yy - xy * xy
    if determinant <= _ALIKE * xx * yy:
        return None
    per_item, per_byte = (xs * yy - ys * xy) / determinant, (ys * xx - xs * xy) / determinant
    if per_item <= 0:
        per_item, per_byte = 0.0, ys / yy
    elif per_byte <= 0:
        per_item, per_byte = xs / xx, 0.0
    return replace(
        expected,
        seconds_per_item=max(SECONDS_PER_ITEM[0], expected.seconds_per_item * per_item),
        bytes_per_second=min(BYTES_PER_SECOND[1], expected.bytes_per_second / per_byte)
        if per_byte
        else BYTES_PER_SECOND[1],
    )
