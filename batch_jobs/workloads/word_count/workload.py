"""The workload `word-count`: how often each word occurs, per item and in the whole run.

An item's output is `{key}.words.txt`: `word:count` lines, highest count first, ties in code-point order. A range of a
large object has none: its words are in the run's totals alone.
The run's are `words.csv`, in the same order, and the top words in `result.json`.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, BinaryIO, ClassVar

from batch_jobs.native.word_library import word_library
from batch_jobs.workloads.word_count.compiled_counter import CompiledCounter
from batch_jobs.workloads.word_count.record import RECORD, SUFFIX, merge_seconds
from batch_jobs.workloads.word_count.text_ranges import RangeText
from batch_jobs.workloads.word_count.word_blocks import short_text
from batch_jobs.workloads.word_count.word_counter import WordCounter
from batch_jobs.workloads.word_count.word_table import WORDS_IN_MEMORY, WordTable
from batch_jobs.workloads.word_count.word_totals import WordTotals
from millrace.workload import Item, Outputs
from millrace.workload.compressed import gunzip

log = logging.getLogger(__name__)


class WordCount:
    """Counts words (`batch_jobs.workloads.word_count.words` says what a word is).

    Memory: up to about 60 MB for each item being worked, 150 for the partial, and for the merge; what is more goes to
    temporary files as sorted runs.

    Args:
        options: `min_length` (characters), `min_count`, `top` and `stop_words`, which shape the top list alone;
            `outputs`: "per-item", or "none" for the run's totals alone.
    """

    name: ClassVar[str] = RECORD.name
    partial_suffix: ClassVar[str] = ".tsv"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._min_length: int = options["min_length"]
        self._min_count: int = options["min_count"]
        self._top: int = options["top"]
        self._stop_words = frozenset(word.lower() for word in options["stop_words"])
        self._compiled = word_library() is not None
        log.info("counting words", extra={"fields": {"engine": "compiled" if self._compiled else "Python"}})
        self._options = options
        self.item_suffixes = RECORD.item_suffixes(options)

    def splits(self, key: str) -> bool:
        """Text can be cut anywhere (`text_ranges` says which words are whose), a compressed file cannot."""
        return RECORD.may_cut(self._options, key)

    def is_small(self, item: Item) -> bool:
        """A short text: counting it takes as much memory as its words, some times over."""
        return item.length <= _SMALL_BYTES and not _is_packed(item.key)

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> WordTotals | WordTable | bytes:
        """Count the words of one text, or of a range; a key that ends in `.gz`, in whatever case, is gunzipped.

        Returns:
            The item's words and counts; or a short text itself, checked, that nobody asks the counts of: the partial
            counts it with the others, in one table instead of one for each.

        Raises:
            ItemError: `NOT_TEXT` or `DAMAGED`, with the byte offset in the (gunzipped) text.
            MiscountError: The counts do not add up.
        """
        if not self.item_suffixes and item.first_byte is None and self.is_small(item):
            short, body = short_text(body, _SMALL_BYTES)
            if short is not None:
                return short
        counter = CompiledCounter() if self._compiled else WordCounter()
        if item.first_byte is not None and item.last_byte is not None:
            text = RangeText(item.first_byte, item.last_byte, body)
            totals = counter.count(text, text.start)
        else:
            totals = counter.count(gunzip(body) if _is_packed(item.key) else body)
        if self.item_suffixes and item.first_byte is None:
            with outputs.open(SUFFIX, "text/plain; charset=utf-8") as file:
                totals.write_ranked(file)
        return totals

    def partial(self) -> WordPartial:
        """A new, empty partial."""
        return WordPartial()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Add up the partials; write `words.csv`: `word,count`, every word, highest count first, RFC 4180.

        Returns:
            `{"top": [{"word", "count"}, …], "distinct_words": n, "total_words": n}`.

        Raises:
            DamagedFileError: A partial is not one.
        """
        merged = self.partial()
        for file in partials:
            merged.read(file)
        top: list[dict[str, Any]] = []
        distinct = 0
        with results.open("words.csv", "text/csv; charset=utf-8") as file:
            file.write(_csv([("word", "count")]))
            rows = ((word.decode(), count) for word, count in merged.totals.by_count())
            while batch := list(islice(rows, 4096)):
                file.write(_csv(batch))
                distinct += len(batch)
                if len(top) < self._top:
                    top += [{"word": word, "count": count} for word, count in batch if self._is_listed(word, count)]
        return {"top": top[: self._top], "distinct_words": distinct, "total_words": merged.totals.total}

    def merge_seconds(self, shards: int, total_bytes: int) -> float:
        """As the record has it."""
        return merge_seconds(shards, total_bytes)

    def _is_listed(self, word: str, count: int) -> bool:
        return len(word) >= self._min_length and count >= self._min_count and word not in self._stop_words


class WordPartial:
    """A shard's words and counts: `word<TAB>count` lines in code-point order of the words."""

    def __init__(self) -> None:
        self._counter = CompiledCounter(WORDS_IN_MEMORY) if word_library() else None
        self._held: WordTotals | WordTable = self._counter.table if self._counter else WordTotals()

    @property
    def totals(self) -> WordTotals | WordTable:
        """What was added so far.

        Raises:
            MiscountError: The counts of the short texts do not add up.
        """
        return self._counter.totals() if self._counter else self._held

    def add(self, contribution: WordTotals | WordTable | bytes) -> None:
        """Add one item's words."""
        if isinstance(contribution, bytes) and self._counter:
            self._counter.add(contribution)
        elif isinstance(contribution, bytes):
            self._held.add(WordCounter().count([contribution]).rows())
        elif isinstance(self._held, WordTable) and isinstance(contribution, WordTable):
            self._held.add_table(contribution)
        else:
            self._held.add(contribution.rows())

    def write(self, file: BinaryIO) -> None:
        """Write every word once. The same contributions give the same bytes, in whatever order they were added."""
        self.totals.write(file)

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is not a partial.
        """
        self._held.add_lines(file)


_SMALL_BYTES = 1 << 16


def _is_packed(key: str) -> bool:
    return key.lower().endswith(".gz")


def _csv(rows: Iterable[tuple[str, str | int]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
