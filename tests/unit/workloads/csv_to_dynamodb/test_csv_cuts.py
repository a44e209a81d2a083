"""Large CSV files cut over shards: whatever is in them, it comes out as if they were not."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from itertools import repeat
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb.files import start as csv_start
from batch_jobs.workloads.csv_to_dynamodb.files.cuts import record_starts
from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat
from batch_jobs.workloads.csv_to_dynamodb.record import RECORD
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from millrace.errors import ErrorCode, ItemError
from millrace.planning import splitting
from millrace.workload import RecordStart
from millrace.workload.registry import checked_options
from tests.in_memory_dynamodb import InMemoryDynamoDB
from tests.in_memory_s3 import error
from tests.run_in_memory import SOURCE, RunInMemory


@pytest.fixture(autouse=True)
def small_ranges() -> Iterator[None]:
    """Ranges of a few bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "LEAST_RANGE_BYTES", 1)
        patch.setattr(csv_start, "SAMPLE_CHARACTERS", 30)
        yield


def starts(raw: bytes, places: list[int], form: CsvFormat | None = None, size: int = 7) -> list[RecordStart]:
    """The record starts of a file that comes in small chunks."""
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    return list(record_starts(chunks, form or CsvFormat(), places))


def run_of(raw: bytes, target_bytes: int, options: dict[str, Any]) -> tuple[RunInMemory, InMemoryDynamoDB]:
    """A run over one file, its jobs still to be called; items are keyed by their line."""
    made = InMemoryDynamoDB()
    made.create_table("films", ("at",))

    def load(_name: str, checked: Any) -> CsvToDynamoDB:
        return CsvToDynamoDB(checked, made, TableRetryPolicy(0, lambda _dropped, _seconds: None))

    request = {
        "workload": "csv-to-dynamodb",
        "options": {"table": "films", "computed": {"at": "{line}"}, **options},
        "tolerated_failure_percent": 100,
        "shard": {"target_bytes": target_bytes},
    }
    return RunInMemory({"in/a.csv": raw}, request, load=load), made


Imported = tuple[list[Any], list[tuple[str, str, str]], set[tuple[Any, ...]], tuple[int, ...]]


def imported(raw: bytes, target_bytes: int, options: dict[str, Any]) -> tuple[Imported, int]:
    """Everything that an import leaves behind, and the number of its shards."""
    run, made = run_of(raw, target_bytes, options)
    shards = run.plan().shards
    commits = [run.migrate(index) for index in range(shards)]
    run.merge()
    rejected = csv.reader(io.StringIO((run.file("rejected_rows.csv") or b"").decode(), newline=""))
    failures = {
        (code, message)
        for commit in commits
        for code, message in [(one.error_code, one.message) for one in commit.outcomes if one.error_code]
    }
    result = run.result()["result"]
    counts = tuple(result[name] for name in ("rows_read", "rows_written", "rows_replaced", "rows_rejected"))
    items = sorted(made.items("films"), key=lambda item: int(item["at"]["S"]))
    rows = [(row[0], row[3], row[4]) for row in rejected]
    return (items, rows, failures, counts), shards


pieces = st.sampled_from(
    [
        "a",
        "bc",
        "é",
        "水",
        "1",
        " ",
        ",",
        ",",
        ";",
        "\t",
        '"',
        '"',
        '""',
        "'",
        "\\",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "x,y\n",
    ]
)
bodies = st.lists(pieces, min_size=5, max_size=60).map("".join)
formats = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": st.sampled_from([",", ";", "\t", " "]),
        "quote": st.sampled_from(['"', "'", ""]),
        "escape": st.just("\\"),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "ascii"]),
    },
)
headers = st.sampled_from(
    [
        None,
        "a,b",
        "a;b;c",
        '"a\n",b',
        "\n\na,b",
        "\ufeffa,b",
        "a",
        "a,a",
        "a,b,",
        ",a,b",
        "sep=;\na;b",
        "\nsep=,\n;\na,b",
        'a;"b, c"',
    ]
)
bad_bytes = st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=2)), max_size=2)


@given(bodies, headers, formats, bad_bytes, st.integers(1, 40))
@example('x,"y\n\n,1\n"\n1,2\n3,4\n', "a,b", {}, [], 1)
@example("1,2\r\n\n3,4\r\n\r\n5,6\r", None, {}, [], 3)
@example('1,"2\n3,4\n5,6\n', "a,b", {}, [], 2)
@example('1,"2"x\n3,4\n5,6\n', "a,b", {}, [], 2)
@example("1;2\n3,4,5\n6;7\n8,9,10\n1;2\n", "a;b,c", {}, [], 2)
@example("1,2,3\n" * 5 + "1;2\n" * 30, "a;b,c", {}, [], 2)
def test_a_file_that_is_cut_is_imported_as_one_that_is_not(
    body: str, header: str | None, form: dict[str, str], bad: list[tuple[int, bytes]], target_bytes: int
) -> None:
    """The same items with the same lines, the same rejected rows, the same failures, wherever the cuts are."""
    encoding = form.get("encoding", "utf-8")
    raw = ((header + "\n" if header else "") + body).encode(encoding, "replace")
    for place, wrong in bad:
        raw = raw[:place] + wrong + raw[place:]
    options: dict[str, Any] = dict(form)
    if header is None:
        options |= {"header": False, "column_names": ["a", "b"]}
    whole, shards = imported(raw, 1 << 20, options)
    assert shards <= 1
    cut, _ = imported(raw, target_bytes, options)
    assert cut == whole


def test_a_cut_file_is_read_by_several_shards() -> None:
    """What the test above compares really was cut; every row is one shard's, and a file is counted once."""
    raw = b"\xef\xbb\xbfname,text\n" + b'"one, two","three\nfour"\nbad\n' * 40
    run, made = run_of(raw, 100, {})
    plan = run.all()
    assert plan.shards > 5
    assert len(made.items("films")) == 40
    result = run.result()["result"]
    assert (result["files"], result["rows_read"], result["rows_rejected"]) == (1, 80, 40)
    rejected = list(csv.reader(io.StringIO((run.file("rejected_rows.csv") or b"").decode())))
    assert [row[3] for row in rejected[1:]] == [str(4 + 3 * number) for number in range(40)]


def test_the_retry_of_a_range_has_the_lines_of_the_file() -> None:
    """A failed range is planned again with its header and its first line."""
    raw = b"name\n" + b"x\nbad,row\n" * 9
    whole, _ = imported(raw, 1 << 20, {})
    run, made = run_of(raw, 25, {})
    shards = run.plan().shards
    assert shards > 3
    for index in range(shards):
        run.client.before = gone if index in {0, 2} else lambda _verb, _bucket, _key: None
        run.migrate(index)
    run.client.before = lambda _verb, _bucket, _key: None
    run.merge()
    assert run.result()["failures"] == {"NOT_FOUND": 2}
    assert run.result()["result"]["files"] == 1
    retry = run.retry()
    retry.all()
    assert sorted(int(item["at"]["S"]) for item in made.items("films")) == list(range(2, 20, 2))
    result = run.result()["result"]
    assert (result["rows_written"], result["rows_rejected"]) == whole[3][1::2]
    rejected = csv.reader(io.StringIO((retry.file("rejected_rows.csv") or b"").decode(), newline=""))
    assert {row[3] for row in rejected} == {"line", *(str(line) for line in range(3, 20, 2))}


def gone(verb: str, bucket: str, _key: str) -> None:
    """The source's object is gone for a while."""
    if (verb, bucket) == ("get_object", SOURCE):
        raise error("NoSuchKey", 404)


def test_cuts_are_at_rows_behind_the_places() -> None:
    """Neither inside quotes, nor at empty lines, nor before the first row; each once."""
    raw = b'a,b\n1,"x\n\ny"\n\n2,z\n3,w\n'
    assert starts(raw, [1, 5, 9, 15, 22]) == [
        RecordStart(4, 2, 4),
        RecordStart(14, 6, 4),
        RecordStart(18, 7, 4),
    ]


@pytest.mark.parametrize(
    ("raw", "form", "code"),
    [
        (b"", CsvFormat(), ErrorCode.DAMAGED),
        (b'"a"x,b\n1,2\n', CsvFormat(), ErrorCode.DAMAGED),
        (b"a,b\n1,\x81\n", CsvFormat(encoding="cp1252"), ErrorCode.NOT_TEXT),
        (b"a,b\n1," + b"x" * 3_000_000 + b"\n3,4\n", CsvFormat(), ErrorCode.TOO_LARGE),
        (b'a,b\n1,"' + b"x\n" * 1_500_000 + b'"\n3,4\n', CsvFormat(), ErrorCode.TOO_LARGE),
    ],
)
def test_what_the_import_may_refuse_as_a_whole_is_not_cut(raw: bytes, form: CsvFormat, code: ErrorCode) -> None:
    """Migrate tells what is wrong with it, once."""
    with pytest.raises(ItemError) as caught:
        starts(raw, [5], form, 65_536)
    assert caught.value.code is code


def test_a_line_of_two_hundred_megabytes_is_left_alone_early() -> None:
    """Little of it is read and less is held."""
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for chunk in repeat(b"x" * 262_144, 800):
            read += len(chunk)
            yield chunk

    tracemalloc.start()
    with pytest.raises(ItemError):
        list(record_starts(chunks(), CsvFormat(), [1000]))
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()
    assert read < 3_000_000


@pytest.mark.parametrize(
    ("form", "may"),
    [
        (CsvFormat(), True),
        (CsvFormat(encoding="utf-8-sig", delimiter="\t", quote="'", escape="\\"), True),
        (CsvFormat(encoding="iso8859-1"), True),
        (CsvFormat(encoding="cp1252"), True),
        (CsvFormat(delimiter="§"), False),
        (CsvFormat(encoding="utf-16"), False),
        (CsvFormat(encoding="utf-7"), False),
        (CsvFormat(encoding="shift_jis"), False),
    ],
)
def test_formats_that_can_be_cut(form: CsvFormat, *, may: bool) -> None:
    """Those whose bytes show line breaks and marks."""
    options = {**asdict(form), "table": "rows", "column_names": list(form.column_names)}
    assert RECORD.may_cut(checked_options("csv-to-dynamodb", options), "a.csv") is may


def test_every_range_has_the_delimiter_that_the_first_rows_tell() -> None:
    """Where the header alone would tell another one, the ranges have the first rows before them."""
    raw = b"a;b,c,d\n" + b"1;x\n" * 5 + b"1,2,3\n" * 40
    found = starts(raw, [10, 100, 200])
    assert {start.head_bytes for start in found} == {8 + 4 * 5 + 6}
    whole, _ = imported(raw, 1 << 20, {"computed": {"at": "{line}"}})
    cut, shards = imported(raw, 20, {"computed": {"at": "{line}"}})
    assert shards > 3
    assert cut == whole
    assert len(whole[0]) == 5


def test_a_file_whose_columns_are_refused_is_not_cut() -> None:
    """A column that is used comes twice: one row of the report, not one for each range."""
    run, _ = run_of(b"a,a\n" + b"1,2\n" * 50, 10, {})
    assert run.plan().items == 1
    run, _ = run_of(b"a,b,b\n" + b"1,2,3\n" * 50, 10, {"columns": {"a": "a"}})
    assert run.plan().items > 1


@pytest.mark.parametrize("options", [{"on_bad_row": "fail"}, {"cut_large_files": False}, {"encoding": "utf-16"}])
def test_what_must_stay_whole_is_one_item(options: dict[str, Any]) -> None:
    """A bad row that fails its file, or a wish, keeps the file in one piece."""
    run, _ = run_of(b"name\n" + b"x\n" * 50, 10, options)
    assert run.plan().items == 1


def test_an_archive_is_not_cut_whatever_it_is_called() -> None:
    """The content decides here, too."""
    run, _ = run_of(b"\x1f\x8b" + b"x\n" * 50, 10, {})
    assert run.plan().items == 1


def test_an_object_that_goes_while_it_is_planned_stays_whole() -> None:
    """Migrate reports it as it reports any other."""
    run, _ = run_of(b"name\n" + b"x\n" * 50, 10, {})
    run.client.before = gone
    assert run.plan().items == 1
