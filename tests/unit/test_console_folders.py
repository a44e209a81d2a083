"""Files into a bucket and back, on an S3 in memory."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.downloads import download
from console.local_folders import remember, remembered
from console.results import failure_examples, fetch, read_result
from console.uploads import etag_of, upload
from millrace.layout import RunFolder, S3Uri
from millrace.multipart import PART_BYTES
from millrace.s3 import S3
from tests.in_memory_s3 import InMemoryS3Client

FOLDER = S3Uri("bucket", "below/")


@pytest.fixture
def client() -> InMemoryS3Client:
    """An S3 with one bucket."""
    return InMemoryS3Client("bucket")


@pytest.fixture
def aws(client: Any) -> Any:
    """It stands in for `console.aws.Aws`."""
    return SimpleNamespace(s3=S3(client))


def nothing(_done: int, _total: int) -> None:
    """Counts no files."""


def test_a_folder_goes_up_as_it_is(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """Every file, at every depth, with its bytes; keys are relative paths."""
    files = {"a.txt": b"1", "deep/er/b c": b"", "é+%": b"\xff\x00", ".hidden": b"2"}
    for name, body in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(body)
    done = upload(aws, tmp_path, FOLDER, nothing)
    assert {key: bytes(body) for key, body in client.bodies("bucket").items()} == {
        f"below/{name}": body for name, body in files.items()
    }
    assert (done.files, done.changed, done.deleted, done.total_bytes) == (4, 4, 0, 4)


def test_only_what_changed_goes_up_again(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """An unchanged file is not put again, a changed one of the same size is, a removed one's object is deleted."""
    for name in ("same", "changed", "removed"):
        (tmp_path / name).write_bytes(b"1")
    client.store("bucket", "elsewhere", b"stays")
    upload(aws, tmp_path, FOLDER, nothing)
    (tmp_path / "changed").write_bytes(b"2")
    (tmp_path / "removed").unlink()
    puts = client.requests["put_object"]
    done = upload(aws, tmp_path, FOLDER, nothing)
    assert client.requests["put_object"] == puts + 1
    assert (done.files, done.changed, done.deleted) == (2, 1, 1)
    assert client.bodies("bucket") == {"below/same": b"1", "below/changed": b"2", "elsewhere": b"stays"}


def test_links_do_not_lead_out(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """A link to a file of the folder is that file; links out, to folders or to nowhere are left out and named."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (inside / "file").write_bytes(b"file")
    targets = {"good": "file", "bad": "../out/secret", "folder": "sub", "up": "..", "circle": "circle", "gone": "x"}
    for name, target in targets.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "pipe")
    done = upload(aws, inside, FOLDER, nothing)
    assert client.bodies("bucket") == {"below/file": b"file", "below/good": b"file"}
    assert {path.name for path in done.left_out} == {"bad", "folder", "up", "circle", "gone", "pipe"}


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_the_etag_is_foretold(aws: Any, client: InMemoryS3Client, tmp_path: Path, size: int) -> None:
    """For a file in one part and in several, the ETag computed here is the one that S3 gives."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)
    upload(aws, tmp_path, FOLDER, nothing)
    stored = client.stored("bucket", "below/file")
    assert stored is not None
    assert stored.etag == etag_of(tmp_path / "file")
    assert upload(aws, tmp_path, FOLDER, nothing).changed == 0


def test_nothing_is_written_outside(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """Keys that climb, links in the way and names that are taken: refused with a reason, the rest is written."""
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "link").symlink_to(outside)
    (out / "taken").write_bytes(b"a file")
    (out / "filelink").symlink_to(outside / "target")
    keys = ["good", "../up", "/abs", "link/x", "taken/x", "a", "a/b", "filelink", "taken"]
    for key in keys:
        client.store("bucket", f"p/{key}", key.encode())
    done = download(aws, [(key, S3Uri("bucket", f"p/{key}")) for key in keys], out, nothing)
    assert {uri.key.removeprefix("p/"): reason for uri, reason in done.refused} == {
        "../up": "the key has a segment that means another folder",
        "/abs": "a segment of the key is empty",
        "link/x": "a symbolic link is in the way",
        "taken/x": "a file is in the way of its folder",
        "a": "a folder of that name is in the way",
    }
    assert list(outside.iterdir()) == []
    assert not (out / "filelink").is_symlink()
    written = {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert written == {"good": "good", "a/b": "a/b", "filelink": "filelink", "taken": "taken"}
    assert done.files == 4


def test_a_file_is_whole_or_not_there(aws: Any, tmp_path: Path) -> None:
    """Where the download breaks, the earlier file stays as it was, and no part of the new one is left."""
    (tmp_path / "file").write_text("earlier")
    with pytest.raises(Exception, match="NoSuchKey"):
        download(aws, [("file", S3Uri("bucket", "missing"))], tmp_path, nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "earlier"


def test_a_runs_own_files_are_fetched(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """Results come back from where result.json says, and the outputs that the commits name, a retry's too; no more."""
    destination = S3Uri("bucket", "to/")
    folder = RunFolder.of(destination, "run")
    store = {
        "result.json": b'{"files": {"words.csv": "s3://bucket/to/_millrace/run/retries/001/words.csv"}, '
        b'"retry": {"number": 1}}',
        "words.csv": b"before the retry",
        "retries/001/words.csv": b"word,count\n",
        "retries/001/plan.json": b'{"shards": 1}',
        "retries/001/shards/00000.json": b'{"outcomes": [{"key": "bad", "outputs": ["s3://bucket/to/bad.words.txt"]}]}',
        "report.csv": b"r",
        "run.json": b"{}",
        "plan.json": b'{"shards": 2}',
        "shards/00000.json": b'{"outcomes": [{"key": "k", "outputs": ["s3://bucket/to/k.words.txt"]}, {"key": "bad"}]}',
    }
    for name, body in store.items():
        client.store("bucket", folder.file(name).key, body)
    client.store("bucket", "to/k.words.txt", b"k")
    client.store("bucket", "to/bad.words.txt", b"b")
    client.store("bucket", "to/others.words.txt", b"o")
    (tmp_path / "_SUCCESS").touch()
    result = read_result(aws, folder)
    assert result is not None
    done = fetch(aws, folder, result, destination=destination, directory=tmp_path, moved=nothing)
    names = {"result.json", "words.csv", "report.csv", "k.words.txt", "bad.words.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "words.csv").read_bytes() == b"word,count\n"
    client.store("bucket", folder.file("_SUCCESS").key, b"")
    fetch(aws, folder, result, destination=destination, directory=tmp_path, moved=nothing)
    assert (tmp_path / "_SUCCESS").exists()
    client.remove("bucket", folder.file("_SUCCESS").key)
    client.store("bucket", folder.file("_INCOMPLETE").key, b"")
    fetch(aws, folder, result, destination=destination, directory=tmp_path, moved=nothing)
    assert (tmp_path / "_INCOMPLETE").exists()
    assert not (tmp_path / "_SUCCESS").exists()
    assert done.refused == []


def test_where_results_go_is_remembered(tmp_path: Path) -> None:
    """Whatever a folder is called, a resumed run finds it; a run that went elsewhere, or a broken note, has none."""
    directory = tmp_path / "ö ut\n"
    remember(tmp_path, "run-1", directory)
    (tmp_path / "folders" / "broken.json").write_text("[]")
    assert remembered(tmp_path, "run-1") == directory
    assert remembered(tmp_path, "run-2") is None
    assert remembered(tmp_path, "broken") is None


def test_one_example_of_each_error(aws: Any, client: InMemoryS3Client) -> None:
    """The first row of each code is the example; a code without a row has none; no file means no examples."""
    folder = RunFolder.of(S3Uri("bucket", "to/"), "run")
    assert failure_examples(aws, folder, {"failures": {"NOT_TEXT": 1}}) == {}
    rows = b'{"error_code":"A","key":"1"}\n{"error_code":"A","key":"2"}\n{"error_code":"B","key":"\xe2\x80\xa8"}\n'
    client.store("bucket", folder.file("failures.jsonl").key, rows)
    found = failure_examples(aws, folder, {"failures": {"A": 2, "B": 1, "C": 1}})
    assert {code: row["key"] for code, row in found.items()} == {"A": "1", "B": "\u2028"}


def test_a_run_without_a_result_has_none(aws: Any) -> None:
    """A run that failed early left no result.json."""
    started = time.monotonic()
    assert read_result(aws, RunFolder.of(S3Uri("bucket", "to/"), "run")) is None
    assert time.monotonic() - started < 5
