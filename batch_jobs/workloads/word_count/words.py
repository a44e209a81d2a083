r"""What a word is: a maximal run of Unicode letters, marks and numbers, lower-cased as `str.lower` does it.

`[\p{L}\p{M}\p{N}]+` of UTS 18, that is the categories L*, M* and N* of `unicodedata`. The underscore, the apostrophe
and every line break separate. `\w` would not do: it takes the underscore in
and breaks Hindi words at their vowel signs. A word is not normalised: NFC and NFD spellings are two words.
"""

from __future__ import annotations

import unicodedata

SPACED = bytes(ord(chr(byte).lower()) if chr(byte).isalnum() else 32 for byte in range(128)) + bytes(range(128, 256))
"""For `bytes.translate`: ASCII letters in lower case, other ASCII separators as spaces, the bytes of UTF-8 sequences as
they are."""


class _Spaced(dict[int, int]):
    """For `str.translate`: every character that is no part of a word becomes a space. Filled as characters turn up."""

    def __missing__(self, code: int) -> int:
        kept = unicodedata.category(chr(code))[0] in "LMN"
        self[code] = code if kept else 32
        return self[code]


_spaced = _Spaced()


def spaced(text: str) -> str:
    """The text with a space in place of every character that is no part of a word; as long as it was."""
    return text.translate(_spaced)


def words_of(text: str) -> list[str]:
    """The words of a text, in its order.

    Lower-casing the whole text gives what lower-casing each word gives: the one rule that looks at its neighbours, the
    final sigma, does not look past a space (Unicode, 3.13, Final_Sigma).
    """
    return spaced(text).lower().split()
