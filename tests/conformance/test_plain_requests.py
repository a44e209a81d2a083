"""Plain requests for objects, which are answered in one go, against the same with a query, which go through all."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from console import embedded_aws
from console.local.source_folder import serve
from local_aws.connections.at_once import LARGEST_BODY, AtOnce
from millrace.layout import S3Uri
from tests.conformance.account import Account, unique, until
from tests.embedded_control import control

pytestmark = pytest.mark.embedded("which requests are answered in one go is the embedded AWS's own")

TEXT = b"some words\n" * 20
ETAG = f'"{hashlib.md5(TEXT, usedforsecurity=False).hexdigest()}"'
SHA_256 = base64.b64encode(hashlib.sha256(TEXT).digest()).decode()
OF_ITS_OWN = {"date", "x-amz-request-id", "x-amz-id-2", "last-modified", "x-amz-version-id"}
"""Headers whose values differ from answer to answer."""
KINDS = ["plain", "described", "tagged", "empty", "large", "of/a b+c/é%2F", "served/file.txt", "served/none", "none"]
CONDITIONS: list[dict[str, str]] = [
    {}, {"if-match": ETAG}, {"if-match": '"0"'}, {"if-match": "*"}, {"if-none-match": ETAG}, {"if-none-match": '"0"'},
    {"range": "bytes=2-5"}, {"range": "bytes=9999999-"}, {"x-amz-checksum-mode": "ENABLED"},
]  # fmt: skip
WRITES: list[dict[str, str]] = [
    {}, {"if-none-match": "*"}, {"if-match": ETAG}, {"if-match": '"0"'}, {"x-amz-checksum-sha256": SHA_256},
    {"x-amz-checksum-sha256": "AAAA"}, {"content-type": "text/plain", "x-amz-meta-millrace-run": "r-1"},
    {"x-amz-sdk-checksum-algorithm": "CRC32"}, {"content-md5": "AAAA"},
]  # fmt: skip
Answered = tuple[int, dict[str, str], bytes]


class Place:
    """A bucket, and requests to it as obstore makes them."""

    def __init__(self, account: Account, *, versions: bool = False) -> None:
        self.s3: Any = account.client("s3")
        self.url, self.bucket = account.endpoint_url, unique("plain")
        self.s3.create_bucket(Bucket=self.bucket)
        if versions:
            self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, body: bytes = TEXT, **more: Any) -> None:
        """Put an object as boto3 does."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    region = "us-east-1"
    """What requests are signed for."""

    def head(self, method: str, key: str, headers: dict[str, str], body: bytes = b"", query: str = "") -> bytes:
        """The head of a signed request, as it is sent."""
        found = embedded_aws.credentials(self.url)
        path = f"/{self.bucket}/{quote(key)}{query}"
        signed = AWSRequest(method, f"{self.url}{path}", headers, body)
        S3SigV4Auth(Credentials(found.access_key, found.secret_key), "s3", self.region).add_auth(signed)
        named = {"host": urlsplit(self.url).netloc, **dict(signed.headers)}
        if method == "PUT":
            named["content-length"] = str(len(body))
        return "".join([f"{method} {path} HTTP/1.1\r\n", *(f"{a}: {b}\r\n" for a, b in named.items()), "\r\n"]).encode()

    def ask(self, method: str, key: str, headers: dict[str, str], body: bytes = b"", query: str = "") -> Answered:
        """A signed request and its answer."""
        with self.connected() as connection:
            connection.sendall(self.head(method, key, headers, body, query) + body)
            return answered(connection, method)

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection to the server."""
        host, _, port = urlsplit(self.url).netloc.partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            yield connection


def answered(connection: socket.socket, method: str) -> Answered:
    """The next answer that comes; no byte of the one behind it is read while that has not been asked for."""
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def comparable(answer: Answered) -> Answered:
    """An answer without what differs each time."""
    status, headers, body = answer
    same = {name: value for name, value in headers.items() if name not in OF_ITS_OWN}
    missing = OF_ITS_OWN - set(headers)
    kept = body if status < 300 else body.partition(b"<RequestId>")[0]
    return status, {**same, "missing": ",".join(sorted(missing))}, kept


def is_plain(head: bytes) -> bool:
    """Whether a request is taken for a plain one by its head."""
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    method, target, _ = first.split(b" ")
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    reader: Any = AtOnce(*(None for _ in range(3)))  # type: ignore[arg-type]
    return reader.read(method, target, fields) is not None


@pytest.fixture(scope="module")
def place(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Objects of each kind."""
    made, folder = Place(account), tmp_path_factory.mktemp("served")
    for key in ("plain", "of/a b+c/é%2F"):
        made.put(key)
    made.put("described", ContentType="text/plain", Metadata={"who": "somebody"}, ChecksumAlgorithm="SHA256",
             CacheControl="no-cache", StorageClass="STANDARD_IA")  # fmt: skip
    made.put("tagged", Tagging="a=b")
    made.put("empty", b"")
    made.put("large", TEXT * 2000)
    (folder / "file.txt").write_bytes(TEXT)
    serve(made.url, folder, S3Uri(made.bucket, "served/"))
    return made


@pytest.mark.parametrize("headers", CONDITIONS, ids=str)
@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_plain_read_is_answered_as_through_all_of_s3(
    place: Place, method: str, key: str, headers: dict[str, str]
) -> None:
    """A plain GET or HEAD has the status, the headers and the body of one that nothing cuts short."""
    assert is_plain(place.head(method, key, headers))
    through_all = place.ask(method, key, headers, query=f"?x-id={method}")
    assert comparable(place.ask(method, key, headers)) == comparable(through_all)


@pytest.mark.parametrize("headers", WRITES, ids=str)
@pytest.mark.parametrize("before", ["nothing", "the same"])
@pytest.mark.parametrize("versions", [False, True])
def test_a_plain_write_is_done_as_through_all_of_s3(
    account: Account, headers: dict[str, str], before: str, *, versions: bool
) -> None:
    """A plain PUT is answered as one that nothing cuts short, and leaves the same object and as many versions."""
    found = []
    for query in ("", "?x-id=PutObject"):
        made = Place(account, versions=versions)
        assert is_plain(made.head("PUT", "a/key", headers, TEXT, query)) is not bool(query)
        if before == "the same":
            made.put("a/key")
        answer = comparable(made.ask("PUT", "a/key", headers, TEXT, query))
        left = comparable(made.ask("GET", "a/key", {"x-amz-checksum-mode": "ENABLED"}, query="?x-id=GetObject"))
        listed = made.s3.list_objects_v2(Bucket=made.bucket).get("KeyCount")
        kept = len(made.s3.list_object_versions(Bucket=made.bucket).get("Versions", []))
        found.append((answer, left, listed, kept))
    assert str(found[0]).replace(made.bucket, "") == str(found[1]).replace(made.bucket, "")


def test_a_plain_write_into_an_encrypted_bucket_says_so(account: Account) -> None:
    """The encryption that a bucket gets later holds for the next plain PUT, though its XML is read once."""
    made = Place(account)
    for kind in ("AES256", "aws:kms"):
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": kind, "KMSMasterKeyID": "key"}}
        if kind == "AES256":
            del rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
        made.s3.put_bucket_encryption(Bucket=made.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        _, headers, _ = made.ask("PUT", "key", {}, TEXT)
        assert headers["x-amz-server-side-encryption"] == kind


def test_a_plain_write_sends_the_buckets_events(account: Account) -> None:
    """A plain PUT puts the event of a new object into the queue that the bucket names."""
    made, queues = Place(account), account.client("sqs")
    url = queues.create_queue(QueueName=unique("events"))["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    to_queue = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    made.s3.put_bucket_notification_configuration(Bucket=made.bucket, NotificationConfiguration=to_queue)
    made.ask("PUT", "new/key", {}, TEXT)

    def keys() -> list[str]:
        messages = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        records = [record for each in messages for record in json.loads(each["Body"]).get("Records", [])]
        return [record["s3"]["object"]["key"] for record in records]

    assert until("the event is there", keys) == ["new/key"]


def test_nothing_is_written_into_a_served_folder(place: Place) -> None:
    """A plain PUT below the prefix of a served folder is refused as any other, and the file stays as it is."""
    assert place.ask("PUT", "served/file.txt", {}, b"else")[0] == 403
    assert place.ask("GET", "served/file.txt", {})[2] == TEXT


def test_a_file_is_read_as_it_is_now(account: Account, tmp_path: Path) -> None:
    """A served file that has changed is read with its new content and ETag, and one that is gone is not there."""
    made = Place(account)
    (tmp_path / "file").write_bytes(TEXT)
    time.sleep(0.2)  # until its ETag is remembered
    serve(made.url, tmp_path, S3Uri(made.bucket, "served/"))
    assert made.ask("GET", "served/file", {"if-match": ETAG})[2] == TEXT
    (tmp_path / "file").write_bytes(b"other")
    assert made.ask("HEAD", "served/file", {})[1]["content-length"] == str(len(b"other"))
    assert made.ask("GET", "served/file", {"if-match": ETAG})[0] == 412
    assert made.ask("GET", "served/file", {})[2] == b"other"
    (tmp_path / "file").unlink()
    assert made.ask("GET", "served/file", {})[0] == 404


@pytest.mark.parametrize("change", ["body", "signature", "digest", "no signature", "page", "host", "key"])
def test_what_is_not_rightly_signed_is_refused(account: Account, change: str) -> None:
    """A plain PUT of which a part is not what was signed, or that a page sends, is refused, and nothing is written."""
    made = Place(account)
    head = made.head("PUT", "key", {}, TEXT)
    lines = head.split(b"\r\n")
    digest = hashlib.sha256(TEXT).hexdigest().encode()
    if change == "signature":
        head = head.replace(b"Signature=", b"Signature=0")
    elif change == "digest":
        head = head.replace(digest, hashlib.sha256(b"").hexdigest().encode())
    elif change == "no signature":
        head = b"\r\n".join(line for line in lines if not line.lower().startswith(b"authorization:"))
    elif change == "page":
        head = head.replace(b"\r\n\r\n", b"\r\norigin: http://localhost\r\n\r\n")
    elif change == "host":
        head = head.replace(b"host: 127.0.0.1", b"host: example.org")
    elif change == "key":
        head = head.replace(b"/key ", b"/kez ")
    with made.connected() as connection:
        connection.sendall(head + (TEXT.upper() if change == "body" else TEXT))
        assert answered(connection, "PUT")[0] == 403
    assert made.s3.list_objects_v2(Bucket=made.bucket)["KeyCount"] == 0


def test_requests_come_in_any_pieces(account: Account) -> None:
    """On one connection, a write that comes byte by byte and reads sent before its answer are answered in order."""
    made = Place(account)
    sent = made.head("PUT", "key", {}, TEXT) + TEXT
    reads = [("GET", ""), ("GET", "?x-id=GetObject"), ("HEAD", ""), ("GET", "")]
    with made.connected() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(sent)):
            connection.sendall(sent[place : place + 1])
        assert answered(connection, "PUT")[0] == 200
        connection.sendall(b"".join(made.head(method, "key", {}, query=query) for method, query in reads))
        with connection.makefile("rb") as file:
            for method, _ in reads:
                assert file.readline() == b"HTTP/1.1 200 OK\r\n"
                headers = http.client.parse_headers(file)
                length = int(headers["content-length"])
                assert length == len(TEXT)
                assert method == "HEAD" or file.read(length) == TEXT


def test_a_body_that_is_not_small_goes_through_all(account: Account) -> None:
    """A larger body than is held is not taken for a plain request, and arrives whole."""
    made, body = Place(account), b"x" * (LARGEST_BODY + 1)
    assert not is_plain(made.head("PUT", "key", {}, body))
    assert made.ask("PUT", "key", {}, body)[0] == 200
    assert made.ask("GET", "key", {})[2] == body


def test_each_plain_request_is_remembered_once(account: Account) -> None:
    """The log of requests has a plain request once, refused by S3 or not, as it has all others."""
    made = Place(account)
    made.ask("PUT", "a b", {}, TEXT)
    made.ask("PUT", "a b", {"if-none-match": "*"}, TEXT)
    made.ask("GET", "a b", {})
    found = [line for line in control(made.url, "requests")["requests"] if f"{made.bucket}/" in line]
    assert found[-3:] == [f"s3 {method} {made.bucket}/a b" for method in ("PUT", "PUT", "GET")]


def test_a_bucket_of_another_account_is_asked_for_by_its_policy(account: Account) -> None:
    """A plain read of a bucket that is another account's by now is refused, as its policy lets nobody in."""
    made = Place(account)
    made.put("key")
    assert made.ask("GET", "key", {})[0] == 200
    control(made.url, "bucket-owner", {"bucket": made.bucket, "account": "210987654321"})
    assert made.ask("GET", "key", {})[0] == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_plain_request_for_another_region_is_led_there(account: Account, method: str) -> None:
    """A plain request that is signed for another Region than the bucket's is answered as through all of S3."""
    made = Place(account)
    made.put("key")
    made.region = "eu-central-1"
    plain, through_all = (made.ask(method, "key", {}, query=query) for query in ("", "?x-id=any"))
    assert plain[0] == through_all[0] >= 300
    assert comparable(plain) == comparable(through_all)
