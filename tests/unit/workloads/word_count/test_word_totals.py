"""Totals in memory and on disk."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.word_count.word_totals import WordTotals, read_rows, write_ranked, write_rows
from millrace.errors import DamagedFileError

words = st.sampled_from([*"abcdefgh", "水", "磨", "éé", "zz", "𝒜"]).map(str.encode)
rows = st.lists(st.tuples(words, st.integers(1, 9)), max_size=60)


@given(rows, st.integers(1, 20))
def test_memory_and_disk_give_the_same(given_rows: list[tuple[bytes, int]], limit: int) -> None:
    """Whatever the limit, every word comes once, by code point or by count, and the total is the sum."""
    totals = WordTotals(limit)
    expected: Counter[bytes] = Counter()
    for row in given_rows:
        totals.add([row])
        expected[row[0]] += row[1]
    by_code_point = sorted(expected.items(), key=lambda row: row[0].decode())
    assert list(totals.by_word()) == by_code_point
    assert sorted(totals.rows()) == by_code_point
    assert list(totals.by_count()) == sorted(by_code_point, key=lambda row: -row[1])
    assert totals.total == expected.total()


def test_many_runs_become_one() -> None:
    """More runs than may be open are merged on the way, and nothing is lost."""
    totals = WordTotals(1)
    for number in range(300):
        totals.add([(b"%03d" % number, 1), (b"mill", 2)])
    assert len(totals._runs) < 64
    assert list(totals.by_word()) == [*((b"%03d" % number, 1) for number in range(300)), (b"mill", 600)]


@given(rows)
def test_rows_are_read_as_they_were_written(given_rows: list[tuple[bytes, int]]) -> None:
    """The file's form is exact both ways."""
    file = io.BytesIO()
    write_rows(given_rows, file)
    file.seek(0)
    assert list(read_rows(file)) == given_rows


@pytest.mark.parametrize("text", [b"a\t1\nb\t2", b"a,1\n", b"a\tx\n", b"a\t1\t2\n", b"\n"])
def test_a_damaged_partial_is_refused(text: bytes) -> None:
    """Cut off, of another form, without a number: the error says which file is meant to be what."""
    with pytest.raises(DamagedFileError, match="read the partial"):
        list(read_rows(io.BytesIO(text)))


def test_ranked_lines() -> None:
    """`word:count` lines, as the seed writes them."""
    file = io.BytesIO()
    write_ranked([(b"aws", 12), (b"it", 2), (b"s", 2)], file)
    assert file.getvalue() == b"aws:12\nit:2\ns:2\n"
