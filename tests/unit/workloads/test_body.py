"""The body that a workload's function reads."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from millrace import ErrorCode, Item, ItemBody, ItemError
from millrace.workload import LOOK_BACK_BYTES

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


def body_of(data: bytes, key: str = "in/a.txt", piece: int = 7) -> ItemBody:
    """The body of an object, which comes in pieces."""
    item = Item(key=key, size=len(data), etag='"e"')
    return ItemBody(item, [data[start : start + piece] for start in range(0, len(data), piece)])


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("named", ["by its name", "by its content"])
def test_whatever_packs_it_the_text_is_the_same(packed: str, named: str) -> None:
    """gz, bz2, xz and zst are decompressed, whether the key or the content tells."""
    data = PACKERS[packed]("é\none\ntwo".encode())
    key = f"in/a{packed}" if named == "by its name" else "in/a.txt"
    assert body_of(data, key).text() == "é\none\ntwo"
    assert body_of(data, key).bytes() == "é\none\ntwo".encode()
    assert list(body_of(data, key).lines()) == ["é", "one", "two"]
    assert b"".join(body_of(data, key)) == "é\none\ntwo".encode()
    assert b"".join(body_of(data, key).raw()) == data
    with body_of(data, key).file() as path:
        assert path.read_bytes() == "é\none\ntwo".encode()
    assert not path.exists()


@pytest.mark.parametrize("packed", [name for name in PACKERS if name])
def test_a_truncated_object_is_an_error(packed: str) -> None:
    """Half a compressed file is a row DAMAGED, however it is read, and no short text."""
    data = PACKERS[packed](random.Random(1).randbytes(5000))[:-9]
    for read in (lambda body: body.bytes(), lambda body: list(body.lines("latin-1")), list):
        with pytest.raises(ItemError) as caught:
            read(body_of(data, "in/a.txt"))
        assert caught.value.code is ErrorCode.DAMAGED


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=12)), st.data()
)
def test_each_line_is_one_items(rows: list[str], data: st.DataObject) -> None:
    """However an object is cut into ranges, their lines together are the object's, each once and in order."""
    text = "".join(f"{row}\n" for row in rows).encode()
    if not text:
        return
    places = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=4)))
    cuts = [0, *(place for place in places if place < len(text)), len(text)]
    found: list[str] = []
    for first, end in pairwise(cuts):
        item = Item("in/a", len(text), '"e"', first_byte=first, last_byte=end - 1)
        found += ItemBody(item, [text[max(0, first - LOOK_BACK_BYTES) :]]).lines()
    expected = [row.removeprefix("\ufeff") if number == 0 else row for number, row in enumerate(rows)]
    assert found == expected


def test_json_lines() -> None:
    """JSON Lines are values; empty lines are passed over, CRLF and a byte order mark too."""
    data = '\ufeff{"a": "é"}\r\n\r\n[1, 2.5]\nnull'.encode()
    assert list(body_of(data).json_lines()) == [{"a": "é"}, [1, 2.5], None]


@pytest.mark.parametrize("line", [b"{", b'{"secret": 12', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_named_by_its_line(line: bytes) -> None:
    """The row says which line is no JSON, and quotes nothing of it."""
    with pytest.raises(ItemError, match="line 2 is not JSON") as caught:
        list(body_of(b"{}\n" + line + b"\n{}", piece=1 << 20).json_lines())
    assert caught.value.code is ErrorCode.DAMAGED
    assert "secret" not in str(caught.value)


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True),
    st.lists(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), min_size=4, max_size=4)),
)
def test_csv_rows_are_those_written(names: list[str], rows: list[list[str]]) -> None:
    """Whatever the csv module writes, line breaks and quotes in fields included, is read as it was."""
    if any("\0" in cell or not cell.isprintable() for cell in names):
        return
    rows = [["x", *row][: len(names)] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    read = list(body_of(text.getvalue().encode(), piece=3).csv())
    assert read == [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"a,b\n1\n", ErrorCode.BAD_ROW),
        (b"a,b\n1,2,3\n", ErrorCode.BAD_ROW),
        (b'a,b\n"1,2\n', ErrorCode.BAD_ROW),
        (b'a,b\n"1"x,2\n', ErrorCode.BAD_ROW),
        (b"a,a\n1,2\n", ErrorCode.WRONG_COLUMNS),
        (b"a\n\xff\n", ErrorCode.NOT_TEXT),
        (b",".join(b"c%d" % number for number in range(400_000)), ErrorCode.TOO_LARGE),
        (b",".join(b"c%d" % (number % 65_535) for number in range(65_536)), ErrorCode.WRONG_COLUMNS),
    ],
    ids=lambda part: part[:20] if isinstance(part, bytes) else part,
)
def test_bad_csv_is_a_row(data: bytes, code: ErrorCode) -> None:
    """A row that does not fit the header, an open quote, a column named twice, other encodings, and too many columns.

    The last two take seconds in linear time, and minutes if each name is looked for in all others.
    """
    with pytest.raises(ItemError) as caught:
        list(body_of(data).csv())
    assert caught.value.code is code


def test_a_body_is_read_once() -> None:
    """Whoever reads it twice gets an error, and not an empty text."""
    body = body_of(b"text")
    body.text()
    with pytest.raises(RuntimeError, match="read before, by text"):
        list(body.lines())


@pytest.mark.parametrize("method", ["text", "bytes", "csv", "file"])
def test_a_range_is_read_by_lines_alone(method: str) -> None:
    """A byte range is no object: what reads whole ones says so."""
    item = Item("in/a", 100, '"e"', first_byte=0, last_byte=49)
    with pytest.raises(ItemError) as caught:  # noqa: PT012 - one call, and what it gives
        read = getattr(ItemBody(item, [b"x" * 100]), method)()
        with read if method == "file" else io.BytesIO():
            list(read)
    assert caught.value.code is ErrorCode.NOT_SUPPORTED


def test_other_encodings() -> None:
    """Text and lines take an encoding; what is not in it is a row NOT_TEXT."""
    assert body_of("naïve".encode("latin-1")).text("latin-1") == "naïve"
    assert body_of("naïve".encode("utf-16")).text("utf-16") == "naïve"
    with pytest.raises(ItemError) as caught:
        body_of("naïve".encode("latin-1")).text()
    assert caught.value.code is ErrorCode.NOT_TEXT


def test_a_files_name_has_the_keys_extension() -> None:
    """A library that goes by a file's extension finds it."""
    with body_of(b"{}", "in/a b.json").file() as path:
        assert isinstance(path, Path)
        assert path.suffix == ".json"
        assert json.loads(path.read_text()) == {}
