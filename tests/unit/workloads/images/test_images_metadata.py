"""What the workload `images` tells of a picture: EXIF as JSON, the place only on request."""

from __future__ import annotations

import json
import re
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.images.metadata import metadata
from batch_jobs.workloads.registry import load_workload
from millrace.records.plan import Item
from millrace.workload.registry import checked_options

PHOTOGRAPH = Path(__file__).parents[4] / "examples" / "images" / "held-upright.jpg"


def told(raw: bytes, key: str = "a.jpg", **options: object) -> tuple[dict[str, Any], list[bytes]]:
    """The metadata, and all outputs."""
    workload = load_workload("images", checked_options("images", options))
    with SpooledOutputs(lambda _name: None) as files:
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
        (37510, 34665, b"ASCII\0\0\0a n\xc3\xb6te\0left over", {"UserComment": "a nöte"}),
        (37510, 34665, b"UNICODE\0" + "東京\0left over".encode("utf-16-be"), {"UserComment": "東京"}),
        (37510, 34665, b"UNICODE\0" + "\ufeffnote".encode("utf-16-be"), {"UserComment": "note"}),
        (37510, 34665, bytes(8) + b"a note", {"UserComment": "a note"}),
        (37510, 34665, bytes(8) + b"\xff\xfe\xfd binary", {}),
        (37510, 34665, b"JIS\0\0\0\0\0" + "東京".encode("iso2022_jp"), {"UserComment": "東京"}),
        (40091, 0, "Title\0left over".encode("utf-16-le"), {"XPTitle": "Title"}),
        (36864, 34665, b"0232", {"ExifVersion": "0232"}),
        (320, 0, tuple(range(768)), {}),
        (301, 0, tuple(range(768)), {}),
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


def exif_block(*texts: tuple[int, bytes]) -> bytes:
    """An EXIF block whose ASCII values are these bytes, as other programs write them; Pillow would write ASCII."""
    entries, data, behind = b"", b"", 8 + 2 + 12 * len(texts) + 4
    for tag, value in texts:
        place = struct.pack(">I", behind + len(data)) if len(value) > 4 else value.ljust(4, b"\0")
        entries += struct.pack(">HHI", tag, 2, len(value)) + place
        data += value if len(value) > 4 else b""
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(texts)) + entries + bytes(4) + data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_texts_are_utf_8_and_end_at_their_nul(kind: str) -> None:
    """As Lightroom, exiftool and phones write them; what is no UTF-8 is Latin-1."""
    block = exif_block(
        (270, "Müller, 東京".encode() + b"\0"),
        (271, b"ACME\0Leftover\0"),
        (272, b"X1\0"),
        (305, b"caf\xe9\0"),
        (315, "José".encode()),
        (33432, b"\0editor\0"),
    )
    Image.new("RGB", (8, 8)).save(file := BytesIO(), kind, exif=block)
    expected = {"ImageDescription": "Müller, 東京", "Make": "ACME", "Model": "X1", "Software": "café", "Artist": "José"}
    assert told(file.getvalue())[0]["exif"] == expected


PRINTED = st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])


@given(st.text(PRINTED, min_size=1, max_size=50), st.binary(max_size=20))
def test_any_text_in_utf_8_is_told_as_it_is(text: str, behind: bytes) -> None:
    """Whatever follows its NUL."""
    block = exif_block((315, text.encode() + b"\0" + behind))
    Image.new("RGB", (8, 8)).save(file := BytesIO(), "JPEG", exif=block)
    assert told(file.getvalue())[0]["exif"] == {"Artist": text}


PLACE = (16.3731, 48.2082)
"""What no output may hold, however it is written."""


def with_place(kind: str) -> bytes:
    """A picture that tells its place in every way that its format has."""
    text = f"{PLACE[0]} {PLACE[1]}"
    image = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[271] = "ACME"
    exif[700] = exif[33723] = exif[34377] = exif[50740] = exif[37724] = text.encode()
    exif[0xC9F0] = exif[42112] = exif[34737] = text
    exif[2] = text
    for tag in (33550, 33920, 33922, 34264, 34736):
        exif[tag] = (0.0, *PLACE, 0.0)
    exif.get_ifd(34665).update({37500: text.encode(), 34737: text, 2: text, 0xC9F0: text})
    exif.get_ifd(34853).update({2: (48.0, 12.0, 29.5), 4: (16.0, 22.0, 23.2), 27: b"ASCII\0\0\0" + text.encode()})
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", text)
    texts.add_itxt("XML:com.adobe.xmp", text)
    more: dict[str, dict[str, Any]] = {
        "JPEG": {"xmp": text.encode(), "comment": text},
        "WEBP": {"xmp": text.encode()},
        "PNG": {"pnginfo": texts},
    }
    image.save(file := BytesIO(), kind, exif=exif, **more.get(kind, {}))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_output_tells_the_place_in_any_form(kind: str) -> None:
    """GPS, GeoTIFF, XMP, IPTC, MakerNotes, private tags, comments, PNG texts; with `keep_gps` the JSON alone does."""
    raw = with_place(kind)
    for format_ in ("jpeg", "png", "webp"):
        found, outputs = told(raw, format=format_, filter="sepia", color_profile="keep")
        assert found["exif"]["Make"] == "ACME"
        for output in outputs:
            assert not re.search(rb"16\.37|48\.2|GPS|Geo|Exif|exif\0|http://ns.adobe", output.replace(b'"exif"', b""))
    kept, outputs = told(raw, keep_gps=True)
    assert kind == "TIFF" or kept["gps"]["GPSLatitude"] == [48.0, 12.0, 29.5]  # Pillow writes no tables into a TIFF
    assert kept["gps"]["ModelTiepoint"] == [0.0, *PLACE, 0.0]
    assert kept["exif"]["0xc9f0"] == f"{PLACE[0]} {PLACE[1]}"
    assert all(b"48.2" not in output for output in outputs[:-1])


def test_the_version_of_interoperability_has_its_name() -> None:
    """Not the number of its tag."""
    exif = Image.Exif()
    exif.get_ifd(34665)[40965] = {1: "R98", 2: b"0100"}
    Image.new("RGB", (8, 8)).save(file := BytesIO(), "JPEG", exif=exif)
    assert told(file.getvalue())[0]["exif"] == {"InteropIndex": "R98", "InteropVersion": "0100"}


def test_a_palette_is_not_metadata() -> None:
    """A TIFF's colour map, 768 numbers, is left out, as are the places in the file."""
    Image.new("P", (8, 8)).save(file := BytesIO(), "TIFF")
    found = told(file.getvalue())[0]["exif"]
    assert {"ColorMap", "StripOffsets", "StripByteCounts"}.isdisjoint(found)
    assert found["ImageWidth"] == 8
