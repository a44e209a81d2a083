"""Counting words with the compiled table: what `WordCounter` does in Python, some twenty times as fast.

Most tokens are words as they stand. The others are Python's to put in lower case, and to look for separators in: each
distinct one once, not each occurrence.
"""

from __future__ import annotations

from collections.abc import Iterable

from batch_jobs.workloads.word_count.compiled_words import CAPITALS, MIXED, CompiledWords, NotTextError
from batch_jobs.workloads.word_count.word_blocks import (
    MAX_WORD_BYTES,
    check_cut_off,
    check_text,
    check_words,
    last_boundary,
    resized,
    whole_characters,
)
from batch_jobs.workloads.word_count.word_counter import MiscountError, check_sum, repaired
from batch_jobs.workloads.word_count.word_lines import rows_of_lines
from batch_jobs.workloads.word_count.word_table import WordTable
from batch_jobs.workloads.word_count.words import SPACED

_TOKENS = 1 << 18
"""How many distinct tokens, and below how many distinct words, are held in memory: about 30 MB each."""

_TOKEN_BYTES = 1 << 25
"""The same in bytes: in Chinese, every other sentence is a new token."""


class CompiledCounter:
    """Counts the words of one text, with the same results as `WordCounter`; or those of many short ones.

    Args:
        words_in_memory: The most words held before they go to a temporary file, about.

    Attributes:
        table: What was counted so far, but for what `totals` adds.
        block_bytes: How many bytes are counted at once, about.
    """

    block_bytes = 1 << 18

    def __init__(self, words_in_memory: int = _TOKENS) -> None:
        self.table = WordTable(words_in_memory)
        self._tokens = CompiledWords()

    def count(self, body: Iterable[bytes], start: int = 0) -> WordTable:
        """Count all words of a text. Once.

        Args:
            body: The text in chunks; words and UTF-8 sequences may straddle them.
            start: The offset of the text's first byte in its object, for the errors.

        Raises:
            ItemError: `NOT_TEXT`: not UTF-8, a NUL byte, or a word longer than `MAX_WORD_BYTES`; with the offset.
            MiscountError: The counts do not add up to the number of words read.
        """
        rest = b""
        offset = start
        for chunk in resized(body, self.block_bytes):
            raw = rest + chunk
            end = self._feed(raw, offset)
            rest = raw[end:]
            offset += end
            self._flush_if_large()
        check_cut_off(rest, offset)
        self._count(rest, offset, last=True)
        return self.totals()

    def add(self, text: bytes) -> None:
        """Count all words of one text more.

        Args:
            text: A whole one, no longer than `MAX_WORD_BYTES`, that `short_text` gave.
        """
        self._count(text, 0, last=True)
        self._flush_if_large()

    def totals(self) -> WordTable:
        """All words that were counted.

        Raises:
            MiscountError: The counts do not add up to the number of words read.
        """
        if self._tokens.read:
            self._flush()
        return self.table

    def _flush_if_large(self) -> None:
        if len(self._tokens) > _TOKENS or self._tokens.size_bytes > _TOKEN_BYTES:
            self._flush()

    def _feed(self, raw: bytes, offset: int) -> int:
        """Count what is whole; returns where that ends."""
        if len(raw) <= MAX_WORD_BYTES:
            return self._count(raw, offset, last=False)
        # No separator that the table knows for long: this may be no text, or one of an unusual kind.
        whole = raw[: whole_characters(raw)]
        check_text(whole, offset)
        block = whole.translate(SPACED)
        check_words(block, offset + len(whole))
        return self._count(raw[: last_boundary(block)], offset, last=True)

    def _count(self, raw: bytes, offset: int, *, last: bool) -> int:
        try:
            return self._tokens.count_text(raw, last=last)
        except NotTextError:
            check_text(raw[: whole_characters(raw)], offset)
            raise MiscountError(f"the text from byte {offset} on was refused, but it is UTF-8") from None

    def _flush(self) -> None:
        check_sum([self._tokens.total], self._tokens.read)
        capitals = b"".join(self._tokens.lines(CAPITALS))
        mixed = list(self._tokens.lines(MIXED))
        self._tokens.keep_words()
        self.table.add_words(self._tokens)
        self._tokens = CompiledWords()
        self.table.add_block(capitals.decode().lower().encode())  # all at once: see `words_of`
        self.table.add(repaired(rows_of_lines(mixed)))
