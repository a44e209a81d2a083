"""Reading through gzip (RFC 1952) as it streams, whatever the number of members."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from millrace.errors import ErrorCode, ItemError

_STEP = 1 << 18
"""The most that one step inflates, in bytes: a chunk of 8 MiB could hold 8 GiB of zeros."""

_FEED = 1 << 14
"""How much is given to zlib at once, which copies what is left behind each step and behind each member."""


def gunzip(body: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a gzip file, in chunks of at most 256 KiB, so that a bomb costs time but no memory.

    Zeros behind the last member are padding, as `gzip -d` has it.

    Raises:
        ItemError: `DAMAGED`: it is no gzip file, its checksum is wrong, or it ends too early.
    """
    member = zlib.decompressobj(wbits=31)
    inside = False
    members = 0
    for piece in _small(body):
        data = piece
        while data:
            if not inside:
                data = data.lstrip(b"\0") if members else data
                if not data:
                    break
                inside = True
            try:
                text = member.decompress(data, _STEP)
            except zlib.error as error:
                raise ItemError(ErrorCode.DAMAGED, f"this is not a sound gzip file: {error}") from None
            if text:
                yield text
            data = member.unconsumed_tail
            if member.eof:
                data = member.unused_data
                member = zlib.decompressobj(wbits=31)
                inside = False
                members += 1
    if inside or not members:
        raise ItemError(ErrorCode.DAMAGED, "the gzip file ends before its last member does: it was cut off")


def _small(body: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in body:
        for start in range(0, len(chunk), _FEED):
            yield chunk[start : start + _FEED]
