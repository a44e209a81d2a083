"""Where the lines of an earlier run's shards are in a new listing: both are walked side by side, in the order of keys.

Most lines are the same, and follow each other: they are compared as bytes, a whole shard at once. Where one differs,
lines are compared one by one, and behind a difference the two fall into step again; only where keys are far apart is
one looked for, by the first keys of blocks of lines.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import compress, count, islice
from operator import ne

from millrace.planning.item_store import ItemStore
from millrace.reuse.places import Places

_WINDOW = 128
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
        self._lines: list[bytes] = []
        self._place, self._at = 0, 0  # of the next line: its place among these, its position
        self._known: tuple[bytes, range, dict[bytes, int]] = (b"", range(0), {})

    def stretch(self, text: bytes, count: int) -> range | None:
        """The positions of some lines, where they follow each other in the listing, byte for byte.

        Args:
            text: The lines, each with its line feed.
            count: How many they are.
        """
        if not count or NO_ETAG in text:
            return None
        here = self._ahead(count)
        if here != text:
            first = text[: text.index(b"\n") + 1]
            if not here.startswith(key_part(first)):
                self._seek(key_of(first))
                here = self._ahead(count)
        if here != text:
            self._lines, self._place = here.splitlines(keepends=True), 0  # `places` goes on from there
            return None
        found = range(self._at, self._at + count)
        self._lines, self._place, self._at = [], 0, found.stop
        return found

    def _ahead(self, count: int) -> bytes:
        return self._items.lines(range(self._at, min(self._at + count, len(self._items))))

    def places(self, joined: bytes) -> Places:
        """Where each line's item is, unchanged.

        One without an ETag is the same by name alone: nobody knows whether it changed.

        Args:
            joined: The lines, each with its line feed; the fewer of them go back, the faster.
        """
        found = Places()
        lines = joined.splitlines(keepends=True)  # a line's own line breaks are escaped
        number = 0
        while (number := self._in_step(lines, number, found)) < len(lines):
            same, there = self._other(lines[number])
            if same < 0:
                found.others.append((number, there))
            else:
                found.runs.append((number, range(same, same + 1)))
                found.exact = found.exact and self._lines[self._place - 1 : self._place] == lines[number : number + 1]
            number += 1
        if NO_ETAG in joined:
            found.name_others(bytes(NO_ETAG in line for line in lines))
        return found

    def _in_step(self, lines: Sequence[bytes], begin: int, found: Places) -> int:
        """Find lines while they are the same as in the listing, or single ones changed, are gone or came in between.

        Args:
            lines: A shard's.
            begin: The number of the first that is not found yet.
            found: What was found is added.

        Returns:
            The next number: of the line that has to be looked for, or that is behind the last one.
        """
        if begin == len(lines) or not self._next():
            return begin
        here, first = self._lines, self._at - self._place
        ahead = self._at - begin  # of a line's number is its position in the listing
        numbers, ours, theirs = count(begin), islice(lines, begin, None), islice(here, self._place, None)
        for number in compress(numbers, map(ne, theirs, ours)):
            if begin < number:
                found.runs.append((begin, range(begin + ahead, number + ahead)))
            begin = number + 1
            line, place = lines[number], number + ahead - first
            there = here[place]
            if there.startswith(key_part(line)):
                if b',"first_byte":' in line + there:
                    break
                at = number + ahead
                if _same(line, there):
                    found.runs.append((number, range(at, at + 1)))
                    found.exact = False
                else:
                    found.others.append((number, (at,)))
            elif here[place + 1 : place + 2] == [line]:  # one came in between
                next(theirs)
                begin, ahead = number, ahead + 1
            elif (
                lines[number + 1 : number + 2] == [there]
                and place
                and key_of(here[place - 1]) < key_of(line) < key_of(there)
            ):  # this one is gone
                found.others.append((number, ()))
                next(ours)
                next(numbers)
                ahead -= 1
            else:
                break
        else:
            number = min(len(lines), len(here) + first - ahead)
            if begin < number:
                found.runs.append((begin, range(begin + ahead, number + ahead)))
        self._at = number + ahead
        self._place = self._at - first
        return number

    def _other(self, line: bytes) -> tuple[int, Sequence[int]]:
        """Where the item of a line is that is not simply the next one; and where the items of its key are."""
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
                self._step()
                return (at if _same(line, here) else -1), (at,)
            self._step()
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
                self._step()
            self._known = key, range(start, self._at), identities
        _, there, identities = self._known
        was = identity(line)
        return (-1 if was is None else identities.get(was, -1)), there

    def _next(self) -> bytes:
        """The line that is next; empty at the listing's end."""
        if self._place == len(self._lines):
            self._lines, self._place = self._ahead(_WINDOW).splitlines(keepends=True), 0
        return self._lines[self._place] if self._lines else b""

    def _step(self) -> None:
        self._place += 1
        self._at += 1

    def _is_behind(self, key: bytes) -> bool:
        """Whether the line before the next one has an earlier key."""
        if not self._at:
            return True
        before = self._lines[self._place - 1] if self._place else self._items.lines(range(self._at - 1, self._at))
        return key_of(before) < key

    def _seek(self, key: bytes) -> None:
        """Go to the first item of this key, or of the first later one."""
        block = max(bisect_left(self._firsts, key) - 1, 0)
        lines = self._block(block)
        inside = bisect_left(lines, key, key=key_of)
        self._at = block * _BLOCK + inside
        self._lines, self._place = lines, inside

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
