"""Counting words with NumPy, a block at a time: for texts from some ten kB up.

A word of up to 8 bytes is one unsigned 64-bit integer, one of up to 16 bytes two, one of up to 32 bytes four. So a
block of text becomes columns of numbers, cut out at the places where a separator borders on a letter, and each step
is one pass over a column. Longer tokens (Chinese sentences) are counted by the standard library.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from batch_jobs.workloads.column_counts import Column, ColumnCounts, Numbers
from batch_jobs.workloads.word_counter import FLUSH_BYTES, check_sum, repaired
from batch_jobs.workloads.word_totals import WordTotals
from batch_jobs.workloads.words import spaced

_WIDTHS = ((1, 16), (2, 14), (4, 13))
"""For each class of words: how many 8-byte columns it has, and the size of its table in bits: all fit the L2 cache."""

_PADDING = b" " * 40
"""So that the columns of the last word can be read past its end."""

_FLUSH_ROWS = 1 << 20
"""The most distinct tokens held as columns: about 40 MB."""

_KEPT = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
"""By the number of a word's bytes in a column: the bits to keep. Little-endian: the first byte is the lowest."""


class ColumnCounter:
    """Counts the words of one text; the same results as `WordCounter`.

    Attributes:
        block_bytes: How long the blocks shall be that it is fed: their columns stay in the L2 cache.
    """

    block_bytes = 1 << 19

    def __init__(self) -> None:
        self._totals = WordTotals()
        self._classes = [ColumnCounts(width, bits) for width, bits in _WIDTHS]
        self._long: Counter[bytes] = Counter()
        self._read = self._long_bytes = 0

    def feed(self, block: bytes) -> None:
        """Count a block of `word_blocks`."""
        long = self._feed(block)
        if any(map(_may_be_many, long)):
            # Chinese sentences, say, of which every one is new: made words at once, and counted as such.
            long = self._feed(spaced(b" ".join(long).decode()).lower().encode())
        self._read += len(long)
        self._long.update(long)
        self._long_bytes += sum(map(len, long))
        if self._long_bytes >= FLUSH_BYTES or sum(counts.rows for counts in self._classes) > _FLUSH_ROWS:
            self._flush()

    def totals(self) -> WordTotals:
        """The words of all blocks.

        Raises:
            MiscountError: The counts do not add up to the number of words read.
        """
        self._flush()
        return self._totals

    def _feed(self, block: bytes) -> list[bytes]:
        """Count the tokens of up to 32 bytes, and return the others."""
        text = b" " + block + _PADDING
        letters = np.frombuffer(text, np.uint8) != 32
        edges = np.flatnonzero(letters[1:] != letters[:-1])
        starts = edges[0::2] + 1
        lengths = edges[1::2] - edges[0::2]
        at: Column = np.ndarray((len(text) - 7,), "<u8", text, 0, (1,))
        for counts in self._classes:
            if not len(starts):
                return []
            columns = _columns(at, starts, lengths, counts.width)
            longer = np.flatnonzero(lengths > 8 * counts.width)
            self._read += len(starts) - len(longer)
            for column in columns:
                column[longer] = 0
            counts.add(columns)
            starts, lengths = starts.take(longer), lengths.take(longer)
        ends = starts + lengths
        return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _flush(self) -> None:
        counted = [self._long.total()]
        for counts in self._classes:
            for rows, number, ascii_only in counts.take_all():
                counted.append(number)
                self._totals.add(rows if ascii_only else repaired(rows))
        check_sum(counted, self._read)
        self._totals.add(repaired(self._long.items()))
        self._long = Counter()
        self._read = self._long_bytes = 0


def _may_be_many(token: bytes) -> bool:
    return len(token) > 64 and not token.isascii()


def _columns(at: Column, starts: Numbers, lengths: Numbers, width: int) -> list[Column]:
    """The first `8 * width` bytes of each word, zeros behind its end; `at` holds the 8 bytes from each byte on."""
    columns = [at[starts]]
    columns += [at[starts + offset] for offset in range(8, 8 * width, 8)]
    for place in range(width // 2, width):  # the words of a shorter class, which fill the columns before, are done with
        columns[place] &= _KEPT.take(lengths - 8 * place, mode="clip")
    return columns
