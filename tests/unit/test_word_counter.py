"""The counting engines against a count made letter by letter."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.column_counts import ColumnCounts
from batch_jobs.workloads.word_blocks import word_blocks
from batch_jobs.workloads.word_cells import as_bytes
from batch_jobs.workloads.word_columns import ColumnCounter
from batch_jobs.workloads.word_counter import MiscountError, WordCounter, check_sum

Engine = type[WordCounter] | type[ColumnCounter]

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


def counted(counter: WordCounter | ColumnCounter, chunks: list[bytes], block_bytes: int) -> dict[str, int]:
    """What the engine makes of the chunks."""
    for block in word_blocks(chunks, block_bytes):
        counter.feed(block)
    return {word.decode(): count for word, count in counter.totals().by_word()}


@pytest.mark.parametrize("engine", [WordCounter, ColumnCounter])
@given(text=texts, cuts=st.lists(st.integers(0, 200), max_size=8), block_bytes=st.integers(1, 64))
def test_the_counts_are_exact_however_the_text_is_cut(
    engine: Engine, text: str, cuts: list[int], block_bytes: int
) -> None:
    """Scripts, line ends and cuts of hypothesis' choice: words and sequences straddle chunks and blocks."""
    text = text.replace("\0", "")
    raw = text.encode()
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    chunks = [raw[start:end] for start, end in pairwise(ends)]
    assert counted(engine(), chunks, block_bytes) == counted_letter_by_letter(text)


@pytest.mark.parametrize("engine", [WordCounter, ColumnCounter])
def test_chinese_without_an_ascii_separator_is_flushed_on_the_way(engine: Engine) -> None:
    """Twenty megabytes of sentences end to end: the tokens are made words and let go before the text ends."""
    sentence = "风车转动，谷物变成面粉。"
    body = [(sentence * 1000).encode()] * 600
    assert counted(engine(), body, engine.block_bytes) == {"风车转动": 600_000, "谷物变成面粉": 600_000}


def test_a_lost_count_is_an_error() -> None:
    """Counts that do not add up to the tokens read are refused by name."""
    with pytest.raises(MiscountError, match="3 tokens were read, 2 counted"):
        check_sum([1, 1], 3)


def test_the_engines_agree_on_a_long_text_of_many_words() -> None:
    """Tables fill up, keys are sorted, merged and flushed: every count is as the other engine has it."""
    dice = random.Random(4)
    lengths = [*range(1, 41)]
    lexicon = ["".join(dice.choices("abcdefghijéσжह水", k=dice.choice(lengths))) for _ in range(60_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(lexicon) + 1)))
    raw = " ".join(dice.choices(lexicon, cum_weights=weights, k=400_000)).encode()
    assert counted(ColumnCounter(), [raw], 1 << 18) == counted(WordCounter(), [raw], 1 << 16)


@given(st.lists(st.tuples(*[st.sampled_from([0, 1, 2, 1 << 63, 2**64 - 1])] * 2), max_size=60), st.integers(1, 3))
def test_keys_are_counted_whole(keys: list[tuple[int, int]], bits: int) -> None:
    """A table of two to eight slots, so that most keys collide: each is counted as often as it came, 0 never."""
    keys = [(first, second if first else 0) for first, second in keys]
    counts = ColumnCounts(2, bits)
    for start in range(0, len(keys), 7):
        part = np.array(keys[start : start + 7], np.uint64).reshape(-1, 2)
        counts.add([part[:, 0].copy(), part[:, 1].copy()])
        counts.settle()
    found: Counter[bytes] = Counter()
    columns, numbers = counts.all()
    for key, count in zip(as_bytes(columns), numbers.tolist(), strict=True):
        found[key] += count
    expected = Counter((a.to_bytes(8, "little") + b.to_bytes(8, "little")).rstrip(b"\0") for a, b in keys if a)
    assert found == expected
