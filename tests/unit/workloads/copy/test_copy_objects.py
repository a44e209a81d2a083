"""The workload `copy`: which requests it makes, how it verifies, how it rewrites keys, and its rows in the report."""

from __future__ import annotations

import json
import re
import sys
import time
import zlib
from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.workloads.copy.attributes import CopyAttributes
from batch_jobs.workloads.copy.keys import KeyRewriting
from batch_jobs.workloads.copy.object_copy import verified_by
from batch_jobs.workloads.copy.workload import CopyObjects
from millrace.errors import CredentialsError, ErrorCode, InvalidRunRequest, ItemError, ThrottledError
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.workload.registry import checked_options
from tests.in_memory_s3 import InMemoryS3Client, error
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

MIB = 2**20


class CopyingS3Client(InMemoryS3Client):
    """The S3 in memory, which copies too; objects have a CRC32 and the tag `kept`.

    Attributes:
        asked: The parameters of every request that copies or begins an upload, by verb.
        damage: What becomes of a copy's bytes.
    """

    def __init__(self) -> None:
        super().__init__(SOURCE, RESULT)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.damage = bytes

    def copy_object(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """CopyObject."""
        self.asked.append(("copy_object", given))
        return super().copy_object(Bucket=Bucket, Key=Key, **given)

    def create_multipart_upload(self, *, Bucket: str, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        """CreateMultipartUpload."""
        self.asked.append(("create_multipart_upload", given))
        return super().create_multipart_upload(Bucket=Bucket, Key=Key, **given)

    def upload_part_copy(
        self,
        *,
        CopySourceRange: str,  # noqa: N803
        CopySource: dict[str, Any],  # noqa: N803
        CopySourceIfMatch: str,  # noqa: N803
        **part: Any,
    ) -> dict[str, Any]:
        """UploadPartCopy: CopySourceIfMatch, CopySourceRange."""
        asked = {"CopySource": CopySource, "CopySourceIfMatch": CopySourceIfMatch}
        self.asked.append(("upload_part_copy", {"CopySourceRange": CopySourceRange, **asked}))
        first, last = map(int, CopySourceRange.removeprefix("bytes=").split("-"))
        return {
            "CopyPartResult": self.upload_part(**part, Body=self._copied("UploadPartCopy", asked)[first : last + 1])
        }

    def get_object_tagging(self, **_given: Any) -> dict[str, Any]:
        """GetObjectTagging."""
        return {"TagSet": [{"Key": "kept", "Value": "a&b"}]}

    def _copied(self, operation: str, given: dict[str, Any]) -> bytes:
        return self.damage(super()._copied(operation, given))

    def _described(self, stored: Any) -> dict[str, Any]:
        checksum = f"{zlib.crc32(stored.body):08x}"
        return {**super()._described(stored), "ChecksumCRC32": checksum, "ChecksumType": "FULL_OBJECT"}


def options(**given: Any) -> dict[str, Any]:
    """The checked options."""
    return checked_options("copy", given)


def run_of(objects: dict[str, bytes], request: dict[str, Any] | None = None, **given: Any) -> RunInMemory:
    """A run of copies over an S3 that copies."""
    asked = {"workload": "copy", "options": given, "tolerated_failure_percent": 100, **(request or {})}

    def load(_name: str, checked: Any) -> CopyObjects:
        return CopyObjects(checked, copy_bytes=6 * MIB, part_bytes=5 * MIB)

    return RunInMemory(objects, asked, client=CopyingS3Client(), load=load)


def requests(run: RunInMemory, verb: str) -> list[dict[str, Any]]:
    """The parameters of the run's requests of one kind."""
    assert isinstance(run.client, CopyingS3Client)
    return [given for asked, given in run.client.asked if asked == verb]


def test_a_run_of_copies() -> None:
    """No object is read; each is copied on the condition of its planned ETag, and counted by how it was verified."""
    objects = {"in/a": b"1", "in/b/c": b"22", "in/d": b""}
    run = run_of(objects, {"shard": {"max_items": 2}})
    before = run.client.requests["get_object"]
    run.plan()
    read = run.client.requests["get_object"] - before
    run.migrate(0)
    run.migrate(1)
    run.merge()
    assert run.outputs() == {"a": b"1", "b/c": b"22", "d": b""}
    assert run.result()["result"] == {
        "objects": 3,
        "bytes": 3,
        "verified_by": {"checksum": 3, "etag": 0, "size": 0},
    }
    asked = requests(run, "copy_object")
    assert [given["CopySource"]["Key"] for given in asked] == list(objects)
    assert {given["CopySourceIfMatch"] for given in asked} == {
        stored.etag for key in objects if (stored := run.client.stored(SOURCE, key))
    }
    assert read <= 2


def test_what_a_manifest_does_not_say_is_copied() -> None:
    """An object of which a key alone is known is copied as it is found, one request or parts by its size."""
    objects = {"in/a": b"one", "in/b": bytes(7 * MIB)}
    run = run_of(objects)
    run.client.store(RESULT, "list.jsonl", b'{"key":"in/a"}\n{"key":"in/b"}\n{"key":"in/c"}\n')
    run.request["manifest"] = f"s3://{RESULT}/list.jsonl"
    run.all()
    assert run.outputs() == {"a": objects["in/a"], "b": objects["in/b"]}
    assert (run.result()["result"]["bytes"], run.result()["failures"]) == (3 + 7 * MIB, {"NOT_FOUND": 1})
    assert len(requests(run, "upload_part_copy")) == 2


def test_rows_of_what_cannot_be_copied() -> None:
    """Deleted, changed, denied, archived objects, and keys that cannot be, have their rows; the others are copied."""
    keys = ["in/changed", "in/cold", "in/denied", "in/fine", "in/gone", "in/other"]
    run = run_of(dict.fromkeys(keys, b"x"), key_pattern="[a-z]*[^r]", key_template="to/\\g<0>")
    run.plan()
    run.client.store(SOURCE, "in/changed", b"another")
    run.client.remove(SOURCE, "in/gone")
    run.client.denied.add((SOURCE, "in/denied"))

    def before(verb: str, _bucket: str, key: str) -> None:
        if verb == "copy_object" and key.endswith("cold"):  # HeadObject tells nothing of it
            raise error("InvalidObjectState", 403)

    run.client.before = before
    rows = {outcome.key[3:]: outcome.error_code for outcome in run.migrate().outcomes}
    assert rows == {
        "changed": "SOURCE_CHANGED",
        "cold": "ARCHIVED",
        "denied": "ACCESS_DENIED",
        "fine": None,
        "gone": "NOT_FOUND",
        "other": "KEY_NOT_USABLE",
    }
    assert run.outputs() == {"to/fine": b"x"}


@pytest.mark.parametrize("key", ["_millrace/x", "k" * 1020])
def test_a_copy_stays_out_of_the_run_folders(key: str) -> None:
    """A key that would be there, or be too long, is a row."""
    run = run_of({"in/a": b"x"}, add_prefix=key)
    run.plan()
    assert [outcome.error_code for outcome in run.migrate().outcomes] == ["KEY_NOT_USABLE"]


def test_a_copy_that_differs_is_a_row() -> None:
    """Never reported as done."""
    run = run_of({"in/a": b"ab"})
    run.client.damage = lambda body: body[::-1]  # type: ignore[attr-defined]
    run.plan()
    (row,) = run.migrate().outcomes
    assert (row.error_code, row.outputs) == ("COPY_DIFFERS", ())
    assert "ChecksumCRC32" in (row.message or "")


def test_a_copy_that_cannot_be_looked_at_is_no_fault_of_its_object() -> None:
    """The attempt fails, as where an output cannot be written, and no row says that the object could not be read."""
    run = run_of({"in/a": b"ab"})

    def before(verb: str, bucket: str, _key: str) -> None:
        if verb == "head_object" and bucket == RESULT:
            raise error("SlowDown", 503)

    run.client.before = before
    run.plan()
    with pytest.raises(ThrottledError, match=f"head s3://{RESULT}/"):
        run.migrate()


def test_a_lost_answer_is_a_second_copy_of_the_same() -> None:
    """The request is made again, and the copy is what it was."""
    run = run_of({"in/a": b"ab"})
    lost = iter([True])

    def after(verb: str, *_call: Any) -> None:
        if verb == "copy_object" and next(lost, False):
            raise error("InternalError", 500)

    run.client.after = after
    run.all()
    assert len(requests(run, "copy_object")) == 2
    assert run.outputs() == {"a": b"ab"}


def test_a_large_object_is_copied_in_parts() -> None:
    """Every part on the condition of the ETag; what CopyObject takes over by itself is asked for: tags, type, class."""
    run = run_of({"in/a": b"x" * (11 * MIB)})
    run.all()
    (begun,) = requests(run, "create_multipart_upload")
    assert begun == {
        "StorageClass": "STANDARD",
        "ContentType": "binary/octet-stream",
        "Metadata": {},
        "Tagging": "kept=a%26b",
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "FULL_OBJECT",
    }
    parts = requests(run, "upload_part_copy")
    ranges = ["bytes=0-5242879", "bytes=5242880-10485759", "bytes=10485760-11534335"]
    assert [part["CopySourceRange"] for part in parts] == ranges
    assert {part["CopySourceIfMatch"] for part in parts} == {run.client.stored(SOURCE, "in/a").etag}  # type: ignore[union-attr]
    assert run.outputs() == {"a": b"x" * (11 * MIB)}
    assert run.result()["result"]["verified_by"]["checksum"] == 1


HEAD = {
    "ContentType": "text/plain",
    "CacheControl": "no-cache",
    "ExpiresString": "never",
    "Metadata": {"a": "b"},
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "arn:aws:kms:key",
}
IA = Item("k", 1, "e", storage_class="STANDARD_IA")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"StorageClass": "STANDARD_IA", "MetadataDirective": "COPY", "TaggingDirective": "COPY"}),
        ({"keep_tags": False}, {"TaggingDirective": "REPLACE", "Tagging": ""}),
        ({"tags": {"a b": "c=d"}}, {"TaggingDirective": "REPLACE", "Tagging": "a+b=c%3Dd"}),
        (
            {"content_type": "x/y"},
            {
                "MetadataDirective": "REPLACE",
                "ContentType": "x/y",
                "CacheControl": "no-cache",
                "Expires": "never",
                "Metadata": {"a": "b"},
            },
        ),
        ({"metadata": {"c": "d"}}, {"Metadata": {"c": "d"}, "ContentType": "text/plain"}),
        ({"storage_class": "GLACIER_IR"}, {"StorageClass": "GLACIER_IR"}),
        ({"encryption": "keep"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:key"}),
        ({"encryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
        ({"encryption": "aws:kms", "kms_key": "mine"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "mine"}),
    ],
)
def test_attributes_are_kept_or_set(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """What an option names is set; all else is asked to be kept, as S3 would not do by itself."""
    asked = CopyAttributes(options(**given)).of_copy(IA, HEAD)
    assert {name: asked.get(name) for name in expected} == expected
    if not given.get("encryption"):
        assert "ServerSideEncryption" not in asked


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kms_key": "arn"}, "options.kms_key"),
        ({"metadata": {"a": "é"}}, "options.metadata"),
        ({"content_type": "text/plain\n"}, "options.content_type"),
        ({"kms_key": "arn:\r\n", "encryption": "aws:kms"}, "options.kms_key"),
        ({"tags": {str(number): "" for number in range(11)}}, "options.tags"),
        ({"key_pattern": "a"}, "options.key_template"),
        ({"key_template": "a"}, "options.key_template"),
        ({"key_pattern": "(", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "(a)", "key_template": r"\2"}, "options.key_pattern"),
        ({"key_pattern": "(a)", "key_template": r"\g<name>"}, "options.key_pattern"),
        ({"key_pattern": "(a)", "key_template": r"\q"}, "options.key_pattern"),
        ({"key_pattern": "(a)", "key_template": "a\\"}, "options.key_pattern"),
        ({"key_pattern": r"(.)\1", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "(?=a).", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "(?<!a).", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "a++", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "(a{100}){100}", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": r"\pL{900}", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "\ud800", "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "a" * 1025, "key_template": "a"}, "options.key_pattern"),
        ({"key_pattern": "a", "key_template": "a" * 1025}, "options.key_template"),
        ({"storage_class": "COLD"}, "options.storage_class"),
    ],
)
def test_options_that_cannot_be_are_refused(given: dict[str, Any], field: str) -> None:
    """When the workload is made: in the plan job, before anything is copied."""
    with pytest.raises(InvalidRunRequest) as caught:
        CopyObjects(options(**given))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("(?=a).*", False),
        ("(?<=a)b", False),
        (r"(a)\1", False),
        ("(?P<a>.)(?P=a)", False),
        ("(?>a)", False),
        ("a\\", False),
        ("a" * 1025, False),
        (r"(?P<year>\d+)[?(](?i:x)\(?=\\1", True),
        (r"(?:a|\p{L}+)*?(?<n>.)", True),
    ],
)
def test_prepare_run_needs_no_re2(pattern: str, *, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What RE2 never takes is refused with the request; the rest is the plan job's to compile."""
    monkeypatch.setitem(sys.modules, "re2", None)
    request = {
        "source": "s3://letters/in/",
        "destination": "s3://results/out/",
        "workload": "copy",
        "options": {"key_pattern": pattern, "key_template": "x"},
    }
    with nullcontext() if good else pytest.raises(InvalidRunRequest, match="no lookaround"):
        RunRequest.parse(request)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(a|aa)+b", "(.*)*(.*)*b", "(?:.?){1000}b", r"(\w+\s?)*\.csv"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    """Patterns that try every way to share out a key, over the longest key: each ends at once."""
    copies = CopyObjects(options(key_pattern=pattern, key_template="x"))
    started = time.process_time()
    with pytest.raises(ItemError, match="does not match"):
        copies.output_key("a" * 1023 + "c")
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("pattern", "template", "key", "made"),
    [
        (r"(?P<year>\d{4})-(\d\d)(.*)", r"\g<year>/\2\3", "2026-01\n/x", "2026/01\n/x"),
        (r"(?P<year>\d{4})-.*", r"year=\g<1>/\g<0>", "2026-é", "year=2026/2026-é"),
        (r"(a)|(b)", r"[\1\2]", "b", "[b]"),
        (r"\p{L}+(\(x\))?", r"\\\g<0>", "水", "\\水"),
        (r"[(?]+\\", r"y", "(?\\", "y"),
        (".*", "z", "a\0b", "z"),
    ],
)
def test_keys_that_a_pattern_makes(pattern: str, template: str, key: str, made: str) -> None:
    """Groups by number and by name, line breaks, letters of any script, one that took no part."""
    assert CopyObjects(options(key_pattern=pattern, key_template=template)).output_key(key) == made


def test_a_template_makes_no_key_that_is_too_long() -> None:
    """A row, not a text that grows with the template."""
    copies = CopyObjects(options(key_pattern=".*", key_template=r"\g<0>" * 200))
    with pytest.raises(ItemError, match="200,000 characters; S3 allows 1,024 bytes"):
        copies.output_key("k" * 1000)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(keys=st.sets(KEYS), strip=st.sampled_from(["", "a", "\n/"]), add=st.sampled_from(["", "x/", "a"]))
def test_prefixes_never_make_one_key_of_two(keys: set[str], strip: str, add: str) -> None:
    """Each key is what was left behind the old prefix, behind the new one, character by character."""
    rewriting = KeyRewriting(options(strip_prefix=strip, add_prefix=add))
    made = {}
    for key in keys:
        try:
            made[rewriting.rewritten(key)] = key
        except ItemError:
            assert not key.startswith(strip) or add + key.removeprefix(strip) == ""
            continue
    assert all(copy == add + key.removeprefix(strip) for copy, key in made.items())
    assert not rewriting.may_collide
    assert len(made) == sum(key.startswith(strip) and bool(add + key.removeprefix(strip)) for key in keys)


@settings(max_examples=40)
@given(
    keys=st.sets(st.text("ab/\x00é", min_size=1, max_size=4), max_size=12), tail=st.sampled_from([".", ".?.", "[^/]*"])
)
def test_no_two_keys_are_copied_to_one(keys: set[str], tail: str) -> None:
    """Every object whose copy would have the key of another's is a row that names both; the others are copied."""
    run = run_of({f"in/{key}": key.encode() for key in keys}, key_pattern=f".*?({tail})", key_template=r"to/\1")
    new = {key: "to/" + found[1] for key in keys if (found := re.fullmatch(f".*?({tail})", key, re.DOTALL))}
    times = Counter(new.values())
    run.all()
    assert run.outputs() == {copy: key.encode() for key, copy in new.items() if times[copy] == 1}
    rows = [json.loads(line) for line in (run.file("failures.jsonl") or b"").splitlines()]
    shared = {row["key"][3:]: row for row in rows if "would have one output" in row["message"]}
    assert set(shared) == {key for key, copy in new.items() if times[copy] > 1}
    assert {row["error_code"] for row in rows} <= {"KEY_NOT_USABLE"}
    for key, row in shared.items():
        others = [other for other, copy in new.items() if copy == new[key] and other != key]
        assert repr(f"in/{key}") in row["message"]
        assert any(repr(f"in/{other}") in row["message"] for other in others)


def test_keys_that_became_one_stay_apart_in_a_retry() -> None:
    """A retry of the failed items copies none of them over another either, though one was changed and one is gone."""
    run = run_of({"in/a/x": b"1", "in/b/x": b"2", "in/c/y": b"3"}, key_pattern=".*/(.)", key_template=r"\1")
    run.all()
    run.client.store(SOURCE, "in/a/x", b"4")
    run.client.remove(SOURCE, "in/b/x")
    run.retry().all()
    assert run.outputs() == {"y": b"3"}
    assert run.result()["failures"] == {"KEY_NOT_USABLE": 2}


def test_an_own_workload_that_names_its_outputs_is_compared_too() -> None:
    """Unless it says that its keys stay apart; an item that it can name no output for is migrate's matter."""

    class Named(CopyObjects):
        may_collide = True

        def output_key(self, key: str) -> str:
            if key == "broken":
                raise ItemError(ErrorCode.KEY_NOT_USABLE, "no name")
            return key.lower()

    run = run_of({f"in/{key}": b"x" for key in ("A", "a", "b", "broken")})
    run.load = lambda _name, checked: Named(checked)
    run.plan()
    rows = {outcome.key[3:]: outcome.message for outcome in run.migrate().outcomes}
    assert rows["b"] is None
    assert rows["broken"] == "no name"
    assert "'in/A' and 'in/a' would have one output" in (rows["A"] or "")
    assert "'in/a' and 'in/A' would have one output" in (rows["a"] or "")


PLAIN = {"ContentLength": 3, "ETag": '"abc"'}


@pytest.mark.parametrize(
    ("source", "copy", "way"),
    [
        ({"ChecksumCRC64NVME": "x"}, {"ChecksumCRC64NVME": "x", "ETag": '"a-2"'}, "checksum"),
        ({"ChecksumSHA256": "x-2"}, {"ChecksumSHA256": "x-2"}, "etag"),
        ({"ChecksumCRC32": "x", "ChecksumType": "COMPOSITE"}, {"ChecksumCRC32": "y"}, "etag"),
        ({"ChecksumCRC32": "x"}, {"ChecksumSHA1": "y"}, "etag"),
        ({}, {"ETag": '"other"', "ServerSideEncryption": "aws:kms"}, "size"),
        ({"ETag": '"abc-3"'}, {"ETag": '"abc-2"'}, "size"),
    ],
)
def test_what_a_copy_is_verified_by(source: dict[str, Any], copy: dict[str, Any], way: str) -> None:
    """The surest that both have: a checksum over the whole object, an ETag that is an MD5, else the size."""
    assert verified_by({**PLAIN, **source}, {**PLAIN, **copy}) == way


@pytest.mark.parametrize("copy", [{"ContentLength": 4}, {"ETag": '"abd"'}, {"ChecksumSHA1": "y"}])
def test_what_differs_is_told(copy: dict[str, Any]) -> None:
    """With both values."""
    with pytest.raises(ItemError, match="the copy's"):
        verified_by({**PLAIN, "ChecksumSHA1": "x"} if "ChecksumSHA1" in copy else PLAIN, {**PLAIN, **copy})


@pytest.mark.parametrize(
    ("refusal", "row"),
    [
        (error("InvalidRequest", 400, message="The object was stored using a form of SSE"), "READ_FAILED"),
        (error("KMS.DisabledException", 400), "READ_FAILED"),
        (error("InvalidObjectState", 403), "ARCHIVED"),
        (error("AccessDenied", 403), "ACCESS_DENIED"),
        (error("ExpiredToken", 400), None),
        (error("InvalidAccessKeyId", 403), None),
    ],
)
def test_a_head_without_words_is_asked_for_them(refusal: ClientError, row: str | None) -> None:
    """HEAD has no body: S3's 400 is an expired token as well as an object's own key. A GET says which it is."""
    run = run_of({"in/a": b"1", "in/b": b"2"})
    run.plan()

    def refuse(verb: str, bucket: str, key: str) -> None:
        if (bucket, key) == (SOURCE, "in/a"):
            status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
            raise refusal if verb == "get_object" else error(str(status), status)

    run.client.before = refuse
    if row is None:
        with pytest.raises(CredentialsError):
            run.migrate()
        return
    first, second = run.migrate().outcomes
    assert (first.error_code, second.status) == (row, "SUCCEEDED")
    assert refusal.response["Error"]["Code"] in (first.message or "")


@pytest.mark.parametrize(
    ("code", "status", "row"),
    [
        ("InvalidTag", 400, "WRITE_FAILED"),
        ("MetadataTooLarge", 400, "WRITE_FAILED"),
        ("InvalidArgument", 400, "WRITE_FAILED"),
        ("ObjectNotInActiveTierError", 403, "ARCHIVED"),
        ("KMS.DisabledException", 400, "READ_FAILED"),
    ],
)
def test_a_copy_that_s3_refuses_for_good_is_a_row(code: str, status: int, row: str) -> None:
    """What S3 does not write is told as a write; an archived source as archived, a key of KMS as the object's."""
    run = run_of({f"in/{number:02}": b"1" for number in range(30)})
    run.plan()

    def refuse(verb: str, _bucket: str, _key: str) -> None:
        if verb == "copy_object":
            raise error(code, status)

    run.client.before = refuse
    outcomes = run.migrate().outcomes
    assert {outcome.error_code for outcome in outcomes} == {row}
    assert all(code in (outcome.message or "") for outcome in outcomes)
