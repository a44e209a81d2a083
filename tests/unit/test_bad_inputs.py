"""Bad input, as the tables in docs/workloads have it: what each row says comes out, of whole runs.

Beside each bad object is a sound one, which is worked all the same. The tables of `copy` and of a workload of your
own are held by their own tests.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_jobs.workloads.csv_to_dynamodb.table_retries import TableRetryPolicy
from batch_jobs.workloads.csv_to_dynamodb.workload import CsvToDynamoDB
from batch_jobs.workloads.registry import load_workload
from millrace.errors import WorkloadUnavailableError
from millrace.workload.registry import workload_records
from tests.in_memory_dynamodb import InMemoryDynamoDB
from tests.run_in_memory import RunInMemory

PAGES = Path(__file__).parents[2] / "docs/workloads"
MIB = 2**20


def table_row(page: str, says: str) -> str:
    """The second cell of the one row in a page's tables whose first cell has these words."""
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = [second for first, second in rows if says in first]
    assert len(found) == 1, f"{page}.md: {says!r} is in the first cells of {len(found)} rows"
    return str(found[0])


def zip_of(name: str, content: bytes) -> bytes:
    """A zip file of one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def encrypted_zip() -> bytes:
    """A zip file whose member says that it is encrypted, in both of its headers (APPNOTE.TXT 4.4.4)."""
    raw = bytearray(zip_of("a.csv", CSV))
    raw[6] |= 1
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def picture(kind: str) -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.effect_noise((320, 240), 90).convert("RGB").save(file, kind)
    return file.getvalue()


CSV = b"id,name,votes\n1,Alien,7\n"
JPEG, PNG = picture("JPEG"), picture("PNG")
SCRIPT = """
case "$(cat "$1")" in
  hang) sleep 60;;
  nothing) ;;
  wrong) echo "this is wrong" >&2; exit 3;;
  killed) kill -KILL $$;;
  *) cp "$1" "$2";;
esac
"""
SOUND = {"word-count": b"one two", "csv-to-dynamodb": CSV, "images": JPEG, "command": b"sound"}
OPTIONS: dict[str, dict[str, Any]] = {
    "word-count": {},
    "csv-to-dynamodb": {"table": "films", "types": {"votes": "N"}},
    "images": {},
    "command": {"command": ["sh", "-c", SCRIPT, "sh", "{input}", "{output}"], "time_limit_seconds": 1},
}


@dataclass(frozen=True)
class Case:
    """A row of a table.

    Attributes:
        page: The workload.
        says: Words of the row's first cell.
        body: Such an object.
        code: The error code that it is reported with; None where it is worked.
        key: Its key.
        options: Options beside the usual ones.
    """

    page: str
    says: str
    body: bytes
    code: str | None
    key: str = "in/bad"
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page}: {self.says}"


CASES = [
    Case("word-count", "an empty object", b"", None),
    Case("word-count", "a line of 200 MB", b"word " * MIB, None),
    Case("word-count", "a word of more than 1 MiB", b"x" * (MIB + 1), "NOT_TEXT"),
    Case("word-count", "another encoding", "café".encode("latin-1"), "NOT_TEXT"),
    Case("word-count", "another encoding", "a text".encode("utf-16"), "NOT_TEXT"),
    Case("word-count", "cut inside a character", "wheat æ".encode()[:-1], "NOT_TEXT"),
    Case("word-count", "a zip, a picture", zip_of("a.txt", b"one two"), "NOT_TEXT"),
    Case("word-count", "a zip, a picture", JPEG, "NOT_TEXT"),
    Case("word-count", "with a NUL byte", b"one\0two", "NOT_TEXT"),
    Case("word-count", "truncated, or is not gzip", gzip.compress(b"one two")[:-9], "DAMAGED", "in/a.gz"),
    Case("word-count", "truncated, or is not gzip", b"one two", "DAMAGED", "in/a.gz"),
    Case("word-count", "a gzip bomb", gzip.compress(b"word " * MIB), None, "in/a.gz"),
    Case("word-count", "gzip under a name without `.gz`", gzip.compress(b"one two"), "NOT_TEXT"),
    Case("word-count", "half a surrogate pair", b"one \xed\xa0\x80", "NOT_TEXT"),
    Case("word-count", "another encoding", "one".encode("utf-32"), "NOT_TEXT"),
    Case("csv-to-dynamodb", "an empty file", b"", "DAMAGED"),
    Case("csv-to-dynamodb", "an empty file, blank lines only", b"\r\n\n,,\n", "DAMAGED"),
    Case("csv-to-dynamodb", "a member of a zip that is empty", zip_of("a.csv", b""), "DAMAGED"),
    Case("csv-to-dynamodb", "more than 65,536 columns", b"id" + b",a" * 400_000, "TOO_LARGE"),
    Case("csv-to-dynamodb", "a header only", b"id,name,votes\n", None),
    Case(
        "csv-to-dynamodb",
        "another delimiter",
        b"id;name;votes\n1;Alien;7\n",
        "WRONG_COLUMNS",
        options={"delimiter": ","},
    ),
    Case("csv-to-dynamodb", "a header with a name twice", b"id,name,id\n1,a,2\n", "WRONG_COLUMNS"),
    Case("csv-to-dynamodb", "another encoding", "id,größe\n1,2\n".encode("latin-1"), "NOT_TEXT"),
    Case("csv-to-dynamodb", "another encoding", JPEG, "NOT_TEXT", "in/a.csv"),
    Case("csv-to-dynamodb", "a line of 200 MB", CSV + b"x" * 5 * MIB, "TOO_LARGE"),
    Case("csv-to-dynamodb", "a truncated or damaged zip", zip_of("a.csv", CSV)[:-30], "DAMAGED"),
    Case("csv-to-dynamodb", "a truncated gzip", gzip.compress(CSV)[:-9], "DAMAGED"),
    Case("csv-to-dynamodb", "an encrypted zip", encrypted_zip(), "NOT_SUPPORTED"),
    Case("csv-to-dynamodb", "a zip in a zip", zip_of("inner.zip", zip_of("a.csv", CSV)), "NOT_SUPPORTED"),
    Case("csv-to-dynamodb", "no member that matches", zip_of("a.pdf", CSV), "NOT_SUPPORTED"),
    Case("csv-to-dynamodb", "a zip or gzip bomb", zip_of("a.csv", bytes(40 * MIB)), "TOO_LARGE"),
    Case("images", "empty", b"", "NOT_AN_IMAGE"),
    Case("images", "a text, a PDF", b"This is text.", "NOT_AN_IMAGE", "in/a.jpg"),
    Case("images", "a text, a PDF", b"%PDF-1.7", "NOT_AN_IMAGE", "in/a.jpg"),
    Case("images", "a PNG named `.jpg`", PNG, None, "in/a.jpg"),
    Case("images", "truncated, in the header", JPEG[: len(JPEG) // 2], "DAMAGED", "in/a.jpg"),
    Case("images", "a 50,000 x 50,000 PNG", png_that_says(50_000, 50_000), "TOO_LARGE", "in/a.png"),
    Case("images", "more bytes than `max_megabytes`", bytes(MIB), "TOO_LARGE", options={"max_megabytes": 1}),
    Case("command", "exit code of a bad item", b"wrong", "COMMAND_FAILED"),
    Case("command", "killed by a signal", b"killed", "COMMAND_FAILED"),
    Case("command", "hangs", b"hang", "COMMAND_TIMED_OUT"),
    Case("command", "does not write `{output}`", b"nothing", "NO_OUTPUT"),
    Case("command", "an empty object", b"", None),
]


def run_of(page: str, objects: dict[str, bytes], options: dict[str, Any]) -> RunInMemory:
    """A run of the workload over these objects."""
    database = InMemoryDynamoDB()
    database.create_table("films", ("id",))

    def load(name: str, given: Any) -> Any:
        if name != "csv-to-dynamodb":
            return load_workload(name, given)
        return CsvToDynamoDB(given, database, TableRetryPolicy(0, lambda _dropped, _seconds: None))

    request = {"workload": page, "options": {**OPTIONS[page], **options}, "tolerated_failure_percent": 100}
    return RunInMemory(objects, request, load=load)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_comes_in_comes_out_as_the_table_says(case: Case) -> None:
    """The bad object has the row that the table names, and the sound one beside it is worked."""
    cell = table_row(case.page, case.says)
    assert case.code is None or f"`{case.code}`" in cell
    run = run_of(case.page, {case.key: case.body, "in/sound": SOUND[case.page]}, case.options)
    run.plan()
    outcomes = {outcome.key: outcome.error_code for outcome in run.migrate().outcomes}
    assert outcomes == {case.key: case.code, "in/sound": None}
    run.merge()
    counts = run.result()["counts"]
    assert (counts["succeeded"], counts["failed"]) == ((2, 0) if case.code is None else (1, 1))


@pytest.mark.parametrize(
    ("says", "rows"),
    [
        ("too few or too many cells", b"1,a,2,3\n"),
        ("text after a closing quote", b'1,"a"b,2\n'),
        ("a quote that is never closed", b'2,b,2\n1,"a,2\n'),
        ("a byte that is not UTF-8", b"1,caf\xe9,2\n"),
        ("a cell that is not of its type", b"1,a,many\n"),
        ("a number that DynamoDB would round or refuse", b"1,a," + b"9" * 39 + b"\n"),
        ("an empty key", b",a,2\n"),
        ("a key of more than 2,048", b"k" * 2049 + b",a,2\n"),
        ("an item of more than 400 KB", b"1," + b"x" * (409_601 - 2 - 1 - 4 - 5 - 2) + b",2\n"),
    ],
)
def test_a_bad_row_is_rejected_for_the_reason_in_the_table(says: str, rows: bytes) -> None:
    """Word for word, but for the numbers; the good rows of the same file are written."""
    reason = table_row("csv-to-dynamodb", says).partition("`")[2].partition("`")[0].removeprefix("… ")
    run = run_of("csv-to-dynamodb", {"in/a.csv": CSV + rows + (b"" if b'"a,2' in rows else b"9,last,9\n")}, {})
    run.all()
    rejected = list(csv.reader(io.StringIO((run.file("rejected_rows.csv") or b"").decode(), newline="")))[1:]
    assert len(rejected) == 1
    assert re.sub(r"\d+", "0", reason) in re.sub(r"\d+", "0", rejected[0][-1])
    assert run.result()["result"]["rows_written"] == 2
    assert run.result()["counts"]["failed"] == 0


def test_a_program_that_is_missing_ends_the_plan_job() -> None:
    """No row for each item, and nothing is listed."""
    assert "WorkloadUnavailableError" in table_row("command", "the program is missing")
    run = run_of("command", {"in/a": b""}, {"command": ["no-such-program", "{input}"]})
    with pytest.raises(WorkloadUnavailableError, match="no-such-program"):
        run.plan()


@pytest.mark.parametrize("workload", sorted(workload_records()))
def test_every_workload_has_its_page_and_table(workload: str) -> None:
    """docs/workloads/WORKLOAD.md, with its errors and edge cases."""
    text = (PAGES / f"{workload}.md").read_text(encoding="utf-8")
    assert "\n## Errors and edge cases\n" in text
