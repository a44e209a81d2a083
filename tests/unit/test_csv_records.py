"""Reading CSV: dialects, line breaks, encodings, bad rows, limits."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_format import CsvFormat
from batch_jobs.workloads.csv_records import MAX_RECORD_CHARACTERS, CsvRecords
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError
from millrace.known_workloads import checked_options


def read(raw: bytes, form: CsvFormat | None = None, size: int = 7) -> list[tuple[int, list[str] | str]]:
    """The rows of a file that comes in small chunks."""
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    return list(CsvRecords(chunks, form or CsvFormat()))


def error_of(raw: bytes, form: CsvFormat | None = None) -> ItemError:
    """What reading a file raises."""
    with pytest.raises(ItemError) as caught:
        read(raw, form)
    return caught.value


CELL = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    rows=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=6)
    ),
    delimiter=st.sampled_from(",;\t|^"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    size=st.integers(1, 40),
)
def test_what_csv_writes_is_read_back(
    rows: list[list[str]], delimiter: str, line_end: str, quoting: int, size: int
) -> None:
    """Cells with any character, line breaks and quotes included, come back as they were, however the file is cut."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows(rows)
    names = tuple(f"column {number}" for number in range(len(rows[0])))
    form = CsvFormat(delimiter=delimiter, header=False, column_names=names, encoding="utf-8")
    raw = text.getvalue().encode()
    if raw.startswith(b"\xef\xbb\xbf"):
        return
    assert [cells for _, cells in read(raw, form, size)] == rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_auto_finds_the_delimiter(delimiter: str) -> None:
    """The delimiter that cuts the header into most cells is taken, and one inside quotes does not count."""
    lines = [["id", "a, b; c", "d"], ["1", "x", "y"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    assert read(text.encode()) == [(2, ["1", "x", "y"])]


def test_auto_goes_by_the_number_of_names_where_there_are_names() -> None:
    """With column_names, the delimiter that gives as many cells wins, though another gives more."""
    form = CsvFormat(header=False, column_names=("a", "b"))
    assert read(b"1,5;2,5,3\n", form) == [(1, ["1,5", "2,5,3"])]


def test_escapes_instead_of_doubled_quotes() -> None:
    """With an escape character, a quote inside quotes is escaped."""
    form = CsvFormat(quote="'", escape="\\", delimiter=",")
    assert read(rb"a,b" + b"\n" + rb"'it\'s','x,y'", form) == [(2, ["it's", "x,y"])]


def test_nothing_is_quoted_where_quote_is_empty() -> None:
    """Without a quote character, quotes are text."""
    form = CsvFormat(quote="", delimiter="\t")
    assert read(b'a\tb\n"x\t5" TV', form) == [(2, ['"x', '5" TV'])]


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("utf-8", b"\xef\xbb\xbfname,b\nZo\xc3\xab,1"),
        ("utf-8", b"name,b\nZo\xc3\xab,1"),
        ("latin-1", b"name,b\nZo\xeb,1"),
        ("utf-16", "name,b\nZoë,1".encode("utf-16")),
    ],
)
def test_encodings(encoding: str, raw: bytes) -> None:
    """A byte order mark is dropped, also where a character is cut by the chunks; other encodings on request."""
    records = CsvRecords([raw[:3], raw[3:9], raw[9:]], CsvFormat(encoding=encoding))
    assert records.columns == ["name", "b"]
    assert list(records) == [(2, ["Zoë", "1"])]


def test_line_numbers_are_those_of_the_rows_first_line() -> None:
    """Lines inside quoted cells and empty lines count; a row is named by the line where it begins."""
    assert read(b'a,b\r\n1,"x\r\n\r\ny"\r\n\r\n2,z\r\n') == [(2, ["1", "x\r\n\r\ny"]), (6, ["2", "z"])]


def test_bad_rows_do_not_stop_the_good_ones() -> None:
    """Wrong counts and wrong quotes give reasons; the rows around them are read, and never twice."""
    rows = read(b'a,b\n1,2\n3\n4,5,6\n"7"x,8\n9,10\n')
    assert [rows[0], rows[4]] == [(2, ["1", "2"]), (6, ["9", "10"])]
    assert [line for line, _ in rows] == [2, 3, 4, 5, 6]
    assert rows[1][1] == "1 cells where there are 2 columns"
    assert rows[2][1] == "3 cells where there are 2 columns"
    assert "cannot be read as CSV" in rows[3][1]


def test_a_quote_that_is_never_closed_is_one_bad_row() -> None:
    """The row is named by where it begins, and the reason says how far it goes."""
    rows = read(b'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert rows[0] == (2, ["1", "2"])
    assert rows[1:] == [(3, "a quoted cell is not closed: it runs to the file's end, line 5")]


def test_header_only_has_no_rows() -> None:
    """A header alone is a sound file without rows."""
    assert read(b"a,b\r\n") == []


@pytest.mark.parametrize(
    ("raw", "form", "code", "words"),
    [
        (b"", CsvFormat(), ErrorCode.DAMAGED, "empty"),
        (b"a,b,a\n1,2,3\n", CsvFormat(), ErrorCode.WRONG_COLUMNS, "twice: 'a'"),
        (b"a,b\n", CsvFormat(column_names=("x",), delimiter=","), ErrorCode.WRONG_COLUMNS, "column_names has 1"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", CsvFormat(), ErrorCode.NOT_TEXT, "header is not utf-8"),
        ("a,b\n1,2".encode("utf-16"), CsvFormat(), ErrorCode.NOT_TEXT, "header is not utf-8"),
        (b"a,b\n1,\xe9\n", CsvFormat(encoding="ascii"), ErrorCode.NOT_TEXT, "near byte 6"),
        (b"a,b\n1,2\n", CsvFormat(encoding="utf-16"), ErrorCode.NOT_TEXT, "BOM"),
    ],
)
def test_files_that_are_no_such_csv(raw: bytes, form: CsvFormat, code: ErrorCode, words: str) -> None:
    """What is wrong with the file as a whole is the file's error, with a message that says what."""
    error = error_of(raw, form)
    assert error.code is code
    assert words in error.message


def test_a_part_of_a_file_follows_its_header() -> None:
    """The file's head, then rows from further on: these have the lines that they have in the file."""
    assert list(CsvRecords([b'a,"b\n"\n', b"1,2\n3\n"], CsvFormat(), continues_at=90)) == [
        (90, ["1", "2"]),
        (91, "1 cells where there are 2 columns"),
    ]


def test_a_part_of_a_file_without_header_follows_its_first_row() -> None:
    """The first row tells the delimiter alone, and is nobody's row a second time."""
    form = CsvFormat(header=False, column_names=("a", "b"))
    assert list(CsvRecords([b"1;2\n", b"3,4;5\n"], form, continues_at=8)) == [(8, ["3,4", "5"])]


@pytest.mark.parametrize("start", [b"", b"a,b\n1,2\n", b'a,b\n1,2\n3,"', b'a,b\n"x\n\n'])
def test_two_hundred_megabytes_in_one_row_are_refused(start: bytes) -> None:
    """A line without end, and a quoted cell with lines without end, are refused within a few times the limit."""
    line = b"x" * 65_535 + (b"\n" if start.endswith(b"\n\n") else b"y")

    def endless() -> Iterator[bytes]:
        yield start
        yield from repeat(line, 200_000_000 // len(line))

    tracemalloc.start()
    with pytest.raises(ItemError) as caught:
        for _ in CsvRecords(endless(), CsvFormat()):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert peak < 10 * MAX_RECORD_CHARACTERS


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"encoding": "klingon"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
        ({"header": False}, "column_names"),
        ({"column_names": ["a", "a"]}, "column_names"),
        ({"delimiter": '"'}, "quote"),
    ],
)
def test_formats_that_make_no_sense_are_refused(options: dict[str, object], field: str) -> None:
    """A wrong option is refused by its name before any file is read."""
    with pytest.raises(InvalidRunRequest, match=f"options.{field}"):
        CsvFormat.of(checked_options("csv-to-dynamodb", {"table": "rows", **options}))
