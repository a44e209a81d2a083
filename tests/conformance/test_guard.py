"""The guard before the embedded AWS: only who has this start's credentials is answered, and no page is."""

from __future__ import annotations

import contextlib
import http.client
import json
import stat
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from obstore.store import S3Store

from console import embedded_aws
from tests.conformance.account import Account, unique

pytestmark = pytest.mark.embedded("the guard of the embedded AWS is its own")

FUNCTIONS = "/2015-03-31/functions"
ODD_KEYS = ["a b+c", "é%2F", "x//y", "~tilde!*'()", "q?&=#", "/first", "𝄞", "a\\b", '"quoted"', "dot/./x", "tab\t"]


def send(
    url: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Send a request exactly so, and return status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with contextlib.closing(connection):
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def signed(
    url: str, method: str, path: str, *, service: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Headers of a request that botocore signed with the server's credentials."""
    found = embedded_aws.credentials(url)
    request = AWSRequest(method, f"{url}{path}", dict(headers or {}), body)
    SigV4Auth(Credentials(found.access_key, found.secret_key), service, "us-east-1").add_auth(request)
    return dict(request.headers)


LIST_QUEUES: dict[str, Any] = {"method": "POST", "path": "/v1/describejobqueues", "body": b"{}"}


def test_credentials_are_new_at_each_start_and_only_the_owner_can_read_them(
    tmp_path: Path, server: embedded_aws.EmbeddedAws
) -> None:
    """Two starts have two keys, in files of mode 0600; those of the one open nothing of the other; they go with it."""
    with embedded_aws.running(0, state_dir=tmp_path) as other:
        file = tmp_path / "credentials"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        here, there = embedded_aws.credentials(server.endpoint_url), embedded_aws.credentials(other.endpoint_url)
        assert here.access_key != there.access_key
        assert here.secret_key != there.secret_key
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            Account(other.endpoint_url, here.access_key, here.secret_key).client("s3").list_buckets()
        for place in ("server.json", "server.log"):
            assert there.secret_key not in (tmp_path / place).read_text()
    assert not file.exists()


def test_a_credentials_file_replaces_what_lay_there(tmp_path: Path, server: embedded_aws.EmbeddedAws) -> None:
    """A link that waits where the file goes is replaced: its target is not written."""
    assert server.pid
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / "credentials").symlink_to(target)
    with embedded_aws.running(0, state_dir=tmp_path):
        assert not (tmp_path / "credentials").is_symlink()
    assert target.read_text() == "untouched"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("POST", FUNCTIONS), ("PUT", "/a-bucket"), ("POST", "/?Action=CreateUser&UserName=eve"),
        ("GET", "/_ministack/health"), ("POST", "/_ministack/reset"), ("GET", "/_localstack/health"),
        ("GET", "/health"), ("OPTIONS", "/a-bucket"), ("GET", "/_local_aws/requests"),
        ("POST", "/_local_aws/batch/throttle"), ("GET", "/_local_aws/health/"), ("POST", "/_local_aws/health"),
        ("GET", "/_local_aws/../_local_aws/requests"), ("GET", "/v2/"), ("GET", "/latest/meta-data/"),
    ],
)  # fmt: skip
def test_what_is_not_signed_is_refused(server: embedded_aws.EmbeddedAws, method: str, path: str) -> None:
    """No service, no endpoint of ours and none of ministack's own answers without a signature."""
    status, headers, body = send(server.endpoint_url, method, path, {"Content-Type": "text/plain"}, b"{}")
    assert status == 403, body
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("key", ["test", "123456789012", "AKIAIOSFODNN7EXAMPLE", ""])
def test_well_known_credentials_open_nothing(server: embedded_aws.EmbeddedAws, key: str) -> None:
    """`test` and an account's number, which emulators take for its root, are worth nothing without the secret."""
    request = AWSRequest("POST", f"{server.endpoint_url}{LIST_QUEUES['path']}", {}, b"{}")
    SigV4Auth(Credentials(key, "test"), "batch", "us-east-1").add_auth(request)
    assert send(server.endpoint_url, **LIST_QUEUES, headers=dict(request.headers))[0] == 403


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "same-origin"},
    ],
)  # fmt: skip
def test_a_page_is_refused_even_with_a_signature(server: embedded_aws.EmbeddedAws, change: dict[str, str]) -> None:
    """What says that it comes out of a web page is not answered, whoever signed it; the health endpoint neither."""
    url = server.endpoint_url
    headers = signed(url, "POST", LIST_QUEUES["path"], service="batch", body=b"{}")
    assert send(url, **LIST_QUEUES, headers=headers)[0] == 200
    assert send(url, **LIST_QUEUES, headers=headers | change)[0] == 403
    assert send(url, "GET", "/_local_aws/health")[0] == 200
    assert send(url, "GET", "/_local_aws/health", change)[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "s3.localhost.localstack.cloud",
        "0.0.0.0", "user@evil.example", "evil.example@127.0.0.1", "[::2]", "[", "", "bucket.localhost", "2130706433",
        "169.254.169.254",
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused_even_with_a_signature(server: embedded_aws.EmbeddedAws, host: str) -> None:
    """A name of a page's own that leads to this machine (DNS rebinding) is not this machine's name."""
    headers = signed(server.endpoint_url, "POST", LIST_QUEUES["path"], service="batch", body=b"{}")
    status, _, _ = send(server.endpoint_url, **LIST_QUEUES, headers=headers | {"Host": host})
    assert status in {400, 403}
    assert send(server.endpoint_url, "GET", "/_local_aws/health", {"Host": host})[0] in {400, 403}


def test_no_answer_has_a_header_that_lets_a_page_read_it(account: Account) -> None:
    """Right answers and errors come without Access-Control-Allow-Origin, also of a bucket that has CORS rules."""
    s3, bucket = account.client("s3"), unique("cors")
    s3.create_bucket(Bucket=bucket)
    rules = [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    answers = [s3.list_objects_v2(Bucket=bucket), account.batch.describe_job_queues()]
    with pytest.raises(ClientError) as missing:
        s3.get_object(Bucket=bucket, Key="missing")
    answers.append(missing.value.response)
    for answer in answers:
        names = answer["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in names if name.startswith("access-control-")]


@pytest.mark.parametrize("part", ["path", "query", "body", "header", "signature", "date", "scope", "unsigned header"])
def test_a_request_that_was_changed_on_the_way_is_refused(server: embedded_aws.EmbeddedAws, part: str) -> None:
    """Every part of a request is covered by its signature."""
    url, path, body = server.endpoint_url, "/v1/describejobqueues?a=1", b'{"maxResults": 1}'
    headers = signed(url, "POST", path, service="batch", body=body, headers={"x-amz-meta-a": "1"})
    assert send(url, "POST", path, headers, body)[0] == 200
    authorization = headers["Authorization"]
    if part == "path":
        path = path.replace("queues", "definitions")
    elif part == "query":
        path = path.replace("a=1", "a=2")
    elif part == "body":
        body = body.replace(b"1", b"2")
    elif part == "header":
        headers["x-amz-meta-a"] = "2"
    elif part == "signature":
        headers["Authorization"] = authorization[:-1] + ("0" if authorization[-1] != "0" else "1")
    elif part == "date":
        headers["X-Amz-Date"] = headers["X-Amz-Date"][:-2] + "0Z"
        headers["X-Amz-Date"] = headers["X-Amz-Date"][:9] + "000001Z"
    elif part == "scope":
        headers["Authorization"] = authorization.replace("us-east-1", "us-west-2")
    else:
        headers["x-amz-meta-b"] = "1"
    assert send(url, "POST", path, headers, body)[0] == 403


def test_an_object_that_is_not_the_one_that_was_signed_is_refused(account: Account) -> None:
    """A PUT whose body has not the digest that its signature covers writes nothing."""
    s3, bucket = account.client("s3"), unique("digest")
    s3.create_bucket(Bucket=bucket)
    digest = {"x-amz-content-sha256": "0" * 64}
    headers = signed(account.endpoint_url, "PUT", f"/{bucket}/key", service="s3", body=b"body", headers=digest)
    assert send(account.endpoint_url, "PUT", f"/{bucket}/key", headers, b"body")[0] == 403
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("service", ["ec2", "iot", "codebuild", "glue", "organizations"])
def test_only_the_services_of_the_stack(account: Account, service: str) -> None:
    """A service that the stack does not call is refused, however well the request is signed."""
    headers = signed(account.endpoint_url, "POST", "/", service=service, body=b"{}")
    status, _, body = send(account.endpoint_url, "POST", "/", headers, b"{}")
    assert status == 403
    assert b"does not offer this" in body


def test_a_service_behind_the_name_of_another(account: Account) -> None:
    """What is signed for S3 and addressed to another service by its target header is refused too."""
    target = {"X-Amz-Target": "CodeBuild_20161006.StartBuild", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    headers = signed(account.endpoint_url, "POST", "/", service="s3", body=b"{}", headers=target)
    assert send(account.endpoint_url, "POST", "/", headers, b"{}")[0] == 403


def test_old_and_future_signatures_are_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature is good for fifteen minutes, as with AWS."""
    for minutes, status in [(-20, 403), (20, 403), (-10, 200)]:
        moved = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda moved=moved: moved.replace(tzinfo=None))
        headers = signed(account.endpoint_url, "POST", LIST_QUEUES["path"], service="batch", body=b"{}")
        assert send(account.endpoint_url, **LIST_QUEUES, headers=headers)[0] == status, minutes


@pytest.mark.parametrize("key", ODD_KEYS)
def test_each_client_signs_odd_keys_as_they_are_checked(account: Account, key: str) -> None:
    """boto3, the jobs' client and a pre-signed URL read and write objects of every name."""
    found = embedded_aws.credentials(account.endpoint_url)
    session = boto3.Session(found.access_key, found.secret_key, region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=account.endpoint_url, config=Config(signature_version="s3v4"))
    bucket = unique("keys")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 70_000, Metadata={"a": "two  blanks"})
    assert len(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) == 70_000
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key[:1], StartAfter=" ")["Contents"]
    assert [each["Key"] for each in listed] == [key]
    url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))
    path = f"{url.path}?{url.query}"
    assert send(account.endpoint_url, "GET", path, {"Sec-Fetch-Site": "none"})[0] == 200
    assert send(account.endpoint_url, "GET", path.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601"))[0] == 403
    assert send(account.endpoint_url, "DELETE", path)[0] == 403


def test_the_jobs_client_is_let_in(account: Account) -> None:
    """Obstore's requests, which boto3 did not sign, are taken: puts, ranges, listings with blanks and deletions."""
    found = embedded_aws.credentials(account.endpoint_url)
    bucket = unique("obstore")
    account.client("s3").create_bucket(Bucket=bucket)
    store = S3Store(
        bucket, endpoint=account.endpoint_url, access_key_id=found.access_key, secret_access_key=found.secret_key,
        region="us-east-1", client_options={"allow_http": True},
    )  # fmt: skip
    store.put("in/a b+c~é.txt", b"text")
    assert bytes(store.get("in/a b+c~é.txt").bytes()) == b"text"
    assert [each["path"] for page in store.list("in") for each in page] == ["in/a b+c~é.txt"]
    store.delete("in/a b+c~é.txt")
    assert not [each for page in store.list("in") for each in page]


def test_a_presigned_url_ends(account: Account) -> None:
    """One whose time is over, or that would be good for longer than a week, is refused."""
    found = embedded_aws.credentials(account.endpoint_url)
    bucket = unique("presigned")
    account.client("s3").create_bucket(Bucket=bucket)
    for seconds, status in [(60, 200), (-1, 403), (0, 403), (604_801, 403)]:
        request = AWSRequest("GET", f"{account.endpoint_url}/{bucket}")
        S3SigV4QueryAuth(Credentials(found.access_key, found.secret_key), "s3", "us-east-1", seconds).add_auth(request)
        url = urlsplit(str(request.url))
        assert send(account.endpoint_url, "GET", f"{url.path}?{url.query}")[0] == status, seconds


def test_the_exports_of_local_up_are_enough_for_another_program(
    account: Account, server: embedded_aws.EmbeddedAws
) -> None:
    """A program that gets nothing but what `$(millrace local up)` exports may do what it wants; without, nothing."""
    program = "import boto3; print(len(boto3.client('s3').list_buckets()['Buckets']))"
    words = dict(word.split("=", 1) for word in embedded_aws.exports(server.endpoint_url).split())
    account.client("s3").create_bucket(Bucket=unique("exported"))
    ended = subprocess.run([sys.executable, "-c", program], env=words, capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 0
    words |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    refused = subprocess.run([sys.executable, "-c", program], env=words, capture_output=True, text=True, check=False)
    assert "InvalidAccessKeyId" in refused.stderr or "SignatureDoesNotMatch" in refused.stderr


def test_a_refusal_reads_as_the_services_own(account: Account) -> None:
    """S3, query and JSON services each get an error in a shape that their clients understand."""
    foreign = Account(account.endpoint_url, "AKIAIOSFODNN7EXAMPLE", "secret")
    calls = [
        (foreign.client("s3").list_buckets, "InvalidAccessKeyId"),
        (foreign.client("sts").get_caller_identity, "UnrecognizedClientException"),
        (foreign.client("cloudformation").list_stacks, "UnrecognizedClientException"),
        (foreign.client("sqs").list_queues, "UnrecognizedClientException"),
        (foreign.client("dynamodb").list_tables, "UnrecognizedClientException"),
        (foreign.batch.describe_job_queues, "UnrecognizedClientException"),
        (foreign.client("lambda").list_functions, "UnrecognizedClientException"),
    ]
    for call, code in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == code, call
    assert json.loads(send(account.endpoint_url, "GET", "/")[2])["__type"] == "MissingAuthenticationToken"
