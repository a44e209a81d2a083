"""Words with their counts, added up by the compiled table in bounded memory: what `WordTotals` does in Python."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from batch_jobs.workloads.word_count.compiled_words import CompiledWords
from batch_jobs.workloads.word_count.word_lines import RunReader, line_blocks, rows_of_lines
from batch_jobs.workloads.word_count.word_totals import Row, ranked_on_disk, write_ranked

WORDS_IN_MEMORY = 1 << 20
"""How many words are held before they go to disk: about 120 MB."""

_BYTES_IN_MEMORY = 1 << 27
"""The same in bytes, for long words."""

_RUNS = 64
"""How many sorted runs there are before they are merged into one."""

_ROWS = 1 << 16
"""How many rows are made lines at once."""


class WordTable:
    """Counts by word.

    Args:
        words_in_memory: The most words held before they go to a temporary file, about.

    Attributes:
        total: The sum of all counts.
    """

    def __init__(self, words_in_memory: int = WORDS_IN_MEMORY) -> None:
        self.total = 0
        self._limit = words_in_memory
        self._held = CompiledWords()
        self._runs: list[BinaryIO] = []
        weakref.finalize(self, _close, self._runs)

    def add(self, rows: Iterable[Row]) -> None:
        """Add counts of one or more; a word may come more than once."""
        rows = iter(rows)
        while batch := list(islice(rows, _ROWS)):
            self.add_block(b"".join([b"%b\t%d\n" % row for row in batch]))

    def add_block(self, lines: bytes) -> None:
        """Add whole lines `word<TAB>count`.

        Raises:
            DamagedFileError: A line is none.
        """
        self.total += self._held.add_lines(lines)
        self._spill_if_large()

    def add_lines(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is something else, or cut off.
        """
        for block in line_blocks(file):
            self.add_block(block)

    def add_words(self, words: CompiledWords) -> None:
        """Add words, which become this table's: they must not be used any more."""
        if len(self._held):
            for block in words.lines():
                self.add_block(block)
        else:
            self._held = words
            self.total += words.total
            self._spill_if_large()

    def add_table(self, other: WordTable) -> None:
        """Add another table's counts."""
        for block in other._held.lines():
            self.add_block(block)
        for run in other._runs:
            run.seek(0)
            self.add_lines(run)

    def rows(self) -> Iterator[Row]:
        """Every word once, in code-point order. One such iteration at a time."""
        return self.by_word()

    def by_word(self) -> Iterator[Row]:
        """Every word once, in code-point order. One such iteration at a time."""
        return rows_of_lines(self._lines_by_word())

    def by_count(self) -> Iterator[Row]:
        """Every word once, the highest count first, ties in code-point order. One such iteration at a time."""
        if not self._runs:
            return rows_of_lines(self._held.lines_by_count())
        return ranked_on_disk(self.by_word(), self._limit)

    def write(self, file: BinaryIO) -> None:
        """Write every word as a `word<TAB>count` line, in code-point order."""
        file.writelines(self._lines_by_word())

    def write_ranked(self, file: BinaryIO) -> None:
        """Write every word as a `word:count` line, the highest count first, ties in code-point order."""
        if self._runs:
            write_ranked(self.by_count(), file)
        else:
            file.writelines(self._held.lines_by_count(b":"))

    def _lines_by_word(self) -> Iterator[bytes]:
        return self._merged_runs() if self._runs else self._held.lines_by_word()

    def _spill_if_large(self) -> None:
        if len(self._held) > self._limit or self._held.size_bytes > _BYTES_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        self._runs.append(_run(self._held.lines_by_word()))
        self._held = CompiledWords()
        if len(self._runs) >= _RUNS:
            merged = _run(self._merged_runs())
            _close(self._runs)
            self._runs.append(merged)

    def _merged_runs(self) -> Iterator[bytes]:
        """All lines in order: a stretch of words at a time, so large that it uses up what is in memory of one run."""
        if len(self._held):
            self._runs.append(_run(self._held.lines_by_word()))
            self._held = CompiledWords()
        readers = [RunReader(run) for run in self._runs]
        stretch = CompiledWords()
        while last_words := [word for reader in readers if (word := reader.last_word()) is not None]:
            for reader in readers:
                stretch.add_lines(reader.up_to(min(last_words)))
            yield from stretch.lines_by_word()
            stretch.clear()


def _run(blocks: Iterable[bytes]) -> BinaryIO:
    file = tempfile.TemporaryFile(prefix="millrace-words-")  # noqa: SIM115 - its owner closes it
    file.writelines(blocks)
    return file


def _close(runs: list[BinaryIO]) -> None:
    for run in runs:
        run.close()
    runs.clear()
