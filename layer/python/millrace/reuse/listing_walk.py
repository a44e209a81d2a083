"""Where the lines of an earlier run's shards are in a new listing: both are walked side by side, in the order of keys.

Most lines are the same, and follow each other: they are compared as bytes, a whole shard at once. Behind a difference
the two fall into step again; only where keys are far apart is one looked for, by the first keys of blocks of lines.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from millrace.planning.item_store import ItemStore
from millrace.reuse.places import Places

_WINDOW = 1024
"""So many lines of the listing are read at once where it is walked."""

_BLOCK = 64
"""Of so many lines, the first key is in memory: 20 MB of ten million keys of a hundred bytes."""

_BLOCKS = 512
"""So many blocks are kept that were looked into."""

_SKIPPED = 8
"""So many lines of the listing are passed over one by one; behind more of them a key is looked for."""

NO_ETAG = b'"etag":""'


class ListingWalk:
    """A place in a listing that moves along with the lines that are looked for.

    Args:
        items: The items of the listing, in the order of their keys' UTF-8 bytes.
    """

    def __init__(self, items: ItemStore) -> None:
        self._items = items
        self._blocks: dict[int, list[bytes]] = {}
        self._text, self._place, self._at = b"", 0, 0  # some lines, where in them the next one begins, its position
        self._known: tuple[bytes, range, dict[bytes, int]] = (b"", range(0), {})

    def stretch(self, text: bytes, count: int) -> range | None:
        """The positions of some lines, where they follow each other in the listing, byte for byte.

        Args:
            text: The lines, each with its line feed.
            count: How many they are.
        """
        if not count or NO_ETAG in text:
            return None
        first = text[: text.index(b"\n") + 1]
        if not self._next().startswith(key_part(first)):
            self._seek(key_of(first))
        found = range(self._at, self._at + count)
        if found.stop > len(self._items):
            return None
        here = self._items.lines(found)
        if here != text:
            self._text, self._place = here, 0  # `places` goes on from there
            return None
        self._text, self._place, self._at = b"", 0, found.stop
        return found

    def places(self, joined: bytes) -> Places:
        """Where each line's item is, unchanged.

        One without an ETag is the same by name alone: nobody knows whether it changed.

        Args:
            joined: The lines, each with its line feed; the fewer of them go back, the faster.
        """
        found = Places()
        text, place, at = self._text, self._place, self._at
        lines = joined.splitlines(keepends=True)  # a line's own line breaks are escaped
        starts = list(accumulate(map(len, lines), initial=0))
        number, step, count = 0, 1, len(lines)
        begin, first = number, at  # of the lines that are the same so far
        while number < count:
            # Twice as many lines at once as long as they are the same, else half as many: differences are few.
            stop = min(number + step, count)
            if text.startswith(joined[starts[number] : starts[stop]], place):
                place += starts[stop] - starts[number]
                at += stop - number
                number, step = stop, step * 2
                continue
            if step > 1:
                step //= 2
                continue
            if begin < number:
                found.runs.append((begin, range(first, at)))
            behind = text.find(b"\n", place) + 1
            if behind and text.startswith(lines[number], behind):  # one came in between
                begin, first, place = number, at + 1, behind + len(lines[number])
                number, at = number + 1, at + 2
                continue
            self._text, self._place, self._at = text, place, at
            same, there = self._other(lines[number])
            text, place, at = self._text, self._place, self._at
            if same < 0:
                found.others.append((number, there))
            else:
                found.runs.append((number, range(same, same + 1)))
                found.exact = found.exact and text.endswith(lines[number], 0, place)
            number += 1
            begin, first = number, at
        if begin < number:
            found.runs.append((begin, range(first, at)))
        self._text, self._place, self._at = text, place, at
        if NO_ETAG in joined:
            found.name_others(bytes(NO_ETAG in line for line in lines))
        return found

    def _other(self, line: bytes) -> tuple[int, Sequence[int]]:
        """Where the item of a line is that is not simply the next one; and where the items of its key are."""
        here = self._next()
        if here.startswith(key_part(line)) and b',"first_byte":' not in line + here:
            self._step(here)
            return (self._at - 1 if _same(line, here) else -1), (self._at - 1,)
        key = key_of(line)
        for _ in range(_SKIPPED):
            here = self._next()
            there = key_of(here) if here else b""
            if not here or there > key:
                if self._is_behind(key):
                    return -1, ()
                break
            if there == key:
                if b',"first_byte":' in line or b',"first_byte":' in here:
                    break  # one of several items of this key
                at = self._at
                self._step(here)
                return (at if _same(line, here) else -1), (at,)
            self._step(here)
        return self._looked_up(line, key)

    def _looked_up(self, line: bytes, key: bytes) -> tuple[int, Sequence[int]]:
        if self._known[0] != key:
            self._seek(key)
            identities: dict[bytes, int] = {}
            start = self._at
            while (here := self._next()) and key_of(here) == key:
                was = identity(here)
                if was is not None:
                    identities.setdefault(was, self._at)
                self._step(here)
            self._known = key, range(start, self._at), identities
        _, there, identities = self._known
        was = identity(line)
        return (-1 if was is None else identities.get(was, -1)), there

    def _next(self) -> bytes:
        """The line that is next; empty at the listing's end."""
        if self._place == len(self._text):
            window = range(self._at, min(self._at + _WINDOW, len(self._items)))
            self._text, self._place = self._items.lines(window), 0
        end = self._text.find(b"\n", self._place)
        return self._text[self._place : end + 1]

    def _step(self, line: bytes) -> None:
        self._place += len(line)
        self._at += 1

    def _is_behind(self, key: bytes) -> bool:
        """Whether the line before the next one has an earlier key."""
        if not self._at:
            return True
        end = self._place - 1
        if end >= 0:
            before = self._text[self._text.rfind(b"\n", 0, end) + 1 : end + 1]
        else:
            before = self._items.lines(range(self._at - 1, self._at))
        return key_of(before) < key

    def _seek(self, key: bytes) -> None:
        """Go to the first item of this key, or of the first later one."""
        block = max(bisect_left(self._firsts, key) - 1, 0)
        lines = self._block(block)
        inside = bisect_left(lines, key, key=key_of)
        self._at = block * _BLOCK + inside
        self._text, self._place = b"".join(lines[inside:]), 0

    def _block(self, number: int) -> list[bytes]:
        lines = self._blocks.get(number)
        if lines is None:
            start = number * _BLOCK
            text = self._items.lines(range(start, min(start + _BLOCK, len(self._items))))
            lines = text.splitlines(keepends=True)  # a line's own line breaks are escaped
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            self._blocks[number] = lines
        return lines

    @cached_property
    def _firsts(self) -> list[bytes]:
        """The first key of each block."""
        items = self._items
        return [key_of(items.lines(range(start, start + 1))) for start in range(0, len(items), _BLOCK)]


def key_part(line: bytes) -> bytes:
    """The beginning of an item's line, with its key: the same for the items of one key alone."""
    # Inside the key the quotes would be escaped.
    return line[: line.index(b'","size":')]


def key_of(line: bytes) -> bytes:
    """The key of an item's line, as UTF-8: listings are in the order of these bytes."""
    key = line[8 : line.index(b'","size":')]
    if b"\\" not in key:
        return key
    text: str = json.loads(b'"%b"' % key)
    return text.encode()


_STORAGE_CLASS = re.compile(rb',"storage_class":"[^"]*"')


def identity(line: bytes) -> bytes | None:
    """What an item is known by; None where nothing says that it did not change, or where it is not worked at all.

    The storage class may change: the bytes are the same. All else of a line says which object it is, and which part.
    """
    if NO_ETAG in line or b',"shares_output":' in line:
        return None
    return _STORAGE_CLASS.sub(b"", line) if b',"storage_class":' in line else line


def _same(one: bytes, other: bytes) -> bool:
    was = identity(one)
    return was is not None and was == identity(other)
