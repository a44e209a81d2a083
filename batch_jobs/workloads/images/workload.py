"""The workload `images`: a thumbnail, a filtered picture and the metadata of every picture; a contact sheet of the run.

Outputs of an item: `{key}.thumbnail.jpg`, `{key}.metadata.json` and, with a filter, `{key}.sepia.jpg`.
The run's is `contact-sheet.html`. Of a picture with several frames or pages, the first is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

from PIL import Image
from PIL.ImageFile import ImageFile

from batch_jobs.workloads.images.colors import to_srgb
from batch_jobs.workloads.images.contact_sheet import CELL, Cell, contact_sheet
from batch_jobs.workloads.images.metadata import exif_of, metadata, orientation_of
from batch_jobs.workloads.images.reading import PixelBudget, damage_reported, guard_pillow, opened
from batch_jobs.workloads.images.record import CONTACT_SHEET, METADATA_SUFFIX, RECORD, filtered_suffix, thumbnail_suffix
from batch_jobs.workloads.images.scaling import (
    Size,
    Writer,
    decoded,
    filtered,
    fitted,
    lying,
    opaque,
    reduce_decoding,
    scaled,
    upright,
)
from batch_jobs.workloads.images.totals import ImageTotals, Pictured
from millrace.errors import ErrorCode, ItemError
from millrace.workload import Item, Outputs

_HELD_BYTES = 512 << 20
"""What the pictures being decoded take together: a job has 2 GiB."""

_CELL_WRITER = Writer.of("jpeg", 70)


@dataclass(frozen=True, slots=True)
class _Source:
    """A picture as decoded, its size as stored, its colour profile, its EXIF orientation."""

    picture: Image.Image
    size: Size
    profile: bytes | None
    turn: int


class Images:
    """Makes thumbnails, applies filters, reads metadata.

    Memory: 4 bytes for each pixel of a picture that is decoded in full, three times that with a filter, 6 bytes for a
    progressive JPEG; a baseline JPEG is decoded at the least scale that will do. Beyond 512 MiB pictures wait for each
    other.

    Args:
        options: As its record declares them.
    """

    name: ClassVar[str] = RECORD.name
    partial_suffix: ClassVar[str] = ".jsonl"
    most_contribution_bytes = 16_384
    """A cell of the contact sheet takes some 4 kB, and a third more as text."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        guard_pillow(options["max_pixels"])
        self._max_pixels: int = options["max_pixels"]
        self._max_bytes: int = options["max_megabytes"] * 1_000_000
        self._box: Size = (options["thumbnail_width"], options["thumbnail_height"])
        self._filter: str = options["filter"]
        self._longest_side: int = options["filter_longest_side"]
        self._keep_profile: bool = options["color_profile"] == "keep"
        self._keep_gps: bool = options["keep_gps"]
        self._cells: int = options["contact_sheet"]
        self._writer = Writer.of(options["format"], options["quality"])
        self._budget = PixelBudget(_HELD_BYTES)
        self._thumbnail = thumbnail_suffix(options)
        self._filtered = filtered_suffix(options)
        self.item_suffixes = RECORD.item_suffixes(options)

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> Pictured:
        """Work one picture.

        Returns:
            What it adds to the run's sums, and its cell of the contact sheet.

        Raises:
            ItemError: `NOT_AN_IMAGE`, `TOO_LARGE` or `DAMAGED`.
        """
        if item.size > self._max_bytes:
            raise ItemError(
                ErrorCode.TOO_LARGE, f"{item.size:,} bytes; the option max_megabytes allows {self._max_bytes:,}"
            )
        with opened(body, self._max_pixels) as image:
            size = image.size
            # A PNG's EXIF may be behind its pixels: reading it means decoding. All other formats have it now.
            exif = exif_of(image) if image.format != "PNG" else Image.Exif()
            turn = orientation_of(exif)
            if not self._filter_needs_all():
                reduce_decoding(image, fitted(size, lying(self._wanted(), turn)))
            with self._budget.hold(self._decoding_bytes(image, size)):
                with damage_reported():
                    picture = decoded(image)
                if image.format == "PNG":
                    exif = exif_of(image)
                    turn = orientation_of(exif)
                kept: dict[str, Any] = {"orientation": turn}
                if image.format == "TIFF":
                    turn = 1  # Pillow has turned it upright, and gives the size that it has then
                kept |= metadata(image, lying(size, turn), exif, keep_gps=self._keep_gps)
                source = _Source(picture, size, image.info.get("icc_profile"), turn)
                if self._filtered:
                    self._write_filtered(source, outputs)
                thumbnail_bytes, cell = self._write_thumbnail(source, outputs)
        with outputs.open(METADATA_SUFFIX, "application/json") as file:
            rows = {"key": item.key, "bytes": item.size, **kept}
            file.write(json.dumps(rows, ensure_ascii=False, indent=2).encode() + b"\n")
        shown = Cell(item.key, *cell) if cell else None
        return Pictured(kept["format"], size[0] * size[1], item.size, thumbnail_bytes, shown)

    def contribution_to_json(self, contribution: Pictured) -> dict[str, Any]:
        """What a picture gave, to be kept beside its shard's commit."""
        return contribution.to_json()

    def contribution_from_json(self, given: dict[str, Any]) -> Pictured:
        """What `contribution_to_json` was given."""
        return Pictured.from_json(given)

    def partial(self) -> ImageTotals:
        """A new, empty partial."""
        return ImageTotals(self._cells)

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, Any]:
        """Add up the partials; write `contact-sheet.html`, unless the option `contact_sheet` is 0.

        Returns:
            `{"images", "formats": {"JPEG": 3}, "pixels", "bytes", "thumbnail_bytes", "shown"}`.

        Raises:
            DamagedFileError: A partial is not one.
        """
        totals = self.partial()
        for file in partials:
            totals.read(file)
        images = totals.formats.total()
        if self._cells:
            with results.open(CONTACT_SHEET, "text/html; charset=utf-8") as file:
                file.write(contact_sheet(totals.cells, images))
        formats = dict(sorted(totals.formats.items()))
        return {"images": images, "formats": formats, **totals.sums, "shown": len(totals.cells)}

    def _filter_needs_all(self) -> bool:
        return bool(self._filtered) and not self._longest_side

    def _wanted(self) -> Size:
        """The size in which pixels are needed."""
        side = self._longest_side if self._filtered else 0
        return max(self._box[0], side), max(self._box[1], side)

    def _decoding_bytes(self, image: ImageFile, size: Size) -> int:
        # A progressive JPEG's coefficients are all held, two bytes each, whatever the scale (libjpeg.txt, memory).
        coefficients = size[0] * size[1] * 6 if image.info.get("progressive") else 0
        pixels = image.size[0] * image.size[1] * (12 if self._filtered else 4)
        return coefficients + pixels

    def _write_filtered(self, source: _Source, outputs: Outputs) -> None:
        side = self._longest_side
        wanted = fitted(source.size, (side, side)) if side else source.size
        plain = upright(to_srgb(scaled(source.picture, wanted), source.profile), source.turn)
        made = filtered(plain, self._filter)
        with outputs.open(self._filtered, self._writer.content_type) as file:
            self._writer.write(made, file)

    def _write_thumbnail(self, source: _Source, outputs: Outputs) -> tuple[int, tuple[bytes, int, int] | None]:
        """The thumbnail's size in bytes; and the cell's JPEG, width and height."""
        small = scaled(source.picture, fitted(source.size, lying(self._box, source.turn)))
        kept = source.profile if self._keep_profile and small.mode != "CMYK" else None
        plain = upright(to_srgb(small, source.profile), source.turn)
        made = upright(small, source.turn) if kept else plain
        with outputs.open(self._thumbnail, self._writer.content_type) as file:
            length = self._writer.write(made, file, kept)
        if not self._cells:
            return length, None
        cell = opaque(scaled(plain, fitted(plain.size, (CELL, CELL))))
        jpeg = BytesIO()
        _CELL_WRITER.write(cell, jpeg)
        return length, (jpeg.getvalue(), *cell.size)
