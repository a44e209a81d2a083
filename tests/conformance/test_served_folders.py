"""Folders of this machine as objects: what S3's own clients see of files that are read in place."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from console import embedded_aws
from console.file_names import NotAFileNameError
from console.local.source_folder import Served, serve
from millrace.layout import S3Uri
from tests.conformance.account import Account, unique
from tests.conformance.conftest import OPTIONS
from tests.embedded_control import control

pytestmark = pytest.mark.embedded("folders of this machine are served by the embedded AWS alone")

PLACE = "directories/in-0123/"
ODD = [
    "plain.txt", "a-b", "a/b", "a/b c", "a0", "deep/er/still/x", "é", "e\u0301", "ﬁ", "\U0001f600/\U0001f680.txt",
    "back\\slash", "+%20&=#?;'\"<>", ".hidden", "..two", "dots/...", "line\nfeed", "tab\t", " blank ", "~", "\x7f",
    "k" * 255, "k/" * 100 + "k", "\uffff", "\U00010000", "%2e%2e", "\uff21",
]  # fmt: skip


def etag(content: bytes) -> str:
    """S3's of an object that was put at once."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class Place:
    """A folder that is served, and what a client sees of it."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.s3: Any = account.client("s3")
        self.endpoint_url, self.folder, self.bucket = account.endpoint_url, folder, unique("folder")
        self.s3.create_bucket(Bucket=self.bucket)
        folder.mkdir()

    def write(self, name: str, content: bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def serve(self) -> Served:
        """Serve the folder, or what it is now."""
        return serve(self.endpoint_url, self.folder, S3Uri(self.bucket, PLACE))

    def get(self, name: str, **more: Any) -> Any:
        """The answer to a GET."""
        return self.s3.get_object(Bucket=self.bucket, Key=PLACE + name, **more)

    def read(self, name: str, **more: Any) -> bytes:
        """A file's content, or a range's."""
        content: bytes = self.get(name, **more)["Body"].read()
        return content

    def refused(self, name: str, **more: Any) -> str:
        """The error code of a GET that fails."""
        with pytest.raises(ClientError) as error:
            self.get(name, **more)
        code: str = error.value.response["Error"]["Code"]
        return code

    def keys(self, **more: Any) -> list[str]:
        """All listed keys, over as many pages as there are."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **more)
        return [each["Key"].removeprefix(PLACE) for page in pages for each in page.get("Contents", [])]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account on a server that enforces IAM, where requests take the long way."""
    state = tmp_path_factory.mktemp("strict")
    with embedded_aws.running(0, state_dir=state, options=(*OPTIONS, "--enforce-iam")) as running:
        yield Account(running.endpoint_url)


@pytest.fixture(params=["short", "long"])
def place(request: pytest.FixtureRequest, account: Account, strict: Account, tmp_path: Path) -> Place:
    """An empty folder, asked by the short way of requests and by the long one."""
    return Place(account if request.param == "short" else strict, tmp_path / "in")


def test_every_file_is_an_object(place: Place) -> None:
    """Odd names and deep folders: listed in the order of their UTF-8, each with its bytes, size and MD5."""
    for number, name in enumerate(ODD):
        place.write(name, name.encode() * number)
    done = place.serve()
    assert (done.files, done.changed, done.deleted, done.left_out) == (len(ODD), len(ODD), 0, [])
    assert done.total_bytes == sum(len(name.encode()) * number for number, name in enumerate(ODD))
    expected = sorted(ODD, key=lambda name: (PLACE + name).encode())
    assert place.keys() == expected
    for number, name in enumerate(ODD):
        answer = place.get(name)
        content = name.encode() * number
        assert answer["Body"].read() == content
        assert (answer["ETag"], answer["ContentLength"]) == (etag(content), len(content))
        head = place.s3.head_object(Bucket=place.bucket, Key=PLACE + name)
        assert (head["ETag"], head["ContentLength"]) == (answer["ETag"], len(content))
        assert head["LastModified"] == answer["LastModified"]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_prefixes_and_delimiters(place: Place, size: int) -> None:
    """Pages of any size join up to the same list; prefixes, start-after and delimiters do as S3 says."""
    for name in ODD:
        place.write(name, b"")
    place.serve()
    for other in ("a", "directories/in-0122/x", "directories/in-01230", "directories/in-0123", "z"):
        place.s3.put_object(Bucket=place.bucket, Key=other, Body=b"put")
    served = sorted((PLACE + name for name in ODD), key=str.encode)
    everything = sorted([*served, "a", "directories/in-0122/x", "directories/in-01230", "directories/in-0123", "z"])
    paging = {"PaginationConfig": {"PageSize": size}}
    assert place.keys(**paging) == [key.removeprefix(PLACE) for key in everything]
    for prefix in ("", "d", PLACE, PLACE + "a", PLACE + "a/", PLACE + "a/b", PLACE + "k/k/", PLACE + "x", "z"):
        expected = [key.removeprefix(PLACE) for key in everything if key.startswith(prefix)]
        assert place.keys(Prefix=prefix, **paging) == expected, prefix
    for after in ("a", "directories", PLACE, PLACE + "a", PLACE + "a/", PLACE + "a/b", PLACE + "a/zzz", PLACE + "é"):
        expected = [key.removeprefix(PLACE) for key in everything if key > after]
        assert place.keys(StartAfter=after, **paging) == expected, after
    grouped: list[str] = []
    pages = place.s3.get_paginator("list_objects_v2").paginate(
        Bucket=place.bucket, Prefix=PLACE, Delimiter="/", **paging
    )
    for page in pages:
        grouped += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        grouped += [each["Key"] for each in page.get("Contents", [])]
    tops = {PLACE + name.partition("/")[0] + ("/" if "/" in name else "") for name in ODD}
    assert sorted(grouped) == sorted(tops)
    versions = place.s3.list_object_versions(Bucket=place.bucket, Prefix=PLACE + "a/")["Versions"]
    assert [(each["Key"].removeprefix(PLACE), each["VersionId"]) for each in versions] == [
        ("a/b", "null"), ("a/b c", "null"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more", [{}, {"Delimiter": "/"}, {"MaxKeys": 3}, {"FetchOwner": True}, {"Prefix": PLACE + "a"}]
)
def test_a_page_says_what_it_says_of_objects_that_were_put(place: Place, more: dict[str, Any]) -> None:
    """The page of a served folder is that of a bucket into which the same objects were put, but for their times."""
    other = unique("put")
    place.s3.create_bucket(Bucket=other)
    for name in ["a", "a b/<&>", "a b/c", "b", 'c"d']:
        path = place.write(name, name.encode()) if name != "a" else place.write(name, b"")
        place.s3.put_object(Bucket=other, Key=PLACE + name, Body=path.read_bytes())
    place.serve()
    pages = [place.s3.list_objects_v2(Bucket=bucket, **{"Prefix": PLACE, **more}) for bucket in (place.bucket, other)]
    for page in pages:
        del page["ResponseMetadata"], page["Name"]
        page["Contents"] = [{**each, "LastModified": None} for each in page["Contents"]]
    assert pages[0] == pages[1]


def test_what_is_no_file_of_the_folder(place: Place, tmp_path: Path) -> None:
    """Links to files of the folder are files; what leads out, to folders or nowhere, and climbing keys are not."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret").write_bytes(b"secret")
    place.write("file", b"file")
    place.write("sub/file", b"below")
    targets = {
        "good": "file", "sub/up": "../file", "bad": "../out/secret", "folder": "sub", "above": "..", "circle": "circle",
        "gone": "x", "absolute": str(tmp_path / "out/secret"), "away": "../out",
    }  # fmt: skip
    for name, target in targets.items():
        (place.folder / name).symlink_to(target)
    os.mkfifo(place.folder / "pipe")
    done = place.serve()
    assert place.keys() == ["file", "good", "sub/file", "sub/up"]
    assert (place.read("good"), place.read("sub/up")) == (b"file", b"file")
    assert {path.name for path in done.left_out} == {
        "bad", "folder", "above", "circle", "gone", "absolute", "away", "pipe",
    }  # fmt: skip
    climbing = [
        "bad", "folder", "folder/file", "above", "circle", "gone", "absolute", "away/secret", "pipe", "sub", "sub/",
        "../out/secret", "sub/../file", "./file", "file/", "/file", "sub//file", "file/x", "", "..", "n" * 300,
    ]  # fmt: skip
    for name in climbing:
        if name:
            assert place.refused(name) == "NoSuchKey", name


def test_ranges_and_conditions(place: Place) -> None:
    """Ranges of small and large files, and the conditions of reads, as of any object."""
    content = os.urandom(3_000_000)
    place.write("large", content)
    place.write("empty", b"")
    place.serve()
    for words, expected in {
        "bytes=0-9": content[:10], "bytes=2999990-": content[-10:], "bytes=-7": content[-7:],
        "bytes=1000000-2500000": content[1_000_000:2_500_001], "bytes=5-99999999": content[5:],
    }.items():  # fmt: skip
        answer = place.get("large", Range=words)
        assert answer["Body"].read() == expected, words
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ETag"] == etag(content)
    assert place.refused("large", Range="bytes=3000000-") == "InvalidRange"
    assert place.refused("empty", Range="bytes=0-0") == "InvalidRange"
    assert place.read("empty") == b""
    assert place.read("large", IfMatch=etag(content)) == content
    assert place.refused("large", IfMatch=etag(b"other")) == "PreconditionFailed"
    assert place.refused("large", IfNoneMatch=etag(content)) == "304"


def test_a_file_that_changes_or_goes(place: Place) -> None:
    """The next read has the new content and its ETag, or says that there is none; what comes later is listed."""
    path = place.write("file", b"first")
    place.write("other", b"other")
    place.serve()
    first = place.get("file")["ETag"]
    for content in (b"again", b"third", b"x" * 2_000_000, b"y" * 2_000_000):
        path.write_bytes(content)
        assert place.refused("file", IfMatch=first) == "PreconditionFailed"
        assert (place.read("file"), place.get("file")["ETag"]) == (content, etag(content))
        listed = {each["Key"]: each for each in place.s3.list_objects_v2(Bucket=place.bucket)["Contents"]}
        assert (listed[PLACE + "file"]["ETag"], listed[PLACE + "file"]["Size"]) == (etag(content), len(content))
    times = path.stat()
    path.write_bytes(b"z" * 2_000_000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # neither size nor time of the content tell it
    assert place.get("file")["ETag"] == etag(b"z" * 2_000_000)
    path.unlink()
    place.write("later", b"later")
    assert place.refused("file") == "NoSuchKey"
    assert place.keys() == ["later", "other"]
    done = place.serve()
    assert (done.files, done.changed, done.deleted) == (2, 1, 1)
    (place.folder / "later").write_bytes(b"later")  # the same again
    assert (place.serve().changed, place.serve().deleted) == (0, 0)


@pytest.mark.long
def test_nobody_gets_parts_of_two_contents(account: Account, tmp_path: Path) -> None:
    """While a large file is written over and over, each read that ends is all of one content, of the ETag it names."""
    place = Place(account, tmp_path / "in")
    path = place.write("file", b"0" * 3_000_000)
    place.serve()
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            path.write_bytes(str(number % 10).encode() * 3_000_000)

    writer = threading.Thread(target=change)
    writer.start()
    seen: set[bytes] = set()
    try:
        for _ in range(40):
            try:
                answer = place.get("file")
                content = answer["Body"].read()
            except Exception:  # noqa: BLE001 - broken off, or refused: nobody took it for the file
                continue
            assert len(set(content)) <= 1
            assert answer["ETag"] == etag(content)
            seen.add(content[:1])
    finally:
        stop.set()
        writer.join()
    path.write_bytes(b"at last")
    assert place.read("file") == b"at last"


def test_nothing_is_ever_written(place: Place) -> None:
    """Every way to write, copy over or delete an object of the folder is refused, and its files stay as they are."""
    place.write("file", b"file")
    place.serve()
    s3, at = place.s3, {"Bucket": place.bucket, "Key": PLACE + "file"}
    new = {"Bucket": place.bucket, "Key": PLACE + "new/one"}
    s3.put_object(Bucket=place.bucket, Key="elsewhere", Body=b"stays")
    calls: list[Callable[[], object]] = [
        lambda: s3.put_object(**at, Body=b"x"),
        lambda: s3.put_object(**new, Body=b"x"),
        lambda: s3.put_object(**new, Body=b"x", IfNoneMatch="*"),
        lambda: s3.delete_object(**at),
        lambda: s3.copy_object(**at, CopySource={"Bucket": place.bucket, "Key": "elsewhere"}),
        lambda: s3.create_multipart_upload(**new),
        lambda: s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}),
        lambda: s3.delete_objects(Bucket=place.bucket, Delete={"Objects": [{"Key": "elsewhere"}, {"Key": at["Key"]}]}),
    ]
    for call in calls:
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == "AccessDenied"
    assert [path.name for path in place.folder.iterdir()] == ["file"]
    assert (place.folder / "file").read_bytes() == b"file"
    assert s3.get_object(Bucket=place.bucket, Key="elsewhere")["Body"].read() == b"stays"


def test_copies_of_files_are_objects(place: Place) -> None:
    """CopyObject and UploadPartCopy, whole and by range, take a file's bytes; the copy outlives the file."""
    content = os.urandom(6_000_000)
    path = place.write("file", content)
    place.serve()
    s3, source = place.s3, {"Bucket": place.bucket, "Key": PLACE + "file"}
    s3.copy_object(Bucket=place.bucket, Key="copy", CopySource=source)
    upload = s3.create_multipart_upload(Bucket=place.bucket, Key="parts")["UploadId"]
    parts = []
    for number, more in enumerate(({"CopySourceRange": "bytes=0-5242879"}, {}), 1):
        made = s3.upload_part_copy(
            Bucket=place.bucket, Key="parts", UploadId=upload, PartNumber=number, CopySource=source, **more
        )
        parts.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(Bucket=place.bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket=place.bucket, Key="same", CopySource=source, CopySourceIfMatch=etag(content))
    attributes = s3.get_object_attributes(**{**source, "ObjectAttributes": ["ETag", "ObjectSize"]})
    assert (attributes["ETag"], attributes["ObjectSize"]) == (etag(content).strip('"'), len(content))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.copy_object(Bucket=place.bucket, Key="no", CopySource=source, CopySourceIfMatch=etag(b"other"))
    path.unlink()
    copy = s3.get_object(Bucket=place.bucket, Key="copy")
    assert (copy["Body"].read(), copy["ETag"]) == (content, etag(content))
    assert s3.get_object(Bucket=place.bucket, Key="parts")["Body"].read() == content[:5242880] + content


def test_what_cannot_be_served(account: Account, tmp_path: Path) -> None:
    """A name that is no UTF-8 and a path that is too long for a key are refused by name; so are wrong orders."""
    place = Place(account, tmp_path / "in")
    odd = os.fsencode(place.folder) + b"/\xff"
    with open(odd, "wb"):  # noqa: PTH123 - a name of bytes
        pass
    with pytest.raises(NotAFileNameError, match="not UTF-8"):
        place.serve()
    os.unlink(odd)  # noqa: PTH108 - as above
    long = place.write("/".join(["k" * 200] * 6), b"")
    with pytest.raises(NotAFileNameError, match="1205 bytes"):
        place.serve()
    long.unlink()
    asked = {"bucket": place.bucket, "prefix": PLACE, "directory": str(place.folder)}
    control(place.endpoint_url, "folders", asked)
    for change in (
        {"bucket": "missing"}, {"directory": str(place.folder / "x")}, {"directory": "in"}, {"prefix": "no-slash"},
        {"prefix": PLACE + "below/"}, {"prefix": "directories/"}, {"prefix": ""}, {"bucket": None},
    ):  # fmt: skip
        with pytest.raises(HTTPError) as error:
            control(place.endpoint_url, "folders", asked | change)
        with error.value:
            assert error.value.code == 400, change


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_nobody_may_read(account: Account, tmp_path: Path) -> None:
    """It is refused by name before anything is served; one that becomes so answers as S3 to whom it may not."""
    place = Place(account, tmp_path / "in")
    path = place.write("file", b"file")
    path.chmod(0)
    with pytest.raises(PermissionError, match="file"):
        place.serve()
    path.chmod(0o600)
    place.serve()
    path.chmod(0)
    assert place.refused("file") == "AccessDenied"


def test_two_folders_one_inside_the_other(account: Account, tmp_path: Path) -> None:
    """A folder and one below it are served side by side, each whole."""
    outer, inner = Place(account, tmp_path / "in"), "directories/inner-1/"
    outer.write("a", b"a")
    outer.write("sub/b", b"b")
    outer.serve()
    serve(outer.endpoint_url, outer.folder / "sub", S3Uri(outer.bucket, inner))
    assert outer.keys(Prefix=PLACE) == ["a", "sub/b"]
    assert outer.keys(Prefix=inner) == [f"{inner}b"]
