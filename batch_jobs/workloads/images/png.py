"""PNGs: long texts are skipped, and transparency is decided by the sample as stored."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO

from PIL import PngImagePlugin
from PIL.ImageFile import ImageFile

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_LONGEST_TEXT = 4 << 20
"""What a text or a colour profile may unpack to; longer ones say nothing that is needed."""

_ALL_TEXTS = 16 << 20
"""What all texts of a picture may come to."""

_HEAD = struct.Struct(">I4s")


def limit_texts() -> None:
    """Let Pillow read texts and profiles as long as `without_long_texts` leaves, for the whole process."""
    PngImagePlugin.MAX_TEXT_CHUNK = _LONGEST_TEXT


@contextmanager
def without_long_texts(file: IO[bytes]) -> Generator[IO[bytes], None, None]:
    """A PNG without the texts and profiles that Pillow would refuse the whole picture for.

    Args:
        file: Any file; it is given back where there is nothing to leave out.
    """
    left_out = _long_texts(file)
    if not left_out:
        yield file
        return
    with BytesIO() if isinstance(file, BytesIO) else TemporaryFile() as shorter:
        at = 0
        for begins, ends in left_out:
            file.seek(at)
            shorter.write(file.read(begins - at))
            at = ends
        file.seek(at)
        copyfileobj(file, shorter)
        yield shorter


def _long_texts(file: IO[bytes]) -> list[tuple[int, int]]:
    """Where chunks begin and end that are left out."""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return []
    left_out: list[tuple[int, int]] = []
    texts, at = 0, len(SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            break
        length, kind = _HEAD.unpack(head)
        behind = at + _HEAD.size + length + 4
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            long = length if length > _LONGEST_TEXT else _unpacked(kind, file.read(length))
            if long > _LONGEST_TEXT or texts + long > _ALL_TEXTS:
                left_out.append((at, behind))
            else:
                texts += long
        elif kind == b"IEND":
            break
        at = behind
    return left_out


def set_right(image: ImageFile) -> None:
    """Correct the transparent colour of a PNG, just opened: Pillow compares it with samples made 8 bits wide."""
    sample = image.info.get("transparency")
    stored = image.tile[0].args if image.format == "PNG" and image.tile else None
    if sample is None or not isinstance(stored, str):
        return
    if stored in ("L;2", "L;4"):
        most = (1 << int(stored[2:])) - 1
        image.info["transparency"] = (sample & most) * (255 // most)
    elif stored == "L":
        image.info["transparency"] = sample & 255
    elif stored == "RGB;16B":  # Pillow keeps the high byte of each
        image.info["transparency"] = tuple(part >> 8 for part in sample)
    elif stored == "RGB":
        image.info["transparency"] = tuple(part & 255 for part in sample)


def _unpacked(kind: bytes, content: bytes) -> int:
    """How long a chunk's text or profile is; a little more than `_LONGEST_TEXT` where it is longer."""
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        packed, (_, _, rest) = rest[:1] == b"\1", (b"", b"", rest[2:].split(b"\0", 2)[-1])
    else:
        packed, rest = kind != b"tEXt", rest if kind == b"tEXt" else rest[1:]
    if not packed:
        return len(rest)
    try:
        return len(zlib.decompressobj().decompress(rest, _LONGEST_TEXT + 1))
    except zlib.error:
        return len(rest)
