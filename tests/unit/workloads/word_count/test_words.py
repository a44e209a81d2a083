"""What a word is, code point by code point."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import sys
import unicodedata

import pytest

from batch_jobs.workloads.word_count.words import SPACED, spaced, words_of


def test_every_code_point_is_kept_or_spaced_by_its_category() -> None:
    """All of Unicode, surrogates aside: letters, marks and numbers are kept, everything else is a space."""
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        kept = unicodedata.category(chr(code))[0] in {"L", "M", "N"}
        assert spaced(chr(code)) == (chr(code) if kept else " "), hex(code)


def test_the_byte_table_agrees_with_the_definition_on_ascii() -> None:
    """Bytes 0 to 127 become what the text rule makes of them, bytes from 128 stay."""
    assert bytes(range(128)).translate(SPACED).decode() == spaced("".join(map(chr, range(128)))).lower()
    assert bytes(range(128, 256)).translate(SPACED) == bytes(range(128, 256))


def test_lower_case_never_breaks_or_glues_words() -> None:
    """The lower-case form of a letter is made of letters, marks and numbers: counting may lower-case first or last."""
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000 and spaced(chr(code)) != " ":
            lower = chr(code).lower()
            assert spaced(lower) == lower, hex(code)
            assert lower.lower() == lower, hex(code)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's snake_case", ["it", "s", "snake", "case"]),
        ("AWS.\r\nAWS\u2028AWS\x85AWS", ["aws"] * 4),
        ("ΟΔΥΣΣΕΥΣ Σ ΑΣ'Α", ["οδυσσευς", "σ", "ας", "α"]),
        ("İstanbul ISPARTA ılık", ["i\u0307stanbul", "isparta", "ılık"]),
        ("हिन्दी में शब्द", ["हिन्दी", "में", "शब्द"]),
        ("中文，分句。日本語", ["中文", "分句", "日本語"]),
        ("٣٤ ४५ ½ Ⅷ x²", ["٣٤", "४५", "½", "ⅷ", "x²"]),
        ("👩\u200d🌾 क्\u200dष", ["क्", "ष"]),
        ("e\u0301té été", ["e\u0301té", "été"]),
        ("\ufeff", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    """Apostrophes, line ends, joiners and emoji separate; marks and numbers of any script do not."""
    assert words_of(text) == words


def test_what_is_alphanumeric_is_a_word() -> None:
    """The short cut of the counting engine holds for all of Unicode: `str.isalnum` allows letters and numbers alone."""
    for code in range(sys.maxunicode + 1):
        if chr(code).isalnum():
            assert unicodedata.category(chr(code))[0] in {"L", "N"}, hex(code)
