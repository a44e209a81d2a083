"""Manifests and S3 Inventory reports: every format gives the plan that a listing gives, and what is bad is refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table

from batch_jobs.workloads.registry import load_workload
from millrace.errors import AccessDeniedError, InvalidRunRequest, ManifestError, ObjectNotFoundError
from millrace.layout import S3Uri
from millrace.records.plan import Item, Plan
from millrace.request.run_request import RunRequest
from millrace.source.filters import ItemFilter
from millrace.source.manifest.objects import manifest_items
from millrace.source.manifest.rows import UNKNOWN, Row
from millrace.source.manifest.sorting import in_key_order
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
NAMES = (
    *("bucket", "key", "version_id", "is_latest", "is_delete_marker"),
    *("size", "last_modified_date", "e_tag", "storage_class"),
)
FORMATS = (
    *("header.csv", "header.csv.gz", "rows.jsonl", "rows.ndjson.gz", "rows.parquet"),
    *("csv/manifest.json", "parquet/manifest.json"),
)
ODD = st.sampled_from(" +%&,\"'\n\r\t\\/=?*Aa1é日")
KEYS = st.text(st.one_of(ODD, st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20).filter(
    lambda key: not key.endswith("/")
)

Listed = Sequence[tuple[str, bytes]]


def rows_of(objects: Listed) -> list[dict[str, Any]]:
    """What S3 Inventory knows of objects, as its Parquet files have it."""
    made = []
    for key, body in objects:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        values = (SOURCE, f"in/{key}", None, True, False, len(body), "2026-11-21T00:00:00Z", etag, "STANDARD")
        made.append(dict(zip(NAMES, values, strict=True)))
    return made


def parquet(rows: list[dict[str, Any]], without: str = "") -> bytes:
    """A Parquet file; without one of its columns."""
    file = io.BytesIO()
    types = {"size": pa.int64(), "is_latest": pa.bool_(), "is_delete_marker": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in NAMES if name != without])
    write_table(pa.Table.from_pylist(rows, schema), file)
    return file.getvalue()


def csv_text(rows: list[list[Any]]) -> bytes:
    """A CSV file, every cell quoted, as S3 writes it."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [
            ["" if cell is None else str(cell).lower() if isinstance(cell, bool) else cell for cell in row]
            for row in rows
        ]
    )
    return text.getvalue().encode()


def store(run: RunInMemory, name: str, body: bytes) -> str:
    """Put a file where manifests are; returns its URI."""
    run.client.store(RESULT, f"lists/{name}", body)
    return f"s3://{RESULT}/lists/{name}"


def store_report(
    run: RunInMemory, name: str, kind: str, bodies: list[bytes], checksum: str | None = "", **changed: Any
) -> str:
    """Put an S3 Inventory report; an empty checksum stands for the right one."""
    files = []
    for number, body in enumerate(bodies):
        store(run, f"data/{number}", body)
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        files.append({"key": f"lists/data/{number}", "size": len(body), "MD5checksum": md5})
    text = json.dumps(
        {
            "sourceBucket": SOURCE,
            "destinationBucket": f"arn:aws:s3:::{RESULT}",
            "version": "2016-11-30",
            "creationTimestamp": "1514944800000",
            "fileFormat": kind,
            "fileSchema": SCHEMA if kind == "CSV" else "message s3.inventory { required binary bucket (UTF8); }",
            "files": files,
            **changed,
        }
    ).encode()
    if checksum is not None:
        right = hashlib.md5(text, usedforsecurity=False).hexdigest()
        store(run, name.replace("manifest.json", "manifest.checksum"), (checksum or f"{right}\n").encode())
    return store(run, name, text)


def store_manifest(run: RunInMemory, name: str, rows: list[dict[str, Any]]) -> str:
    """Put these rows as a manifest of the format that its name tells."""
    if name.startswith("csv/"):
        half = len(rows) // 2
        encoded = [[quote_plus(row["key"], "/") if n == "key" else row[n] for n in NAMES] for row in rows]
        parts = [gzip.compress(csv_text(part)) for part in (encoded[:half], encoded[half:])]
        return store_report(run, name, "CSV", parts)
    if name.startswith("parquet/"):
        return store_report(run, name, "Parquet", [parquet(rows)])
    if name.endswith(".parquet"):
        return store(run, name, parquet(rows))
    if "json" in name:
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    else:
        body = csv_text([list(NAMES), *([row[n] for n in NAMES] for row in rows)])
    return store(run, name, gzip.compress(body) if name.endswith(".gz") else body)


def planned(run: RunInMemory) -> tuple[Plan, list[Item]]:
    """The plan, and its items."""
    plan = run.plan()
    folder = run.folder.shard_items(0, plan.digest).key.rpartition("/")[0]
    files = sorted(run.client.bodies(RESULT, folder).items())
    return plan, [Item(**json.loads(line)) for _, body in files for line in body.split(b"\n")[:-1]]


@pytest.mark.parametrize("name", FORMATS)
@given(keys=st.lists(KEYS, unique=True, max_size=12), chance=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_a_manifest_of_all_gives_the_plan_of_a_listing(name: str, keys: list[str], chance: random.Random) -> None:
    """Whatever the keys, the format and the order, also with rows that come twice, the digest is the listing's."""
    objects = [(key, b"x" * chance.randrange(1, 9)) for key in keys]
    run = RunInMemory({f"in/{key}": body for key, body in objects}, {"shard": {"max_items": 3}})
    expected, items = planned(run)
    rows = rows_of(objects)
    rows += chance.sample(rows, len(rows) // 2)
    chance.shuffle(rows)
    again = RunInMemory(request={"shard": {"max_items": 3}}, client=run.client)
    again.folder = run.folder.of(run.folder.root, "again")
    again.request["manifest"] = store_manifest(again, name, rows)
    plan, found = planned(again)
    assert found == items
    assert plan.digest == expected.digest
    assert plan.skipped.get("duplicates", 0) == len(objects) // 2


@given(keys=st.lists(KEYS, unique=True, min_size=1, max_size=6), plus=st.booleans(), versions=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_manifest_of_batch_operations(keys: list[str], plus: bool, versions: bool) -> None:  # noqa: FBT001
    """bucket,key[,version] without a header, keys URL-encoded, a blank as `+` or `%20`: no size and no ETag."""
    encode = quote_plus if plus else quote
    rows = [[SOURCE, encode(f"in/{key}", "/"), *(["v1"] if versions else [])] for key in keys]
    run = RunInMemory()
    run.request["manifest"] = store(run, "list.csv", csv_text(rows))
    plan, items = planned(run)
    expected = sorted(f"in/{key}" for key in keys)
    assert items == [Item(key, 0, "", "v1" if versions else None) for key in expected]
    assert (plan.items, plan.total_bytes) == (len(keys), 0)


def test_what_the_manifest_does_not_say_is_read_as_it_is() -> None:
    """A key alone: the object is worked as it is found; one that is not there is a NOT_FOUND row."""
    run = RunInMemory({"in/a": b"one", "in/b": b"three"})
    lines = b'{"key":"in/a"}\n\n{"key":"in/gone"}\n'
    run.request = {"manifest": store(run, "l.jsonl", lines), "tolerated_failure_percent": 50}
    run.client.store(SOURCE, "in/a", b"changed")
    run.all()
    result = run.result()
    assert result["failures"] == {"NOT_FOUND": 1}
    assert result["result"] == {"total": 7}


@pytest.mark.parametrize("outputs", ["none", "per-item"])
def test_a_size_that_the_manifest_says_wrong_is_no_matter(outputs: str) -> None:
    """What it calls small, and is not, is read by pieces; what it says nothing of, or is shorter, in one request."""
    texts = {"in/long": b"mill race " * 20_000, "in/short": b"mill", "in/empty": b"", "in/unsaid": b"race"}
    run = RunInMemory(texts, {"options": {"outputs": outputs}}, load=load_workload)
    lines = b'{"key":"in/long","size":10}\n{"key":"in/short","size":9}\n{"key":"in/empty","size":3}\n'
    run.request["manifest"] = store(run, "l.jsonl", lines + b'{"key":"in/unsaid"}\n')
    run.plan()
    run.client.requests.clear()
    run.migrate()
    assert run.client.requests["get_object"] == 3 + 5  # the plan, the commit, the shard; one object is asked for twice
    run.merge()
    assert (run.file("words.csv") or b"").split() == [b"word,count", b"mill,20001", b"race,20001"]
    assert run.result()["counts"]["succeeded"] == 4


def test_a_manifest_with_etags_holds_the_run_to_them() -> None:
    """An object that changed since the report is a SOURCE_CHANGED row."""
    run = RunInMemory({"in/a": b"one"}, {"tolerated_failure_percent": 100})
    run.request["manifest"] = store_manifest(run, "header.csv", rows_of([("a", b"one")]))
    run.client.store(SOURCE, "in/a", b"two")
    run.all()
    assert run.result()["failures"] == {"SOURCE_CHANGED": 1}


def test_a_report_of_versions_gives_the_latest() -> None:
    """Delete markers, older versions and objects elsewhere in the bucket are skipped and counted; patterns hold."""
    rows = rows_of([("a", b"1"), ("a", b"22"), ("b", b""), ("c.log", b"1"), ("folder/", b"")])
    rows[0].update(version_id="v2")
    rows[1].update(version_id="v1", is_latest=False)
    rows[2].update(is_delete_marker=True, size=None, e_tag=None)
    rows.append({**rows[0], "key": "elsewhere/a"})
    run = RunInMemory(request={"exclude": ["*.log"]})
    run.request["manifest"] = store_manifest(run, "csv/manifest.json", rows)
    plan, items = planned(run)
    assert [(item.key, item.version_id, item.size) for item in items] == [("in/a", "v2", 1)]
    counted = {"not_latest": 1, "delete_markers": 1, "not_in_source": 1, "excluded": 1, "folder_markers": 1}
    assert {name: count for name, count in plan.skipped.items() if count} == counted


@pytest.mark.parametrize(
    "text", ["source,key\n", "source,key1\nsource,in/a\n", "source,Key,null\n", "\ufeffsource,key\n"]
)
def test_an_object_may_be_called_key(text: str) -> None:
    """A first row whose bucket is the source's is an object, not a header; a byte order mark is none of either."""
    run = RunInMemory(request={"source": f"s3://{SOURCE}/"})
    run.request["manifest"] = store(run, "l.csv", text.encode())
    _, items = planned(run)
    assert sorted(item.key for item in items) == sorted(line.split(",")[1] for line in text.splitlines())


@pytest.mark.parametrize(
    "text", ["key,size,,\nin/a,1,,\n", ",key,,size\n0,in/a,x,1\n", ",,\r\n\r\nkey,size,note,note\r\nin/a,1,x,y\r\n"]
)
def test_columns_that_a_manifest_does_not_need_may_be_nameless_or_come_twice(text: str) -> None:
    """As pandas and Excel write them; the header is one all the same."""
    run = RunInMemory({"in/a": b"1"})
    run.request["manifest"] = store(run, "L.CSV", text.encode())
    _, items = planned(run)
    assert [(item.key, item.size) for item in items] == [("in/a", 1)]


class Ranges(Sizes):
    """Measures items, also ranges of them."""

    def splits(self, _key: str) -> bool:
        """All may be cut."""
        return True


@pytest.mark.parametrize("said", [(2 << 20) - 5, (2 << 20) + 5])
def test_a_wrong_size_loses_no_bytes(said: int) -> None:
    """Where the ETag is right and the size is not, an object that was cut by it is a row, one in a piece is read."""
    run = RunInMemory({"in/a": bytes(2 << 20), "in/b": b"12"}, load=lambda _name, options: Ranges(options))
    rows = rows_of([("a", bytes(2 << 20)), ("b", b"12")])
    rows[0]["size"], rows[1]["size"] = said, 7
    run.request = {"shard": {"target_bytes": 1 << 20}, "tolerated_failure_percent": 100}
    run.request["manifest"] = store_manifest(run, "rows.jsonl", rows)
    run.all()
    result = run.result()
    assert result["result"] == {"total": 2}
    assert result["failures"] == {"SOURCE_CHANGED": result["counts"]["items"] - 1}
    assert result["counts"]["items"] > 2


def test_a_version_is_read_and_tried_again() -> None:
    """The version that the manifest names is worked, also by a retry; one that is not there is a NOT_FOUND row."""
    client = InMemoryS3Client(RESULT, versioned=(SOURCE,))
    first = client.put_object(Bucket=SOURCE, Key="in/a", Body=b"bad1")["VersionId"]
    client.put_object(Bucket=SOURCE, Key="in/a", Body=b"new, and longer")
    run = RunInMemory(client=client, request={"tolerated_failure_percent": 100})
    run.request["manifest"] = store(run, "l.csv", f"source,in/a,{first}\nsource,in/b,none\n".encode())
    run.all()
    assert run.result()["failures"] == {"NOT_FOUND": 1, "NOT_TEXT": 1}
    retry = run.retry()
    items = [line for line in planned(retry)[1] if line.key == "in/a"]
    assert [(item.version_id, item.etag) for item in items] == [(first, "")]
    retry.all()
    assert retry.result()["failures"] == {"NOT_FOUND": 1, "NOT_TEXT": 1}


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8), st.sampled_from(["rows.parquet", "header.csv.gz"]))
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_refused_or_read(place: int, damage: bytes, name: str) -> None:
    """Whatever bytes are others, there are items, or an error that names the file: nothing else."""
    run = RunInMemory()
    rows = rows_of([(f"{number:03}", b"x") for number in range(100)])
    uri = store_manifest(run, name, rows)
    body = run.client.bodies(RESULT)[f"lists/{name}"]
    place %= len(body)
    run.request["manifest"] = store(run, name, body[:place] + damage + body[place + len(damage) :])
    try:
        assert run.plan().items <= len(rows)
    except ManifestError as error:
        assert uri in str(error)  # noqa: PT017 - it may also be read


def test_an_object_without_an_etag_stays_whole() -> None:
    """Its ranges could be of two versions; one whose ETag is known is cut."""

    class Splits:
        def splits(self, _key: str) -> bool:
            return True

    run = RunInMemory(request={"shard": {"target_bytes": 1 << 20}}, load=lambda _name, _options: Splits())
    lines = b'{"key":"in/a","size":4194304}\n{"key":"in/b","size":4194304,"etag":"e"}\n'
    run.request["manifest"] = store(run, "l.jsonl", lines)
    _, items = planned(run)
    assert Counter(item.key for item in items) == {"in/a": 1, "in/b": 4}


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("l.jsonl", b'{"key":"out/a"}', r"row 1: key 'out/a' is outside the source s3://source/in/"),
        ("l.jsonl", b'{"bucket":"other","key":"in/a"}', "names bucket 'other'"),
        ("l.jsonl", b'{"key":""}', "row 1: it has no key"),
        ("l.jsonl", b'{"key":5}', "has no key"),
        ("l.jsonl", b'{"key":"in/\\ud800"}', "no valid Unicode"),
        ("l.jsonl", b'{"key":"in/%s"}' % (b"x" * 1030), "is 1033 bytes long"),
        ("l.jsonl", b'{"key":"in/a","size":-1}', "not a number of bytes"),
        ("l.jsonl", b'{"key":"in/a","size":true}', "not a number of bytes"),
        ("l.jsonl", b'["in/a"]', "line 1 is no object"),
        ("l.jsonl", b'{"key":', "cannot be read as JSON Lines"),
        ("l.jsonl", b'{"key":"in/a","size":1}\n{"key":"in/a","size":2}', "two rows name the key 'in/a'"),
        ("l.csv", b"source,in/a,v1\nsource,in/a,v2\n", "two rows name the key"),
        ("l.csv", b"source,in/a,v1,5\n", "line 1 has 4 cells"),
        ("l.csv", b"source,in/%FF\n", "cannot be read as CSV"),
        ("l.csv", b'source,"in/a\n', "cannot be read as CSV"),
        ("l.csv", b"bucket,name\nsource,in/a\n", "row 1: it names bucket 'bucket'"),
        ("l.csv", b"in/a\nin/b\n", "row 1: it names bucket 'in/a'"),
        ("l.csv", b"key,key\nin/a,in/b\n", "row 1: it names bucket 'key'"),
        ("l.csv", b"key,size\nin/a,12.5\n", "its size is '12.5'"),
        ("l.csv", b'key,etag\nin/a,"a\nb"\n', r"its ETag is 'a\\nb'"),
        ("l.csv", b"," * (1 << 21), "line 1 is longer than 1,048,576 characters"),
        ("l.jsonl", b'{"key":"in/a","size":%d}' % 10**18, "not a number of bytes"),
        ("l.jsonl", b'{"key":"in/a","size":NaN}', "not a number of bytes"),
        ("l.jsonl", b'{"key":"in/a","etag":NaN}', "its ETag is nan"),
        ("l.jsonl", b'{"key":"in/a","version_id":7}', "its version is 7"),
        ("l.jsonl", b'{"key":"in/a","storage_class":["X"]}', "its storage class is "),
        ("l.jsonl", b'{"name":"in/a"}', "row 1: it has no key"),
        ("l.jsonl", b"[" * 100_000, "cannot be read as JSON Lines"),
        ("l.csv", b"\xff", "cannot be read as CSV"),
        ("l.csv.gz", gzip.compress(gzip.compress(b"source,in/a\n")), r"\(1f 8b: this is gzip\)"),
        ("l.jsonl", b'{"key":"in/\xed\xa0\x80"}', r"\(an unpaired surrogate\)"),
        ("l.csv.gz", gzip.compress(b"source,in/a\n")[:-9], "cannot be read as CSV"),
        ("l.parquet", b"PAR1", "cannot be read as Parquet"),
        ("l.parquet", b"", "cannot be read as Parquet"),
        ("l.parquet", b"bucket,key\nsource,in/a\n", "cannot be read as Parquet"),
        ("l.parquet", parquet(rows_of([("a", b"1")]), "key"), "it has no column named key"),
        ("manifest.json", b"[]", "not the manifest.json of an S3 Inventory report"),
    ],
)
def test_a_bad_manifest_is_refused(name: str, body: bytes, message: str) -> None:
    """The error names the file, the row and what is wrong; nothing is planned."""
    run = RunInMemory()
    run.request["manifest"] = store(run, name, body)
    with pytest.raises(ManifestError, match=message) as caught:
        run.plan()
    assert f"s3://{RESULT}/lists/{name}" in str(caught.value)
    assert caught.value.exit_code == 2
    assert run.file("plan.json") is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fileFormat": "ORC"}, "the report is in ORC, which is not read: set .* CSV or Parquet"),
        ({"sourceBucket": "other"}, "the report is of bucket other"),
        ({"checksum": "00"}, "manifest.checksum is the MD5 of another file"),
        ({"files": [{"key": "lists/data/0", "size": 1, "MD5checksum": "00"}]}, "its MD5 is .*, the manifest says 00"),
    ],
)
def test_a_bad_report_is_refused(changed: dict[str, Any], message: str) -> None:
    """ORC, another bucket's report, and files that are not those of the report."""
    run = RunInMemory()
    run.request["manifest"] = store_report(run, "r/manifest.json", "CSV", [csv_text([])], **changed)
    with pytest.raises(ManifestError, match=message):
        run.plan()


def test_a_report_may_lack_its_checksum() -> None:
    """Without manifest.checksum, and where it may not be read, the report is read all the same."""
    run = RunInMemory()
    run.request["manifest"] = store_report(run, "r/manifest.json", "CSV", [], checksum=None)
    assert run.plan().items == 0
    denied = RunInMemory()
    denied.request["manifest"] = store_report(denied, "r/manifest.json", "CSV", [])
    denied.client.denied.add((RESULT, "lists/r/manifest.checksum"))
    assert denied.plan().items == 0


def test_a_file_of_a_report_may_be_gone() -> None:
    """Inventory's destination may have a lifecycle: the error names the file."""
    run = RunInMemory()
    run.request["manifest"] = store_report(run, "r/manifest.json", "CSV", [csv_text([])])
    run.client.remove(RESULT, "lists/data/0")
    with pytest.raises(ObjectNotFoundError, match="lists/data/0"):
        run.plan()


def test_a_missing_or_denied_manifest_is_named() -> None:
    """The error is S3's, with the manifest's URI."""
    run = RunInMemory(request={"manifest": f"s3://{RESULT}/lists/none.csv"})
    with pytest.raises(ObjectNotFoundError, match=r"lists/none\.csv"):
        run.plan()
    run.request["manifest"] = store(run, "denied.csv", b"")
    run.client.denied.add((RESULT, "lists/denied.csv"))
    with pytest.raises(AccessDeniedError, match=r"lists/denied\.csv"):
        run.plan()


@pytest.mark.parametrize(
    "uri", ["s3://lists/l.orc", "s3://lists/l.txt", "s3://lists/", "s3://lists/l.parquet.gz", "list.csv", 5]
)
def test_a_request_names_a_manifest_that_can_be_read(uri: object) -> None:
    """What has no known ending is refused before any job starts, and so is a manifest beside keys."""
    folders = {"source": "s3://source/in/", "destination": "s3://result/out/"}
    with pytest.raises(InvalidRunRequest, match="manifest is"):
        RunRequest.parse({**folders, "manifest": uri})
    with pytest.raises(InvalidRunRequest, match="nothing beside keys"):
        RunRequest.parse({**folders, "manifest": "s3://lists/l.csv", "keys": ["a"]})


def test_parquet_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the error says how to get it, and what else would do."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    run = RunInMemory()
    run.request["manifest"] = store(run, "l.parquet", parquet([]))
    with pytest.raises(ManifestError, match=r"EXTRAS=parquet, or the manifest as CSV or JSON Lines"):
        run.plan()
    source = S3Uri(SOURCE, "in/")
    with pytest.raises(ManifestError, match="the plan job alone reads Parquet"):
        list(manifest_items(S3Uri(RESULT, "lists/l.parquet"), source, ItemFilter("in/", (), ()), run.job().s3))


@given(st.lists(st.integers(0, 30)), st.integers(1, 7))
def test_rows_are_sorted_on_disk(numbers: list[int], in_memory: int) -> None:
    """However few rows fit into memory, each comes once and in order."""
    skipped: Counter[str] = Counter()
    rows = [Row(f"k{number:02}\n日", "", number, "", "STANDARD") for number in numbers]
    assert list(in_key_order(iter(rows), "m", skipped, in_memory)) == sorted(set(rows))
    assert skipped["duplicates"] == len(rows) - len(set(rows))


def test_memory_is_bounded() -> None:
    """Four times as many rows take no more memory: about 7 MB, with 10,000 rows in memory at once."""

    def peak(count: int) -> int:
        tracemalloc.start()
        rows = (Row(f"in/{count - number:09}", "", UNKNOWN, "", "STANDARD") for number in range(count))
        assert sum(1 for _ in in_key_order(rows, "m", Counter(), 10_000)) == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small, large = peak(30_000), peak(120_000)
    assert large < small * 1.7
