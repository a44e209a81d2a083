"""The workload `word-count`: how often each word occurs, per item and in the whole run.

An item's output is `{key}.words.txt`: `word:count` lines, highest count first, ties in code-point order.
The run's are `words.csv`, in the same order, and the top words in `result.json`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from batch_jobs.workloads import Outputs
from batch_jobs.workloads.gunzip import gunzip
from batch_jobs.workloads.word_blocks import word_blocks
from batch_jobs.workloads.word_counter import WordCounter
from batch_jobs.workloads.word_totals import WordTotals, read_rows, write_ranked, write_rows
from millrace.plan import Item

if TYPE_CHECKING:
    from batch_jobs.workloads.word_columns import ColumnCounter


class WordCount:
    """Counts words (`batch_jobs.workloads.words` says what a word is).

    Memory: up to about 150 MB for each item being worked, for the partial, and for the merge; what is more goes to
    temporary files as sorted runs.

    Args:
        options: `min_length` (characters), `min_count`, `top` and `stop_words`, which shape the top list alone.
    """

    name: ClassVar[str] = "word-count"
    partial_suffix: ClassVar[str] = ".tsv"
    item_suffixes: ClassVar[tuple[str, ...]] = (".words.txt",)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._min_length: int = options["min_length"]
        self._min_count: int = options["min_count"]
        self._top: int = options["top"]
        self._stop_words = frozenset(word.lower() for word in options["stop_words"])

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> WordTotals:
        """Count the words of one text; a key that ends in `.gz`, in whatever case, is gunzipped.

        Returns:
            The item's words and counts.

        Raises:
            ItemError: `NOT_TEXT` or `DAMAGED`, with the byte offset in the (gunzipped) text.
            MiscountError: The counts do not add up.
        """
        packed = item.key.lower().endswith(".gz")
        text = gunzip(body) if packed else body
        counter = _counter(item.length * (4 if packed else 1))
        for block in word_blocks(text, counter.block_bytes):
            counter.feed(block)
        totals = counter.totals()
        with outputs.open(".words.txt", "text/plain; charset=utf-8") as file:
            write_ranked(totals.by_count(), file)
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

    def _is_listed(self, word: str, count: int) -> bool:
        return len(word) >= self._min_length and count >= self._min_count and word not in self._stop_words


class WordPartial:
    """A shard's words and counts: `word<TAB>count` lines in code-point order of the words.

    Attributes:
        totals: What was added so far.
    """

    def __init__(self) -> None:
        self.totals = WordTotals()

    def add(self, contribution: WordTotals) -> None:
        """Add one item's words."""
        self.totals.add(contribution.rows())

    def write(self, file: BinaryIO) -> None:
        """Write every word once. The same contributions give the same bytes, in whatever order they were added."""
        write_rows(self.totals.by_word(), file)

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is not a partial.
        """
        self.totals.add(read_rows(file))


_COLUMNS_FROM = 1 << 16
"""From how many bytes of text the column engine is the faster one: benchmarks/word_count.py."""


def _counter(text_bytes: int) -> WordCounter | ColumnCounter:
    """The engine for a text of about that length. NumPy costs 0.1 s to import: a shard of small items goes without."""
    if text_bytes < _COLUMNS_FROM:
        return WordCounter()
    from batch_jobs.workloads.word_columns import ColumnCounter  # noqa: PLC0415 - only when it pays

    return ColumnCounter()


def _csv(rows: Iterable[tuple[str, str | int]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
