"""The record of the workload `csv-to-dynamodb`."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from millrace.workload import Option, Pace, WorkloadRecord


def can_be_cut(marks: str, encoding: str) -> bool:
    """Whether files of a format can be cut: where every line break, mark and cell is the same seen byte by byte.

    That is so in UTF-8, and in encodings that have a byte for each character and ASCII's bytes for ASCII's characters.

    Args:
        marks: The delimiter, unless it is to be found, the quote and the escape.
        encoding: Python's own name of it.
    """
    return marks.isascii() and (
        encoding in {"utf-8", "utf-8-sig", "ascii"} or encoding.startswith(("iso8859-", "cp125"))
    )


def _splits(options: Mapping[str, Any], _key: str) -> bool:
    """Plain text in a format that can be cut, where a bad row fails nothing else."""
    if not options["cut_large_files"] or options["on_bad_row"] != "report":
        return False
    try:
        encoding = codecs.lookup(options["encoding"]).name
    except LookupError:
        return False  # the job refuses it
    return can_be_cut(options["delimiter"].replace("auto", "") + options["quote"] + options["escape"], encoding)


RECORD = WorkloadRecord(
    name="csv-to-dynamodb",
    title="rows of CSV files into items of a DynamoDB table",
    class_path="batch_jobs.workloads.csv_to_dynamodb.workload:CsvToDynamoDB",
    options=(
        Option(
            "table",
            "",
            "The table's name or ARN.",
            required=True,
            pattern=r"[A-Za-z0-9_.-]{3,255}|arn:[^\s:]+:dynamodb:[^\s:]+:\d{12}:table/[A-Za-z0-9_.-]{3,255}",
            form="a table's name, 3 to 255 of letters, digits, '_', '.' and '-', or its ARN",
        ),
        Option("columns", {}, "Which columns are imported, and as which attributes; empty: all, by their own names."),
        Option("types", {}, "The attributes that are not strings.", choices=("S", "N", "BOOL", "B", "JSON")),
        Option("key_columns", (), "The columns that fill the table's partition key and sort key, in this order."),
        Option("key_prefix", "", "Put in front of every partition key."),
        Option("constants", {}, "Attributes with the same text in every row."),
        Option(
            "computed",
            {},
            "Attributes made of text and {source_key}, {file_name}, {member}, {line} and {imported_at}.",
            pattern=r"([^{}]|\{(source_key|file_name|member|line|imported_at)\})*",
            form="text with {source_key}, {file_name}, {member}, {line} and {imported_at}",
        ),
        Option("empty_cells", "omit", "What an empty cell becomes.", choices=("omit", "null", "string", "reject")),
        Option("on_bad_row", "report", "Whether a bad row fails its whole file.", choices=("report", "fail")),
        Option("cut_large_files", default=True, doc="Whether files larger than a shard are cut at rows, over shards."),
        Option("delimiter", "auto", "One character, or auto.", pattern=r"auto|[^\r\n]", form="one character, or auto"),
        Option("quote", '"', "One character; empty: no quoting.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("escape", "", "One character; empty: none.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("header", default=True, doc="Whether the first row holds the columns' names."),
        Option("column_names", (), "The columns' names, where there is no header or it is not to be used."),
        Option("encoding", "utf-8", "As Python names it; a byte order mark is dropped."),
        Option("members", ("*.csv", "*.tsv", "*.txt"), "Which files of a zip are imported, as patterns."),
        Option("max_unpacked_mib", 10_240, "The most that one archive may unpack to.", minimum=1, maximum=2**20),
        Option("parallel_writes", 16, "How many requests a job has under way at once.", minimum=1, maximum=256),
        Option(
            "write_units_per_second",
            0,
            "The most write units (1 KB of one item) that the whole run takes; 0: no limit.",
            minimum=0,
            maximum=10**7,
        ),
    ),
    splits=_splits,
    cuts_at_records=True,
    # Without the time that the table takes for its writes.
    pace=Pace(seconds_per_item=0.005, bytes_per_second=2_400_000, outputs=0),
    memory_mib=512,
)
