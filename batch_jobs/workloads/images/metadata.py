"""What a picture says about itself, as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

from batch_jobs.workloads.images.colors import profile_name

_ORIENTATION = 274

_LOCATION = {
    33550: "ModelPixelScale",
    33920: "IntergraphMatrix",
    33922: "ModelTiepoint",
    34264: "ModelTransformation",
    34735: "GeoKeyDirectory",
    34736: "GeoDoubleParams",
    34737: "GeoAsciiParams",
    42112: "GDAL_METADATA",
}
"""GeoTIFF's tags (OGC 19-008r4, 7.1.1), Intergraph's and GDAL's: where on the earth a TIFF was taken."""

_INTEROP = {1: "InteropIndex", 2: "InteropVersion", 4096: "RelatedImageFileFormat"} | {
    4097: "RelatedImageWidth",
    4098: "RelatedImageLength",
}

_LEFT_OUT = frozenset({
    *ExifTags.IFD,
    *(700, 33723, 34377, 37500, 37724, 50740),  # XMP, IPTC, Photoshop's blocks, MakerNote, DNG's private data
    *(273, 279, 288, 289, 324, 325, 330, 513, 514),  # where in the file something is
    *(290, 291, 301, 318, 320, 321, 347, 519, 520, 521, 34675, 50341, 59932),  # tables, padding, the colour profile
})  # fmt: skip
"""What is nothing for people to read. XMP, IPTC, a MakerNote and private data can hold the place too."""

_LEAST = 254
"""The least tag of a picture's own; lower numbers are those of the place."""

_LONGEST = 1000
"""The most characters, or numbers, of one value."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def exif_of(image: Image.Image) -> Image.Exif:
    """The EXIF block, empty where there is none or where it cannot be read: that does not make a bad picture."""
    try:
        return image.getexif()
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError):
        return Image.Exif()


def orientation_of(exif: Image.Exif) -> int:
    """1 to 8; 1, upright, where it is not given."""
    value = exif.get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def metadata(image: Image.Image, size: tuple[int, int], exif: Image.Exif, *, keep_gps: bool) -> dict[str, Any]:
    """What is known of a picture.

    Args:
        image: The picture as it was opened.
        size: Its width and height, when turned upright.
        exif: Its EXIF block.
        keep_gps: Whether to keep where it was taken, and tags of no standard, which can hold it too.

    Returns:
        `{"format", "width", "height", "mode", "color_profile", "exif": {…}}` and, on request, `"gps"`.
        EXIF values are texts, numbers, and lists of numbers; a fraction is a number, null where it divides by zero.
    """
    own = dict(exif) | dict(_table(exif, ExifTags.IFD.Exif))
    known = {tag: name for tag, name in ExifTags.TAGS.items() if tag >= _LEAST}
    tags = _readable(own, known) | _readable(_table(exif, ExifTags.IFD.Interop), _INTEROP)
    if keep_gps:
        private = set(own) - set(known) - set(_LOCATION)
        tags |= _readable(own, {tag: f"0x{tag:04x}" for tag in private if tag >= _LEAST})
    kept: dict[str, Any] = {
        "format": "JPEG" if image.format == "MPO" else image.format,
        "width": size[0],
        "height": size[1],
        "mode": image.mode,
        "color_profile": profile_name(image.info.get("icc_profile")),
        "exif": dict(sorted(tags.items())),
    }
    if keep_gps:
        place = _readable(_table(exif, ExifTags.IFD.GPSInfo), ExifTags.GPSTAGS) | _readable(own, _LOCATION)
        kept["gps"] = dict(sorted(place.items()))
    return kept


def _table(exif: Image.Exif, part: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(part)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, OverflowError, EOFError):
        return {}


def _readable(tags: Mapping[int, Any], names: Mapping[int, str]) -> dict[str, Any]:
    """The values of the tags that have a name."""
    values = {names[tag]: _value(value) for tag, value in tags.items() if tag in names and tag not in _LEFT_OUT}
    return {name: value for name, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    """A value that JSON can hold; None where there is none."""
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, str):
        return _printable(_as_written(value))
    if isinstance(value, TiffImagePlugin.IFDRational | float):
        number = float(value)
        return round(number, 9) if math.isfinite(number) else None
    if isinstance(value, tuple | list):
        return [_value(part) for part in value[:_LONGEST]]
    return value if isinstance(value, int) else None


def _printable(text: str) -> str | None:
    return _UNPRINTABLE.sub("", text.encode(errors="replace").decode()).strip()[:_LONGEST] or None


def _as_written(text: str) -> str:
    """A text up to its NUL, as UTF-8 where it is that: Pillow takes each byte for a character of Latin-1."""
    try:
        return _decoded(text.encode("latin-1"))
    except UnicodeEncodeError:
        return text.partition("\0")[0]


def _decoded(raw: bytes) -> str:
    raw = raw.partition(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _utf_16(raw: bytes) -> str:
    """UTF-16 up to its NUL, in the byte order of its mark, or that of most zeros."""
    coding = "utf-16-be" if raw[::2].count(0) > raw[1::2].count(0) else "utf-16-le"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        coding, raw = ("utf-16-le" if raw[:1] == b"\xff" else "utf-16-be"), raw[2:]
    return raw.decode(coding, errors="replace").partition("\0")[0]


def _text(raw: bytes) -> str | None:
    """Text in bytes: ASCII, UTF-8, or Windows' UTF-16; None where it is none."""
    prefix, rest = raw[:8], raw[8:]  # UserComment (Exif 3.0, 4.6.5)
    if prefix == b"ASCII\0\0\0":
        return _printable(_decoded(rest))
    if prefix == b"UNICODE\0":
        return _printable(_utf_16(rest))
    if prefix == b"JIS\0\0\0\0\0":
        return _printable(rest.decode("iso2022_jp", errors="replace").partition("\0")[0])
    if prefix == bytes(8):
        raw = rest
    if len(raw) % 2 == 0 and raw[1::2].count(0) * 2 > len(raw[1::2]):
        text = _utf_16(raw)
    else:
        try:
            text = raw.partition(b"\0")[0].decode()
        except UnicodeDecodeError:
            return None
    return None if _UNPRINTABLE.search(text) else _printable(text)
