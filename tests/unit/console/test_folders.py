"""Files into a bucket and back, on an S3 in memory."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.local.folders import remember, remembered
from console.transfer.downloads import download
from console.transfer.results import Fetched, check_result, failure_examples, fetch, read_result
from console.transfer.written import WrittenFiles
from millrace.errors import DamagedFileError
from millrace.layout import RunFolder, S3Uri
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, RunInMemory, fast


@pytest.fixture
def client() -> InMemoryS3Client:
    """An S3 with one bucket."""
    return InMemoryS3Client("bucket")


@pytest.fixture
def aws(client: Any) -> Any:
    """It stands in for `console.find.aws.Aws`."""
    return SimpleNamespace(s3=S3(client.stub))


def nothing(_done: int, _total: int) -> None:
    """Counts no files."""


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
    done = download(aws, [(key, S3Uri("bucket", f"p/{key}")) for key in keys], out, nothing, WrittenFiles(None))
    assert {uri.key.removeprefix("p/"): reason for uri, reason in done.refused} == {
        "../up": "the key has a segment that means another folder",
        "/abs": "a segment of the key is empty",
        "link/x": "a symbolic link is in the way",
        "taken/x": "a file is in the way of its folder",
        "a": "a folder of that name is in the way",
        "filelink": "a symbolic link is in the way",
        "taken": "a file that no run wrote, or that was changed since, is in the way",
    }
    assert list(outside.iterdir()) == []
    assert (out / "filelink").is_symlink()
    written = {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert written == {"good": "good", "a/b": "a/b", "taken": "a file"}
    assert done.files == 2


def test_a_file_is_whole_or_not_there(aws: Any, tmp_path: Path) -> None:
    """Where the download breaks, the earlier file stays as it was, and no part of the new one is left."""
    (tmp_path / "file").write_text("earlier")
    with pytest.raises(Exception, match="NoSuchKey"):
        download(aws, [("file", S3Uri("bucket", "missing"))], tmp_path, nothing, WrittenFiles(None))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "earlier"


def test_what_comes_together_is_recorded_one_by_one(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """Where one of many objects that come together is missing, the record names just those that became files."""
    keys = [f"a/{number}" for number in range(20)] + ["a/missing"]
    for key in keys[:-1]:
        client.store("bucket", key, key.encode())
    objects = [(key, S3Uri("bucket", key)) for key in keys]
    record, out = tmp_path / "record", tmp_path / "out"
    out.mkdir()
    with pytest.raises(Exception, match="NoSuchKey"):
        download(aws, objects, out, nothing, WrittenFiles(record), reader=lambda _uris: aws.s3.open)
    written = WrittenFiles(record)
    assert sorted(path.name for path in (out / "a").iterdir()) == sorted(str(number) for number in range(20))
    assert all(written.is_ours(key, out / key) for key in keys[:-1])
    assert not written.has_below("a/missing")
    later = WrittenFiles(record)
    assert download(aws, objects[:-1], out, nothing, later, reader=lambda _uris: aws.s3.open).files == 20
    assert record.read_bytes().count(b"a/") == 20, "what is known is not recorded again"


def test_a_runs_own_files_are_fetched(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> None:
    """Results come back from where result.json says, and the outputs that the commits name, a retry's too; no more."""
    destination = S3Uri("bucket", "to/")
    folder = RunFolder.of(destination, "run")
    store = {
        "result.json": b'{"files": {"words.csv": "s3://bucket/to/_millrace/run/retries/001/words.csv"}, '
        b'"retry": {"number": 1}, "status": "SUCCEEDED", "failures": {}, '
        b'"counts": {"items": 2, "succeeded": 2, "failed": 0, "bytes": 1, "shards": 2}}',
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
    result = read_result(aws, folder)
    assert result is not None
    given: Any = {"destination": destination, "directory": tmp_path, "moved": nothing, "written": WrittenFiles(None)}
    done = fetch(aws, folder, result, **given)
    names = {"result.json", "words.csv", "report.csv", "k.words.txt", "bad.words.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "words.csv").read_bytes() == b"word,count\n"
    client.store("bucket", folder.file("_SUCCESS").key, b"")
    fetch(aws, folder, result, **given)
    assert (tmp_path / "_SUCCESS").exists()
    client.remove("bucket", folder.file("_SUCCESS").key)
    client.store("bucket", folder.file("_INCOMPLETE").key, b"")
    fetch(aws, folder, result, **given)
    assert (tmp_path / "_INCOMPLETE").exists()
    assert not (tmp_path / "_SUCCESS").exists()  # an earlier run's mark does not stand beside this one's files
    assert done.refused == []
    client.remove("bucket", folder.file("_INCOMPLETE").key)
    fetch(aws, folder, result, **given)
    assert not (tmp_path / "_INCOMPLETE").exists()


class CopyRun:
    """A run of `copy` in S3, and the folder that it is fetched into."""

    def __init__(self, aws: Any, client: InMemoryS3Client, record: Path, directory: Path) -> None:
        self._aws, self._client, self._record, self.directory = aws, client, record, directory
        directory.mkdir(exist_ok=True)

    def fetch(self, run_id: str, **outputs: str) -> Fetched:
        """What a run with these outputs brings; `record` is read anew, as a later command does."""
        destination = S3Uri("bucket", "to/")
        folder = RunFolder.of(destination, run_id)
        uris = [f"s3://bucket/to/{key}" for key in outputs]
        own = {
            "result.json": "{}",
            "report.csv": f"of {run_id}",
            "_SUCCESS": f"sha256:{run_id}",
            "plan.json": '{"shards": 1}',
            "shards/00000.json": json.dumps({"outcomes": [{"key": "k", "outputs": uris}]}),
        }
        for name, body in own.items():
            self._client.store("bucket", folder.file(name).key, body.encode())
        for key, body in outputs.items():
            self._client.store("bucket", f"to/{key}", body.encode())
        written = WrittenFiles(self._record)
        return fetch(
            self._aws, folder, {}, destination=destination, directory=self.directory, moved=nothing, written=written
        )

    def files(self) -> dict[str, str]:
        """The files of the folder."""
        found = (path for path in self.directory.rglob("*") if path.is_file())
        return {path.relative_to(self.directory).as_posix(): path.read_text() for path in found}


@pytest.fixture
def copies(aws: Any, client: InMemoryS3Client, tmp_path: Path) -> CopyRun:
    """A folder that is empty yet."""
    return CopyRun(aws, client, tmp_path / "record.jsonl", tmp_path / "folder")


def own_files(run_id: str, below: str = "") -> dict[str, str]:
    """A run's own files, as they are told."""
    return {f"{below}result.json": "{}", f"{below}report.csv": f"of {run_id}", f"{below}_SUCCESS": f"sha256:{run_id}"}


@pytest.mark.parametrize("key", ["_SUCCESS", "report.csv", "result.json", "report.csv/inner.txt"])
def test_an_output_with_a_name_of_the_runs_own_files_stays_what_it_is(copies: CopyRun, key: str) -> None:
    """The run's own files, all of them, are in `_millrace/` and the run's id, as in S3; the counts are true."""
    done = copies.fetch("one", **{key: "the source's", "sub/a.txt": "x"})
    assert copies.files() == {key: "the source's", "sub/a.txt": "x", **own_files("one", "_millrace/one/")}
    assert (done.files, done.refused, done.own) == (5, [], "_millrace/one/")
    assert done.total_bytes == sum(map(len, copies.files().values()))
    assert done.taken == (key.partition("/")[0],)


def test_what_no_run_wrote_is_never_overwritten(copies: CopyRun) -> None:
    """A user's files stay, whatever their names; a run's own files and outputs that are in the way are told."""
    mine = {"report.csv": "mine", "_SUCCESS": "", "sub/a.txt": "mine", "same.txt": "x"}
    for key, text in mine.items():
        (copies.directory / key).parent.mkdir(exist_ok=True)
        (copies.directory / key).write_text(text)
    done = copies.fetch("one", **{"sub/a.txt": "x", "same.txt": "x", "new.txt": "x"})
    assert copies.files() == {**mine, "new.txt": "x", **own_files("one", "_millrace/one/")}
    assert [uri.key for uri, _ in done.refused] == ["to/sub/a.txt"]
    assert done.files == 5
    assert done.taken == ("report.csv", "_SUCCESS")


def test_a_later_run_replaces_what_an_earlier_one_wrote(copies: CopyRun) -> None:
    """Not what was changed since."""
    copies.fetch("one", **{"a.txt": "1", "b.txt": "1"})
    (copies.directory / "b.txt").write_text("edited")
    done = copies.fetch("two", **{"a.txt": "2", "b.txt": "2"})
    assert copies.files() == {"a.txt": "2", "b.txt": "edited", **own_files("two")}
    assert [uri.key for uri, _ in done.refused] == ["to/b.txt"]
    assert (done.files, done.own) == (4, "")


def test_nothing_goes_into_a_repository_that_was_there(copies: CopyRun) -> None:
    """Neither over a file of it nor beside them: a hook would run. One that runs made is theirs."""
    (copies.directory / ".git").mkdir()
    (copies.directory / ".git/config").write_text("mine")
    outputs = {".git/config": "x", ".git/hooks/pre-commit": "x", "sub/.git/config": "x"}
    done = copies.fetch("one", **outputs)
    assert copies.files() == {".git/config": "mine", "sub/.git/config": "x", **own_files("one")}
    assert [uri.key for uri, _ in done.refused] == ["to/.git/config", "to/.git/hooks/pre-commit"]
    again = copies.fetch("two", **{"sub/.git/config": "y", "sub/.git/HEAD": "y"})
    assert (again.refused, copies.files()["sub/.git/HEAD"]) == ([], "y")


def test_a_record_that_was_cut_off_is_read_as_far_as_it_goes(copies: CopyRun, tmp_path: Path) -> None:
    """The command was killed while it wrote a line: what is not recorded is the user's."""
    copies.fetch("one", **{"a.txt": "1"})
    record = tmp_path / "record.jsonl"
    record.write_bytes(record.read_bytes()[:-20])
    assert copies.fetch("two", **{"a.txt": "2"}).files == 4
    assert copies.fetch("three", **{"a.txt": "3"}).refused == []


def test_a_pipe_in_the_way_is_not_read(copies: CopyRun) -> None:
    """It would never end."""
    os.mkfifo(copies.directory / "a.txt")
    os.mkfifo(copies.directory / "report.csv")
    done = copies.fetch("one", **{"a.txt": "1"})
    assert ([uri.key for uri, _ in done.refused], done.own) == (["to/a.txt"], "_millrace/one/")


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


def complete() -> tuple[Any, RunInMemory]:
    """A run of two items, one of them bad, that is complete; and the AWS that it is in."""
    run = RunInMemory({"in/a": b"1", "in/b": b"bad"}, {"tolerated_failure_percent": 50, "shard": {"max_items": 1}})
    run.all()
    return SimpleNamespace(s3=S3(run.client.stub, fast())), run


def test_a_complete_run_is_what_its_commits_say() -> None:
    """Nothing is to do: every commit and every file was read."""
    aws, run = complete()
    result = read_result(aws, run.folder)
    assert result is not None
    check_result(aws, run.folder, result)


@pytest.mark.parametrize("name", ["sizes.json", "report.csv", "failures.jsonl"])
def test_a_complete_run_of_which_a_file_is_damaged_is_not_complete(name: str) -> None:
    """`resume` continues it: merge makes the file anew."""
    aws, run = complete()
    run.client.store(RESULT, run.folder.file(name).key, (run.file(name) or b"")[:-1])
    with pytest.raises(DamagedFileError, match=f"{name}.*is not the file"):
        check_result(aws, run.folder, run.result())


def test_a_result_that_says_other_than_the_commits_is_not_believed() -> None:
    """Two of two succeeded, it says, and goes with itself and the plan: the commits say one."""
    aws, run = complete()
    result = run.result()
    forged = {**result, "status": "SUCCEEDED", "failures": {}}
    forged["counts"] = {**result["counts"], "succeeded": 2, "failed": 0}
    run.client.store(RESULT, run.folder.file("result.json").key, json.dumps(forged).encode())
    read = read_result(aws, run.folder)
    assert read is not None
    with pytest.raises(DamagedFileError, match="the commits say"):
        check_result(aws, run.folder, read)


@pytest.mark.parametrize("items", [999, 1])
def test_a_result_of_another_plan_is_not_shown(items: int) -> None:
    """status, report and the page of the run would show it: they say what is wrong, and what helps."""
    aws, run = complete()
    result = run.result()
    forged = {**result, "counts": {**result["counts"], "items": items, "succeeded": items - 1}}
    run.client.store(RESULT, run.folder.file("result.json").key, json.dumps(forged).encode())
    with pytest.raises(DamagedFileError, match="millrace resume run"):
        read_result(aws, run.folder)


def test_a_damaged_file_is_not_fetched_as_the_result(tmp_path: Path) -> None:
    """What is in the folder afterwards is what result.json names; else the error says which file is not."""
    aws, run = complete()
    destination = S3Uri(RESULT, "out/")
    given: Any = {"destination": destination, "directory": tmp_path, "moved": nothing, "written": WrittenFiles(None)}
    fetch(aws, run.folder, run.result(), **given)
    assert (tmp_path / "sizes.json").read_bytes() == run.file("sizes.json")
    assert (tmp_path / "_SUCCESS").exists()
    run.client.store(RESULT, run.folder.file("sizes.json").key, b"{}")
    with pytest.raises(DamagedFileError, match=r"sizes\.json that result\.json names; `millrace resume run`"):
        fetch(aws, run.folder, run.result(), **given)
    assert not (tmp_path / "_SUCCESS").exists()


@pytest.mark.parametrize("forged", [False, True])
def test_a_result_that_says_failed_is_fetched_without_success(tmp_path: Path, forged: bool) -> None:  # noqa: FBT001
    """Its mark here is _INCOMPLETE, also where somebody put a _SUCCESS beside it."""
    aws, run = complete()
    for name in ("_SUCCESS", "_INCOMPLETE"):
        run.client.store(RESULT, run.folder.file(name).key, b"")
    if not forged:
        run.client.remove(RESULT, run.folder.file("_SUCCESS").key)
    result = {**run.result(), "status": "FAILED"}
    given: Any = {"directory": tmp_path, "moved": nothing, "written": WrittenFiles(None)}
    fetch(aws, run.folder, result, destination=S3Uri(RESULT, "out/"), **given)
    assert [name for name in ("_SUCCESS", "_INCOMPLETE") if (tmp_path / name).exists()] == ["_INCOMPLETE"]


@pytest.mark.parametrize("name", ["_SUCCESS", "_INCOMPLETE"])
def test_a_mark_that_no_run_wrote_is_left_alone(copies: CopyRun, name: str) -> None:
    """A file of the user's with the name of either mark stays, and the run's own files are beside each other."""
    (copies.directory / name).write_text("mine")
    done = copies.fetch("one", **{"a.txt": "1"})
    assert copies.files() == {name: "mine", "a.txt": "1", **own_files("one", "_millrace/one/")}
    assert done.taken == (name,)
