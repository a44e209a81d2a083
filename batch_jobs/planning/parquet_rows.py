"""The rows of a manifest, or of an S3 Inventory report, in Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from millrace.source.manifest.rows import COLUMNS, Cells, squeezed

_ROWS = 16_384
"""How many rows are in memory at once."""


def read_parquet(file: BinaryIO) -> Iterator[Cells]:
    """The rows of a Parquet file, in the order of `millrace.source.manifest.rows.COLUMNS`.

    Raises:
        ValueError: It is none, it has no column of keys, or pyarrow is not there to read it.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - 150 MB that only a Parquet manifest needs
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ValueError(
            "it needs the Python package pyarrow (batch_jobs/requirements-parquet.txt): make the job image with "
            "EXTRAS=parquet, or the manifest as CSV or JSON Lines"
        ) from None
    try:
        table: Any = ParquetFile(file)
        named = {squeezed(column): column for column in table.schema_arrow.names}
        if "key" not in named:
            raise ValueError("it has no column named key")
        wanted = [named[column] for column in COLUMNS if column in named]
        places = [wanted.index(named[column]) if column in named else -1 for column in COLUMNS]
        for batch in table.iter_batches(_ROWS, columns=wanted):
            read = [column.to_pylist() for column in batch.columns]
            nothing = [None] * batch.num_rows
            yield from zip(*(nothing if place < 0 else read[place] for place in places), strict=True)
    except (pa.ArrowException, OSError, OverflowError) as error:
        raise ValueError(str(error)) from error
