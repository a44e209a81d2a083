"""Opening an object as a picture: which formats, how large, how many at once, and what it means where that fails."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from io import BytesIO
from struct import error as StructError  # noqa: N812 - it is a class, whatever its name looks like
from tempfile import TemporaryFile
from threading import Condition
from typing import IO
from zlib import error as ZlibError  # noqa: N812 - as above

from PIL import Image, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin
from PIL.ImageFile import ImageFile

from batch_jobs.workloads.images import png as image_png
from batch_jobs.workloads.images import tiff as image_tiff
from millrace.errors import ErrorCode, ItemError

FORMATS = ("JPEG", "PNG", str(TiffImagePlugin.TiffImageFile.format), str(WebPImagePlugin.WebPImageFile.format), "GIF")
"""What is read. Importing the modules of two registers them before threads do; `preinit` imports the others."""

_JPEG, _TIFF = rb"\xff\xd8\xff", rb"II[*+]\0|MM\0[*+]"
_SIGNATURE = re.compile(rb"%s|%s|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP" % (_JPEG, _TIFF), re.DOTALL)
"""How files of these formats begin."""

_UNREAD = re.compile(r"unknown (pixel mode|raw mode)|cannot handle|^\d+$|not (yet )?supported|unrecognized image mode")
"""What Pillow says of files that are sound, for all it knows, but of a kind that it does not read."""

_MEMORY_BYTES = 8 << 20
"""What an object takes in memory; beyond that it is on disk."""

_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, StructError, ZlibError),
    *(ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError),
)
"""What Pillow's decoders raise for files that are not as they should be: found by changing bytes of sound ones."""


def guard_pillow(max_pixels: int) -> None:
    """Let Pillow itself refuse larger pictures, whatever code opens one, for the whole process.

    Pillow 13 warns of a picture with more than MAX_IMAGE_PIXELS and refuses at twice as many (PIL.Image,
    `_decompression_bomb_check`): the warning is made an error. Its warnings about odd files would break the job's log,
    which is JSON.
    """
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = max_pixels
    image_png.limit_texts()
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


@contextmanager
def opened(body: Iterable[bytes], max_pixels: int) -> Generator[ImageFile, None, None]:
    """The picture in an object, its header read, its pixels not yet.

    Args:
        body: The object's bytes.
        max_pixels: How many pixels it may have.

    Raises:
        ItemError: `NOT_AN_IMAGE`, `TOO_LARGE`, `NOT_SUPPORTED` or `DAMAGED`.
    """
    with _held(body) as held, image_png.without_long_texts(held) as file:
        if not file.seek(0, os.SEEK_END):
            raise ItemError(ErrorCode.NOT_AN_IMAGE, "the object is empty")
        with damage_reported():
            image = _open(file)
            image_tiff.set_right(image)
            image_png.set_right(image)
        with image:
            width, height = image.size
            if width * height > max_pixels:
                raise ItemError(
                    ErrorCode.TOO_LARGE, f"{width:,} x {height:,} pixels; the option max_pixels allows {max_pixels:,}"
                )
            yield image


@contextmanager
def damage_reported() -> Generator[None, None, None]:
    """Translates what Pillow raises inside.

    Raises:
        ItemError: `TOO_LARGE`, `NOT_SUPPORTED` or `DAMAGED`.
        OSError: The disk's fault.
        MemoryError: The host has none left.
    """
    try:
        yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ItemError(ErrorCode.TOO_LARGE, f"{error} The option max_pixels allows more.") from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the file's
        if "out of memory" in str(error):  # Pillow's own words, for a decoder that got none
            raise MemoryError(str(error)) from error
        if isinstance(error, ValueError) and _UNREAD.search(str(error)):
            raise _not_supported(str(error)) from error
        raise ItemError(ErrorCode.DAMAGED, f"the picture cannot be decoded: {error}") from error


@contextmanager
def _held(body: Iterable[bytes]) -> Generator[IO[bytes], None, None]:
    """A file of the object's bytes: in memory, where they can be looked at without a copy, unless they are many."""
    chunks = iter(body)
    file: IO[bytes] = BytesIO(next(chunks, b""))  # one chunk alone is not copied
    file.seek(0, os.SEEK_END)
    with ExitStack() as stack:
        for chunk in chunks:
            if isinstance(file, BytesIO) and file.tell() + len(chunk) > _MEMORY_BYTES:
                disk = stack.enter_context(TemporaryFile())
                disk.write(file.getvalue())
                file = disk
            file.write(chunk)
        yield file


def _open(file: IO[bytes]) -> ImageFile:
    """Read the header."""
    file.seek(0)
    start = file.read(16)
    try:
        return image_tiff.opened(file) if re.match(_TIFF, start) else Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        if reason := _kind_not_read(file, start):
            raise _not_supported(reason) from None
        if _SIGNATURE.match(start):
            raise ItemError(ErrorCode.DAMAGED, "it starts like a picture, but its header cannot be read") from None
        names = ", ".join(FORMATS)
        raise ItemError(ErrorCode.NOT_AN_IMAGE, f"this is not a picture in a supported format: {names}") from None


def _kind_not_read(file: IO[bytes], start: bytes) -> str | None:
    """Why Pillow does not read a header that is sound; None where it is not, as far as is known."""
    file.seek(0)
    if start.startswith(b"MM\0+"):  # Pillow knows these first bytes, but takes the second for the version
        return "a BigTIFF in big-endian order"
    try:
        if re.match(_TIFF, start):
            TiffImagePlugin.TiffImageFile(file)
        elif re.match(_JPEG, start):
            JpegImagePlugin.JpegImageFile(file)
    except (SyntaxError, OSError) as error:
        reason = str(error)
        if reason == "unknown pixel mode":
            return "no combination of colours, bits and number format in a TIFF that Pillow knows"
        return (f"compression {reason}" if reason.isdigit() else reason) if _UNREAD.search(reason) else None
    except _DAMAGED:
        return None
    return None


def _not_supported(reason: str) -> ItemError:
    return ItemError(ErrorCode.NOT_SUPPORTED, f"this kind of picture is not supported: {reason}")


class PixelBudget:
    """Lets threads in as long as what they hold together stays within a limit; one alone may hold more.

    Args:
        limit_bytes: The limit.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, size: int) -> Generator[None, None, None]:
        """Wait until so many bytes may be held, and hold them inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()
