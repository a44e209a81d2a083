"""The record of the workload `images`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.workload import Option, Pace, ReportPart, WorkloadRecord

METADATA_SUFFIX = ".metadata.json"
CONTACT_SHEET = "contact-sheet.html"

FORMAT_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
"""The endings of the files made, by format."""


def thumbnail_suffix(options: Mapping[str, Any]) -> str:
    """The suffix of an item's thumbnail."""
    return f".thumbnail{FORMAT_SUFFIXES[options['format']]}"


def filtered_suffix(options: Mapping[str, Any]) -> str:
    """The suffix of an item's filtered picture; empty where there is none."""
    return "" if options["filter"] == "none" else f".{options['filter']}{FORMAT_SUFFIXES[options['format']]}"


def _item_suffixes(options: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(filter(None, (thumbnail_suffix(options), filtered_suffix(options), METADATA_SUFFIX)))


RECORD = WorkloadRecord(
    name="images",
    title="thumbnails, filtered pictures and metadata of pictures",
    class_path="batch_jobs.workloads.images.workload:Images",
    options=(
        Option("thumbnail_width", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("thumbnail_height", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("format", "jpeg", "The format of the pictures made.", choices=("jpeg", "png", "webp")),
        Option("quality", 85, "The quality of JPEG and WebP pictures made.", minimum=1, maximum=100),
        Option("filter", "none", "A filtered picture beside the thumbnail.", choices=("none", "grayscale", "sepia")),
        Option(
            "filter_longest_side",
            0,
            "The filtered picture's longest side in pixels; 0: as it was.",
            minimum=0,
            maximum=65_500,
        ),
        Option("color_profile", "srgb", "Convert a thumbnail to sRGB or keep its profile.", choices=("srgb", "keep")),
        Option("keep_gps", default=False, doc="Leave the place of a photograph in its metadata."),
        Option("max_pixels", 89_478_485, "Larger pictures are refused unread.", minimum=1, maximum=1_000_000_000),
        Option("max_megabytes", 500, "Larger objects are refused unread.", minimum=1, maximum=100_000),
        Option("contact_sheet", 60, "How many thumbnails the contact sheet shows.", minimum=0, maximum=500),
    ),
    item_suffixes=_item_suffixes,
    pace=Pace(seconds_per_item=0.0095, bytes_per_second=65_000_000, outputs=2),
    extra="images",
    report=ReportPart(pictures=CONTACT_SHEET),
)
