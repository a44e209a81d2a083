"""The workload `copy` on the S3 of the embedded AWS: what a copy has, how it is verified, and when it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_jobs.workloads.copy.attributes import CopyAttributes
from batch_jobs.workloads.copy.object_copy import ObjectCopy
from millrace.errors import ChangedError, ObjectNotFoundError, StoppedError
from millrace.layout import S3Uri
from millrace.records.plan import Item
from millrace.workload.registry import checked_options
from tests.workflow.runs import Run, Runs

MIB = 2**20


def result(runs: Runs, run: Run) -> dict[str, Any]:
    """The workload's part of result.json."""
    return dict(json.loads(runs.file(run, "result.json"))["result"])


def head(s3: Any, uri: S3Uri) -> dict[str, Any]:
    """What HeadObject says, but for the time and the version."""
    answer = s3.head_object(Bucket=uri.bucket, Key=uri.key, ChecksumMode="ENABLED")
    return {name: answer[name] for name in answer.keys() - {"ResponseMetadata", "LastModified", "VersionId"}}


def tags(s3: Any, uri: S3Uri) -> dict[str, str]:
    """An object's tags."""
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=uri.bucket, Key=uri.key)["TagSet"]}


DRESSED: dict[str, Any] = {
    "ContentType": "text/x-poem; charset=utf-8",
    "CacheControl": "max-age=60",
    "ContentDisposition": "attachment",
    "ContentLanguage": "de",
    "Metadata": {"author": "anon", "pages": "3"},
    "StorageClass": "STANDARD_IA",
    "Tagging": "project=mill&kept=a%26b",
}
ODD = ["a b+c%20.txt", "a//b", "../up", "new\nline", "e\u0301", "é", "folder/", "&<>\"'", "?versionId=1#x"]


def test_a_run_of_copies(runs: Runs, s3: Any, source: str, destination: str) -> None:
    """Bytes, headers, metadata, tags and storage class are those of the sources, whatever their keys; each copy is
    verified by its checksum, and a copy made again is the same.
    """
    folder, to = S3Uri.parse_folder(source), S3Uri.parse_folder(destination)
    bodies = {name: name.encode() * 3 for name in ODD} | {"empty": b""}
    for name, body in bodies.items():
        s3.put_object(Bucket=folder.bucket, Key=folder.key + name, Body=body, **DRESSED)
    run = runs.start(source, destination, workload="copy", max_items=4)
    output = runs.wait(run)

    total = sum(map(len, bodies.values()))
    assert output["counts"] == {"items": 10, "succeeded": 10, "failed": 0, "bytes": total, "shards": 3}
    assert {name for name in runs.names(to) if not name.startswith("_millrace/")} == set(bodies)
    for name, body in bodies.items():
        assert runs.read(to.join(name)) == body
        assert head(s3, to.join(name)) == head(s3, folder.join(name))
        assert tags(s3, to.join(name)) == {"project": "mill", "kept": "a&b"}
    found = result(runs, run)
    assert found == {"objects": 10, "bytes": total, "verified_by": {"checksum": 10, "etag": 0, "size": 0}}
    assert {row["TaskStatus"] for row in runs.report(run)} == {"succeeded"}


def test_attributes_are_set(runs: Runs, s3: Any, source: str, destination: str) -> None:
    """What an option names is the copy's; headers that none names stay the source's."""
    folder, to = S3Uri.parse_folder(source), S3Uri.parse_folder(destination)
    s3.put_object(Bucket=folder.bucket, Key=folder.key + "a", Body=b"a", **DRESSED)
    options = {
        "metadata": {"from": "mill"},
        "content_type": "text/plain",
        "tags": {"copy": "yes"},
        "storage_class": "STANDARD",
        "encryption": "AES256",
    }
    runs.wait(runs.start(source, destination, workload="copy", options=options))
    made = head(s3, to.join("a"))
    assert (made["ContentType"], made["Metadata"]) == ("text/plain", {"from": "mill"})
    assert (made["CacheControl"], made["ContentLanguage"]) == ("max-age=60", "de")
    assert made.get("StorageClass", "STANDARD") == "STANDARD"
    assert made["ServerSideEncryption"] == "AES256"
    assert tags(s3, to.join("a")) == {"copy": "yes"}


def test_keys_are_rewritten(runs: Runs, source: str, destination: str) -> None:
    """By prefix and pattern; a key that does not fit has its row, and keys that would become one have theirs."""
    runs.put(
        source, {"raw/2026-01-05.csv": b"a", "raw/2026-01-17.csv": b"a", "raw/2026-02-01.csv": b"c", "other": b"d"}
    )
    options = {
        "strip_prefix": "raw/",
        "add_prefix": "by-month/",
        "key_pattern": r"(?P<year>\d{4})-(\d\d)-\d\d(\..*)",
        "key_template": r"\g<year>/\2\3",
    }
    run = runs.start(source, destination, workload="copy", options=options, tolerated_failure_percent=75)
    output = runs.wait(run)
    assert output["failures"] == {"KEY_NOT_USABLE": 3}
    to = S3Uri.parse_folder(destination)
    written = {name for name in runs.names(to) if not name.startswith("_millrace/")}
    assert written == {"by-month/2026/02.csv"}
    rows = [json.loads(line) for line in runs.file(run, "failures.jsonl").splitlines()]
    both = [f"{S3Uri.parse_folder(source).key}raw/2026-01-{day}.csv" for day in ("05", "17")]
    assert [row["key"] for row in rows if all(key in row["message"] for key in both)] == both


class TestInParts:
    """Objects over 5 GiB are copied in parts; here parts are small, and S3's least is 5 MiB."""

    @pytest.fixture
    def copy(self, stack: Any, s3: Any, source: str, destination: str) -> Any:
        """Copies an object of so many bytes in parts; returns both places and what was compared."""
        folder, to = S3Uri.parse_folder(source), S3Uri.parse_folder(destination)

        def made(size: int, options: dict[str, Any] | None = None, **given: Any) -> tuple[S3Uri, S3Uri, str]:
            body = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
            place, target = folder.join("large é"), to.join("large é")
            s3.put_object(Bucket=place.bucket, Key=place.key, Body=body[:size], **DRESSED, **given)
            described = s3.head_object(Bucket=place.bucket, Key=place.key)
            item = Item(place.key, size, described["ETag"], storage_class=described.get("StorageClass", "STANDARD"))
            attributes = CopyAttributes(checked_options("copy", options or {}))
            _copied, verified = ObjectCopy(
                stack.aws.s3, item, place, target, attributes, lambda: None, copy_bytes=5 * MIB, part_bytes=5 * MIB
            ).make()
            return place, target, verified

        return made

    @pytest.mark.parametrize("size", [5 * MIB + 1, 10 * MIB, 12 * MIB + 7])
    def test_the_copy_is_the_same(self, copy: Any, s3: Any, runs: Runs, size: int) -> None:
        """Bytes, headers, metadata and class. Tags and whole checksums of an upload in parts, which this S3 has not,
        are looked at in tests/unit/workloads/copy/test_copy_objects.py.
        """
        place, target, _verified = copy(size)
        assert runs.read(target) == runs.read(place)
        made, was = head(s3, target), head(s3, place)
        same = {"ContentLength", "Metadata", "StorageClass", *DRESSED} - {"Tagging"}
        assert {name: made[name] for name in same} == {name: was[name] for name in same}
        assert made["ETag"].endswith(f'-{-(-size // (5 * MIB))}"')

    def test_attributes_are_set(self, copy: Any, s3: Any) -> None:
        """As for one request."""
        _place, target, _verified = copy(6 * MIB, {"content_type": "x/y", "storage_class": "STANDARD"})
        made = head(s3, target)
        assert (made["ContentType"], made["Metadata"]) == ("x/y", DRESSED["Metadata"])

    def test_no_parts_are_left(self, stack: Any, s3: Any, source: str, destination: str) -> None:
        """Told to stop between two parts, the upload is thrown away."""
        place, target = S3Uri.parse_folder(source).join("a"), S3Uri.parse_folder(destination).join("a")
        etag = s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"x" * 11 * MIB)["ETag"]
        calls = iter([None, StoppedError("SIGTERM")])

        def check() -> None:
            error = next(calls)
            if error:
                raise error

        attributes = CopyAttributes(checked_options("copy", {}))
        item = Item(place.key, 11 * MIB, etag)
        copy = ObjectCopy(stack.aws.s3, item, place, target, attributes, check, copy_bytes=5 * MIB, part_bytes=5 * MIB)
        with pytest.raises(StoppedError):
            copy.make()
        uploads = s3.list_multipart_uploads(Bucket=target.bucket, Prefix=target.key)
        assert uploads.get("Uploads", []) == []


@pytest.mark.parametrize(("change", "error"), [("change", ChangedError), ("delete", ObjectNotFoundError)])
def test_only_what_was_planned_is_copied(
    stack: Any, s3: Any, source: str, destination: str, *, change: str, error: type[Exception]
) -> None:
    """Another object by now, or none: nothing is written."""
    place, target = S3Uri.parse_folder(source).join("a"), S3Uri.parse_folder(destination).join("a")
    etag = s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"planned")["ETag"]
    if change == "change":
        s3.put_object(Bucket=place.bucket, Key=place.key, Body=b"another")
    else:
        s3.delete_object(Bucket=place.bucket, Key=place.key)
    attributes = CopyAttributes(checked_options("copy", {}))
    copy = ObjectCopy(stack.aws.s3, Item(place.key, 7, etag), place, target, attributes, lambda: None)
    with pytest.raises(error):
        copy.make()
    assert not s3.list_objects_v2(Bucket=target.bucket, Prefix=target.key)["KeyCount"]
