"""Plain JPEGs, decoded at an eighth of their size without Pillow: in a third of the time, the same pixels."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from PIL import Image, features
from PIL.ImageFile import ImageFile

from batch_jobs.workloads.jpeg_library import JpegLibrary, jpeg_library

_CHANNELS = {"L": 1, "RGB": 3}


def engine() -> JpegLibrary | None:
    """What decodes; None where it was not compiled, or Pillow has another libjpeg, whose pixels might differ."""
    return jpeg_library() if features.check_feature("libjpeg_turbo") else None


def eighth_bytes(image: ImageFile, size: tuple[int, int], length: int) -> int:
    """How much memory `eighth` takes; 0 where Pillow is to decode.

    Args:
        image: As opened, its draft told.
        size: The width and height in the header.
        length: The object's bytes.
    """
    plain = image.format == "JPEG" and image.mode in _CHANNELS and "progressive" not in image.info
    if not plain or image.decoderconfig[:1] != (8,) or length > size[0] * size[1] or engine() is None:
        return 0
    return length + size[0] * size[1] // 2


def eighth(image: ImageFile, size: tuple[int, int], length: int) -> Image.Image | None:
    """The pixels, just as Pillow would give them; None where Pillow is to decode, or to tell what is wrong.

    Args:
        image: As for `eighth_bytes`.
        size: As there.
        length: As there.
    """
    library = engine()
    if library is None or image.fp is None or not eighth_bytes(image, size, length):
        return None
    pixels = library.eighth(_content(image.fp), size, _CHANNELS[image.mode])
    if pixels is None:
        return None
    return Image.frombuffer(image.mode, image.size, pixels, "raw", "L" if image.mode == "L" else "RGBX", 0, 1)


def _content(file: IO[bytes]) -> bytes:
    """A file's bytes, without a copy where they lie in memory."""
    if isinstance(file, BytesIO):
        return file.getvalue()
    file.seek(0)
    return file.read()
