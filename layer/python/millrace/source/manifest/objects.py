"""The objects that a manifest names, in the order of their keys."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from millrace.errors import ManifestError
from millrace.layout import S3Uri
from millrace.records.plan import Item
from millrace.s3.verbs import S3
from millrace.source.filters import ItemFilter
from millrace.source.manifest.formats import ReadParquet, read_cells
from millrace.source.manifest.inventory import Report, read_report
from millrace.source.manifest.names import INVENTORY, format_of
from millrace.source.manifest.rows import Cells, Row, checked_rows
from millrace.source.manifest.sorting import in_key_order


def manifest_items(
    manifest: S3Uri, source: S3Uri, chosen: ItemFilter, s3: S3, read_parquet: ReadParquet | None = None
) -> Iterator[Item]:
    """The items among the objects that a manifest names, in the order of their keys' UTF-8 bytes, each once.

    An object whose size the manifest does not say is planned with 0 bytes, one whose ETag it does not say without: what
    is there when it is migrated is read.

    Args:
        manifest: The manifest.
        source: The source folder.
        chosen: Separates items from other objects; also counts rows that are none: not_latest, delete_markers,
            not_in_source, duplicates.
        s3: Where to read.
        read_parquet: Reads Parquet; without it, Parquet is refused.

    Raises:
        ManifestError: The manifest cannot be read, or names an object outside of the source.
        StorageError: A file of it is not there, or may not be read.
    """
    name, skipped = str(manifest), chosen.skipped
    files = _Files(source, s3, read_parquet)
    if manifest.key.endswith(INVENTORY):
        rows = _report_rows(read_report(manifest, s3), manifest, files, skipped)
    else:
        cells = files.cells(manifest, format_of(manifest.key) or "")
        rows = checked_rows(cells, source, name, skipped, whole_bucket=False)
    for key, version_id, size, etag, storage_class in in_key_order(rows, name, skipped):
        if chosen.takes(key, size):
            yield Item(key, max(size, 0), etag, version_id or None, storage_class)


def _report_rows(report: Report, manifest: S3Uri, files: _Files, skipped: Counter[str]) -> Iterator[Row]:
    source = files.source
    if report.source_bucket != source.bucket:
        raise ManifestError(
            f"the report is of bucket {report.source_bucket}; the source is {source}",
            operation="read the manifest",
            target=str(manifest),
        )
    for file in report.files:
        cells = files.cells(file.uri, report.kind, report.schema, file.md5)
        yield from checked_rows(cells, source, str(file.uri), skipped, whole_bucket=True)


@dataclass(frozen=True)
class _Files:
    """Where a manifest's files are read, and how."""

    source: S3Uri
    s3: S3
    read_parquet: ReadParquet | None

    def cells(self, uri: S3Uri, kind: str, schema: tuple[str, ...] = (), md5: str | None = None) -> Iterator[Cells]:
        """The rows of one file, which is fetched first: its digest counts before its first row does."""
        digest = hashlib.md5(usedforsecurity=False)
        with tempfile.TemporaryFile(prefix="millrace-manifest-") as fetched:
            file = cast("BinaryIO", fetched)
            with self.s3.open(uri) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            if md5 is not None and digest.hexdigest() != md5.lower():
                raise ManifestError(
                    f"its MD5 is {digest.hexdigest()}, the manifest says {md5}", operation="read", target=str(uri)
                )
            file.seek(0)
            try:
                yield from self._rows(file, kind, schema)
            except ValueError as error:
                raise ManifestError(
                    f"this cannot be read as {kind}: {error}", operation="read", target=str(uri)
                ) from error

    def _rows(self, file: BinaryIO, kind: str, schema: tuple[str, ...]) -> Iterator[Cells]:
        if kind != "Parquet":
            return read_cells(file, kind, self.source.bucket, schema)
        if self.read_parquet is None:
            raise ValueError("the plan job alone reads Parquet")
        return self.read_parquet(file)
