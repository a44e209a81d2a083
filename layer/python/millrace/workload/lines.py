"""The lines of an object, or those that belong to one byte range of it: text lines, JSON Lines.

A line belongs to the range that its first byte is in. So each line of an object is one range's, wherever the cuts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from millrace.errors import ErrorCode, ItemError
from millrace.records.plan import Item
from millrace.workload.contract import LOOK_BACK_BYTES

MAX_LINE_BYTES = 64 << 20
"""The longest line; a line is held in memory."""


def lines(item: Item, body: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """The item's lines, each with its line feed; only the object's last one may be without.

    A whole object's lines end where the body ends, whatever the item's size says: the body may be a decompressed one.

    Args:
        item: An object, or a range of one, as `migrate` is given it.
        body: Its bytes, as `migrate` is given them, or decompressed where the item is a whole object. A range's body is
            read to the end of the range's last line.
        max_line_bytes: The longest line that is taken.

    Raises:
        ItemError: `TOO_LARGE`: a line is longer. `DAMAGED`: a range's body ends before the range does, or continues
            behind the object's end.
    """
    if item.first_byte is None or item.last_byte is None:
        yield from _all_lines(body, max_line_bytes)
        return
    at = max(0, item.first_byte - LOOK_BACK_BYTES)
    for line in _all_lines(body, max_line_bytes):
        following = at + len(line)
        if following > item.size:
            raise ItemError(
                ErrorCode.DAMAGED,
                f"the bytes of the range continue behind the object's {item.size:,}; a range cannot be decompressed",
            )
        if at >= item.first_byte:
            yield line
        at = following
        if at > item.last_byte:
            return
    raise ItemError(
        ErrorCode.DAMAGED, f"the bytes of the range end at byte {at:,}, before its last one, {item.last_byte:,}"
    )


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
