"""Words and their counts in `word_table.c`: the table that counts, adds up and sorts."""

from __future__ import annotations

import ctypes
import os
import unicodedata
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from operator import eq

from batch_jobs.native.word_library import word_library
from millrace.errors import DamagedFileError

WORDS, CAPITALS, MIXED = 1, 2, 4
"""Kinds of tokens: words as they stand; those of which a letter that is not ASCII is yet to be put in lower case; and
those in which Python has to look for separators."""

_ALL = WORDS | CAPITALS | MIXED

_UNORDERED, _BY_WORD, _BY_COUNT = 0, 1, 2

_NOT_TEXT, _NO_MEMORY = -1, -2

_LITTLE, _LITTLE_TABLE = 1 << 14, 1 << 18
"""Up to how many bytes of text, or of words, are worked without letting other threads run: handing over costs more."""

_SPARE = bytes(16)
"""What must be readable behind lines."""

_WRITTEN_BYTES = 1 << 20
"""How many bytes of lines are written at once, unless a word alone is longer."""


class NotTextError(ValueError):
    """A token is not UTF-8, or there is a NUL byte. The table is of no use any more."""


class CompiledWords:
    """A table of words and counts, in memory, and not of a limited size.

    Calls let other threads run; two threads must not call one table at the same time. What was never counted in takes
    neither memory nor time.

    Raises:
        MemoryError: From any method that needs more.
    """

    def __init__(self) -> None:
        library = word_library()
        if library is None:
            raise RuntimeError("word_table.c is not compiled: python -m batch_jobs.native.compiling")
        self._library = library
        self._made: int | None = None

    @property
    def _table(self) -> int:
        # Not a cached_property: in Python 3.11 those of all tables share a lock, and the threads wait for each other.
        if self._made is None:
            self._made = self._new_table()
        return self._made

    def _new_table(self) -> int:
        library = self._library
        seed = os.urandom(16)  # words that share a hash cannot be prepared
        numbers = (int.from_bytes(seed[:8], "little"), int.from_bytes(seed[8:], "little"))
        table: int | None = library.words_new(*_sets(), *numbers)
        if not table:
            raise MemoryError
        weakref.finalize(self, library.words_free, table)
        return table

    def __len__(self) -> int:
        """How many distinct words there are."""
        return int(self._library.words_held(self._table)) if self._made else 0

    @property
    def size_bytes(self) -> int:
        """About how much memory the words take."""
        return int(self._library.words_bytes(self._table))

    @property
    def read(self) -> int:
        """How many tokens `count_text` has read."""
        return int(self._library.words_read(self._table)) if self._made else 0

    @property
    def total(self) -> int:
        """The sum of all counts, added up when asked for."""
        return int(self._library.words_sum(self._table))

    def clear(self) -> None:
        """Forget all words."""
        self._library.words_clear(self._table)

    def keep_words(self) -> None:
        """Forget the tokens of other kinds than `WORDS`."""
        _checked(int(self._library.words_keep(self._table, WORDS)))

    def count_text(self, text: bytes, *, last: bool) -> int:
        """Count the tokens of a text of less than 1 GiB.

        Args:
            text: It begins with a token or a separator.
            last: Its end ends a token; else a token that the end cuts is not counted.

        Returns:
            How many bytes of the text were counted.

        Raises:
            NotTextError: See there.
        """
        library = self._library.on_little if len(text) < _LITTLE else self._library
        end = int(library.words_count_text(self._table, text, len(text), last))
        if end == _NOT_TEXT:
            raise NotTextError
        return _checked(end)

    def add_lines(self, lines: bytes) -> int:
        """Add whole lines `word<TAB>count`, whose words are words as they stand.

        Returns:
            The sum of their counts.

        Raises:
            DamagedFileError: A line is none.
        """
        library = self._library.on_little if len(lines) < _LITTLE else self._library
        added = int(library.words_add_lines(self._table, lines + _SPARE, len(lines)))
        if added < _NO_MEMORY:
            raise DamagedFileError("a line is not a word, a tab and a count", operation="read the partial")
        return _checked(added)

    def lines(self, kinds: int = _ALL) -> Iterator[bytes]:
        """`word<TAB>count` lines in no order, some at a time; the table must not change meanwhile.

        Args:
            kinds: Only these: a sum of `WORDS`, `CAPITALS` and `MIXED`. What came by `add_lines` is `WORDS`.
        """
        return self._written(kinds, _UNORDERED, b"\t")

    def lines_by_word(self) -> Iterator[bytes]:
        """The same of every word, in code-point order."""
        return self._written(_ALL, _BY_WORD, b"\t")

    def lines_by_count(self, separator: bytes = b"\t") -> Iterator[bytes]:
        """The same, the highest count first, ties in code-point order.

        Args:
            separator: The byte between a word and its count.
        """
        return self._written(_ALL, _BY_COUNT, separator)

    def _written(self, kinds: int, order: int, separator: bytes) -> Iterator[bytes]:
        library = self._library.on_little if self.size_bytes < _LITTLE_TABLE else self._library
        left = _checked(int(library.words_order(self._table, kinds, order)))
        if not left:
            return
        room = min(_WRITTEN_BYTES, 64 * left)
        buffer = ctypes.create_string_buffer(room)
        following = ctypes.c_uint64(0)
        while size := library.words_write(self._table, ctypes.byref(following), separator[0], buffer, room):
            if size > room:
                buffer, room = ctypes.create_string_buffer(size), size
            else:
                yield ctypes.string_at(buffer, size)


def _checked(result: int) -> int:
    if result == _NO_MEMORY:
        raise MemoryError
    return result


@cache
def _sets() -> tuple[bytes, bytes]:
    """A bit for each code point below 0x20000, the lowest first: is it part of a word, is it its own lower case?"""
    letters = "".join(map(chr, range(0x20000)))
    # By map, at the speed of C: every job does this once.
    categories = list(map(unicodedata.category, letters))
    kept = {category: "1" if category[0] in "LMN" else "0" for category in set(categories)}
    small = map("01".__getitem__, map(eq, map(str.lower, letters), letters))
    return _bits(map(kept.__getitem__, categories)), _bits(small)


def _bits(digits: Iterable[str]) -> bytes:
    joined = "".join(digits)
    return int(joined[::-1], 2).to_bytes(len(joined) // 8, "little")
