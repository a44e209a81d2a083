"""TIFFs: where Pillow would show other pixels than the file holds, they are set right or refused."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from io import BytesIO
from threading import Lock
from typing import IO

from PIL import Image, ImageOps, ImagePalette, TiffImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from millrace.errors import ErrorCode, ItemError

_BITS, _PHOTOMETRIC, _FILL_ORDER, _PLANAR, _COLOR_MAP, _EXTRA, _SAMPLE_FORMAT = 258, 262, 266, 284, 320, 338, 339
_WHITE_IS_ZERO, _LAB = 0, 8

_NATIVE = {
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
    "F;32F": "F;32NF",
    "F;32BF": "F;32NF",
}
"""libtiff gives numbers in the machine's byte order; Pillow expects the file's for these."""


_OPTIONAL = frozenset({"jpeg", "webp", "zstd", "lzma"})
"""Compressions that libtiff may be built without."""

_LOCK = Lock()
"""Held while READ_LIBTIFF, which is the whole process's, may be on."""


def opened(file: IO[bytes]) -> ImageFile:
    """A TIFF, its header read.

    What is not compressed, Pillow decodes itself, and forgives wrong counts of bytes. But it mixes up planes of 16 bits
    and lacks many kinds of planes and fill orders: libtiff decodes those.

    Raises:
        UnidentifiedImageError: Pillow does not read it.
    """
    with _LOCK:
        with suppress(UnidentifiedImageError):
            image = Image.open(file, formats=["TIFF"])
            if not _needs_libtiff(image):
                return image
        file.seek(0)
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            return Image.open(file, formats=["TIFF"])
        finally:
            TiffImagePlugin.READ_LIBTIFF = False


def _needs_libtiff(image: ImageFile) -> bool:
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.tile[0].codec_name != "raw":
        return False
    tags = image.tag_v2
    bytes_alone = set(tags.get(_BITS, (1,))) == {8} and tags.get(_EXTRA, ()) in ((), (2,))
    plain = bytes_alone and image.mode in ("RGB", "RGBA", "CMYK")
    return tags.get(_FILL_ORDER) == 2 or (tags.get(_PLANAR) == 2 and not plain)


def set_right(image: ImageFile) -> None:
    """Correct how a TIFF, just opened, will be decoded.

    Raises:
        ItemError: `NOT_SUPPORTED`: it would be decoded to wrong pixels.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    tags = image.tag_v2
    bits, sort = tags.get(_BITS, (1,))[0], tags.get(_SAMPLE_FORMAT, (1,))[0]
    if sort == 1 and bits == 32:
        raise _not_supported("unsigned samples of 32 bits")
    if tags.get(_PHOTOMETRIC) == _LAB and tags.get(_PLANAR) == 2:
        raise _not_supported("CIE L*a*b* in planes")
    if tags.get(_PLANAR) == 2 and len(tags.get(_EXTRA, ())) > 1 and any(tags[_EXTRA]):
        raise _not_supported("several extra samples in planes")
    for place, tile in enumerate(image.tile):
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple) and tile.args[0] in _NATIVE:
            image.tile[place] = tile._replace(args=(_NATIVE[tile.args[0]], *tile.args[1:]))
    colors = tags.get(_COLOR_MAP)
    if image.mode in ("P", "PA") and colors and max(colors) < 256:  # libtiff's rule too: old scanners wrote 0 to 255
        image.palette = ImagePalette.raw("RGB;L", bytes(colors))


def load(image: ImageFile) -> None:
    """Decode a picture.

    Raises:
        ItemError: `NOT_SUPPORTED`: a TIFF in a compression that this libtiff was built without.
    """
    try:
        image.load()
    except OSError as error:
        compression = image.info.get("compression")
        if image.format == "TIFF" and error.errno is None and compression in _OPTIONAL and not _has(compression):
            raise _not_supported(f"compression {compression}") from error
        raise


@cache
def _has(compression: str) -> bool:
    """Whether libtiff was built with a compression: Pillow does not say, but what it writes it reads."""
    try:
        Image.new("RGB", (8, 8)).save(BytesIO(), "TIFF", compression=compression)
    except OSError:
        return False
    return True


def most_of(image: Image.Image) -> int:
    """The largest sample that an unsigned gray of more than 8 bits can have."""
    bits = image.tag_v2.get(_BITS, (16,))[0] if isinstance(image, TiffImagePlugin.TiffImageFile) else 16
    return (1 << bits) - 1


def black_on_white(picture: Image.Image, image: ImageFile) -> Image.Image:
    """A picture of gray, the right way round: of 16 bits and of floats, Pillow leaves it as a negative.

    Args:
        picture: In mode L.
        image: What it was made of.
    """
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    broad = image.mode.startswith(("I", "F"))
    if tiff and broad and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # type: ignore[attr-defined]
        return ImageOps.invert(picture)
    return picture


def _not_supported(what: str) -> ItemError:
    return ItemError(ErrorCode.NOT_SUPPORTED, f"a TIFF with {what} is not read")
