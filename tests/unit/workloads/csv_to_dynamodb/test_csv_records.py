"""Reading CSV: dialects, line breaks, encodings, bad rows, limits."""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.csv_to_dynamodb.files.format import CsvFormat
from batch_jobs.workloads.csv_to_dynamodb.files.records import MAX_RECORD_CHARACTERS, CsvRecords
from millrace.errors import ErrorCode, InvalidRunRequest, ItemError
from millrace.workload.registry import checked_options


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
    rows: list[list[str]], delimiter: str, line_end: str, quoting: Any, size: int
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
        ("utf-16-le", "\ufeffname,b\nZoë,1".encode("utf-16-le")),
        ("utf-32-be", "\ufeffname,b\nZoë,1".encode("utf-32-be")),
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
        (b" ,,\n,,\n", CsvFormat(), ErrorCode.DAMAGED, "empty"),
        (b"a,b\n", CsvFormat(column_names=("x",), delimiter=","), ErrorCode.WRONG_COLUMNS, "column_names has 1"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", CsvFormat(), ErrorCode.NOT_TEXT, "ff d8 ff: this is a JPEG picture"),
        (
            "a,b\n1,2".encode("utf-16"),
            CsvFormat(),
            ErrorCode.NOT_TEXT,
            "header is not utf-8 text: ff fe: this is UTF-16",
        ),
        (
            "a,b\n1,2".encode("utf-16-le"),
            CsvFormat(),
            ErrorCode.NOT_TEXT,
            "for UTF-16, set the option encoding: utf-16-le or -be",
        ),
        (
            "a,b\n1,2".encode("utf-16-be"),
            CsvFormat(),
            ErrorCode.NOT_TEXT,
            "for UTF-16, set the option encoding: utf-16-le or -be",
        ),
        (b"a,\xe9\n1,2\n", CsvFormat(), ErrorCode.NOT_TEXT, "header is not utf-8 text: byte 0xE9 is not UTF-8"),
        (b"a,\xed\xa0\x80\n1,2\n", CsvFormat(), ErrorCode.NOT_TEXT, "an unpaired surrogate"),
        (b"x" + b"," * 65_536, CsvFormat(), ErrorCode.TOO_LARGE, "65,537 columns, which is more than 65,536"),
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
    assert list(CsvRecords([b'a,"b\n"\n', b"1,2\n3\n"], CsvFormat(), head_bytes=7, continues_at=90)) == [
        (90, ["1", "2"]),
        (91, "1 cells where there are 2 columns"),
    ]


def test_a_part_of_a_file_without_header_follows_the_rows_that_decide_how_it_is_read() -> None:
    """The first rows tell the delimiter alone, and are nobody's rows a second time."""
    form = CsvFormat(header=False, column_names=("a", "b"))
    records = CsvRecords([b"1;2\n3;", b"4\n3,4;5\n"], form, head_bytes=8, continues_at=8)
    assert list(records) == [(8, ["3,4", "5"])]


def test_a_byte_order_mark_in_the_middle_of_a_file_is_a_character() -> None:
    """A later range may begin with one."""
    records = CsvRecords([b"\xef\xbb\xbfa,b\n", b"\xef\xbb\xbf1,2\n"], CsvFormat(), head_bytes=7, continues_at=2)
    assert list(records) == [(2, ["\ufeff1", "2"])]


FILES = {
    "a blank line first": ("\r\nName;Preis;Ort\r\nA;1;Graz\r\n", 3),
    "blank lines before tabs": ("\n\n\nName\tPreis\tOrt\nA\t1\tGraz\n", 5),
    "a row of empty cells first": (";;\r\nName;Preis;Ort\r\nA;1;Graz\r\n", 3),
    "Excel's line": ("sep=;\r\nName;Preis;Ort\r\nA;1;Graz\r\n", 3),
    "Excel's line with a comma, which no row has": ("sep=|\nName|Preis|Ort\nA|1|Graz\n", 3),
    "Excel's line, quoted": ('"SEP=;"\nName;Preis;Ort\nA;1;Graz\n', 3),
    "Excel's line, quoted, as one cell of three": ('"sep=;";;\r\nName;Preis;Ort\r\nA;1;Graz\r\n', 3),
    "Excel's line as one cell of three": ("sep=;;;\r\nName;Preis;Ort\r\nA;1;Graz\r\n", 3),
    "Excel's line with a space behind it": ("sep=; \r\nName;Preis;Ort\r\nA;1;Graz\r\n", 3),
    "Excel's line with a mark that is not looked for": ("sep=^\nName^Preis^Ort\nA^1^Graz\n", 3),
    "Excel's line behind a byte order mark": ("\ufeffsep=\t\r\nName\tPreis\tOrt\r\nA\t1\tGraz\r\n", 3),
    "commas in names": ('Name;"Preis, EUR";"Ort, Land"\nA;1;Graz\n', 2),
    "commas in names that are not quoted": ("Name, kurz;Preis, EUR;Ort, Land\nA, x;1,5;Graz, AT\n", 2),
    "decimal commas": ("Name;Preis;Ort\nA;1,50;2,50\nB;1,50;2,50\n", 2),
    "semicolons in cells of a comma file": ('Name,"Preis; EUR","Ort; Land"\nA,"1;5","Graz; AT"\n', 2),
    "a bar in a name": ("Name,Preis,Ort (a|b)\nA,1,Graz|Wien\n", 2),
    "spaces behind the delimiter": ("Name, Preis, Ort\nA, 1, Graz\n", 2),
    "all but the header quoted": ('Name;Preis;Ort\n"A";"1,5";"Graz, Land"\n', 2),
    "commas in names and quotes in cells": ('Wert (a,b)\tOrt\tTitel\n1,5\tGraz\t"say ""hi"""\n', 2),
    "a row that is bad": ("Name,Preis,Ort\nA,1\nB,2,Graz\nC,3,Wien\n", 2),
    "one row": ("Name|Preis|Ort", None),
}


@pytest.mark.parametrize(("text", "line"), FILES.values(), ids=FILES)
def test_auto_judges_by_the_first_rows(text: str, line: int | None) -> None:
    """What comes before the header does not count, and the delimiter is the one that the rows agree on."""
    records = CsvRecords([text.encode()], CsvFormat())
    assert len(records.columns) == 3
    rows = list(records)
    assert [len(cells) for _, cells in rows if isinstance(cells, list)] or line is None
    assert not line or rows[0][0] == line


def test_line_breaks_in_names_belong_to_the_header() -> None:
    """Alt and Enter in Excel's first cell."""
    records = CsvRecords([b'"Name\r\n(kurz)";Preis;Ort\r\nA;1;Graz\r\n'], CsvFormat())
    assert records.columns == ["Name\r\n(kurz)", "Preis", "Ort"]
    assert list(records) == [(3, ["A", "1", "Graz"])]


@given(
    st.sampled_from(",;\t|"),
    st.integers(2, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.text(st.sampled_from("ab ,;|\t\n\"'1é"), max_size=6), min_size=width, max_size=width),
            min_size=3,
            max_size=8,
        )
    ),
    st.sampled_from(["", "\n", "\r\n\r\n"]),
)
def test_auto_finds_the_delimiter_of_fully_quoted_files(delimiter: str, rows: list[list[str]], before: str) -> None:
    """Whatever is in the cells: where every cell is quoted, only one delimiter cuts them."""
    text = io.StringIO(newline="")
    names = [f"name {number}" for number in range(len(rows[0]))]
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    assert [cells for _, cells in read((before + text.getvalue()).encode())] == rows


def test_excels_line_is_no_row_where_the_delimiter_is_given() -> None:
    """The option wins, and the line is left out all the same."""
    assert read(b"sep=;\na,b\n1;x,2\n", CsvFormat(delimiter=",")) == [(3, ["1;x", "2"])]
    form = CsvFormat(header=False, column_names=("a", "b"))
    assert read(b"sep=;\n1;2\n", form) == [(2, ["1", "2"])]


def test_one_column_with_commas_in_its_cells_is_not_guessed() -> None:
    """A comma that the header does not have makes a bad row: nothing is taken as one cell in silence."""
    assert read(b"name\nx\nbad,row\n") == [(2, ["x"]), (3, "2 cells where there are 1 columns")]


@pytest.mark.parametrize(
    ("raw", "rows"),
    [
        (b"id,title,,\n1,Alien,,\n", [(2, ["1", "Alien", "", ""])]),
        (b"id,title,,\n1,Alien\n", [(2, ["1", "Alien", "", ""])]),
        (b"id,title,,\n1,Alien,,x\n", [(2, ["1", "Alien", "", "x"])]),
        (b"id,title,,\n1,Alien,,,\n", [(2, "5 cells where there are 4 columns")]),
        (b"id,title,,\n1\n", [(2, "1 cells where there are 4 columns")]),
    ],
)
def test_cells_of_nameless_columns_at_the_end_may_be_missing(raw: bytes, rows: list[tuple[int, object]]) -> None:
    """Excel writes commas for columns that were once touched."""
    assert read(raw) == rows


def test_a_header_of_four_hundred_thousand_columns_is_refused_at_once() -> None:
    """The time grows with the number of columns, not with its square."""
    started = time.process_time()
    error = error_of(",".join(f"c{number}" for number in range(400_000)).encode())
    assert error.code is ErrorCode.TOO_LARGE
    assert "400,000 columns" in error.message
    assert time.process_time() - started < 10


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
        ({"encoding": "punycode"}, "encoding"),
        ({"encoding": "idna"}, "encoding"),
        ({"encoding": "unicode_escape"}, "encoding"),
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
