"""CSV files to Parquet files of one schema. The image needs pyarrow: make image EXTRAS=parquet."""

from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetWriter

from millrace import ErrorCode, ItemBody, ItemError, Outputs, workload

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("price", pa.decimal128(12, 2)), ("sold", pa.date32())])


def column(texts: list[str], field: pa.Field) -> pa.Array:
    """Texts as a column; an empty one is null."""
    return pc.cast(pa.array([text or None for text in texts], pa.string()), field.type)


@workload(outputs=[".parquet"])
def csv_to_parquet(body: ItemBody, outputs: Outputs, *, rows_at_once: int = 50_000) -> dict[str, int]:
    """Write each CSV file's rows to `{key}.parquet`. A value that its column cannot hold is the file's row BAD_ROW.

    Args:
        rows_at_once: How many rows are in memory, and in a row group.
    """
    rows, written = body.csv(), 0
    with outputs.open(".parquet") as file, ParquetWriter(file, SCHEMA) as writer:
        while batch := list(islice(rows, rows_at_once)):
            try:
                columns = [column([row[field.name] for row in batch], field) for field in SCHEMA]
            except KeyError as error:
                raise ItemError(ErrorCode.WRONG_COLUMNS, f"there is no column {error}") from None
            except pa.ArrowInvalid as error:
                raise ItemError(ErrorCode.BAD_ROW, f"rows {written + 1} to {written + len(batch)}: {error}") from None
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
            written += len(batch)
    return {"rows": written}
