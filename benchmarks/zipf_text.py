"""Texts to measure with: made-up words in several scripts, their frequencies after Zipf, the same for the same seed."""

from __future__ import annotations

import random
from itertools import accumulate

SCRIPTS = {
    "latin": ("bcdfghjklmnprstvwz", "aeiou"),
    "german": ("bdfghklmnrstwzß", "aeiouäöü"),
    "french": ("bcdfglmnprstv", "aeiouéèêàç"),
    "greek": ("βγδζθκλμνξπρστφχψ", "αεηιουωάέίό"),
    "cyrillic": ("бвгджзклмнпрстфхцчшщ", "аеиоуыэюяй"),
    "arabic": ("بتثجحخدرزسشصطعغفقكلمن", "اويةى"),
    "devanagari": ("कखगघचजटडणतथदधनपबभमयरलवशसह", "\u093e\u093f\u0940\u0941\u0947\u094b\u0902"),
    "han": ("的一是不了人我在有他这中大来上国和地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里", ""),
}
"""For each script its consonants and its vowels; Han has none: there a word is a run between two marks."""

KINDS = {
    "english": {"latin": 1.0},
    "ascii log": {"latin": 0.6},
    "multilingual": {
        "latin": 0.3, "german": 0.15, "french": 0.1, "greek": 0.1, "cyrillic": 0.15, "arabic": 0.1, "devanagari": 0.05,
        "han": 0.05,
    },
}  # fmt: skip
"""The kinds of text, each with the share of its scripts; what is left of 1 is numbers and identifiers."""

VOCABULARY = 30_000
"""Distinct words of a script: what some MB of prose hold, more or less."""


def text(kind: str, size_bytes: int, seed: int = 20) -> bytes:
    """A text of that kind, about `size_bytes` long: sentences, capitals, line breaks, quotation marks."""
    dice = random.Random(seed)  # noqa: S311 - the same text every time is the point
    shares = KINDS[kind]
    lexicons = {script: _lexicon(script, dice) for script in shares}
    scripts = [*shares, "numbers"]
    weights = [*shares.values(), max(0.0, 1.0 - sum(shares.values()))]
    paragraphs: list[bytes] = []
    length = 0
    while length < size_bytes:
        script = dice.choices(scripts, weights)[0]
        paragraph = _numbers(dice) if script == "numbers" else _prose(*lexicons[script], script, dice)
        paragraphs.append(paragraph.encode())
        length += len(paragraphs[-1])
    return b"".join(paragraphs)


def _lexicon(script: str, dice: random.Random) -> tuple[list[str], list[float]]:
    consonants, vowels = SCRIPTS[script]
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        # The commonest words are short, as in prose: the mean over running words is about 4.5 letters.
        longest = 2 + min(5, len(words).bit_length() // 3)
        if vowels:
            syllables = dice.randint(1, longest)
            word = "".join(dice.choice(consonants) + dice.choice(vowels) for _ in range(syllables))
            word = word[dice.randint(0, 1) : len(word) - dice.randint(0, 1)] or word
        else:
            word = "".join(dice.choices(consonants, k=dice.randint(2, 12)))
        words[word] = None
    return list(words), list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))


def _prose(words: list[str], weights: list[float], script: str, dice: random.Random) -> str:
    comma, stop, gap = ("，", "。", "") if script == "han" else (", ", ". ", " ")  # noqa: RUF001
    chosen = dice.choices(words, cum_weights=weights, k=dice.randint(40, 160))
    parts: list[str] = []
    begins = True
    for word in chosen:
        chance = dice.random()
        end = stop if chance < 0.07 else comma if chance < 0.17 or not gap else "\u2019s " if chance < 0.18 else gap
        parts.append((word.capitalize() if begins else word) + end)
        begins = end == stop
    return "".join(parts).strip() + (".\n" if gap else "。\n")


def _numbers(dice: random.Random) -> str:
    return f"2026-11-{dice.randint(1, 30):02d} 10:{dice.randint(0, 59):02d} GET /item/{dice.getrandbits(40):x} 200\n"
