"""Totals as columns: the same as those in a dictionary, in memory and on disk."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.word_count import word_lines
from batch_jobs.workloads.word_count.word_counter import WordCounter
from batch_jobs.workloads.word_count.word_table import WordTable
from batch_jobs.workloads.word_count.word_totals import WordTotals, write_rows
from batch_jobs.workloads.word_count.workload import WordPartial
from millrace.errors import DamagedFileError

LETTERS = "abcdefgh0éß水磨𝒜ω"
words = st.text(st.sampled_from(LETTERS), min_size=1, max_size=40).map(str.encode) | st.sampled_from(
    [
        letter.encode() * length
        for letter in "ab水"
        for length in (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 40, 64, 65)
    ]
)
rows = st.lists(st.tuples(words, st.integers(1, 10**12)), max_size=80)


def expected_of(given_rows: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """The sums, in code-point order."""
    sums: Counter[bytes] = Counter()
    for word, count in given_rows:
        sums[word] += count
    return sorted(sums.items(), key=lambda row: row[0].decode())


@given(rows, st.integers(1, 40), st.integers(1, 30))
def test_memory_and_disk_give_the_same(given_rows: list[tuple[bytes, int]], limit: int, step: int) -> None:
    """Whatever the limit, every word comes once, by code point or by count, and the total is the sum."""
    table = WordTable(limit)
    for start in range(0, len(given_rows), step):
        table.add(given_rows[start : start + step])
    expected = expected_of(given_rows)
    assert list(table.by_word()) == expected
    assert list(table.by_count()) == sorted(expected, key=lambda row: -row[1])
    assert sorted(table.rows()) == sorted(expected)
    assert table.total == sum(count for _, count in given_rows)


@given(rows, st.integers(1, 200))
def test_lines_are_added_as_they_were_written(given_rows: list[tuple[bytes, int]], block_bytes: int) -> None:
    """A partial's lines come out as they went in, wherever the blocks that are read of it end."""
    file = io.BytesIO()
    write_rows(given_rows, file)
    file.seek(0)
    table = WordTable()
    before = word_lines.BLOCK_BYTES
    word_lines.BLOCK_BYTES = block_bytes
    try:
        table.add_lines(file)
    finally:
        word_lines.BLOCK_BYTES = before
    assert list(table.by_word()) == expected_of(given_rows)


@given(rows, rows, st.integers(1, 40), st.integers(1, 40))
def test_a_table_is_added_to_a_table(
    first: list[tuple[bytes, int]], second: list[tuple[bytes, int]], limit: int, other_limit: int
) -> None:
    """With what it has on disk; and the table that was added stays as it was."""
    table, other = WordTable(limit), WordTable(other_limit)
    table.add(first)
    other.add(second)
    table.add_table(other)
    assert list(table.by_word()) == expected_of(first + second)
    assert table.total == sum(count for _, count in first + second)
    assert list(other.by_word()) == expected_of(second)


def test_many_runs_become_one() -> None:
    """More runs than may be open are merged on the way, and nothing is lost."""
    table = WordTable(1)
    for number in range(150):
        table.add([(b"%03d" % number, 1), (b"mill", 2), (b"%03d" % (number // 2), 1)])
    assert len(table._runs) < 64
    assert dict(table.by_word())[b"mill"] == 300
    assert len(list(table.by_count())) == 151


def test_runs_are_merged_stretch_by_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs larger than a block, of different words and of the same, come out in order and summed."""
    monkeypatch.setattr(word_lines, "BLOCK_BYTES", 512)
    dice = random.Random(5)
    lexicon = ["".join(dice.choices(LETTERS, k=dice.randint(1, 20))).encode() for _ in range(3000)]
    given_rows = [(dice.choice(lexicon), dice.randint(1, 9)) for _ in range(20_000)]
    table = WordTable(900)
    for start in range(0, len(given_rows), 500):
        table.add(given_rows[start : start + 500])
    assert len(table._runs) > 5
    expected = expected_of(given_rows)
    assert list(table.by_word()) == expected
    assert list(table.by_count()) == sorted(expected, key=lambda row: -row[1])


@pytest.mark.parametrize(
    "text",
    [
        b"a\t1\nb\t2",
        b"a,1\n",
        b"a\tx\n",
        b"a\t1\t2\n",
        b"\n",
        b"\t1\n",
        b"a\t\n",
        b"a\t1\nb\n\t2\n",
        b"a\t1234567890123456789\n",
    ],
)
def test_a_damaged_partial_is_refused(text: bytes) -> None:
    """Cut off, of another form, without a number, without a word: the error says which file is meant to be what."""
    with pytest.raises(DamagedFileError, match="read the partial"):
        WordTable().add_lines(io.BytesIO(text))


def test_a_partial_is_the_same_from_either_engine() -> None:
    """Small items and large ones in one shard: whatever came first, the same bytes, and they are read back the same."""
    small, large = WordTotals(), WordTable()
    small.add([(b"mill", 1), ("水".encode(), 2)])
    large.add([(b"race", 3), (b"mill", 4), *((b"w%d" % number, 1) for number in range(20_000))])
    written = []
    for order in ((small, large), (large, small)):
        partial = WordPartial()
        for part in order:
            partial.add(part)
        file = io.BytesIO()
        partial.write(file)
        written.append(file.getvalue())
    assert written[0] == written[1]
    assert b"mill\t5\nrace\t3\n" in written[0]
    again = WordPartial()
    again.add(small)
    again.read(io.BytesIO(written[0]))
    assert again.totals.total == small.total * 2 + large.total


def partial_of(contributions: Sequence[Any], *, compiled: bool = True) -> bytes:
    """The file of a partial."""
    library = "batch_jobs.workloads.word_count.workload.word_library"
    with patch(library, lambda: None) if not compiled else nullcontext():
        partial = WordPartial()
    for contribution in contributions:
        partial.add(contribution)
    file = io.BytesIO()
    partial.write(file)
    return file.getvalue()


@given(texts=st.lists(st.text(st.sampled_from("aBÄé水İ \u2003\n'3")), max_size=8))
def test_short_texts_are_counted_together(texts: list[str]) -> None:
    """A partial of short texts is the one of their words: none runs on into the next text, in whatever order."""
    raw = [text.encode() for text in texts]
    counted = [WordCounter().count([text]) for text in raw]
    mixed: list[Any] = [pair[number % 2] for number, pair in enumerate(zip(raw, counted, strict=True))]
    expected = partial_of(counted)
    for given_in in (raw, mixed, mixed[::-1]):
        assert partial_of(given_in) == expected
        assert partial_of(given_in, compiled=False) == expected


def test_a_partial_that_was_written_goes_on() -> None:
    """Progress is saved in the middle of a shard; what comes later is added to it."""
    partial = WordPartial()
    for _ in range(3):
        partial.add(b"mill Race")
        partial.write(io.BytesIO())
    file = io.BytesIO()
    partial.write(file)
    assert file.getvalue() == b"mill\t3\nrace\t3\n"
