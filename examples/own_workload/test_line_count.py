"""line_count, called as the jobs call it."""

import gzip

from line_count import line_count

from millrace import try_on


def test_lines_are_counted() -> None:
    tried = try_on(line_count, b"one\ntwo\nthree")
    assert tried.given == {"lines": 2, "bytes": 13}
    assert tried.files == {".lines": b"2\n"}


def test_the_end_of_a_line_is_an_option_and_gzip_is_unpacked() -> None:
    assert try_on(line_count, gzip.compress(b"a;b;"), key="a.txt.gz", options={"end": ";"}).given["lines"] == 2
