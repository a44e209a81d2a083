"""Counting words with NumPy, a block at a time: for texts from some ten kB up.

A block of text becomes columns of numbers (`word_cells`), cut out at the places where a separator borders on a letter,
and each step is one pass over a column. Longer tokens (Chinese sentences) are counted by the standard library.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from batch_jobs.workloads.column_counts import ColumnCounts, Numbers
from batch_jobs.workloads.word_cells import PADDING, are_ascii, as_bytes, cut_out, spaced_text, windows
from batch_jobs.workloads.word_counter import FLUSH_BYTES, check_sum
from batch_jobs.workloads.word_table import WordTable

_WIDTHS = ((1, 16), (2, 14), (4, 13))
"""For each class of words: how many 8-byte columns it has, and the size of its table in bits: all fit the L2 cache."""

_FLUSH_ROWS = 1 << 20
"""The most distinct tokens held as columns: about 40 MB."""


class ColumnCounter:
    """Counts the words of one text; the same results as `WordCounter`.

    Attributes:
        block_bytes: How long the blocks shall be that it is fed: their columns stay in the L2 cache.
    """

    block_bytes = 1 << 19

    def __init__(self) -> None:
        self._totals = WordTable()
        self._classes = [ColumnCounts(width, bits) for width, bits in _WIDTHS]
        self._long: Counter[bytes] = Counter()
        self._read = self._long_bytes = 0

    def feed(self, block: bytes) -> None:
        """Count a block of `word_blocks`."""
        long = self._feed(block)
        if any(map(_may_be_many, long)):
            # Chinese sentences, say, of which every one is new: made words at once, and counted as such.
            long = self._feed(spaced_text(b" ".join(long).decode()).lower().encode())
        self._read += len(long)
        self._long.update(long)
        self._long_bytes += sum(map(len, long))
        if self._long_bytes >= FLUSH_BYTES or sum(counts.rows for counts in self._classes) > _FLUSH_ROWS:
            self._flush()

    def totals(self) -> WordTable:
        """The words of all blocks.

        Raises:
            MiscountError: The counts do not add up to the number of words read.
        """
        self._flush()
        return self._totals

    def _feed(self, block: bytes) -> list[bytes]:
        """Count the tokens of up to 32 bytes, and return the others."""
        text = b" " + block + PADDING
        starts, lengths = _tokens(text)
        at = windows(text)
        for counts in self._classes:
            if not len(starts):
                return []
            columns, longer = cut_out(at, starts, lengths, counts.width)
            self._read += len(starts) - len(longer)
            counts.add(columns)
            starts, lengths = starts.take(longer), lengths.take(longer)
        ends = starts + lengths
        return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def _flush(self) -> None:
        tokens, numbers = list(self._long), [np.fromiter(self._long.values(), np.int64, len(self._long))]
        counted = [self._long.total()]
        for place, counts in enumerate(self._classes):
            columns, times = counts.all()
            counts.clear()
            counted.append(int(times.sum()))
            plain = are_ascii(columns)
            chosen = np.flatnonzero(plain)
            self._totals.add_columns(place, [column.take(chosen) for column in columns], times.take(chosen))
            chosen = np.flatnonzero(~plain)
            tokens += as_bytes([column.take(chosen) for column in columns])
            numbers.append(times.take(chosen))
        check_sum(counted, self._read)
        self._repair(tokens, np.concatenate(numbers))
        self._long = Counter()
        self._read = self._long_bytes = 0

    def _repair(self, tokens: list[bytes], counts: Numbers) -> None:
        """Make words of tokens that were cut at ASCII separators, and of which ASCII letters alone are in lower case.

        All at once: a token is a line, whose words are found as those of a block are.
        """
        text = b" " + spaced_text(b"\n".join(tokens).decode()).lower().encode() + PADDING
        line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 10)
        starts, lengths = _tokens(text)
        self._totals.add_words(text, starts, lengths, counts.take(np.searchsorted(line_ends, starts)))


def _tokens(text: bytes) -> tuple[Numbers, Numbers]:
    """Where runs of other characters than space and line feed start, and how long they are; a space comes first."""
    letters = np.frombuffer(text, np.uint8) > 32
    edges = np.flatnonzero(letters[1:] != letters[:-1])
    return edges[0::2] + 1, edges[1::2] - edges[0::2]


def _may_be_many(token: bytes) -> bool:
    return len(token) > 64 and not token.isascii()
