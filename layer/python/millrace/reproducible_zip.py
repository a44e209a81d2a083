"""Zips whose bytes follow from names and contents alone, so that a digest names what is in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say."""
_PLAIN, _EXECUTABLE = 0o100644, 0o100755
_UNIX = 3


def reproducible_zip(texts: Iterable[tuple[str, bytes]], files: Iterable[tuple[str, Path]], level: int = 6) -> bytes:
    """A zip, whose files have one time and one of two modes.

    Args:
        texts: Names and contents, which come first, as they are given.
        files: Names and where the contents are; they follow, by their names.
        level: How hard to compress, 1 to 9.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, text in texts:
            archive.writestr(_entry(name, _PLAIN), text, zipfile.ZIP_DEFLATED, level)
        for name, path in sorted(files):
            entry = _entry(name, _EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, level)
    return made.getvalue()


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = _UNIX  # whatever this is
    entry.external_attr = mode << 16
    return entry
