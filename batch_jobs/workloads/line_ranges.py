"""The lines of an object, or those that belong to one byte range of it: text lines, JSON Lines.

A line belongs to the range that its first byte is in. So each line of an object is one range's, wherever the cuts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batch_jobs.workloads import LOOK_BACK_BYTES
from millrace.errors import ErrorCode, ItemError
from millrace.plan import Item

MAX_LINE_BYTES = 64 << 20
"""The longest line; a line is held in memory."""


def lines(item: Item, body: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """The item's lines, each with its line feed; only the object's last one may be without.

    Args:
        item: An object, or a range of one, as `migrate` is given it.
        body: Its bytes, as `migrate` is given them; read to the end of the item's last line.
        max_line_bytes: The longest line that is taken.

    Raises:
        ItemError: `TOO_LARGE`: a line is longer.
    """
    first = item.first_byte or 0
    end = item.size if item.last_byte is None else item.last_byte + 1
    at = max(0, first - LOOK_BACK_BYTES)
    for line in _all_lines(body, max_line_bytes):
        if at >= first:
            yield line
        at += len(line)
        if at >= end:
            return


def _all_lines(body: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes]:
    begun: list[bytes] = []
    size = 0
    for chunk in body:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*begun, line, b"\n"))
            begun.clear()
            size = 0
        size += len(rest)
        begun.append(rest)
        if size > max_line_bytes:
            raise ItemError(ErrorCode.TOO_LARGE, f"not lines: one is longer than {max_line_bytes:,} bytes")
    if size:
        yield b"".join(begun)
