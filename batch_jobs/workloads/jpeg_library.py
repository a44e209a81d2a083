"""`jpeg_eighth.c` as it is called from Python: a plain JPEG's pixels at an eighth of its size."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from batch_jobs.workloads.c_source import CSource

SOURCE = CSource(Path(__file__).with_name("jpeg_eighth.c"))

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_uint32


class JpegLibrary:
    """The library. Its calls let other threads run; as many decoders are kept as were at work at a time.

    Args:
        path: Where it lies.

    Raises:
        OSError: It is not there, or not for this machine.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._new, self._decode = library.jpeg_new, library.jpeg_eighth
        self._new.restype, self._new.argtypes = _POINTER, []
        self._decode.restype = ctypes.c_int
        self._decode.argtypes = [_POINTER, _POINTER, ctypes.c_uint64, _NUMBER, _NUMBER, _NUMBER, _POINTER]
        self._idle: list[int] = []

    def eighth(self, file: bytes, size: tuple[int, int], channels: int) -> bytearray | None:
        """The pixels that libjpeg-turbo gives at an eighth of the size, rounded up.

        Args:
            file: A JPEG, or what may be one.
            size: Its width and height in pixels, as its header tells them.
            channels: 1 for gray, 3 for colours.

        Returns:
            Bytes of gray, or four bytes a pixel: red, green, blue and 255; None where this is not a baseline JPEG of a
            usual kind, or not a sound one.
        """
        pixels = bytearray((size[0] + 7) // 8 * ((size[1] + 7) // 8) * (1 if channels == 1 else 4))
        to = ctypes.byref(ctypes.c_char.from_buffer(pixels))
        try:
            decoder = self._idle.pop()
        except IndexError:
            decoder = self._new()
        if not decoder:
            return None
        done = self._decode(decoder, file, len(file), *size, channels, to)
        self._idle.append(decoder)
        return pixels if done else None


load = JpegLibrary


@cache
def jpeg_library() -> JpegLibrary | None:
    """The library; None where it was not compiled: then Pillow decodes."""
    return SOURCE.loaded(JpegLibrary)
