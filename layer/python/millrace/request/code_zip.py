"""What a zip of code says of itself, checked: the command asks before it uploads one, the jobs before they unpack it.

A zip is untrusted input: nothing that it says is believed before it is checked.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib

from millrace.errors import CodePackageError
from millrace.request.code_package import MAX_FILES, RECORD, PackageRecord

MAX_RECORD_BYTES = 1 << 20

DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises where a zip is damaged, encrypted or of a kind that it does not know."""


def checked_zip(archive: zipfile.ZipFile, name: str) -> tuple[PackageRecord, list[zipfile.ZipInfo]]:
    """Check the names in a zip of code, and read its record.

    Args:
        archive: The zip. What its files hold is not read.
        name: What errors call it.

    Returns:
        Its record, and its files; its folders follow from them.

    Raises:
        CodePackageError: It has too many files, one that would lie outside its folder, a link or a device, a name that
            is there twice whatever its case, a compression that `millrace package` does not use, or no record.
        BadZipFile: It is damaged, as is any other error of `DAMAGED`.
    """
    found = archive.infolist()
    if len(found) > MAX_FILES:
        raise _refused(f"it holds {len(found):,} files; the most is {MAX_FILES:,}", name)
    seen: dict[str, str] = {}
    for each in found:
        parts = each.filename.rstrip("/").split("/")
        kind = stat.S_IFMT(each.external_attr >> 16)
        if {"", ".", ".."} & set(parts) or "\\" in each.orig_filename or "\0" in each.orig_filename or ":" in parts[0]:
            raise _refused(f"it has the name {each.orig_filename!r}, which would lie outside its folder", name)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _refused(f"{each.filename} is a link or a device; only files are unpacked", name)
        # A job's disk may not tell them apart: the embedded AWS runs jobs on macOS, too.
        folded = each.filename.casefold()
        if folded in seen:
            twin = seen[folded]
            why = "is there twice" if twin == each.filename else f"and {twin} differ only in upper and lower case"
            raise _refused(f"{each.filename} {why}", name)
        seen[folded] = each.filename
        if each.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise _refused(f"{each.filename} is compressed in a way that millrace package does not use", name)
    return _record(archive, name), [each for each in found if not each.is_dir()]


def _record(archive: zipfile.ZipFile, name: str) -> PackageRecord:
    try:
        with archive.open(RECORD) as opened:
            return PackageRecord.from_json(opened.read(MAX_RECORD_BYTES), name)
    except KeyError:
        raise _refused(f"it has no {RECORD}; millrace package makes a zip that has", name) from None


def _refused(why: str, name: str) -> CodePackageError:
    return CodePackageError(why, operation="take the code", target=name)
