"""The workload `csv-to-dynamodb`: objects into the table, bad rows into the report, the merged counts."""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import threading
import zipfile
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.workloads.csv_to_dynamodb.endpoint import HttpEndpoint
from batch_jobs.workloads.csv_to_dynamodb.import_counts import FileCounts, ImportedObject
from batch_jobs.workloads.csv_to_dynamodb.import_partial import ImportPartial
from batch_jobs.workloads.csv_to_dynamodb.table import BusyError
from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    DamagedFileError,
    ErrorCode,
    InvalidRunRequest,
    ItemError,
    TableRefusedError,
    TryAgainError,
)
from millrace.records.plan import Item, Plan
from millrace.request.run_request import RunRequest
from millrace.workload.registry import checked_options, option_value
from tests.in_memory_dynamodb import InMemoryDynamoDB, client_error

EXAMPLES = Path(__file__).parents[4] / "examples"

PLAN = Plan(
    run_id="run",
    source="s3://in/",
    destination="s3://out/",
    workload="csv-to-dynamodb",
    options={},
    include=[],
    exclude=[],
    shards=4,
    items=1,
    total_bytes=1,
    skipped={},
    tolerated_failure_percent=0,
    code_version="1",
    digest="sha256:0",
    planned_at="2026-11-21T10:00:00.123+01:00",
)

BAD = b"""id,name,votes
1,Alien,7
2,too,many,cells
3,Brazil,many
1,Aliens,8
,no key,1
4,caf\xe9,2
5,"Cabaret",3
6,"not "closed",4
7,"never closed
"""


class KeptOutputs:
    """Outputs that stay in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def open(self, name: str, content_type: str = "application/octet-stream") -> io.BytesIO:  # noqa: ARG002
        """A file that is kept when it is closed."""
        files = self.files

        class Kept(io.BytesIO):
            def close(self) -> None:
                files[name] = self.getvalue()
                super().close()

        return Kept()


def database(*key: str, **hooks: Any) -> InMemoryDynamoDB:
    """A database with the table films, keyed by id unless said otherwise."""
    made = InMemoryDynamoDB(**hooks)
    made.create_table("films", key or ("id",))
    return made


def workload(made: InMemoryDynamoDB, **options: object) -> CsvToDynamoDB:
    """The workload, writing to the table films, never sleeping."""
    checked = checked_options("csv-to-dynamodb", {"table": "films", **options})
    return CsvToDynamoDB(checked, made, TableRetryPolicy(1, lambda _dropped, _seconds: None))


def run(work: CsvToDynamoDB, raw: bytes, key: str = "films.csv", **where: Any) -> ImportedObject:
    """Import an object that comes in small chunks."""
    chunks = (raw[start : start + 100] for start in range(0, len(raw), 100))
    return work.migrate(Item(key, len(raw), '"etag"', **where), chunks, KeptOutputs())


def failure(work: CsvToDynamoDB, raw: bytes, key: str = "films.csv") -> ItemError:
    """What importing an object raises."""
    with pytest.raises(ItemError) as caught:
        run(work, raw, key)
    return caught.value


def partial_of(*imported: ImportedObject) -> bytes:
    """The partial of a shard."""
    partial = ImportPartial()
    for one in imported:
        partial.add(one)
    file = io.BytesIO()
    partial.write(file)
    return file.getvalue()


def merged(*partials: bytes) -> tuple[dict[str, Any], dict[str, list[list[str]]]]:
    """The workload's part of result.json, and its CSV files."""
    outputs = KeptOutputs()
    result = workload(database()).merge(map(io.BytesIO, partials), outputs)
    return result, {
        name: list(csv.reader(io.StringIO(raw.decode(), newline=""))) for name, raw in outputs.files.items()
    }


def test_bad_rows_are_reported_and_good_ones_written() -> None:
    """Every bad row has its line and reason, the other rows are items, and all of them add up."""
    made = database()
    imported = run(workload(made, types={"votes": "N"}), BAD)
    assert imported.files == [FileCounts("films.csv", read=9, written=2, replaced=1, rejected=6)]
    reasons = {place[1]: reason for place, reason in imported.rejected}
    assert reasons == {
        3: "4 cells where there are 3 columns",
        4: "column 'votes': 'many' is not a number",
        6: "column 'id' is empty, but it is part of the table's key",
        7: "byte 0xE9 is not UTF-8",
        9: "this cannot be read as CSV: ',' expected after '\"'",
        10: "a quoted cell is not closed: it runs to the file's end, line 10",
    }
    assert [item["name"]["S"] for item in made.items("films")] == ["Aliens", "Cabaret"]


def test_one_bad_row_fails_its_file_on_request() -> None:
    """With on_bad_row fail the object is a row of the failure report that names the line; what came before is there."""
    made = database()
    rows = b"".join(b"%d,x\n" % number for number in range(100))
    error = failure(workload(made, on_bad_row="fail"), b"id,name\n" + rows + b"bad\n101,x\n")
    assert error.code is ErrorCode.BAD_ROW
    assert error.message.startswith("line 102: 1 cells where there are 2 columns; rows before it may be in the table")
    assert "101" not in {item["id"]["S"] for item in made.items("films")}


def test_a_refused_row_fails_its_file_on_request() -> None:
    """So does a row that only DynamoDB finds bad."""
    made = database()
    work = workload(made, on_bad_row="fail", columns={"id": "id", "genre": "genre"})
    run(work, b"id,genre\n1,x\n")
    made.tables["films"].types["genre"] = "N"
    assert "DynamoDB refuses" in failure(work, b"id,genre\n1,x\n").message


def test_a_second_run_writes_the_same_items() -> None:
    """Retried, resumed or repeated from the same plan, an import leaves the table as it was, and reports the same."""
    made = database()
    partials = []
    for _ in range(2):
        work = workload(made, computed={"at": "{imported_at}", "from": "{file_name}:{line}"})
        work.begin(PLAN)
        partials.append(partial_of(run(work, BAD)))
        written, made.history[:] = list(made.history), []
        assert [item["at"] for item in written] == [{"S": "2026-11-21T09:00:00Z"}] * len(written)
    assert partials[0] == partials[1]
    assert made.items("films") == written


def test_the_import_time_needs_a_run() -> None:
    """Without a run's plan there is no time, and none is made up."""
    with pytest.raises(InvalidRunRequest, match="imported_at"):
        run(workload(database(), computed={"at": "{imported_at}"}), BAD)


def test_the_files_of_a_zip_are_counted_one_by_one() -> None:
    """Each member has its own counts, lines and file name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", b"id,n\n1,x\n2\n")
        archive.writestr("sub/b.csv", b"n;id\nx;1\ny;3\nz;\n")
    made = database()
    imported = run(workload(made, computed={"from": "{file_name}"}), file.getvalue(), "in/both.zip")
    assert imported.files == [
        FileCounts("in/both.zip", "a.csv", read=2, written=0, replaced=1, rejected=1),
        FileCounts("in/both.zip", "sub/b.csv", read=3, written=2, rejected=1),
    ]
    assert [place for place, _ in imported.rejected] == [(0, 3), (1, 4)]
    assert [item["from"]["S"] for item in made.items("films")] == ["b.csv", "b.csv"]


def zip_of(**files: bytes) -> bytes:
    """A zip file; `a_csv` is a.csv."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name.replace("_", "."), raw)
    return file.getvalue()


@pytest.mark.parametrize("empty", [b"", b"\n\r\n", b"\xef\xbb\xbf", b",,\n"])
def test_an_empty_file_takes_nothing_from_the_others_of_its_archive(empty: bytes) -> None:
    """It is counted, with no rows; where every file is empty, the object is damaged as an empty one is."""
    made = database()
    imported = run(workload(made), zip_of(a_csv=empty, b_csv=b"id,v\n1,x\n", c_csv=empty), "films.zip")
    assert [(file.member, file.read) for file in imported.files] == [("a.csv", 0), ("b.csv", 1), ("c.csv", 0)]
    assert len(made.items("films")) == 1
    error = failure(workload(made), zip_of(a_csv=empty, b_csv=empty), "films.zip")
    assert (error.code, error.message) == (
        ErrorCode.DAMAGED,
        "a.csv: there is not even a header: the file is empty",
    )


def test_nameless_columns_are_in_the_result() -> None:
    """The result names the files whose columns got a name of ours."""
    first = run(workload(database()), b",id,\n17,1,\n", "a.csv")
    second = run(workload(database()), b"id,v\n1,2\n", "b.csv")
    assert merged(partial_of(first, second))[0]["nameless_columns"] == [{"file": "a.csv", "member": "", "columns": 1}]
    assert "nameless_columns" not in merged(partial_of(run(workload(database()), b"id,v\n1,2\n")))[0]


def test_the_file_name_in_a_zip_is_the_members() -> None:
    """As the docs say of {file_name}."""
    made = database()
    run(workload(made, computed={"f": "{file_name}"}), zip_of(**{"dir/b_csv": b"id\n1\n"}), "in/films.zip")
    assert [item["f"]["S"] for item in made.items("films")] == ["b.csv"]


def test_a_part_of_an_object_is_imported() -> None:
    """A byte range that begins at a row comes behind the header, and has the lines of the whole object."""
    made = database()
    work = workload(made, computed={"at": "{line}"})
    first = run(work, b"id,name\n1,x\n", first_byte=0, last_byte=11, first_line=1, head_bytes=0)
    assert first.files[0].read == 1
    part = b"id,name\n2,y\n3,z\n4\n"
    second = run(work, part, first_byte=12, last_byte=19, first_line=3, head_bytes=8)
    assert second.files == [FileCounts("films.csv", first_byte=12, read=3, written=2, rejected=1)]
    assert [place for place, _ in second.rejected] == [(0, 5)]
    assert [item["at"]["S"] for item in made.items("films")] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", ErrorCode.DAMAGED),
        (b"name;votes\nAlien;7\n", ErrorCode.WRONG_COLUMNS),
        (b"\xff\xd8\xff\xe0JFIF", ErrorCode.NOT_TEXT),
        (b"id,name\n1," + b"x" * 10_000_000, ErrorCode.TOO_LARGE),
        (gzip.compress(b"id,name\n1,x\n")[:-4], ErrorCode.DAMAGED),
        (b"PK\x03\x04 and no more", ErrorCode.DAMAGED),
    ],
)
def test_objects_that_cannot_be_imported(raw: bytes, code: ErrorCode) -> None:
    """What is wrong with the whole object is its row in the failure report."""
    assert failure(workload(database()), raw).code is code


def test_a_header_alone_is_no_error() -> None:
    """No rows are no rows."""
    assert run(workload(database()), b"id,name\n").files == [FileCounts("films.csv")]


def test_a_wrong_table_is_no_bad_object() -> None:
    """A missing or denied table, or a throttled one, ends or postpones the job: no object is to blame."""
    with pytest.raises(TableRefusedError, match=r"no such table") as caught:
        run(workload(database(), table="movies"), BAD)
    assert caught.value.exit_code == 2
    denied = database()
    denied.denied.add("DescribeTable")
    with pytest.raises(TableRefusedError, match=r"role needs dynamodb:DescribeTable"):
        run(workload(denied), BAD)

    def throttle(operation: str, _request: dict[str, Any]) -> None:
        if operation == "BatchWriteItem":
            raise client_error("ThrottlingException")

    with pytest.raises(TryAgainError, match=r"took nothing"):
        CsvToDynamoDB(
            checked_options("csv-to-dynamodb", {"table": "films"}),
            database(before=throttle),
            TableRetryPolicy(0, lambda _dropped, _seconds: None),
        ).migrate(Item("films.csv", 1, '"etag"'), [BAD], KeptOutputs())


def test_several_objects_at_once() -> None:
    """Threads share the table's connection and its description."""
    made = database()
    work = workload(made, parallel_writes=3)
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            rows = b"".join(b"%d-%d,x\n" % (number, row) for row in range(200))
            run(work, b"id,name\n" + rows)
        except BaseException as error:  # noqa: BLE001 - the test's own thread reports it
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(made.items("films")) == 1000
    assert made.requests["DescribeTable"] == 1


def test_memory_does_not_grow_with_the_object() -> None:
    """Many rows, most of them bad, pass through: what is remembered of them is on disk."""

    def body() -> Iterator[bytes]:
        yield b"id,name\n"
        for block in range(200):
            yield b"".join(b"%d\n" % number for number in range(block, block + 1000))

    imported = workload(database()).migrate(Item("films.csv", 1, '"etag"'), body(), KeptOutputs())
    assert imported.files[0].rejected == 200_000
    assert imported.rejected._ours._rolled  # type: ignore[attr-defined]
    assert sum(1 for _ in imported.rejected) == 200_000
    imported.rejected.close()


def test_partials_do_not_depend_on_order() -> None:
    """Whatever order objects were imported in, and saved and read again, the partial has the same bytes."""
    work = workload(database())

    def imported(order: Iterable[str]) -> bytes:
        return partial_of(*(run(work, BAD, key) for key in order))

    expected = imported(["a.csv", "b.csv", "é.csv"])
    assert {imported(order) for order in permutations(["a.csv", "b.csv", "é.csv"])} == {expected}
    saved = ImportPartial()
    saved.add(run(work, BAD, "b.csv"))
    saved.read(io.BytesIO(imported(["é.csv", "a.csv"])))
    file = io.BytesIO()
    saved.write(file)
    assert file.getvalue() == expected
    saved.add(run(work, BAD, "c.csv"))
    file = io.BytesIO()
    saved.write(file)
    assert file.getvalue() == imported(["c.csv", "é.csv", "b.csv", "a.csv"])


def test_the_merged_report() -> None:
    """Counts of all files, a row for each rejected row and each file, and no cell that a spreadsheet runs."""
    work = workload(database(), types={"votes": "N"})
    first = partial_of(run(work, BAD, "=evil.csv"), run(work, b"id,name,votes\n1,x,-x\n", "a.csv"))
    second = partial_of(run(work, b"id\n1\n", "z.csv"))
    result, files = merged(first, second)
    assert result == {
        "table": "films",
        "files": 3,
        "rows_read": 11,
        "rows_written": 3,
        "rows_replaced": 1,
        "rows_rejected": 7,
        "most_rejected": [
            {"file": "=evil.csv", "member": "", "rejected": 6},
            {"file": "a.csv", "member": "", "rejected": 1},
        ],
    }
    assert files["files.csv"] == [
        ["file", "member", "first_byte", "rows_read", "rows_written", "rows_replaced", "rows_rejected"],
        ["'=evil.csv", "", "", "9", "2", "1", "6"],
        ["a.csv", "", "", "1", "0", "0", "1"],
        ["z.csv", "", "", "1", "1", "0", "0"],
    ]
    rejected = files["rejected_rows.csv"]
    assert rejected[0] == ["file", "member", "first_byte", "line", "reason"]
    assert rejected[1] == ["'=evil.csv", "", "", "3", "4 cells where there are 3 columns"]
    assert rejected[-1] == ["a.csv", "", "", "2", "column 'votes': '-x' is not a number"]
    assert len(rejected) == 1 + 7


def test_the_worst_files_are_named() -> None:
    """Of many files with rejected rows, result.json names the twenty with most, the first of equals."""
    work = workload(database())
    partial = partial_of(*(run(work, b"id,n\n" + b"1\n" * (number // 2), f"{number:02}.csv") for number in range(50)))
    most = merged(partial)[0]["most_rejected"]
    assert [entry["file"] for entry in most[:3]] == ["48.csv", "49.csv", "46.csv"]
    assert len(most) == 20


def test_a_run_without_files_has_an_empty_report() -> None:
    """Nothing to merge is an empty, sound result."""
    result, files = merged()
    assert (result["files"], result["rows_read"]) == (0, 0)
    assert {name: len(rows) for name, rows in files.items()} == {"files.csv": 1, "rejected_rows.csv": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-20],
        lambda raw: raw.split(b"\n", 1)[1],
        lambda raw: raw.replace(b'"rejected":6', b'"rejected":5'),
        lambda raw: raw + b"{}\n",
        lambda raw: raw.rsplit(b"\n", 2)[0] + b"\n",
        lambda raw: raw.replace(b'"read":9', b'"read":8'),
    ],
)
def test_a_damaged_partial_is_found(damage: Any) -> None:
    """What is cut off, or does not add up, is no partial."""
    raw = partial_of(run(workload(database(), types={"votes": "N"}), BAD))
    with pytest.raises(DamagedFileError):
        merged(damage(raw))


def example(name: str) -> tuple[dict[str, Any], bytes, str]:
    """A ready configuration's options, and its sample."""
    request = RunRequest.parse(json.loads((EXAMPLES / f"{name}.json").read_text()), queues=("standard",))
    (sample,) = [path for path in (EXAMPLES / name).iterdir() if path.suffix in {".zip", ".csv"}]
    return request.options, sample.read_bytes(), sample.name


def test_the_movies_example() -> None:
    """The eight columns of the movie data become typed attributes, the one without a name the key."""
    options, raw, name = example("movies")
    made = InMemoryDynamoDB()
    made.create_table("movies", ("id",))
    imported = CsvToDynamoDB(options, made).migrate(Item(name, len(raw), '"etag"'), [raw], KeptOutputs())
    assert imported.files == [FileCounts(name, "movies.csv", read=10, written=10)]
    first, second = made.items("movies")[:2]
    assert set(first) == {*options["columns"].values()}
    assert first["id"] == {"S": "0"}
    assert first["popularity"] == {"N": "21.407"}
    assert second["title"] == {"S": "Salt, Sugar, Rain"}
    assert "\r\n" in second["overview"]["S"]


@pytest.mark.parametrize("key", [("ProductId",), ("ProductId", "ProductName")])
def test_the_products_example(key: tuple[str, ...]) -> None:
    """Products come with file name and times, into a table with or without a sort key."""
    options, raw, name = example("products")
    made = InMemoryDynamoDB()
    made.create_table("products", key, {"CreatedTime": "S"})
    work = CsvToDynamoDB(options, made)
    work.begin(PLAN)
    imported = work.migrate(Item(f"products/{name}", len(raw), '"etag"'), [raw], KeptOutputs())
    assert imported.files == [FileCounts(f"products/{name}", read=6, written=6)]
    time = {"S": "2026-11-21T09:00:00Z"}
    assert made.items("products")[0] == {
        "ProductId": {"S": "P1001"},
        "ProductName": {"S": "Desk lamp"},
        "ProductDescription": {"S": "LED, dimmable, with a clamp"},
        "Filename": {"S": "products.csv"},
        "CreatedTime": time,
        "LastModified": time,
    }


def test_the_registry_knows_the_workload() -> None:
    """It is made by name from checked options, and object options can come from a command line."""
    name, value = option_value("csv-to-dynamodb", 'columns={"": "id"}')
    made = load_workload("csv-to-dynamodb", checked_options("csv-to-dynamodb", {"table": "films", name: value}))
    assert isinstance(made, CsvToDynamoDB)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_certificates_are_those_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is named is read: nothing is trusted where it is not there."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": f"https://127.0.0.1:{server.getsockname()[1]}",
            "AWS_REGION": "eu-west-3",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "no_proxy": "127.0.0.1",
            variable: "/nowhere/ca.pem",
        }.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BusyError, match="No such file"):
            HttpEndpoint(1).call("DescribeTable", b"{}")


@pytest.mark.parametrize("proxied", [False, True])
def test_requests_over_http(monkeypatch: pytest.MonkeyPatch, *, proxied: bool) -> None:
    """Without an endpoint given, botocore's environment says where DynamoDB is and who asks, and by which proxy."""
    made = database()
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        """DynamoDB over HTTP."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer."""
            seen.append({name.lower(): value for name, value in self.headers.items()})
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = made.call(self.headers["X-Amz-Target"].rpartition(".")[2], body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for name, value in {
                "AWS_ENDPOINT_URL": "http://dynamodb.invalid" if proxied else f"http://127.0.0.1:{server.server_port}",
                "no_proxy": "" if proxied else "127.0.0.1",
                "http_proxy": f"http://127.0.0.1:{server.server_port}",
                "AWS_REGION": "eu-west-3",
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_SESSION_TOKEN": "token",
            }.items():
                monkeypatch.setenv(name, value)
            work = CsvToDynamoDB(checked_options("csv-to-dynamodb", {"table": "films"}))
            assert run(work, b"id,name\n1,x\n").files[0].written == 1
        finally:
            server.shutdown()
            thread.join()
            ready: Any = work._ready
            ready[1]._table.endpoint._http.close()
    assert made.items("films") == [{"id": {"S": "1"}, "name": {"S": "x"}}]
    assert seen[1]["x-amz-target"] == "DynamoDB_20120810.BatchWriteItem"
    assert "Credential=AKIDEXAMPLE/" in seen[1]["authorization"]
    assert "/eu-west-3/dynamodb/aws4_request" in seen[1]["authorization"]
    assert seen[1]["x-amz-security-token"] == "token"
