"""TIFF files made byte by byte, so that what their pixels show is known without asking any decoder."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

WIDTH, HEIGHT = 64, 48

Sample = Callable[[int, int], float]
"""A sample from 0 (least) to 1 (most), by column and row."""


def across(x: int, _y: int) -> float:
    """From 0 on the left to 1 on the right."""
    return x / (WIDTH - 1)


def down(_x: int, y: int) -> float:
    """From 0 at the top to 1 at the bottom."""
    return y / (HEIGHT - 1)


def nothing(_x: int, _y: int) -> float:
    """0 everywhere."""
    return 0


def full(_x: int, _y: int) -> float:
    """1 everywhere."""
    return 1


@dataclass
class Tiff:
    """One picture; `made` gives its bytes.

    Attributes:
        samples: What each sample of a pixel shows.
        bits: Bits of a sample.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 CIE L*a*b*.
        number: 1 unsigned, 2 signed, 3 float.
        order: "<" or ">".
        planar: 1 samples of a pixel together, 2 a plane each.
        compression: 1 none, 8 deflate.
        rows: Rows of a strip.
        tile: Width and height of tiles; None for strips.
        fill: Fill order, 1 or 2.
        extra: ExtraSamples.
        palette: ColorMap.
        more: Further tags: type and values.
    """

    samples: list[Sample]
    bits: int = 8
    photometric: int = 1
    number: int = 1
    order: str = "<"
    planar: int = 1
    compression: int = 1
    rows: int = HEIGHT
    tile: tuple[int, int] | None = None
    fill: int = 1
    extra: list[int] = field(default_factory=list)
    palette: list[int] | None = None
    more: dict[int, tuple[int, list[float]]] = field(default_factory=dict)

    def made(self) -> bytes:
        """The file."""
        boxes = self._boxes()
        groups = [[sample] for sample in self.samples] if self.planar == 2 else [self.samples]
        chunks = [self._chunk(group, box) for group in groups for box in boxes]
        tags: dict[int, tuple[int, list[float]]] = {
            256: (4, [WIDTH]),
            257: (4, [HEIGHT]),
            258: (3, [self.bits] * len(self.samples)),
            259: (3, [self.compression]),
            262: (3, [self.photometric]),
            266: (3, [self.fill]),
            277: (3, [len(self.samples)]),
            284: (3, [self.planar]),
            339: (3, [self.number] * len(self.samples)),
            **self.more,
        }
        if self.tile:
            tags |= {322: (4, [self.tile[0]]), 323: (4, [self.tile[1]]), 325: (4, [len(chunk) for chunk in chunks])}
        else:
            tags |= {278: (4, [self.rows]), 279: (4, [len(chunk) for chunk in chunks])}
        if self.extra:
            tags[338] = (3, list(self.extra))
        if self.palette:
            tags[320] = (3, list(self.palette))
        places: list[int] = []
        at = 8
        for chunk in chunks:
            places.append(at)
            at += len(chunk)
        tags[324 if self.tile else 273] = (4, list(places))
        at += at % 2
        head = struct.pack(self.order + "2sHI", b"II" if self.order == "<" else b"MM", 42, at)
        return (head + b"".join(chunks)).ljust(at, b"\0") + self._directory(tags, at)

    def _boxes(self) -> list[tuple[int, int, int, int]]:
        if self.tile:
            width, height = self.tile
            return [(x, y, x + width, y + height) for y in range(0, HEIGHT, height) for x in range(0, WIDTH, width)]
        return [(0, y, WIDTH, min(y + self.rows, HEIGHT)) for y in range(0, HEIGHT, self.rows)]

    def _chunk(self, samples: list[Sample], box: tuple[int, int, int, int]) -> bytes:
        rows = []
        for y in range(box[1], box[3]):
            values = [
                sample(min(x, WIDTH - 1), min(y, HEIGHT - 1)) for x in range(box[0], box[2]) for sample in samples
            ]
            rows.append(self._row(values))
        raw = b"".join(rows)
        raw = zlib.compress(raw) if self.compression == 8 else raw
        return bytes(int(f"{byte:08b}"[::-1], 2) for byte in raw) if self.fill == 2 else raw

    def _row(self, values: list[float]) -> bytes:
        if self.number == 3:
            kind = {16: "e", 32: "f", 64: "d"}[self.bits]
            return struct.pack(f"{self.order}{len(values)}{kind}", *values)
        most = 2**self.bits - 1 if self.number == 1 else 2 ** (self.bits - 1) - 1
        whole = [round(value * most) for value in values]
        if self.bits in (8, 16, 32):
            kind = {8: "b", 16: "h", 32: "i"}[self.bits]
            return struct.pack(f"{self.order}{len(whole)}{kind.upper() if self.number == 1 else kind}", *whole)
        packed = "".join(f"{value:0{self.bits}b}" for value in whole)
        packed += "0" * (-len(packed) % 8)
        return int(packed, 2).to_bytes(len(packed) // 8, "big")

    def _directory(self, tags: dict[int, tuple[int, list[float]]], at: int) -> bytes:
        behind = at + 2 + 12 * len(tags) + 4
        entries, data = b"", b""
        for tag, (kind, values) in sorted(tags.items()):
            letter = {3: "H", 4: "I", 11: "f", 12: "d"}[kind]
            value = struct.pack(f"{self.order}{len(values)}{letter}", *values)
            if len(value) > 4:
                place = struct.pack(self.order + "I", behind + len(data))
                data += value
            else:
                place = value.ljust(4, b"\0")
            entries += struct.pack(self.order + "HHI", tag, kind, len(values)) + place
        return struct.pack(self.order + "H", len(tags)) + entries + bytes(4) + data
