"""compaction, called as the jobs call it."""

import gzip
import io

import compaction
import pytest

from millrace import try_on


class Results:
    """The result's files, kept when they are closed."""

    def __init__(self) -> None:
        self.files: dict[str, io.BytesIO] = {}

    def open(self, name: str, content_type: str) -> io.BytesIO:
        """A file that stays open."""
        assert content_type == "application/gzip"
        file = self.files[name] = io.BytesIO()
        file.close = lambda: None
        return file


def test_records_are_given_one_by_one() -> None:
    assert try_on(compaction.compaction, '{"a": 1}\n\n{"a": 2}\n').given == [{"a": 1}, {"a": 2}]


def test_records_are_joined_into_files_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "PART_BYTES", 20)
    results = Results()
    assert compaction.join(({"a": number} for number in range(5)), results) == {"records": 5, "files": 2}
    texts = {name: gzip.decompress(file.getvalue()) for name, file in results.files.items()}
    assert texts == {
        "part-00000.jsonl.gz": b'{"a": 0}\n{"a": 1}\n{"a": 2}\n',
        "part-00001.jsonl.gz": b'{"a": 3}\n{"a": 4}\n',
    }


def test_no_records_are_no_files() -> None:
    results = Results()
    assert compaction.join([], results) == {"records": 0, "files": 0}
    assert not results.files
