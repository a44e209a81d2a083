"""Text in chunks of any size, cut anew into blocks that hold whole words, and checked to be text on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from batch_jobs.workloads.word_count.words import SPACED, spaced
from millrace.encoded_text import not_text
from millrace.errors import ErrorCode, ItemError

MAX_WORD_BYTES = 1 << 20
"""The longest word in bytes of UTF-8. Anything longer is data, and would have to be held in memory whole."""

_REACHES = (1 << 12, 1 << 15, 1 << 21)
"""How far back, in bytes, an unfinished run without an ASCII separator is looked through for another one (Chinese)."""


def word_blocks(body: Iterable[bytes], block_bytes: int, start: int = 0) -> Iterator[bytes]:
    """Cut UTF-8 text at word boundaries.

    A byte order mark needs no care: U+FEFF is no letter, so it separates.

    Args:
        body: The text in chunks; words and UTF-8 sequences may straddle them.
        block_bytes: About how long a block shall be, at most `MAX_WORD_BYTES`.
        start: The offset of the text's first byte in its object, for the errors.

    Yields:
        The text translated by `SPACED`: no block begins or ends inside a word.

    Raises:
        ItemError: `NOT_TEXT`: not UTF-8, a NUL byte, or a word longer than `MAX_WORD_BYTES`; with the offset.
    """
    offset = start
    begun = rest = b""
    for chunk in resized(body, block_bytes):
        raw = rest + chunk
        whole = whole_characters(raw)
        raw, rest = raw[:whole], raw[whole:]
        check_text(raw, offset)
        offset += len(raw)
        block = begun + raw.translate(SPACED)
        end = last_boundary(block)
        block, begun = block[:end], block[end:]
        if max(len(block), len(begun)) > MAX_WORD_BYTES:
            check_words(block + begun, offset)
        if block:
            yield block
    check_cut_off(rest, offset)
    if begun:
        yield begun


def resized(body: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of `size`, or somewhat less where a chunk of the body ends."""
    held: list[bytes] = []
    length = 0
    for chunk in body:
        if length + len(chunk) > size and held:
            yield b"".join(held)
            held, length = [], 0
        if len(chunk) > size:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]
        else:
            held.append(chunk)
            length += len(chunk)
    if held:
        yield b"".join(held)


def whole_characters(raw: bytes) -> int:
    """How many bytes come before a UTF-8 sequence that the end cuts, if it cuts one."""
    for back in range(1, min(3, len(raw)) + 1):
        byte = raw[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(raw) - back if back < length else len(raw)
        if byte < 0x80:
            break
    return len(raw)


def check_cut_off(rest: bytes, offset: int) -> None:
    """Check that a text's last bytes end with a whole character.

    Args:
        rest: The bytes.
        offset: The offset of the first of them.

    Raises:
        ItemError: `NOT_TEXT`, with the offset of the character.
    """
    whole = whole_characters(rest)
    if whole < len(rest):
        check_text(rest[:whole], offset)
        raise ItemError(ErrorCode.NOT_TEXT, f"not UTF-8: the character at byte {offset + whole} is cut off")


def short_text(body: Iterable[bytes], most_bytes: int) -> tuple[bytes | None, Iterable[bytes]]:
    """Read a text that should be short.

    Args:
        body: The text in chunks.
        most_bytes: What counts as short.

    Returns:
        The whole text, checked, and nothing; or None where it is longer, and all its chunks.

    Raises:
        ItemError: `NOT_TEXT`: not UTF-8, or a NUL byte; with the offset.
    """
    chunks: list[bytes] = []
    length = 0
    body = iter(body)  # what is left of it follows, where the text is long
    for chunk in body:
        chunks.append(chunk)
        length += len(chunk)
        if length > most_bytes:
            return None, chain(chunks, body)
    text = b"".join(chunks)
    check_cut_off(text, 0)
    check_text(text, 0)
    return text, ()


def check_text(raw: bytes, offset: int) -> None:
    """Check that bytes are UTF-8 without NUL.

    Args:
        raw: Whole characters.
        offset: The offset of the first byte.

    Raises:
        ItemError: `NOT_TEXT`, with the offset of the first bad byte.
    """
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            check_text(raw[: error.start], offset)
            raise not_text(raw, offset) from None
    if 0 in raw:
        raise not_text(raw, offset)


def check_words(block: bytes, offset: int) -> None:
    """Check that no word of a block is longer than `MAX_WORD_BYTES`.

    Args:
        block: Text translated by `SPACED`.
        offset: The offset of its end.

    Raises:
        ItemError: `NOT_TEXT`, with the offset.
    """
    if any(len(word.encode()) > MAX_WORD_BYTES for word in spaced(block.decode()).split()):
        raise ItemError(
            ErrorCode.NOT_TEXT, f"not text: a word longer than {MAX_WORD_BYTES:,} bytes before byte {offset}"
        )


def last_boundary(block: bytes) -> int:
    """How long a block, translated by `SPACED`, is up to and with its last separator; 0 where it is all one word."""
    end = block.rfind(b" ") + 1
    if len(block) - end <= _REACHES[0] or block[end:].isascii():
        return end
    for reach in _REACHES:
        start = max(end, len(block) - reach)
        while 0x80 <= block[start] < 0xC0:
            start += 1  # inside a character
        text = block[start:].decode()
        if (found := spaced(text).rfind(" ")) >= 0:
            return start + len(text[: found + 1].encode())
        if start == end:
            break
    return end
