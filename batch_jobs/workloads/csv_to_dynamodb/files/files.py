"""The CSV files of one object: the object itself, gunzipped, or a zip's members. The content decides, not the name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from batch_jobs.workloads.csv_to_dynamodb.files.zip_members import MAX_RATIO, RATIO_FREE_BYTES, zip_members
from millrace.errors import ErrorCode, ItemError
from millrace.workload import Item
from millrace.workload.compressed import gunzip

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""A zip file's first bytes; the second where it is empty."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How archives are unpacked.

    Attributes:
        members: Patterns of the files of a zip that count.
        max_bytes: The most that one archive may unpack to.
    """

    members: tuple[str, ...] = ("*.csv", "*.tsv", "*.txt")
    max_bytes: int = 10 << 30


def csv_files(item: Item, body: Iterable[bytes], unpacking: Unpacking) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files, each with its name inside the archive: empty for an object that is no zip.

    Raises:
        ItemError: `DAMAGED`, `TOO_LARGE` or `NOT_SUPPORTED`; what `zip_members` and `gunzip` raise.
    """
    if item.head_bytes is not None:  # a range: the plan saw that it is plain text
        yield "", iter(body)
        return
    start, chunks = _peek(body)
    if start.startswith(_ZIP):
        yield from zip_members(chunks, unpacking.members, unpacking.max_bytes)
        return
    name = item.key.lower()
    if name.endswith(".zip"):
        raise ItemError(ErrorCode.DAMAGED, "the object is called .zip, but this is not a zip file")
    if start.startswith(_GZIP) or name.endswith(".gz"):
        start, chunks = _peek(_within(gunzip(chunks), item.size, unpacking.max_bytes))
        if start.startswith((*_ZIP, _GZIP)):
            raise ItemError(ErrorCode.NOT_SUPPORTED, "there is another archive in the gzip file; unpack it first")
    yield "", chunks


def plain_text(body: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a file that is no archive.

    Raises:
        ItemError: `NOT_SUPPORTED`: it is one.
    """
    start, chunks = _peek(body)
    if start.startswith((*_ZIP, _GZIP)):
        raise ItemError(ErrorCode.NOT_SUPPORTED, "this is an archive")
    return chunks


def _peek(body: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first four bytes, or what there is of them; and everything."""
    chunks = iter(body)
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= 4:
            break
    return start[:4], chain((start,), chunks)


def _within(chunks: Iterable[bytes], packed: int, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > RATIO_FREE_BYTES and total > MAX_RATIO * packed:
            raise ItemError(ErrorCode.TOO_LARGE, f"the gzip file unpacks to more than {MAX_RATIO} times its size")
        if total > max_bytes:
            message = f"the gzip file unpacks to more than {max_bytes:,} bytes (option max_unpacked_mib)"
            raise ItemError(ErrorCode.TOO_LARGE, message)
        yield chunk
