"""What a manifest is, by its name."""

from __future__ import annotations

from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri

INVENTORY = "manifest.json"
"""What the key of an S3 Inventory report's manifest ends in."""

FORMATS = {".csv": "CSV", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines", ".parquet": "Parquet"}
"""A manifest's format by the ending of its key; CSV and JSON Lines may be gzipped."""


def checked_manifest(given: object) -> str | None:
    """The URI of a manifest, checked; None where there is none.

    Raises:
        InvalidRunRequest: It is no URI, or its ending names no format.
    """
    if given is None:
        return None
    uri = S3Uri.parse(given, "manifest")
    if not (uri.key.endswith(INVENTORY) or format_of(uri.key)):
        raise InvalidRunRequest(
            "manifest",
            given,
            "a URI that ends in manifest.json (S3 Inventory), .csv, .csv.gz, .jsonl, .jsonl.gz, .ndjson, .ndjson.gz or "
            ".parquet; ORC is not read",
        )
    return str(uri)


def format_of(key: str) -> str | None:
    """The format of a manifest, or None where its name has no ending that is known."""
    name = key.lower()
    packed = name.endswith(".gz")
    found = next((kind for ending, kind in FORMATS.items() if name.removesuffix(".gz").endswith(ending)), None)
    return None if packed and found == "Parquet" else found
