"""The workload `word-count`: outputs, partials, the merged result."""

# ruff: noqa: RUF001 - letters that look alike are the point

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.registry import load_workload
from batch_jobs.workloads.word_count.word_totals import WordTotals
from batch_jobs.workloads.word_count.words import words_of
from millrace.errors import ErrorCode, ItemError
from millrace.workload import Item, Workload
from millrace.workload.registry import checked_options


@pytest.fixture(params=["compiled", "Python"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test, with the compiled table and without."""
    if request.param == "Python":
        monkeypatch.setattr("batch_jobs.workloads.word_count.workload.word_library", lambda: None)


class KeptOutputs:
    """Outputs that stay in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}

    def open(self, name: str, content_type: str = "application/octet-stream") -> io.BytesIO:
        """A file that is kept when it is closed."""
        files = self.files
        self.types[name] = content_type

        class Kept(io.BytesIO):
            def close(self) -> None:
                files[name] = self.getvalue()
                super().close()

        return Kept()


def workload(**options: object) -> Workload[WordTotals]:
    """The workload with its defaults and these options."""
    return load_workload("word-count", checked_options("word-count", options))


def migrated(raw: bytes, key: str = "notes.txt") -> tuple[bytes, WordTotals]:
    """An item's output and its contribution."""
    outputs = KeptOutputs()
    totals = workload().migrate(Item(key, len(raw), '"etag"'), [raw[:7], raw[7:]], outputs)
    return outputs.files[".words.txt"], totals


def partial_of(*texts: str) -> bytes:
    """The partial of a shard of these texts."""
    partial = workload().partial()
    for text in texts:
        partial.add(migrated(text.encode())[1])
    file = io.BytesIO()
    partial.write(file)
    return file.getvalue()


def merged(partials: list[bytes], **options: object) -> tuple[dict[str, Any], bytes]:
    """The result's part of the workload, and words.csv."""
    results = KeptOutputs()
    result = workload(**options).merge(map(io.BytesIO, partials), results)
    return result, results.files["words.csv"]


def test_words_at_line_ends_are_not_glued() -> None:
    """The seed deleted line breaks and counted `awsaws`; a line break separates words."""
    text, _ = migrated(b"We like AWS.\n\nAWS likes us, AWS\r\nAWS\r")
    assert text == b"aws:4\nlike:1\nlikes:1\nus:1\nwe:1\n"


def test_an_apostrophe_separates() -> None:
    """`it's` is `it` and `s`; so is it with the typographic apostrophe, and a colon makes two words of 12:30."""
    assert migrated("it's It’s 12:30".encode())[0] == b"it:2\ns:2\n12:1\n30:1\n"


def test_the_highest_count_comes_first_and_ties_by_code_point() -> None:
    """Code points, not locale: z before ä before 水 before an astral letter."""
    assert migrated("水 𝒜 z ä b b".encode())[0].decode() == "b:2\nz:1\nä:1\n水:1\n𝒜:1\n"


@pytest.mark.parametrize("key", ["a.gz", "a.txt.GZ"])
def test_gzip_is_read_through_and_a_byte_order_mark_is_dropped(key: str) -> None:
    """The ending decides, in whatever case; the mark belongs to no word."""
    raw = gzip.compress(b"\xef\xbb\xbfmill") + gzip.compress(b"race Mill")
    assert migrated(raw, key)[0] == b"mill:1\nmillrace:1\n"


def test_an_empty_object_has_an_empty_output() -> None:
    """No bytes, no words, no error."""
    assert migrated(b"")[0] == b""


@pytest.mark.parametrize(
    ("raw", "key", "code", "place"),
    [
        (b"caf\xe9 au lait", "menu.txt", ErrorCode.NOT_TEXT, "byte 3"),
        (b"\x89PNG\r\n", "a.png", ErrorCode.NOT_TEXT, "byte 0"),
        (b"wheat\0barley", "a.bin", ErrorCode.NOT_TEXT, "byte 5"),
        (b"wheat \xe6\xb0", "a.txt", ErrorCode.NOT_TEXT, "byte 6"),
        (gzip.compress(b"wheat")[:-1], "a.gz", ErrorCode.DAMAGED, "cut off"),
        (b"wheat", "a.gz", ErrorCode.DAMAGED, "gzip"),
    ],
)
def test_a_bad_object_is_told_with_its_place(raw: bytes, key: str, code: ErrorCode, place: str) -> None:
    """Not UTF-8, binary, cut inside a character, damaged gzip: the row's code and where it went wrong."""
    with pytest.raises(ItemError, match=place) as caught:
        migrated(raw, key)
    assert caught.value.code is code


def test_a_partial_is_the_same_in_whatever_order_it_was_added_up() -> None:
    """The partial's name is its digest: two copies of a shard must agree to the byte."""
    texts = ("mill race", "race water", "水 mill")
    assert {partial_of(*order) for order in permutations(texts)} == {"mill\t2\nrace\t2\nwater\t1\n水\t1\n".encode()}


def test_a_partial_goes_on_from_where_it_was_saved() -> None:
    """What `read` adds to what was added gives the whole."""
    partial = workload().partial()
    partial.read(io.BytesIO(partial_of("mill race")))
    partial.add(migrated(b"race water")[1])
    file = io.BytesIO()
    partial.write(file)
    assert file.getvalue() == partial_of("mill race", "race water")


texts = st.lists(st.text(st.sampled_from("aAbB Σσ水，\n'\"=१é"), max_size=60), max_size=6)


@given(texts, st.integers(0, 6))
def test_the_merged_result_is_an_independent_count(given_texts: list[str], cut: int) -> None:
    """However the items are spread over shards, words.csv read by csv is the plain count of all texts."""
    expected = Counter(word for text in given_texts for word in words_of(text))
    result, table = merged([partial_of(*given_texts[:cut]), partial_of(*given_texts[cut:])])
    rows = list(csv.reader(io.StringIO(table.decode(), newline="")))
    assert rows[0] == ["word", "count"]
    assert [(word, int(count)) for word, count in rows[1:]] == sorted(
        expected.items(), key=lambda row: (-row[1], row[0])
    )
    assert result["distinct_words"] == len(expected)
    assert result["total_words"] == expected.total()


def test_words_csv_ends_its_lines_as_rfc_4180_has_it() -> None:
    """CRLF, no quotes where none are needed, and a header even over nothing."""
    assert merged([partial_of("mill mill race")])[1] == b"word,count\r\nmill,2\r\nrace,1\r\n"
    assert merged([])[1] == b"word,count\r\n"


def test_the_options_shape_the_top_list_alone() -> None:
    """Length in characters, not bytes; least count; stop words in whatever case; at most `top`."""
    text = "the THE the mill mill mill 水 水 水 水磨坊 水磨坊 水磨坊 by by by race race flour flour flour"
    result, table = merged([partial_of(text)], top=2, stop_words=["The"])
    assert result["top"] == [{"word": "flour", "count": 3}, {"word": "mill", "count": 3}]
    assert result["distinct_words"] == table.count(b"\r\n") - 1 == 7
    result, _ = merged([partial_of(text)])
    assert [row["word"] for row in result["top"]] == ["flour", "mill", "水磨坊"]
    result, _ = merged([partial_of(text)], min_length=1, min_count=1, top=0)
    assert result["top"] == []
