"""Small texts to count, and what there is to be counted in them."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable
from io import StringIO

NOT_TEXT = b"\xff\xfe not UTF-8"


def texts(number: int, words: int = 12, seed: int = 3) -> dict[str, bytes]:
    """So many texts: `007.txt` and so on, in the order of their keys."""
    chance = random.Random(seed)
    known = ["".join(chance.choices("abcdeé", k=chance.randint(1, 4))) for _ in range(200)]
    digits = max(3, len(str(number - 1)))
    return {f"{each:0{digits}}.txt": " ".join(chance.choices(known, k=words)).encode() for each in range(number)}


def counted(bodies: Iterable[bytes]) -> dict[str, int]:
    """How often each word stands in these texts: words of `texts` are lower-case letters between blanks."""
    return dict(Counter(word for body in bodies for word in body.decode().split()))


def totals(words_csv: bytes) -> dict[str, int]:
    """What a words.csv says."""
    rows = list(csv.reader(StringIO(words_csv.decode(), newline="")))
    assert rows[0] == ["word", "count"]
    assert len({word for word, _ in rows[1:]}) == len(rows) - 1
    return {word: int(number) for word, number in rows[1:]}
