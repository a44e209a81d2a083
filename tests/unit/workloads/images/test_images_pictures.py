"""The workload `images`: thumbnails, filters, orientation, colours; and what becomes of bad objects."""

from __future__ import annotations

import json
import random
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from batch_jobs.migrating.outputs import SpooledOutputs
from batch_jobs.workloads.images.reading import opened
from batch_jobs.workloads.images.scaling import reduce_decoding
from batch_jobs.workloads.images.totals import Pictured
from batch_jobs.workloads.registry import load_workload
from millrace.errors import ErrorCode, ItemError, WorkloadUnavailableError
from millrace.records.plan import Item
from millrace.workload.registry import checked_options


def worked(raw: bytes, key: str = "a.jpg", **options: Any) -> tuple[dict[str, bytes], Pictured]:
    """The outputs by suffix, and the contribution."""
    workload = load_workload("images", checked_options("images", options))
    with SpooledOutputs(lambda name: None if name in workload.item_suffixes else "undeclared") as files:
        pictured = workload.migrate(Item(key, len(raw), '"e"'), [raw[:50], raw[50:]], files)
        made = {}
        for held in files:
            held.file.seek(0)
            made[held.name] = held.file.read()
        return made, pictured


def failure(raw: bytes, **options: Any) -> ItemError:
    """The row's error."""
    with pytest.raises(ItemError) as caught:
        worked(raw, **options)
    return caught.value


def saved(image: Image.Image, kind: str, **given: Any) -> bytes:
    """A picture as a file."""
    image.save(file := BytesIO(), kind, **given)
    return file.getvalue()


def read(raw: bytes) -> Image.Image:
    """A file as a picture."""
    image = Image.open(BytesIO(raw))
    image.load()
    return image


def halves(mode: str = "RGB", size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def near(one: Any, other: Any) -> bool:
    """Whether two colours are the same to the eye."""
    return all(abs(a - b) < 24 for a, b in zip(one, other, strict=True))


RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_every_format_has_its_thumbnail(kind: str) -> None:
    """The picture fits the box, keeps its shape and its colours, and counts under its format."""
    made, pictured = worked(saved(halves(), kind))
    thumbnail = read(made[".thumbnail.jpg"])
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (200, 150))
    assert near(thumbnail.getpixel((20, 75)), RED)
    assert near(thumbnail.getpixel((180, 75)), BLUE)
    assert (pictured.format, pictured.pixels) == (kind, 640 * 480)
    assert set(made) == {".thumbnail.jpg", ".metadata.json"}


@pytest.mark.parametrize(("format_", "suffix", "kind"), [("png", ".png", "PNG"), ("webp", ".webp", "WEBP")])
def test_other_output_formats_keep_what_is_transparent(format_: str, suffix: str, kind: str) -> None:
    """PNG and WebP keep it, JPEG shows it on white."""
    image = halves("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda v: 255 if v > 127 else 0))
    raw = saved(image, "PNG")
    kept = read(worked(raw, format=format_)[0][f".thumbnail{suffix}"])
    assert (kept.format, kept.mode) == (kind, "RGBA")
    assert kept.getpixel((20, 5))[3] == 0  # type: ignore[index]
    flat = read(worked(raw)[0][".thumbnail.jpg"])
    assert near(flat.getpixel((20, 5)), WHITE)
    assert near(flat.getpixel((20, 145)), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_honoured(kind: str, orientation: int) -> None:
    """Every picture is shown upright, scaled to the box as it is shown; the outputs have no EXIF of their own."""
    upright = halves(size=(400, 800))
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the turn that undoes each orientation
    image = upright.transpose(Image.Transpose(stored[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[274] = orientation
    made, _ = worked(saved(image, kind, exif=exif), thumbnail_width=100, filter="sepia", filter_longest_side=400)
    thumbnail, sepia = read(made[".thumbnail.jpg"]), read(made[".sepia.jpg"])
    assert (thumbnail.size, sepia.size) == ((100, 200), (200, 400))
    assert near(thumbnail.getpixel((10, 100)), RED)
    assert near(thumbnail.getpixel((90, 100)), BLUE)
    assert not thumbnail.getexif()
    assert json.loads(made[".metadata.json"])["orientation"] == orientation


def test_a_small_picture_is_not_enlarged() -> None:
    """And one pixel is enough."""
    assert read(worked(saved(halves(size=(2, 1)), "PNG"))[0][".thumbnail.jpg"]).size == (2, 1)
    assert read(worked(saved(halves(size=(3000, 1)), "PNG"))[0][".thumbnail.jpg"]).size == (200, 1)


def test_filters() -> None:
    """Grayscale is gray, sepia is brown, both of full size; the thumbnail keeps its colours."""
    raw = saved(Image.new("RGB", (300, 200), (90, 120, 150)), "JPEG")
    gray = read(worked(raw, filter="grayscale")[0][".grayscale.jpg"])
    assert (gray.mode, gray.size) == ("L", (300, 200))
    made, _ = worked(raw, filter="sepia", format="png")
    sepia = read(made[".sepia.png"])
    assert sepia.size == (300, 200)
    assert near(sepia.getpixel((9, 9)), (156, 139, 108))
    assert near(read(made[".thumbnail.png"]).getpixel((9, 9)), (90, 120, 150))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr", "LAB"])
def test_every_mode_of_a_tiff_or_png_is_shown(mode: str) -> None:
    """Left dark, right bright: also with 16 bits, floats, a palette, CMYK, CIE L*a*b*."""
    image = Image.new("L", (64, 32), 255)
    image.paste(10, (0, 0, 32, 32))
    if mode in ("I;16", "I", "F"):
        image = image.convert("I").point(lambda value: value * 257)
        image = image if mode == "I" else image.convert(mode)
    elif mode == "LAB":
        image = Image.merge("LAB", [image, Image.new("L", image.size, 128), Image.new("L", image.size, 128)])
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    elif mode in ("CMYK", "YCbCr"):
        image = image.convert("RGB").convert(mode)
    else:
        image = image.convert(mode)
    raw = saved(image, "TIFF")
    gray = read(worked(raw)[0][".thumbnail.jpg"]).convert("L")
    assert gray.getpixel((5, 16)) < 60  # type: ignore[operator]
    assert gray.getpixel((58, 16)) > 195  # type: ignore[operator]


def test_the_colour_profile_is_converted_or_kept() -> None:
    """A profile with red and blue swapped shows which of the two was done; a damaged one is ignored and told."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"\1\2\3\4").replace(b"bXYZ", b"rXYZ").replace(b"\1\2\3\4", b"bXYZ")
    raw = saved(Image.new("RGB", (64, 64), RED), "PNG", icc_profile=swapped)
    converted = read(worked(raw, format="png")[0][".thumbnail.png"])
    kept = read(worked(raw, format="png", color_profile="keep")[0][".thumbnail.png"])
    assert "icc_profile" not in converted.info
    assert near(converted.getpixel((9, 9)), BLUE)
    assert kept.info["icc_profile"] == swapped
    assert near(kept.getpixel((9, 9)), RED)
    made, _ = worked(saved(halves(), "PNG", icc_profile=b"no profile"), format="png")
    assert near(read(made[".thumbnail.png"]).getpixel((20, 75)), RED)
    assert json.loads(made[".metadata.json"])["color_profile"] == "unreadable"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_unread() -> None:
    """50,000 x 50,000 pixels, and just above the limit, where Pillow itself only warns: rows, and no memory taken."""
    tracemalloc.start()
    assert failure(png_header(50_000, 50_000)).code is ErrorCode.TOO_LARGE
    assert failure(png_header(9_460, 9_460)).code is ErrorCode.TOO_LARGE
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
    assert failure(png_header(9_459, 9_459)).code is ErrorCode.DAMAGED


@pytest.mark.parametrize(("format_", "side", "most"), [("webp", 16_384, "16,383"), ("jpeg", 65_501, "65,500")])
@pytest.mark.parametrize("upright", [False, True])
def test_a_side_that_a_format_cannot_hold_is_told(format_: str, side: int, most: str, *, upright: bool) -> None:
    """The picture is sound, so the row says which limit it passes, and PNG holds it."""
    size = (8, side) if upright else (side, 8)
    raw = saved(Image.new("L", size, 128), "PNG")
    with pytest.raises(ItemError, match=f"{most} on a side") as caught:
        worked(raw, format=format_, filter="sepia")
    assert caught.value.code is ErrorCode.TOO_LARGE
    worked(raw, format="png", filter="sepia")
    worked(raw, format=format_, filter="sepia", filter_longest_side=16_383)


def test_the_limits_are_options() -> None:
    """Pixels and bytes."""
    raw = saved(halves(), "JPEG")
    assert failure(raw, max_pixels=640 * 480 - 1).code is ErrorCode.TOO_LARGE
    assert worked(raw, max_pixels=640 * 480)[1].pixels == 640 * 480
    workload = load_workload("images", checked_options("images", {"max_megabytes": 1}))

    def unread() -> Iterator[bytes]:
        raise AssertionError("the object was read")
        yield b""

    with pytest.raises(ItemError) as caught, SpooledOutputs(lambda _name: None) as files:
        workload.migrate(Item("a.jpg", 1_000_001, '"e"'), unread(), files)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    "raw", [b"", b"This is text.", b"BM" + bytes(60), b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_told(raw: bytes) -> None:
    """An empty object, a text named .jpg, a picture in a format that is not read."""
    assert failure(raw).code is ErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.04, 0.5, 0.9])
def test_a_truncated_picture_is_damaged(kind: str, share: float) -> None:
    """Cut in the header or in the pixels: a row, never half a picture."""
    noise = Image.effect_noise((640, 480), 90).convert("RGB")
    raw = saved(noise, kind, **({"quality": 50} if kind in ("JPEG", "WEBP") else {}))
    assert failure(raw[: max(int(len(raw) * share), 20)]).code is ErrorCode.DAMAGED


def test_a_picture_under_another_name_is_worked_as_what_it_is() -> None:
    """The content counts, not the key."""
    assert worked(saved(halves(), "PNG"), key="a.jpg")[1].format == "PNG"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_changed_bytes_never_raise_anything_else(kind: str) -> None:
    """300 files with changed bytes, EXIF included: each gives a picture or a row, never a fault of the workload."""
    exif = Image.Exif()
    exif[270] = "a mill"
    exif.get_ifd(34665)[33434] = 0.01
    given = {} if kind == "GIF" else {"exif": exif}
    raw = saved(halves(size=(40, 30)), kind, **given)
    chance = random.Random(7)
    seen = set()
    for _ in range(300):
        changed = bytearray(raw)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            worked(bytes(changed), max_pixels=1_000_000)
            seen.add("picture")
        except ItemError as error:
            seen.add(error.code)
    assert {"picture", ErrorCode.DAMAGED} <= seen <= {"picture", *ErrorCode} - {ErrorCode.WORKLOAD_FAILED}


def test_an_error_of_the_disk_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised as it is."""

    def full(*_given: object) -> Callable[..., None]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", full)
    with pytest.raises(OSError, match="No space left"):
        worked(saved(halves(), "TIFF"))


def test_memory_that_the_host_does_not_give_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's decoders say it by an error without a number."""

    def starved(*_given: object) -> Callable[..., None]:
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", starved)
    with pytest.raises(MemoryError):
        worked(saved(halves(), "TIFF"))


def test_a_missing_pillow_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 and the name of what to install, before any item."""
    for name in [name for name in sys.modules if name.startswith(("PIL", "batch_jobs.workloads.image"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(WorkloadUnavailableError, match=r"PIL is not installed; .*requirements-images\.txt") as caught:
        load_workload("images", checked_options("images", {}))
    assert caught.value.exit_code == 2


def test_a_jpeg_is_decoded_at_a_reduced_scale() -> None:
    """A quarter is enough for twice the thumbnail's size; the rest is never computed."""
    with opened([saved(halves(size=(1600, 1200)), "JPEG")], 10**7) as image:
        reduce_decoding(image, (200, 150))
        assert image.size == (400, 300)


@pytest.mark.parametrize("quality", [30, 92])
@pytest.mark.parametrize("kind", ["baseline", "progressive", "gray", "no chroma subsampling"])
def test_a_thumbnail_equals_an_independent_pipeline(kind: str, quality: int) -> None:
    """A JPEG of 12 megapixels, decoded at an eighth, looks as if Pillow had decoded it all and used its best filter."""
    soft = Image.effect_noise((40, 30), 80).resize((4000, 3000), Image.Resampling.BICUBIC)
    bands = [soft, soft.transpose(Image.Transpose.ROTATE_180), soft.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    image = soft if kind == "gray" else Image.merge("RGB", bands)
    kinds: dict[str, dict[str, Any]] = {
        "progressive": {"progressive": True},
        "no chroma subsampling": {"subsampling": 0},
    }
    raw = saved(image, "JPEG", quality=quality, **kinds.get(kind, {}))
    thumbnail = read(worked(raw, format="png")[0][".thumbnail.png"])
    whole = read(raw).resize((200, 150), Image.Resampling.LANCZOS)
    difference = ImageStat.Stat(ImageChops.difference(thumbnail, whole))
    assert thumbnail.size == whole.size
    assert max(difference.rms) < 3


def png(bits: int, color: int, rows: list[bytes], width: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG made byte by byte, with further chunks before its pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in chunks) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_gray_is_that_gray_alone(bits: int) -> None:
    """PNG tells it as a sample before scaling (PNG, 11.3.2.1): every other gray is opaque."""
    steps = 1 << min(bits, 4)
    most = (1 << bits) - 1
    grays = [round(step * most / (steps - 1)) for step in range(steps)]
    samples = [gray for gray in grays for _ in range(8)]
    packed = "".join(f"{sample:0{bits}b}" for sample in samples)
    row = int(packed, 2).to_bytes(len(packed) // 8, "big")
    for place, transparent in enumerate(grays):
        raw = png(bits, 0, [row] * 8, len(samples), (b"tRNS", struct.pack(">H", transparent)))
        thumbnail = read(worked(raw, format="png")[0][".thumbnail.png"]).convert("RGBA")
        for step in range(steps):
            pixel = thumbnail.getpixel((step * 8 + 4, 4))
            assert pixel[3] == (0 if step == place else 255)  # type: ignore[index]
            assert step == place or abs(pixel[0] - 255 * step / (steps - 1)) < 2  # type: ignore[index]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_is_that_colour(bits: int) -> None:
    """Of 16 bits, Pillow keeps the high byte of each."""
    red, blue = ((1 << bits) - 1, 0, 0), (0, 0, (1 << bits) - 1)
    kind = "B" if bits == 8 else "H"
    row = struct.pack(f">96{kind}", *(red * 16 + blue * 16))
    raw = png(bits, 2, [row] * 8, 32, (b"tRNS", struct.pack(">3H", *blue)))
    thumbnail = read(worked(raw, format="png")[0][".thumbnail.png"])
    assert [thumbnail.getpixel((x, 4))[3] for x in (4, 28)] == [255, 0]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt", "iCCP", "many"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_long_texts_of_a_png_do_not_make_it_damaged(kind: str, on_disk: bool) -> None:  # noqa: FBT001 - a case
    """Histories and drawings of many megabytes, profiles beyond all measure: they are passed over."""
    text = b"some text " * 2_000_000
    packed = zlib.compress(text, 1)
    long = {
        "zTXt": [(b"zTXt", b"mxfile\0\0" + packed)],
        "iTXt": [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)],
        "tEXt": [(b"tEXt", b"Comment\0" + text)],
        "iCCP": [(b"iCCP", b"profile\0\0" + packed)],
        "many": [(b"zTXt", b"a\0\0" + zlib.compress(text[:3_000_000], 1))] * 30,
    }[kind]
    exif = Image.Exif()
    exif[274] = 6
    chunks = [*long, (b"eXIf", exif.tobytes()[6:])]
    if on_disk:
        chunks.append((b"prVt", bytes(9 << 20)))
    raw = png(8, 2, [bytes((255, 0, 0) * 32)] * 16, 32, *chunks)
    made, _ = worked(raw)
    assert read(made[".thumbnail.jpg"]).size == (16, 32)
    assert near(read(made[".thumbnail.jpg"]).getpixel((8, 8)), RED)


@pytest.mark.parametrize(
    "raw",
    [
        b"RIFF\x44\x03\0\0WAVEfmt \x10\0\0\0" + bytes(800),
        b"RIFF\x64\0\0\0AVI LIST" + bytes(92),
        b"GIF8 is not how a GIF begins",
        b"II*",
    ],
)
def test_what_only_begins_like_a_picture_is_none(raw: bytes) -> None:
    """A WAV and an AVI share their first bytes with WebP."""
    assert failure(raw).code is ErrorCode.NOT_AN_IMAGE


def test_a_jpeg_of_12_bits_is_not_damaged() -> None:
    """It is sound; the row says that it is not read, and why."""
    raw = saved(halves("L"), "JPEG")
    at = raw.index(b"\xff\xc0")
    error = failure(raw[: at + 4] + b"\x0c" + raw[at + 5 :])
    assert (error.code, "12" in error.message) == (ErrorCode.NOT_SUPPORTED, True)
