"""The workload `images`: TIFFs of every kind are shown as they are, or refused; never as something else."""

from __future__ import annotations

import itertools
import struct
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.registry import load_workload
from millrace.errors import ErrorCode, ItemError
from millrace.records.plan import Item
from millrace.workload.registry import checked_options
from tests.unit.workloads.images.tiff_files import HEIGHT, WIDTH, Sample, Tiff, across, down, full, nothing


def shown(raw: bytes) -> Image.Image | ErrorCode:
    """The thumbnail, which is as large as the picture; or the row's error."""
    workload = load_workload("images", checked_options("images", {"format": "png", "color_profile": "keep"}))
    with SpooledOutputs(lambda _name: None) as files:
        try:
            workload.migrate(Item("a.tif", len(raw), '"e"'), [raw], files)
        except ItemError as error:
            return error.code
        held = next(held for held in files if held.name == ".thumbnail.png")
        held.file.seek(0)
        image = Image.open(BytesIO(held.file.read()))
        assert image.size == (WIDTH, HEIGHT)
        return image.convert("RGBA").convert("RGB")


def turned(sample: Sample) -> Sample:
    """The negative."""
    return lambda x, y: 1 - sample(x, y)


def half(sample: Sample) -> Sample:
    """At half its value: premultiplied by an alpha of a half."""
    return lambda x, y: sample(x, y) / 2


GRAY = (across, across, across)
COLORS = (across, down, nothing)
RGB: list[Sample] = [across, down, nothing]
NEUTRAL: list[Sample] = [across, lambda _x, _y: 128 / 255, lambda _x, _y: 128 / 255]


def ramp(bits: int, most: int) -> list[int]:
    """A palette from black to red, whose blue is full."""
    colors = 1 << bits
    return [round(place * most / (colors - 1)) for place in range(colors)] + [0] * colors + [most] * colors


KINDS: dict[str, tuple[dict[str, Any], tuple[Sample, ...]]] = {
    **{f"gray {bits}": ({"samples": [across], "bits": bits}, GRAY) for bits in (1, 2, 4, 8, 12, 16, 32)},
    **{
        f"white is zero {bits}": ({"samples": [turned(across)], "bits": bits, "photometric": 0}, GRAY)
        for bits in (1, 2, 4, 8, 16, 32)
    },
    **{f"signed gray {bits}": ({"samples": [across], "bits": bits, "number": 2}, GRAY) for bits in (16, 32)},
    **{f"float gray {bits}": ({"samples": [across], "bits": bits, "number": 3}, GRAY) for bits in (16, 32, 64)},
    "float white is zero": ({"samples": [turned(across)], "bits": 32, "number": 3, "photometric": 0}, GRAY),
    "float RGB": ({"samples": RGB, "bits": 32, "number": 3, "photometric": 2}, COLORS),
    **{f"RGB {bits}": ({"samples": RGB, "bits": bits, "photometric": 2}, COLORS) for bits in (8, 16, 32)},
    **{
        f"RGB {bits} and {extra}": (
            {"samples": [*RGB, *[full] * len(extra)], "bits": bits, "photometric": 2, "extra": extra},
            COLORS,
        )
        for bits, extra in itertools.product((8, 16), ([0], [1], [2], [0, 0], [1, 0], [2, 0]))
    },
    **{
        f"RGB {bits} premultiplied": (
            {"samples": [*map(half, RGB), half(full)], "bits": bits, "photometric": 2, "extra": [1]},
            COLORS,
        )
        for bits in (8, 16)
    },
    **{
        f"gray {bits} and [{extra}]": ({"samples": [across, full], "bits": bits, "extra": [extra]}, GRAY)
        for bits, extra in itertools.product((8, 16), (0, 1, 2))
    },
    **{
        f"CMYK {bits}": (
            {"samples": [turned(across), turned(down), full, nothing], "bits": bits, "photometric": 5},
            COLORS,
        )
        for bits in (8, 16)
    },
    **{
        f"palette {bits}": (
            {"samples": [across], "bits": bits, "photometric": 3, "palette": ramp(bits, 65535)},
            (across, nothing, full),
        )
        for bits in (1, 2, 4, 8, 16)
    },
    "palette of 8-bit colours": (
        {"samples": [across], "photometric": 3, "palette": ramp(8, 255)},
        (across, nothing, full),
    ),
    "YCbCr": ({"samples": NEUTRAL, "photometric": 6, "more": {530: (3, [1, 1])}}, GRAY),
    "CIE L*a*b*": ({"samples": [across, nothing, nothing], "photometric": 8}, GRAY),
}

ALWAYS_READ = {"gray 1", "gray 8", "gray 16", "RGB 8", "RGB 16", "palette of 8-bit colours", "float gray 32", "CMYK 16"}
"""What must not become a refusal, in either byte order, planes or not."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_is_shown_as_it_is_or_refused(kind: str) -> None:
    """Both byte and fill orders, samples together and in planes, plain and deflated, one strip, several, tiles.

    A gradient written byte by byte comes out as that gradient, or the row says NOT_SUPPORTED.
    """
    given, expected = KINDS[kind]
    few = 1 << min(given.get("bits", 8), 8)
    tolerance = 255 / (few - 1) / 2 + 16
    planes = (1, 2) if len(given["samples"]) > 1 else (1,)
    fills = (1, 2) if given.get("bits", 8) <= 8 else (1,)
    for order, planar, compression, fill in itertools.product("<>", planes, (1, 8), fills):
        for layout in ({}, {"rows": 10}, {"tile": (32, 32)}):
            case: dict[str, Any] = {
                "order": order,
                "planar": planar,
                "compression": compression,
                "fill": fill,
                **layout,
            }
            image = shown(Tiff(**given, **case).made())
            if isinstance(image, ErrorCode):
                assert image is ErrorCode.NOT_SUPPORTED, case
                assert kind not in ALWAYS_READ or fill == 2, case
                continue
            for x, y in itertools.product((2, 20, 41, 61), (2, 25, 45)):
                found = image.getpixel((x, y))
                wanted = [255 * sample(x, y) for sample in expected]
                assert all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True)), (case, x, y)  # type: ignore[arg-type]


@pytest.mark.parametrize("compression", [1, 8])
def test_a_tiff_that_is_cut_off_is_damaged(compression: int) -> None:
    """In its pixels: the directory says where they are, and they are not there."""
    raw = Tiff(RGB, bits=16, photometric=2, planar=2, compression=compression).made()
    head, rest = raw[:8], raw[8:]
    at = int.from_bytes(head[4:8], "little") - 4000 if compression == 1 else 0
    if not at:
        assert shown(raw[: len(raw) // 2]) is ErrorCode.DAMAGED
        return
    broken = head[:4] + at.to_bytes(4, "little") + rest[: at - 8] + raw[at + 4000 :]
    assert shown(broken) is ErrorCode.DAMAGED


def test_a_bigtiff_in_big_endian_order_is_not_damage() -> None:
    """Its header alone: an offset of 8 bytes, no pages."""
    assert shown(b"MM\0+" + struct.pack(">HHQQ", 8, 0, 16, 0)) is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("compression", [34712, 50001])
def test_a_compression_that_is_not_read_is_not_damage(compression: int) -> None:
    """JPEG 2000 is unknown to Pillow, WebP in a TIFF to the libtiff in its wheel: sound, but not read."""
    assert shown(Tiff(RGB, photometric=2, compression=compression).made()) is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("put", [None, 0, 100, 1_000_000])
@pytest.mark.parametrize("layout", [{"rows": 10}, {"tile": (32, 32)}])
def test_wrong_counts_of_bytes_are_forgiven(put: int | None, layout: dict[str, Any]) -> None:
    """Old programs left them out or wrote nonsense; where nothing is compressed, nobody needs them."""

    class Sloppy(Tiff):
        def _directory(self, tags: dict[int, tuple[int, list[float]]], at: int) -> bytes:
            counts = 325 if self.tile else 279
            tags[counts] = (4, [put or 0] * len(tags[counts][1]))
            if put is None:
                del tags[counts]
            return super()._directory(tags, at)

    image = shown(Sloppy(RGB, photometric=2, **layout).made())
    assert isinstance(image, Image.Image)
    assert [image.getpixel(at) for at in ((0, 0), (63, 0), (0, 47), (63, 47))] == [
        (0, 0, 0),
        (255, 0, 0),
        (0, 255, 0),
        (255, 255, 0),
    ]


def test_a_tiff_in_planes_is_read_from_disk_too() -> None:
    """Large objects are not kept in memory."""
    image = shown(Tiff(RGB, bits=16, photometric=2, planar=2, order=">").made() + bytes(9 << 20))
    assert isinstance(image, Image.Image)
    assert image.getpixel((63, 47)) == (255, 255, 0)


def test_signed_samples_of_8_bits_are_taken_for_unsigned_ones() -> None:
    """Files that say so hold shades from 0 to 255 all the same; Pillow shows them like that."""
    image = shown(Tiff([across], more={339: (3, [2])}).made())
    assert isinstance(image, Image.Image)
    assert [image.getpixel((x, 20)) for x in (0, 63)] == [(0, 0, 0), (255, 255, 255)]
