"""Counting words with the standard library alone: where the compiled table is not to be had.

Words are counted as they stand between ASCII separators. What else separates, and lower case beyond ASCII, is looked
into once per distinct token, not once per occurrence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress, islice
from operator import not_

from batch_jobs.workloads.word_count.word_blocks import word_blocks
from batch_jobs.workloads.word_count.word_totals import Row, WordTotals
from batch_jobs.workloads.word_count.words import words_of
from millrace.errors import MillraceError

FLUSH_BYTES = 8 << 20
"""Tokens are made words and added to the totals after so many bytes: in Chinese, every sentence is a new token."""


_BATCH = 4096
"""How many tokens are made words together."""


class MiscountError(MillraceError):
    """Fewer or more words were counted than were read: a fault of the counter; its counts must not be used."""


class WordCounter:
    """Counts the words of one text.

    Attributes:
        block_bytes: How many bytes are counted at once, about: what stays in the L2 cache.
    """

    block_bytes = 1 << 16

    def __init__(self) -> None:
        self._totals = WordTotals()
        self._tokens: Counter[bytes] = Counter()
        self._read = self._unflushed_bytes = 0

    def count(self, body: Iterable[bytes], start: int = 0) -> WordTotals:
        """Count all words of a text. Once.

        Args:
            body: The text in chunks; words and UTF-8 sequences may straddle them.
            start: The offset of the text's first byte in its object, for the errors.

        Raises:
            ItemError: `NOT_TEXT`: not UTF-8, a NUL byte, or a word longer than `MAX_WORD_BYTES`; with the offset.
            MiscountError: The counts do not add up to the number of words read.
        """
        for block in word_blocks(body, self.block_bytes, start):
            tokens = block.split()
            self._tokens.update(tokens)
            self._read += len(tokens)
            self._unflushed_bytes += len(block)
            if self._unflushed_bytes >= FLUSH_BYTES:
                self._flush()
        self._flush()
        return self._totals

    def _flush(self) -> None:
        check_sum(self._tokens.values(), self._read)
        self._totals.add(repaired(self._tokens.items()))
        self._tokens = Counter()
        self._read = self._unflushed_bytes = 0


def repaired(tokens: Iterable[Row]) -> Iterator[Row]:
    """Make words of tokens that were cut at ASCII separators, and of which ASCII letters alone are in lower case."""
    tokens = iter(tokens)
    while batch := list(islice(tokens, _BATCH)):
        # Decoded, lower-cased and encoded together: one call each for thousands of tokens.
        text = b"\n".join([token for token, _ in batch]).decode()
        lower = text.lower().encode().split(b"\n")
        tokens_as_text = text.split("\n")
        plain = list(map(str.isalnum, tokens_as_text))  # letters and numbers alone: a word as it stands
        numbers = [count for _, count in batch]
        yield from zip(compress(lower, plain), compress(numbers, plain), strict=True)
        for place in compress(range(len(batch)), map(not_, plain)):
            for word in words_of(tokens_as_text[place]):
                yield word.encode(), numbers[place]


def check_sum(counts: Iterable[int], read: int) -> None:
    """Compare the counts with the number of tokens they were made from.

    Raises:
        MiscountError: They do not add up to it.
    """
    counted = sum(counts)
    if counted != read:
        raise MiscountError(f"{read:,} tokens were read, {counted:,} counted: the counter lost or invented some")
