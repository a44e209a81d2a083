"""What every S3 call carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.s3.client import new_client
from millrace.s3.requests import BotocoreRequests

OWNER = "x-amz-expected-bucket-owner"
PAYER = "x-amz-request-payer"
READS: list[tuple[str, dict[str, Any]]] = [
    ("list_objects_v2", {}),
    ("head_bucket", {}),
    ("head_object", {"Key": "k"}),
    ("get_object", {"Key": "k"}),
    ("get_object", {"Key": "k", "Range": "bytes=0-1"}),
]


def sent(monkeypatch: pytest.MonkeyPatch, call: str, bucket: str = "b", **given: Any) -> dict[str, str]:
    """The headers with which a call goes out."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    client: Any = new_client(1)
    return headers_of(client, lambda: getattr(client, call)(Bucket=bucket, **given))


def headers_of(client: Any, call: Callable[[], object]) -> dict[str, str]:
    """The headers of what a call sends; S3 answers it with nothing."""
    seen: list[dict[str, str]] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        pairs = request.headers.items()
        seen.append({name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in pairs})
        headers = HTTPHeaders()
        headers["ETag"], headers["Content-Length"] = '"e"', "0"
        return AWSResponse(request.url, 200, headers, type("Raw", (), {"stream": lambda _self: iter([b""])})())

    client.meta.events.register("before-send.s3", answer)
    call()
    return seen[0]


def sent_header(monkeypatch: pytest.MonkeyPatch, account: str, call: str, **given: Any) -> str | None:
    """The owner with which a call goes out, where the deployment names this account."""
    monkeypatch.setenv("MILLRACE_BUCKET_OWNER", account)
    return sent(monkeypatch, call, **given).get(OWNER)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("list_objects_v2", {}),
        ("head_object", {"Key": "k"}),
        ("put_object", {"Key": "k", "Body": b"x"}),
        ("delete_object", {"Key": "k"}),
        ("create_multipart_upload", {"Key": "k"}),
        ("upload_part", {"Key": "k", "UploadId": "u", "PartNumber": 1, "Body": b"x"}),
        ("abort_multipart_upload", {"Key": "k", "UploadId": "u"}),
    ],
)
def test_every_call_names_the_owner(monkeypatch: pytest.MonkeyPatch, call: str, given: dict[str, Any]) -> None:
    """S3 refuses a bucket that someone else made anew under a name that the stack knew."""
    assert sent_header(monkeypatch, "123456789012", call, **given) == "123456789012"


def test_no_owner_is_named_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the parameter, buckets of other accounts can be sources."""
    assert sent_header(monkeypatch, "", "head_object", Key="k") is None


@pytest.mark.parametrize(("call", "given"), READS)
def test_a_public_bucket_is_read_unsigned(monkeypatch: pytest.MonkeyPatch, call: str, given: dict[str, Any]) -> None:
    """No credentials go along, and no owner is named: it is somebody else's. Other buckets are asked as before."""
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", "first-open, open-data")
    monkeypatch.setenv("MILLRACE_BUCKET_OWNER", "123456789012")
    public, own = sent(monkeypatch, call, "open-data", **given), sent(monkeypatch, call, "our-data", **given)
    assert not {"authorization", "x-amz-security-token", OWNER} & public.keys()
    assert own["authorization"].startswith("AWS4-HMAC-SHA256")
    assert own[OWNER] == "123456789012"


@pytest.mark.parametrize(
    ("call", "bucket", "given"),
    [
        ("put_object", "open-data", {"Key": "k", "Body": b"x"}),
        ("delete_object", "open-data", {"Key": "k"}),
        ("copy_object", "our-data", {"Key": "k", "CopySource": {"Bucket": "open-data", "Key": "k"}}),
        ("get_object_tagging", "open-data", {"Key": "k"}),
    ],
)
def test_what_writes_is_signed(monkeypatch: pytest.MonkeyPatch, call: str, bucket: str, given: dict[str, Any]) -> None:
    """A copy out of a public bucket writes into one of ours, and S3 has to know who does."""
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", "open-data")
    assert "authorization" in sent(monkeypatch, call, bucket, **given)


@pytest.mark.parametrize("names", ["Open-Data", "s3://open-data", "open-data/in", "a", "open-data,b*"])
def test_a_public_bucket_has_a_buckets_name(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """A wrong one is named before anything is asked."""
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", names)
    with pytest.raises(InvalidRunRequest, match="names of buckets") as raised:
        new_client(1)
    assert raised.value.field == "MILLRACE_PUBLIC_BUCKETS"


SOURCE: dict[str, Any] = {"CopySource": {"Bucket": "their-data", "Key": "k"}}


@pytest.mark.parametrize(
    ("method", "given", "bucket", "pays"),
    [
        ("list_objects_v2", {}, "their-data", True),
        ("head_object", {"Key": "k"}, "their-data", True),
        ("get_object_tagging", {"Key": "k"}, "their-data", True),
        ("copy_object", {"Key": "k", **SOURCE}, "our-data", True),
        ("upload_part_copy", {"Key": "k", "UploadId": "u", "PartNumber": 1, **SOURCE}, "our-data", True),
        ("list_objects_v2", {}, "our-data", False),
        ("head_object", {"Key": "k"}, "our-data", False),
        ("put_object", {"Key": "k", "Body": b"x"}, "our-data", False),
        ("copy_object", {"Key": "k", "CopySource": {"Bucket": "our-data", "Key": "k"}}, "our-data", False),
    ],
)
def test_who_pays_is_said_where_that_bucket_is_read(
    monkeypatch: pytest.MonkeyPatch, method: str, given: dict[str, Any], bucket: str, *, pays: bool
) -> None:
    """`x-amz-request-payer` goes with each request that reads the bucket, signed, and with no other."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    client: Any = new_client(1)
    requests = BotocoreRequests(client).paying("their-data")
    headers = headers_of(client, lambda: requests.ask("ask", S3Uri(bucket, "k"), method, Bucket=bucket, **given))
    assert headers.get(PAYER) == ("requester" if pays else None)
    assert (PAYER in headers["authorization"]) is pays


def test_who_pays_is_said_where_an_object_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """GetObject, which has a way of its own; requests that are not told to pay never do."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    client: Any = new_client(1)
    plain = BotocoreRequests(client)
    uri = S3Uri("their-data", "k")
    assert headers_of(client, lambda: plain.paying("their-data").get(uri))[PAYER] == "requester"
    assert PAYER not in headers_of(client, lambda: plain.paying("other-data").get(uri))
    assert PAYER not in headers_of(client, lambda: plain.get(uri))
