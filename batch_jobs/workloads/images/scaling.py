"""Decoding at a reduced scale, scaling, turning upright, writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile

from batch_jobs.workloads.images.colors import scalable
from batch_jobs.workloads.images.tiff import black_on_white, load
from millrace.errors import ErrorCode, ItemError

Size = tuple[int, int]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by EXIF orientation (Exif 3.0, tag 274)."""

_GAP = 2.0
"""Decode at no less than so many times the size wanted, then scale: close to scaling the whole (Pillow, thumbnail)."""

_SEPIA = (0.393, 0.769, 0.189, 0, 0.349, 0.686, 0.168, 0, 0.272, 0.534, 0.131, 0)
"""The usual matrix of sepia, for red, green and blue."""

_WRITERS = {
    "jpeg": ("JPEG", "image/jpeg"),
    "png": ("PNG", "image/png"),
    "webp": ("WEBP", "image/webp"),
}


_LONGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383}
"""How many pixels a side may have (libjpeg, JPEG_MAX_DIMENSION; WebP, WEBP_MAX_DIMENSION)."""


@dataclass(frozen=True, slots=True)
class Writer:
    """How pictures are written.

    Attributes:
        pillow_format: The format, as Pillow names it.
        content_type: The format's media type.
        quality: 1 to 100, for JPEG and WebP.
    """

    pillow_format: str
    content_type: str
    quality: int

    @classmethod
    def of(cls, name: str, quality: int) -> Writer:
        """The writer of the format `jpeg`, `png` or `webp`."""
        return cls(*_WRITERS[name], quality=quality)

    def write(self, picture: Image.Image, file: BinaryIO, profile: bytes | None = None) -> int:
        """Write a picture, without any metadata but a colour profile.

        Returns:
            The number of bytes.

        Raises:
            ItemError: `TOO_LARGE`: a side is longer than the format allows.
        """
        longest = _LONGEST_SIDES.get(self.pillow_format)
        if longest is not None and max(picture.size) > longest:
            width, height = picture.size
            raise ItemError(
                ErrorCode.TOO_LARGE,
                f"{width:,} x {height:,} pixels; {self.pillow_format} allows {longest:,} on a side: set the option "
                "filter_longest_side, or format to png",
            )
        if self.pillow_format == "JPEG":
            picture = opaque(picture)
        picture.info = {}  # Pillow would write some of what it read: comments, EXIF in PNG and WebP
        more = {"quality": self.quality} if self.pillow_format != "PNG" else {}
        picture.save(file, self.pillow_format, icc_profile=profile, **more)
        return file.tell()


def fitted(size: Size, box: Size) -> Size:
    """The size that fits a box with the same shape: never larger than it was, never less than a pixel."""
    scale = min(box[0] / size[0], box[1] / size[1], 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def lying(box: Size, orientation: int) -> Size:
    """The box for a picture before it is turned upright."""
    return (box[1], box[0]) if orientation >= 5 else box


def reduce_decoding(image: ImageFile, wanted: Size) -> None:
    """Let the decoder of a JPEG give a half, a quarter or an eighth of the size, where that is enough."""
    image.draft(None, (int(wanted[0] * _GAP), int(wanted[1] * _GAP)))


def decoded(image: ImageFile) -> Image.Image:
    """The pixels of a picture as opened, perhaps with a reduced size: L, LA, RGB, RGBA or CMYK."""
    load(image)
    return black_on_white(scalable(image), image)


def scaled(picture: Image.Image, size: Size) -> Image.Image:
    """The picture at exactly that size."""
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it is to be looked at."""
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def opaque(picture: Image.Image) -> Image.Image:
    """The picture on white, as L or RGB."""
    if picture.mode not in ("LA", "RGBA"):
        return picture
    ground = Image.new(picture.mode, picture.size, "white")
    ground.alpha_composite(picture) if picture.mode == "RGBA" else ground.paste(picture, mask=picture.getchannel("A"))
    return ground.convert(picture.mode[:-1])


def filtered(picture: Image.Image, name: str) -> Image.Image:
    """The picture, in sRGB, as `grayscale` or `sepia`; what is transparent stays so."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    made = picture.convert("L") if name == "grayscale" else picture.convert("RGB").convert("RGB", _SEPIA)
    if alpha is not None:
        made.putalpha(alpha)
    return made
