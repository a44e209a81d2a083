"""The files of a zip archive, within limits, never extracted to a path."""

from __future__ import annotations

import errno
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from fnmatch import translate
from tempfile import TemporaryFile
from typing import IO

from millrace.errors import ErrorCode, ItemError

MAX_ARCHIVE_BYTES = 8 << 30
"""What an archive may take of the job's disk: Fargate gives 20 GiB."""

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 << 20
"""The archive's table of contents is the one thing that is read as a whole."""

MAX_RATIO = 200
"""How many bytes one byte may unpack to. CSV packs 5 to 50 times smaller, zeros 1,000 times."""

RATIO_FREE_BYTES = 16 << 20
"""As long as no more than this was unpacked, the ratio does not matter."""

_CHUNK_BYTES = 262_144

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The others' decoders allocate as much as the archive says."""

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, IndexError, ValueError, OverflowError)
"""What zipfile raises for archives that lie about themselves."""


def zip_members(
    body: Iterable[bytes], patterns: Iterable[str], max_unpacked_bytes: int
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Unpack the members whose name matches a pattern, in the archive's order.

    The archive is kept in a temporary file, because its table of contents comes last. Every member is unpacked twice:
    first to check limits and checksums, so that nothing of a bomb or of a damaged archive is handed out.

    Args:
        body: The archive's bytes.
        patterns: As in a shell; `*` matches `/` too, case does not count.
        max_unpacked_bytes: What all these members together may unpack to.

    Returns:
        The members' names as the archive has them, which are labels and no paths, each with its bytes in chunks.

    Raises:
        ItemError: `DAMAGED`, `TOO_LARGE`, or `NOT_SUPPORTED`: it is encrypted, packed by another method than deflate,
            holds no member that matches, or one that is an archive itself.
    """
    with TemporaryFile(prefix="millrace-zip-") as file:
        size = 0
        for chunk in body:
            size += len(chunk)
            if size > MAX_ARCHIVE_BYTES:
                raise ItemError(ErrorCode.TOO_LARGE, f"the zip file has more than {MAX_ARCHIVE_BYTES >> 30} GiB")
            file.write(chunk)
        try:
            _check_directory(file, size)
            with zipfile.ZipFile(file) as archive:
                members = _matching(archive, [re.compile(translate(pattern), re.IGNORECASE) for pattern in patterns])
                _check_contents(archive, members, max_unpacked_bytes)
                for member in members:
                    yield member.filename, _read(archive, member)
        except NotImplementedError as error:
            raise ItemError(ErrorCode.NOT_SUPPORTED, f"the zip file cannot be read: {error}") from None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise  # the disk's fault
            raise ItemError(ErrorCode.DAMAGED, f"this zip file is damaged: {error}") from None
        except _BROKEN as error:
            raise ItemError(ErrorCode.DAMAGED, f"this zip file is damaged: {error}") from None


def _check_directory(file: IO[bytes], size: int) -> None:
    """Look at the size of the table of contents before zipfile reads it (APPNOTE.TXT 4.3.14 to 4.3.16)."""
    start = max(0, size - 65_557 - 20)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("it has no table of contents: it was cut off, or is something else")
    entries, directory = struct.unpack_from("<HI", tail, at + 10)
    if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        file.seek(max(0, start + at - 20 - 56))  # where zipfile, too, looks for the 64-bit record
        entries, directory = struct.unpack_from("<QQ", file.read(56), 32)
    file.seek(0)
    if entries > MAX_ENTRIES or directory > MAX_DIRECTORY_BYTES:
        raise ItemError(ErrorCode.TOO_LARGE, f"the zip file has more than {MAX_ENTRIES:,} entries")


def _matching(archive: zipfile.ZipFile, patterns: list[re.Pattern[str]]) -> list[zipfile.ZipInfo]:
    # A folder's name ends in a slash. An entry may have no name at all: zipfile's is_dir fails there.
    files = [entry for entry in archive.infolist() if entry.filename and not entry.filename.endswith("/")]
    if len(files) > MAX_ENTRIES:
        raise ItemError(ErrorCode.TOO_LARGE, f"the zip file has more than {MAX_ENTRIES:,} entries")
    found = [
        entry
        for entry in files
        if any(pattern.match(entry.filename) for pattern in patterns) and not _is_resource_fork(entry.filename)
    ]
    if not found:
        names = ", ".join(repr(entry.filename) for entry in files[:5]) or "nothing"
        raise ItemError(
            ErrorCode.NOT_SUPPORTED,
            f"no file in the zip file matches the option members; it holds {names}"
            + (f" and {len(files) - 5} more" if len(files) > 5 else ""),
        )
    return found


def _is_resource_fork(name: str) -> bool:
    """Whether macOS put the file beside the one that is meant."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def _check_contents(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], max_unpacked_bytes: int) -> None:
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise ItemError(ErrorCode.NOT_SUPPORTED, f"{member.filename!r} in the zip file is encrypted")
        if member.compress_type not in _METHODS:
            message = f"{member.filename!r} in the zip file is packed by method {member.compress_type}, not deflate"
            raise ItemError(ErrorCode.NOT_SUPPORTED, message)
        unpacked = 0
        for chunk in _read(archive, member):
            if not unpacked and chunk.startswith((b"PK\x03\x04", b"\x1f\x8b")):
                message = f"{member.filename!r} in the zip file is an archive itself; unpack it before the upload"
                raise ItemError(ErrorCode.NOT_SUPPORTED, message)
            unpacked += len(chunk)
            total += len(chunk)
            if unpacked > RATIO_FREE_BYTES and unpacked > MAX_RATIO * member.compress_size:
                message = f"{member.filename!r} in the zip file unpacks to more than {MAX_RATIO} times its size"
                raise ItemError(ErrorCode.TOO_LARGE, message)
            if total > max_unpacked_bytes:
                message = f"the zip file unpacks to more than {max_unpacked_bytes:,} bytes (option max_unpacked_mib)"
                raise ItemError(ErrorCode.TOO_LARGE, message)


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
