"""S3 Inventory's manifest.json, which names the files of a report.

S3 user guide, "Locating your inventory list": manifest.json holds sourceBucket, destinationBucket (an ARN), fileFormat,
fileSchema and files (key, size, MD5checksum); manifest.checksum beside it holds the MD5 of manifest.json.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from millrace.errors import AccessDeniedError, ManifestError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import S3Uri
from millrace.s3.verbs import S3
from millrace.source.manifest.names import INVENTORY

KINDS = {"CSV": "CSV", "Parquet": "Parquet"}
"""The formats of reports that are read; ORC is not."""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """One file of a report; its MD5 in hex."""

    uri: S3Uri
    md5: str


@dataclass(frozen=True, slots=True)
class Report:
    """What manifest.json says.

    Attributes:
        source_bucket: Whose objects the report lists.
        kind: The files' format.
        schema: The columns of its CSV files, in their order.
        files: The files.
    """

    source_bucket: str
    kind: str
    schema: tuple[str, ...]
    files: tuple[ReportFile, ...]


def read_report(uri: S3Uri, s3: S3) -> Report:
    """Read manifest.json.

    Raises:
        ManifestError: It is none, its checksum is another one, or the report is in ORC.
    """
    text = s3.read(uri)
    stated = _checksum(uri, s3)
    if stated is not None and stated != hashlib.md5(text, usedforsecurity=False).hexdigest():
        raise ManifestError("manifest.checksum is the MD5 of another file", operation="read", target=str(uri))
    try:
        given = read_json(text)
        bucket = given["destinationBucket"].rpartition(":")[2]
        kind = str(given["fileFormat"])
        report = Report(
            source_bucket=str(given["sourceBucket"]),
            kind=KINDS.get(kind, ""),
            schema=tuple(column.strip() for column in given["fileSchema"].split(",")) if kind == "CSV" else (),
            files=tuple(ReportFile(S3Uri(bucket, file["key"]), str(file["MD5checksum"])) for file in given["files"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ManifestError(
            f"this is not the manifest.json of an S3 Inventory report: {error!r}", operation="read", target=str(uri)
        ) from error
    if not report.kind:
        raise ManifestError(
            f"the report is in {kind}, which is not read: set the inventory's output format to CSV or Parquet",
            operation="read",
            target=str(uri),
        )
    return report


def _checksum(uri: S3Uri, s3: S3) -> str | None:
    beside = S3Uri(uri.bucket, uri.key.removesuffix(INVENTORY) + "manifest.checksum")
    try:
        return s3.read(beside).decode(errors="replace").strip().lower()
    except (ObjectNotFoundError, AccessDeniedError):
        # S3 answers 403 for what is not there to who may not list the bucket; manifest.json itself could be read.
        return None
