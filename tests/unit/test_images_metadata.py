"""What the workload `images` tells of a picture: EXIF as JSON, the place only on request."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from batch_jobs.outputs import HeldFiles
from batch_jobs.workloads import load_workload
from batch_jobs.workloads.image_metadata import metadata
from millrace.known_workloads import checked_options
from millrace.plan import Item

PHOTOGRAPH = Path(__file__).parents[2] / "examples" / "images" / "held-upright.jpg"


def told(raw: bytes, key: str = "a.jpg", **options: object) -> tuple[dict[str, Any], list[bytes]]:
    """The metadata, and all outputs."""
    workload = load_workload("images", checked_options("images", options))
    with HeldFiles(lambda _name: None) as files:
        workload.migrate(Item(key, len(raw), '"e"'), [raw], files)
        made = {}
        for held in files:
            held.file.seek(0)
            made[held.name] = held.file.read()
        return json.loads(made[".metadata.json"]), list(made.values())


def with_exif(tags: dict[int, Any], part: int = 0, kind: str = "JPEG") -> bytes:
    """A picture with these tags."""
    exif = Image.Exif()
    (exif.get_ifd(part) if part else exif).update(tags)
    Image.new("RGB", (8, 8)).save(file := BytesIO(), kind, exif=exif)
    return file.getvalue()


def test_the_example_tells_what_its_camera_wrote() -> None:
    """Names as in the EXIF standard, fractions as numbers, the size as it is shown."""
    found, _ = told(PHOTOGRAPH.read_bytes(), key="in/held-upright.jpg")
    assert found == {
        "key": "in/held-upright.jpg",
        "bytes": PHOTOGRAPH.stat().st_size,
        "orientation": 6,
        "format": "JPEG",
        "width": 480,
        "height": 640,
        "mode": "RGB",
        "color_profile": "sRGB built-in",
        "exif": {
            "DateTimeOriginal": "2026:05:01 09:30:00",
            "ExposureTime": 0.008,
            "FNumber": 2.8,
            "Make": "Millrace",
            "Model": "Pinhole 4",
            "Orientation": 6,
        },
    }


def test_the_place_is_told_only_on_request() -> None:
    """And no output carries it, or any EXIF, whatever the options are."""
    raw = PHOTOGRAPH.read_bytes()
    assert b"GPS" not in json.dumps(told(raw)[0]).encode()
    for options in ({}, {"keep_gps": True, "filter": "sepia", "format": "webp"}, {"format": "png", "filter": "sepia"}):
        found, outputs = told(raw, **options)
        assert ("gps" in found) == bool(options.get("keep_gps"))
        for output in outputs[:-1]:
            assert not Image.open(BytesIO(output)).getexif()
    assert told(raw, keep_gps=True)[0]["gps"]["GPSLatitude"] == [53.0, 28.0, 0.0]


@pytest.mark.parametrize(
    ("tag", "part", "value", "expected"),
    [
        (270, 0, "a mill\0\0", {"ImageDescription": "a mill"}),
        (37510, 34665, b"ASCII\0\0\0a note", {"UserComment": "a note"}),
        (37510, 34665, "a nöte".encode("utf-16-le").join([b"UNICODE\0", b""]), {"UserComment": "a nöte"}),
        (40091, 0, "Tïtle\0".encode("utf-16-le"), {"XPTitle": "Tïtle"}),
        (37500, 34665, b"the maker's secret place", {}),
        (37510, 34665, bytes(range(256)), {}),
        (0xC9F0, 0, "mine", {"0xc9f0": "mine"}),
    ],
)
def test_values_are_told_as_text_or_left_out(tag: int, part: int, value: Any, expected: dict[str, str]) -> None:
    """Text in its three codings; MakerNote, which may hold the place, and what is no text are left out."""
    assert told(with_exif({tag: value}, part))[0]["exif"] == expected


def test_a_division_by_zero_is_null() -> None:
    """JSON has neither NaN nor infinity."""
    exif = Image.Exif()
    exif[282] = TiffImagePlugin.IFDRational(0, 0)
    exif[34855] = (100, TiffImagePlugin.IFDRational(1, 0))
    found = metadata(Image.new("L", (1, 1)), (1, 1), exif, keep_gps=False)
    assert json.loads(json.dumps(found, allow_nan=False))["exif"] == {"ISOSpeedRatings": [100, None]}


def test_exif_behind_the_pixels_of_a_png_is_found() -> None:
    """The orientation too."""
    found, _ = told(with_exif({274: 6, 271: "Millrace"}, kind="PNG"))
    assert (found["orientation"], found["exif"]["Make"]) == (6, "Millrace")


@given(st.binary(max_size=200))
def test_a_broken_exif_block_does_not_make_a_bad_picture(block: bytes) -> None:
    """The picture is worked; what can be read is told."""
    Image.new("RGB", (8, 8)).save(file := BytesIO(), "JPEG", exif=b"Exif\0\0" + block)
    assert told(file.getvalue())[0]["width"] == 8
