"""JPEGs decoded at an eighth of their size by `jpeg_eighth.c`: Pillow's pixels, or none."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batch_jobs.workloads.jpeg_library import jpeg_library

SAMPLINGS = {"4:4:4": [0x11], "4:2:2": [0x21, 0x12], "4:2:0": [0x22, 0x41, 0x14]}
"""What Pillow can write; and sampling factors of luma with as many blocks in an MCU: the first ones are Pillow's."""

SIZES = st.tuples(st.integers(8, 150), st.integers(8, 150))


def picture(mode: str, size: tuple[int, int], grain: float, seed: int) -> Image.Image:
    """Soft shapes, with more or less noise in them."""
    chance = random.Random(seed)
    bands = []
    for _ in range(len(mode)):
        soft = Image.frombytes("L", (5, 4), chance.randbytes(20)).resize(size)
        bands.append(Image.blend(soft, Image.frombytes("L", size, chance.randbytes(size[0] * size[1])), grain))
    return Image.merge(mode, bands) if len(bands) > 1 else bands[0]


def saved(image: Image.Image, **options: Any) -> bytes:
    """A picture as a JPEG."""
    with patch("PIL.ImageFile.MAXBLOCK", 1 << 20):  # a file of optimized tables must fit
        image.save(file := BytesIO(), "JPEG", **options)
    return file.getvalue()


def by_pillow(raw: bytes) -> tuple[tuple[int, int], str, bytes]:
    """The size in the header, the mode, the pixels at an eighth."""
    with Image.open(BytesIO(raw)) as image:
        size = image.size
        image.draft(None, (size[0] // 8, size[1] // 8))
        assert image.size == ((size[0] + 7) // 8, (size[1] + 7) // 8)
        return size, image.mode, image.tobytes()


def ours(raw: bytes, size: tuple[int, int], mode: str) -> bytes | None:
    """The pixels, or None."""
    library = jpeg_library()
    assert library is not None
    pixels = library.eighth(raw, size, len(mode))
    if pixels is None or mode == "L":
        return None if pixels is None else bytes(pixels)
    return Image.frombytes("RGB", ((size[0] + 7) // 8, (size[1] + 7) // 8), bytes(pixels), "raw", "RGBX").tobytes()


def segment(raw: bytes, marker: int) -> int:
    """Where the body of a segment begins; Pillow writes none before it that holds its marker."""
    return raw.index(bytes([0xFF, marker])) + 4


OPTIONS = st.fixed_dictionaries(
    {"quality": st.integers(1, 100), "subsampling": st.sampled_from(sorted(SAMPLINGS)), "optimize": st.booleans()},
    optional={"restart_marker_blocks": st.integers(1, 50)},
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["L", "RGB"]), SIZES, st.sampled_from([0, 0.03, 0.3, 1]), st.integers(0, 9), OPTIONS)
def test_the_pixels_are_pillows(
    mode: str, size: tuple[int, int], grain: float, seed: int, options: dict[str, Any]
) -> None:
    """Whatever the size, quality, sampling, Huffman tables and restart intervals."""
    raw = saved(picture(mode, size, grain, seed), **options)
    assert ours(raw, size, mode) == by_pillow(raw)[2]


@pytest.mark.parametrize("sampling", [factors for known in SAMPLINGS.values() for factors in known])
@pytest.mark.parametrize("cut", [0, 1, 5, 8, 13])
def test_rare_sampling_factors_are_known(sampling: int, cut: int) -> None:
    """The header of 48 MCUs is changed to another layout with as many blocks: odd colours, and the same ones."""
    subsampling = next(name for name, known in SAMPLINGS.items() if sampling in known)
    h, v = divmod(SAMPLINGS[subsampling][0], 16)
    raw = bytearray(saved(picture("RGB", (64 * h, 48 * v), 0.2, cut), subsampling=subsampling))
    h, v = divmod(sampling, 16)
    size = (64 * h - cut % (8 * h), 48 * v - cut % (8 * v))
    frame = segment(raw, 0xC0)
    raw[frame + 1 : frame + 5] = size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big")
    raw[frame + 7] = sampling
    assert ours(bytes(raw), size, "RGB") == by_pillow(bytes(raw))[2]


def test_a_large_picture_has_pillows_pixels() -> None:
    """Its two halves are decoded at a time, and joined where they fall into step."""
    for seed, subsampling in enumerate(SAMPLINGS):
        raw = saved(picture("RGB", (1400, 900), 0.1, seed), subsampling=subsampling)
        assert ours(raw, (1400, 900), "RGB") == by_pillow(raw)[2]


def test_threads_have_decoders_of_their_own() -> None:
    """Pictures of several sizes, in eight threads at a time, each several times."""
    sizes = [(400, 300), (64, 700), (999, 80), (801, 601)]
    files = [saved(picture("RGB", size, 0.1, n)) for n, size in enumerate(sizes)]
    wanted = [by_pillow(raw)[2] for raw in files] * 20
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ours, files * 20, sizes * 20, ["RGB"] * 80)) == wanted


def without_jfif(raw: bytes, instead: bytes = b"") -> bytes:
    """With another segment, or none."""
    return raw[:2] + instead + raw[20:]


ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


@pytest.mark.parametrize("instead", [b"", ADOBE + b"\x01", b"\xff\xe1\x00\x08Exif\0\0"])
def test_colours_are_told_by_adobe_too_or_by_numbers(instead: bytes) -> None:
    """As cameras and Photoshop write them."""
    raw = without_jfif(saved(picture("RGB", (99, 70), 0.1, 1)), instead)
    assert ours(raw, (99, 70), "RGB") == by_pillow(raw)[2]


PLAIN = saved(picture("RGB", (64, 48), 0.1, 2))
RESTARTED = saved(picture("RGB", (64, 48), 0.1, 2), restart_marker_blocks=2)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        PLAIN[:2],
        PLAIN[:300],
        PLAIN[:-2],
        PLAIN[:-1],
        PLAIN[: len(PLAIN) // 2] + b"\xff\xd9",
        PLAIN[:-2] + b"\0\0\xff\xd9",
        PLAIN[:-2] + b"\xff\xd0\xff\xd9",
        RESTARTED.replace(b"\xff\xd1", b"\xff\xd2", 1),
        RESTARTED.replace(b"\xff\xd1", b"", 1),
        without_jfif(PLAIN, ADOBE + b"\x00"),
        saved(picture("RGB", (64, 48), 0.1, 2), progressive=True),
        saved(picture("CMYK", (64, 48), 0.1, 2)),
        saved(picture("L", (64, 48), 0.1, 2)),
        saved(picture("RGB", (64, 49), 0.1, 2)),
    ],
    ids=[
        *("empty", "two bytes", "header cut off", "no end", "half an end", "cut off and ended", "more bytes"),
        *("a restart too many", "restarts out of order", "a restart missing", "RGB", "progressive", "CMYK", "gray"),
        "another height",
    ],
)
def test_what_is_not_plain_and_sound_is_left_to_pillow(raw: bytes) -> None:
    """It decodes, or tells what is wrong."""
    assert ours(raw, (64, 48), "RGB") is None


def test_changed_bytes_give_pillows_pixels_or_none() -> None:
    """1,500 files with changed bytes: where Pillow tells an error, there are none; some are decoded all the same."""
    chance = random.Random(11)
    modes = [("L", {}), ("RGB", {}), ("RGB", {"subsampling": 0, "restart_marker_blocks": 3}), ("RGB", {"quality": 97})]
    sound = [saved(picture(mode, (120, 90), 0.05, n), **options) for n, (mode, options) in enumerate(modes)]
    decoded = 0
    for number in range(1500):
        changed = bytearray(sound[number % len(sound)])
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(chance.choice([700, len(changed)]))] = chance.randrange(256)
        try:
            size, mode, pixels = by_pillow(bytes(changed))
        except (OSError, SyntaxError, ValueError, AssertionError, Image.DecompressionBombError):
            size, mode, pixels = (120, 90), "RGB" if number % 4 else "L", b""
        if mode in {"L", "RGB"} and (made := ours(bytes(changed), size, mode)) is not None:
            assert made == pixels
            decoded += 1
    assert decoded > 300
