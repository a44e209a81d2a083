"""The words of a text that belong to one byte range of it.

A range that begins at offset p begins with the first word that starts at p or later: just behind the first separator
whose last byte is p - 1 or later. It ends where the range behind it begins. Both find that place by the same rule from
the same bytes, so the ranges of a text share out its bytes without gap or overlap, wherever the cuts are: inside a
word, inside a character, next to a separator that is three bytes long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batch_jobs.workloads.word_count.word_blocks import MAX_WORD_BYTES, whole_characters
from batch_jobs.workloads.word_count.words import spaced
from millrace.encoded_text import not_text
from millrace.errors import ErrorCode, ItemError
from millrace.workload import LOOK_BACK_BYTES

_STEP = 4096
"""How many bytes are looked through at once for a separator."""


class RangeText:
    """The text that belongs to a range, in chunks; an iterator.

    Args:
        first_byte: The range's first byte.
        last_byte: Its last one, inclusive.
        body: The object's bytes from `LOOK_BACK_BYTES` before the range (or its beginning) to its end; taken as needed.

    Attributes:
        start: The offset of the text's first byte in the object.

    Raises:
        ItemError: `NOT_TEXT`: around an end of the range is no UTF-8, or a word longer than `MAX_WORD_BYTES`.
    """

    def __init__(self, first_byte: int, last_byte: int, body: Iterable[bytes]) -> None:
        self._chunks = iter(body)
        self._end = last_byte + 1
        self._held = b""
        self._at = max(0, first_byte - LOOK_BACK_BYTES)
        self.start = self._boundary(first_byte)
        self._drop(self.start - self._at)

    def __iter__(self) -> Iterator[bytes]:
        """The text's bytes."""
        while self._at + len(self._held) + LOOK_BACK_BYTES <= self._end:
            kept = self._held[-LOOK_BACK_BYTES:]  # what the boundary at the end may have to look back at
            chunk = self._held[: len(self._held) - len(kept)]
            self._drop(len(chunk))
            if chunk:
                yield chunk
            if not self._more():
                break
        if self._at < self._end:
            stop = self._boundary(self._end)
            yield self._held[: stop - self._at]

    def _boundary(self, place: int) -> int:
        """The offset behind the first separator that ends at `place` or later; the object's end if there is none."""
        if place == 0:
            return 0
        at = max(self._at, place - LOOK_BACK_BYTES)
        while self._byte(at) is not None and at < place and 0x80 <= self._held[at - self._at] < 0xC0:
            at += 1  # inside a character that began before
        while (text := self._text(at)) is not None:
            for character in text[:LOOK_BACK_BYTES]:
                length = len(character.encode())
                if at + length >= place:
                    break
                at += length
                text = text[1:]
            found = spaced(text).find(" ")
            if found >= 0:
                return at + len(text[: found + 1].encode())
            at += len(text.encode())
            if at - place > MAX_WORD_BYTES:
                raise ItemError(
                    ErrorCode.NOT_TEXT, f"not text: a word longer than {MAX_WORD_BYTES:,} bytes before byte {at}"
                )
        return self._at + len(self._held)

    def _text(self, at: int) -> str | None:
        """Some characters from an offset on; None at the object's end."""
        while len(self._held) < at - self._at + _STEP and self._more():
            pass
        raw = self._held[at - self._at : at - self._at + _STEP]
        whole = raw[: whole_characters(raw)]
        if not whole:
            return None
        try:
            return whole.decode()
        except UnicodeDecodeError:
            raise not_text(whole, at) from None

    def _byte(self, at: int) -> int | None:
        while at - self._at >= len(self._held):
            if not self._more():
                return None
        return self._held[at - self._at]

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._held += chunk
        return True

    def _drop(self, count: int) -> None:
        self._held = self._held[count:]
        self._at += count
