"""Reading through gzip, Zstandard, bzip2 and xz as they stream: for any workload whose objects may be compressed."""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from millrace.errors import ErrorCode, ItemError
from millrace.records.plan import Item

STEP_BYTES = 1 << 18
"""The most that one step unpacks: a bomb costs time, but no memory."""

FEED_BYTES = 1 << 14
"""How much is given to a decompressor at once: what is left behind a step, a member or a frame is copied each time."""

XZ_MEMORY_BYTES = 128 << 20
"""The largest dictionary that an xz file may ask for; `xz -9` asks for 65 MiB. zstd has the same limit built in."""

ENDINGS = {".gz": "gzip", ".zst": "Zstandard", ".bz2": "bzip2", ".xz": "xz"}
"""The endings of the keys whose objects `decompressed` unpacks, in lower case, and their formats."""

_SIGNATURES = {b"\x1f\x8b\x08": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz"}
"""How such files begin (RFC 1952, RFC 8878, the formats of bzip2 and xz)."""

PACKED_ENDINGS = (
    *ENDINGS,
    *(".tgz", ".gzip", ".zstd", ".tzst", ".bz", ".tbz", ".tbz2", ".txz", ".lzma", ".lz4", ".br", ".sz", ".snappy"),
    *(".z", ".zip", ".7z", ".rar"),
)
"""The endings of objects that no byte range can be read of by itself."""


@dataclass(frozen=True, slots=True)
class _Format:
    """A format that is made of frames, one after the other.

    Attributes:
        name: For people.
        begin: A decompressor for one frame.
        broken: What it raises for bytes that are none.
        padded: Whether zeros may be behind a frame.
    """

    name: str
    begin: Callable[[], Any]
    broken: tuple[type[Exception], ...]
    padded: bool = False


@cache
def _format(ending: str) -> _Format:
    """The format of a key's ending. Zstandard is loaded when an object needs it: the Lambdas do not have it."""
    if ending == ".bz2":
        return _Format("bzip2", bz2.BZ2Decompressor, (OSError, ValueError))
    if ending == ".xz":
        begin = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        return _Format("xz", begin, (lzma.LZMAError,), padded=True)
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    return _Format("Zstandard", zstd.ZstdDecompressor, (zstd.ZstdError,))


def is_packed(key: str) -> bool:
    """Whether the key's ending says that the object is compressed or an archive; case does not count."""
    return key.lower().endswith(PACKED_ENDINGS)


def decompressed(item: Item, body: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of an object whose key ends in `.gz`, `.zst`, `.bz2` or `.xz`, unpacked; any other's as they are.

    Args:
        item: The item; case of its key's ending does not count.
        body: Its bytes, as `migrate` is given them.

    Returns:
        Chunks; those that were unpacked have at most 256 KiB.

    Raises:
        ItemError: `DAMAGED`: it is no such file, a checksum is wrong, it ends too early, or something else follows.
            `NOT_SUPPORTED`: the item is a byte range of a compressed object. `TOO_LARGE`: it asks for more memory than
            `XZ_MEMORY_BYTES`.
    """
    ending = packed_format(item.key)
    if ending and item.first_byte is not None:
        raise ItemError(ErrorCode.NOT_SUPPORTED, f"a byte range of a {ENDINGS[ending]} file cannot be unpacked")
    return decompressed_as(ending, body)


def packed_format(key: str, start: bytes = b"") -> str:
    """The extension that names an object's format, `.gz` say; empty where it is not compressed.

    Args:
        key: The object's key; case does not count.
        start: Its first bytes, where the content decides what the key does not.
    """
    named = next((ending for ending in ENDINGS if key.lower().endswith(ending)), "")
    return named or next((ending for sign, ending in _SIGNATURES.items() if start.startswith(sign)), "")


def decompressed_as(ending: str, body: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of an object of a format that `packed_format` named, unpacked; as they are where it named none.

    Raises:
        ItemError: As `decompressed` raises it.
    """
    if not ending:
        return iter(body)
    return gunzip(body) if ending == ".gz" else _unpacked(body, _format(ending))


def gunzip(body: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a gzip file (RFC 1952), of any number of members, in chunks of at most 256 KiB.

    So a bomb costs time, but no memory.

    Zeros behind the last member are padding, as `gzip -d` has it.

    Raises:
        ItemError: `DAMAGED`: it is no gzip file, its checksum is wrong, or it ends too early.
    """
    member = zlib.decompressobj(wbits=31)
    inside = False
    members = 0
    for piece in _small_pieces(body):
        data = piece
        while data:
            if not inside:
                data = data.lstrip(b"\0") if members else data
                if not data:
                    break
                inside = True
            try:
                text = member.decompress(data, STEP_BYTES)
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


def _small_pieces(body: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in body:
        for start in range(0, len(chunk), FEED_BYTES):
            yield chunk[start : start + FEED_BYTES]


def _unpacked(body: Iterable[bytes], form: _Format) -> Iterator[bytes]:
    frame: Any = None
    frames = 0
    for piece in _small_pieces(body):
        data = piece
        while data or (frame is not None and not frame.needs_input):
            if frame is None:
                data = data.lstrip(b"\0") if form.padded and frames else data
                if not data:
                    break
                frame = form.begin()
            text = _step(frame, data, form)
            if text:
                yield text
            data = b""
            if frame.eof:
                data, frame, frames = frame.unused_data, None, frames + 1
    if frame is not None or not frames:
        raise ItemError(ErrorCode.DAMAGED, f"the {form.name} file ends before its last frame does: it was cut off")


def _step(frame: Any, data: bytes, form: _Format) -> bytes:
    try:
        text: bytes = frame.decompress(data, STEP_BYTES)
    except form.broken as error:
        why = str(error).lower()
        if "not enough memory" in why:  # zstd's words where the host gives none
            raise MemoryError(str(error)) from error
        if "memory" in why:
            raise ItemError(ErrorCode.TOO_LARGE, f"the {form.name} file asks for too much memory: {error}") from None
        raise ItemError(ErrorCode.DAMAGED, f"this is not a sound {form.name} file: {error}") from None
    return text
