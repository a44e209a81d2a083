"""Text cut into blocks of whole words, and checked to be text."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batch_jobs.workloads.word_count.word_blocks import MAX_WORD_BYTES, short_text, word_blocks
from batch_jobs.workloads.word_count.words import spaced, words_of
from millrace.errors import ErrorCode, ItemError


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes cut at these places."""
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    return [raw[start:end] for start, end in pairwise(ends)]


cut_points = st.lists(st.integers(0, 300), max_size=10)


@given(st.text(max_size=200), cut_points, st.integers(1, 50))
def test_blocks_put_together_hold_the_words_in_order(text: str, cuts: list[int], size: int) -> None:
    """No word is cut, lost or doubled by any cut of the text."""
    text = text.replace("\0", "")
    blocks = list(word_blocks(pieces(text.encode(), cuts), size))
    assert [word for block in blocks for word in words_of(block.decode())] == words_of(text)


@given(st.binary(max_size=200), cut_points, st.integers(1, 50))
def test_the_offset_of_the_first_bad_byte_is_told(raw: bytes, cuts: list[int], size: int) -> None:
    """Whatever the cuts, the error names the byte that Python's decoder or a search for NUL finds in the whole."""
    try:
        raw.decode()
        bad = len(raw)
    except UnicodeDecodeError as error:
        bad = error.start
    nul = raw.find(0)
    first = min(bad, nul if nul >= 0 else len(raw))
    if first == len(raw):
        list(word_blocks(pieces(raw, cuts), size))
    else:
        with pytest.raises(ItemError, match=rf"byte {first}\b") as caught:
            list(word_blocks(pieces(raw, cuts), size))
        assert caught.value.code is ErrorCode.NOT_TEXT


@pytest.mark.parametrize("bom", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_not_text(bom: bytes) -> None:
    """A UTF-16 byte order mark is no UTF-8."""
    with pytest.raises(ItemError, match="byte 0"):
        list(word_blocks([bom + "mill".encode("utf-16-le")], 100))


@pytest.mark.parametrize("letter", ["x", "水"])
@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 16, 1 << 22])
def test_a_word_without_end_is_refused_before_it_fills_memory(letter: str, chunk_bytes: int) -> None:
    """One byte over the limit is refused, in whatever chunks it comes, and a run without end is refused early."""
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += chunk_bytes
            yield letter.encode() * (chunk_bytes // len(letter.encode()))

    with pytest.raises(ItemError, match="longer than 1,048,576 bytes"):
        list(word_blocks(endless(), 1 << 16))
    assert taken <= MAX_WORD_BYTES + (1 << 22)


@pytest.mark.parametrize("letter", ["x", "水"])
@pytest.mark.parametrize("before", [0, 1, 65_535])
def test_the_limit_of_a_word_is_exact(letter: str, before: int) -> None:
    """A word of the greatest length passes and one of a letter more does not, wherever it is."""
    longest = letter * (MAX_WORD_BYTES // len(letter.encode()))
    lead = "a" * before + "。"
    text = (lead + longest + "。end").encode()
    blocks = b"".join(word_blocks([text], 1 << 16))
    assert spaced(blocks.decode()).split()[-2:] == [longest, "end"]
    with pytest.raises(ItemError, match="a word longer than"):
        list(word_blocks([(lead + longest + letter + "。end").encode()], 1 << 16))


def test_a_long_line_of_chinese_is_cut_at_its_own_punctuation() -> None:
    """Blocks stay small where no ASCII character separates."""
    body = ["水车，磨坊。".encode() * 100_000]
    assert max(map(len, word_blocks(body, 1 << 16))) < (1 << 16) + 2048


@given(st.lists(st.text(max_size=5).map(str.encode), max_size=8), st.integers(0, 20))
def test_a_text_that_is_not_short_after_all_loses_nothing(chunks: list[bytes], most: int) -> None:
    """Nor is any of it there twice, whether the chunks are a list or come as they are read."""
    whole = b"".join(chunks)
    assume(b"\0" not in whole)
    for body in (chunks, iter(chunks)):
        text, rest = short_text(body, most)
        assert (text is None) == (len(whole) > most)
        assert (text or b"") + b"".join(rest) == whole


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x1f\x8b\x08\0", "1f 8b: this is gzip; invalid start byte at byte 1"),
        (b"PK\x03\x04\x14\0", "50 4b 03 04: this is a zip archive; a NUL byte at byte 5"),
        (b"(\xb5/\xfd\0", "28 b5 2f fd: this is zstd; invalid start byte at byte 1"),
        (b"wheat \xed\xa0\xbd barley", "an unpaired surrogate at byte 6"),
        (b"wheat \xed\x7f", "not UTF-8: invalid continuation byte at byte 6"),
        (b"wheat \x1f\x8b", "not UTF-8: invalid start byte at byte 7"),
    ],
)
def test_bytes_that_say_what_they_are_are_called_so(raw: bytes, words: str) -> None:
    """Gzip under another name, and half a surrogate pair, are not just "not UTF-8"."""
    with pytest.raises(ItemError) as caught:
        list(word_blocks([raw], 100))
    assert caught.value.message == words
