"""Where the items of a shard are in a new listing: in runs, as most of them follow each other there too."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Run = tuple[int, range]
"""Items that follow each other in a shard and in the listing: the first one's place in the shard, their positions."""

_MARKED = re.compile(b"\x01+")


@dataclass(slots=True)
class Places:
    """Where the items of a shard are, unchanged.

    Attributes:
        runs: The items that are there, in the shard's order.
        others: The other ones' places in the shard, and the positions of the items of each one's key: none where that
            is gone.
        exact: Whether the lines of all that are there are the same, byte for byte.
    """

    runs: list[Run] = field(default_factory=list)
    others: list[tuple[int, Sequence[int]]] = field(default_factory=list)
    exact: bool = True

    def name_others(self, mask: bytes | bytearray) -> None:
        """Count those items as others that are marked by a 1 at their places in the shard."""
        for number, positions in only(self.runs, mask):
            self.others += [(each, (at,)) for each, at in enumerate(positions, number)]
        self.runs = only(self.runs, turned(mask))


def turned(mask: bytes | bytearray) -> bytes | bytearray:
    """The mask of the other items."""
    return mask.translate(_TURNED)


_TURNED = bytes([1, *bytes(255)])


def mask_of(numbers: Collection[int], items: int) -> bytes | bytearray:
    """Places in a shard of so many items as a byte for each item, 1 or 0."""
    if isinstance(numbers, range) and numbers == range(items):
        return b"\x01" * items
    mask = bytearray(items)
    for number in numbers:
        mask[number] = 1
    return mask


def only(runs: Iterable[Run], mask: bytes | bytearray) -> list[Run]:
    """The items that are marked by a 1 at their places in the shard."""
    if mask.find(0) < 0:
        return list(runs)
    found: list[Run] = []
    for number, positions in runs:
        stop = number + len(positions)
        if mask.find(0, number, stop) < 0:
            found.append((number, positions))
            continue
        for each in _MARKED.finditer(mask, number, stop):
            begin, end = each.span()
            found.append((begin, positions[begin - number : end - number]))
    return found


def overlap(runs: Sequence[Run]) -> bool:
    """Whether an item of the listing is in two of them."""
    if all(one.stop <= two.start for (_, one), (_, two) in pairwise(runs)):
        return False
    ranges = sorted((positions.start, positions.stop) for _, positions in runs)
    return any(stop > start for (_, stop), (start, _) in pairwise(ranges))


def count(runs: Iterable[Run]) -> int:
    """How many items they have."""
    return sum(len(positions) for _, positions in runs)


def bounds(stretches: Iterable[tuple[int, int]]) -> array[int]:
    """Stretches of places or positions, joined where one begins at the end of the one before it.

    Args:
        stretches: Where each begins, and the place behind its end.

    Returns:
        The same of those that are left, one behind the other.
    """
    found: list[int] = []
    end = -1
    for start, stop in stretches:
        if start == end:
            found[-1] = stop
        else:
            found += (start, stop)
        end = stop
    return array("I", found)


def numbers_of(runs: Iterable[Run]) -> array[int]:
    """The `bounds` of items' places in the shard."""
    return bounds((number, number + len(positions)) for number, positions in runs)


def positions_of(runs: Iterable[Run]) -> array[int]:
    """The `bounds` of items' positions in the listing."""
    return bounds((positions.start, positions.stop) for _, positions in runs)


def count_within(stretches: Sequence[int]) -> int:
    """How many `bounds` have between them."""
    return sum(stretches[1::2]) - sum(stretches[::2])


def within(stretches: Sequence[int]) -> list[int]:
    """The places that `bounds` gave the ends of."""
    return [place for at in range(0, len(stretches), 2) for place in range(stretches[at], stretches[at + 1])]
