"""What a picture says about itself, as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

from batch_jobs.workloads.image_colors import profile_name

_ORIENTATION = 274
_PARTS = (ExifTags.IFD.Exif, ExifTags.IFD.Interop)
"""Tables that a tag of the first one points to."""

_LEFT_OUT = frozenset({*ExifTags.IFD, 37500, 34377, 700, 33723, 273, 279, 324, 325, 50341})
"""Pointers, and what is no text for people: MakerNote, Photoshop's and XMP's blocks, IPTC, where a TIFF's pixels lie.
A MakerNote and XMP can hold the place too."""

_LONGEST = 1000
"""The most characters, or numbers, of one value."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def exif_of(image: Image.Image) -> Image.Exif:
    """The EXIF block, empty where there is none or where it cannot be read: that does not make a bad picture."""
    try:
        return image.getexif()
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError):
        return Image.Exif()


def orientation_of(exif: Image.Exif) -> int:
    """1 to 8; 1, upright, where it is not told."""
    value = exif.get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def metadata(image: Image.Image, size: tuple[int, int], exif: Image.Exif, *, keep_gps: bool) -> dict[str, Any]:
    """What is known of a picture.

    Args:
        image: The picture as it was opened.
        size: Its width and height, when turned upright.
        exif: Its EXIF block.
        keep_gps: Whether to tell where it was taken.

    Returns:
        `{"format", "width", "height", "mode", "color_profile", "exif": {…}}` and, on request, `"gps"`.
        EXIF values are texts, numbers, and lists of numbers; a fraction is a number, null where it divides by zero.
    """
    tags = _readable(dict(exif), ExifTags.TAGS)
    for part in _PARTS:
        tags |= _readable(_table(exif, part), ExifTags.TAGS)
    told: dict[str, Any] = {
        "format": "JPEG" if image.format == "MPO" else image.format,
        "width": size[0],
        "height": size[1],
        "mode": image.mode,
        "color_profile": profile_name(image.info.get("icc_profile")),
        "exif": dict(sorted(tags.items())),
    }
    if keep_gps:
        told["gps"] = dict(sorted(_readable(_table(exif, ExifTags.IFD.GPSInfo), ExifTags.GPSTAGS).items()))
    return told


def _table(exif: Image.Exif, part: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(part)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError):
        return {}


def _readable(tags: Mapping[int, Any], names: Mapping[int, str]) -> dict[str, Any]:
    told = {}
    for tag, value in tags.items():
        if tag not in _LEFT_OUT:
            readable = _value(value)
            if readable is not None:
                told[names.get(tag, f"0x{tag:04x}")] = readable
    return told


def _value(value: Any) -> Any:
    """A value that JSON can hold; None where there is nothing to tell."""
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, TiffImagePlugin.IFDRational | float):
        number = float(value)
        return round(number, 9) if math.isfinite(number) else None
    if isinstance(value, tuple | list):
        return [_value(part) for part in value[:_LONGEST]]
    return value if isinstance(value, int) else None


def _printable(text: str) -> str | None:
    return _UNPRINTABLE.sub("", text.encode(errors="replace").decode()).strip()[:_LONGEST] or None


def _text(raw: bytes) -> str | None:
    """Text in bytes: ASCII, UTF-8, or Windows' UTF-16; None where it is none."""
    for prefix, coding in ((b"ASCII\0\0\0", "ascii"), (b"UNICODE\0", "utf-16-le")):
        if raw.startswith(prefix):  # UserComment (Exif 3.0, 4.6.5)
            return _printable(raw[len(prefix) :].decode(coding, errors="replace"))
    coding = "utf-16-le" if len(raw) % 2 == 0 and raw[1::2].count(0) * 2 > len(raw[1::2]) else "utf-8"
    try:
        text = raw.decode(coding).rstrip("\0")
    except UnicodeDecodeError:
        return None
    return None if _UNPRINTABLE.search(text) else _printable(text)
