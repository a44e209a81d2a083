"""csv_to_parquet, called as the jobs call it."""

import io
from datetime import date
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from csv_to_parquet import SCHEMA, csv_to_parquet

from millrace import ErrorCode, ItemError, try_on

TEXT = 'id,name,price,sold\n1,"a, b",9.50,2026-01-31\n2,,,\n3,é,12,2026-02-01\n'


@pytest.mark.parametrize("rows_at_once", [1, 50_000])
def test_a_file_becomes_a_table_of_the_schema(rows_at_once: int) -> None:
    tried = try_on(csv_to_parquet, TEXT, options={"rows_at_once": rows_at_once})
    assert tried.given == {"rows": 3}
    table = pq.read_table(io.BytesIO(tried.files[".parquet"]))
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == [
        {"id": 1, "name": "a, b", "price": Decimal("9.50"), "sold": date(2026, 1, 31)},
        {"id": 2, "name": None, "price": None, "sold": None},
        {"id": 3, "name": "é", "price": Decimal("12.00"), "sold": date(2026, 2, 1)},
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [(TEXT + "x,y,1,2026-01-01\n", ErrorCode.BAD_ROW), ("id,name\n1,a\n", ErrorCode.WRONG_COLUMNS)],
)
def test_what_does_not_fit_is_the_files_row(text: str, code: ErrorCode) -> None:
    with pytest.raises(ItemError) as caught:
        try_on(csv_to_parquet, text)
    assert caught.value.code is code
