"""The counting engines against a count made letter by letter."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import random
import sys
import unicodedata
from collections import Counter
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.word_count import compiled_counter
from batch_jobs.workloads.word_count.compiled_counter import CompiledCounter
from batch_jobs.workloads.word_count.text_ranges import RangeText
from batch_jobs.workloads.word_count.word_blocks import MAX_WORD_BYTES
from batch_jobs.workloads.word_count.word_counter import MiscountError, WordCounter, check_sum
from batch_jobs.workloads.word_count.words import words_of
from millrace.errors import ErrorCode, ItemError

Engine = type[WordCounter] | type[CompiledCounter]
ENGINES = [WordCounter, CompiledCounter]

LETTERS = (
    "aAbBzZéÉßẞñ09_'-., \n\r\t\v\f\x1c\x85\u2028\u2029\u00a0\u3000"
    "ΣσςΑαΆ\u0301\u0307İIıiK\u0130Å"
    "العربيةُ٣٤،؟हिन्दी४।中文字，。「」日本語ー한국어"
    "👩\u200d🌾🏽🇩🇪\ufeff\ufe0f\u200c½²ⅧⅫ𝒜𝟘𐐀𐐨\U000e0100"
)
texts = st.lists(
    st.one_of(st.text(st.sampled_from(LETTERS), max_size=40), st.text(max_size=20), st.just("word " * 9)), max_size=12
).map("".join)


def counted_letter_by_letter(text: str) -> Counter[str]:
    """The definition, as slow as it is plain."""
    words: Counter[str] = Counter()
    word = ""
    for letter in [*text, " "]:
        if unicodedata.category(letter)[0] in {"L", "M", "N"}:
            word += letter
        elif word:
            words[word.lower()] += 1
            word = ""
    return words


def counted(engine: Engine, chunks: list[bytes], block_bytes: int | None = None) -> dict[str, int]:
    """What the engine makes of the chunks."""
    counter = engine()
    counter.block_bytes = block_bytes or engine.block_bytes
    return {word.decode(): count for word, count in counter.count(chunks).by_word()}


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes cut at these places."""
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    return [raw[start:end] for start, end in pairwise(ends)]


cut_points = st.lists(st.integers(0, 200), max_size=8)


@pytest.mark.parametrize("engine", ENGINES)
@given(text=texts, cuts=cut_points, block_bytes=st.integers(1, 64))
def test_the_counts_are_exact_however_the_text_is_cut(
    engine: Engine, text: str, cuts: list[int], block_bytes: int
) -> None:
    """Scripts, line ends and cuts of hypothesis' choice: words and sequences straddle chunks and blocks."""
    text = text.replace("\0", "")
    assert counted(engine, pieces(text.encode(), cuts), block_bytes) == counted_letter_by_letter(text)


@pytest.mark.parametrize("engine", ENGINES)
@given(text=texts, cuts=cut_points, block_bytes=st.integers(1, 64))
def test_ranges_of_a_text_share_out_its_words(engine: Engine, text: str, cuts: list[int], block_bytes: int) -> None:
    """Wherever an object is cut into ranges, inside words or characters, their counts add up to those of the whole."""
    text = text.replace("\0", "")
    raw = text.encode()
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    found: Counter[str] = Counter()
    for start, end in pairwise(ends):
        body = RangeText(start, end - 1, [raw[max(0, start - 4) :]])
        found.update(counted(engine, list(body), block_bytes))
    assert found == counted_letter_by_letter(text)


@pytest.mark.parametrize("engine", ENGINES)
@given(raw=st.one_of(st.binary(max_size=200), texts.map(str.encode)), cuts=cut_points, block_bytes=st.integers(1, 50))
def test_the_offset_of_the_first_bad_byte_is_told(
    engine: Engine, raw: bytes, cuts: list[int], block_bytes: int
) -> None:
    """Whatever the cuts, the error names the byte that Python's decoder or a search for NUL finds in the whole."""
    raw = raw[:-1]  # cuts many a last character
    try:
        raw.decode()
        bad = len(raw)
    except UnicodeDecodeError as error:
        bad = error.start
    nul = raw.find(0)
    first = min(bad, nul if nul >= 0 else len(raw))
    if first == len(raw):
        assert counted(engine, pieces(raw, cuts), block_bytes) == counted_letter_by_letter(raw.decode())
    else:
        with pytest.raises(ItemError, match=rf"byte {first}\b") as caught:
            counted(engine, pieces(raw, cuts), block_bytes)
        assert caught.value.code is ErrorCode.NOT_TEXT


@pytest.mark.parametrize(
    "bad", ["C0AF", "C1BF", "E0809F", "EDA080", "F08080AF", "F4908080", "F5808080", "E28099", "80"]
)
@pytest.mark.parametrize("before", ["", "a", "é", "\u2019"])
def test_what_is_almost_utf_8_is_refused(bad: str, before: str) -> None:
    """Overlong forms, surrogates, code points past the last, and a stray byte behind a sound separator."""
    raw = before.encode() + bytes.fromhex(bad) + b"\x80 end"
    with pytest.raises(ItemError) as expected:
        counted(WordCounter, [raw])
    with pytest.raises(ItemError) as found:
        counted(CompiledCounter, [raw])
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_character_is_counted_as_the_definition_has_it(engine: Engine) -> None:
    """All of Unicode, surrogates aside: each character alone, and between two letters."""
    codes = [code for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    text = "".join(f"{chr(code)} a{chr(code)}z\n" for code in codes)
    assert counted(engine, [text.encode()]) == Counter(words_of(text))


@pytest.mark.parametrize("engine", ENGINES)
def test_chinese_without_an_ascii_separator_is_flushed_on_the_way(engine: Engine) -> None:
    """Twenty megabytes of sentences end to end: the tokens are made words and let go before the text ends."""
    sentence = "风车转动，谷物变成面粉。"
    body = [(sentence * 1000).encode()] * 600
    assert counted(engine, body) == {"风车转动": 600_000, "谷物变成面粉": 600_000}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_text_of_unusual_separators_alone_is_cut_at_them(engine: Engine) -> None:
    """Megabytes of Arabic with no separator but its own comma are one token to the table, and words to Python."""
    body = ["طاحونة،".encode() * 9000] * 30
    assert counted(engine, body) == {"طاحونة": 270_000}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("letter", ["x", "水"])
@pytest.mark.parametrize("before", [0, 1, 65_535, 262_143])
def test_the_limit_of_a_word_is_exact(engine: Engine, letter: str, before: int) -> None:
    """A word of the greatest length is counted and one of a letter more is refused, wherever it is."""
    longest = letter * (MAX_WORD_BYTES // len(letter.encode()))
    lead = "a" * before + "،"
    expected = Counter(words_of(lead + longest + "، end"))
    assert counted(engine, [(lead + longest + "، end").encode()]) == expected
    with pytest.raises(ItemError, match="a word longer than 1,048,576 bytes"):
        counted(engine, [(lead + longest + letter + "، end").encode()])


def test_a_lost_count_is_an_error() -> None:
    """Counts that do not add up to the tokens read are refused by name."""
    with pytest.raises(MiscountError, match="3 tokens were read, 2 counted"):
        check_sum([1, 1], 3)


def test_the_engines_agree_on_a_long_text_of_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table grows, is flushed and spilled: every count is as the other engine has it."""
    monkeypatch.setattr(compiled_counter, "_TOKENS", 9000)
    dice = random.Random(4)
    lengths = [*range(1, 41)]
    lexicon = ["".join(dice.choices("abcdefghijéσжह水ИΣ", k=dice.choice(lengths))) for _ in range(60_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(lexicon) + 1)))
    raw = " ".join(dice.choices(lexicon, cum_weights=weights, k=400_000)).encode()
    assert counted(CompiledCounter, [raw]) == counted(WordCounter, [raw])
