"""Colours: from what a file holds to sRGB."""

from __future__ import annotations

import math
from functools import lru_cache
from io import BytesIO
from typing import cast

from PIL import Image, ImageCms

from batch_jobs.workloads.images.tiff import most_of
from millrace.errors import ErrorCode, ItemError

_DIRECT = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""Pillow's modes that can be neither scaled nor written as they are, and what they become."""

_BROAD = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
"""Shades of gray with 16 bits."""


def scalable(image: Image.Image) -> Image.Image:
    """The picture in a mode that can be scaled without loss of quality: L, LA, RGB, RGBA or CMYK.

    Gray with 16 bits becomes gray with 8; whole numbers of 32 bits and floats are spread from black to white.

    Raises:
        ItemError: `NOT_AN_IMAGE`: its values are no numbers.
    """
    if image.mode in ("1", "L", "P", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in _BROAD:
        scale = 255 / most_of(image)
        whole = image.convert("I")
        gray = whole.point(lambda value: value * scale).convert("L")
        sample = image.info.get("transparency")
        if sample is None:
            return gray
        shown = whole.point([0 if value == sample else 255 for value in range(1 << 16)], "L")
        return Image.merge("LA", (gray, shown))
    if image.mode in ("I", "F"):
        low, high = cast("tuple[float, float]", image.getextrema())  # one band: two numbers
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ItemError(ErrorCode.NOT_AN_IMAGE, "its values are not all finite numbers: it cannot be shown")
        scale = 255 / ((high - low) or 1)
        return image.convert("F").point(lambda value: value * scale + -low * scale).convert("L")
    if image.mode == "LAB":
        return _transform(None, "LAB", "RGB").apply(image)
    return image.convert(_DIRECT[image.mode]) if image.mode in _DIRECT else image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture as L, LA, RGB or RGBA in sRGB.

    Args:
        image: In a mode that `scalable` gives.
        profile: The file's ICC profile; without one, or with one that does not fit, its colours are taken for sRGB.
    """
    if profile and image.mode != "LA":
        target = "RGBA" if image.mode == "RGBA" else "RGB"
        try:
            return _transform(profile, image.mode, target).apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a profile of gray for a coloured picture, or a damaged one: browsers ignore it too
    return image.convert("RGB") if image.mode == "CMYK" else image


def profile_name(profile: bytes | None) -> str | None:
    """The description in an ICC profile; None where there is no profile, "unreadable" where it cannot be read."""
    if not profile:
        return None
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "unreadable"


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str, target: str) -> ImageCms.ImageCmsTransform:
    """Made once for all pictures of one camera.

    Without its cache, a transform may be used by several threads at once (Little CMS 2, cmsFLAGS_NOCACHE).
    """
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(BytesIO(profile) if profile else ImageCms.createProfile("LAB")),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        target,
        flags=ImageCms.Flags.NOCACHE,
    )
