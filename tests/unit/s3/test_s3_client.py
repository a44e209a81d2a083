"""What every S3 call carries."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from millrace.s3.client import new_client

OWNER = "x-amz-expected-bucket-owner"


def sent_header(monkeypatch: pytest.MonkeyPatch, account: str, call: str, **given: Any) -> str | None:
    """The header with which a call goes out, where the deployment names this account."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
        "MILLRACE_BUCKET_OWNER": account,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client: Any = new_client(1)
    seen: list[str | None] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        value = request.headers.get(OWNER)
        seen.append(value.decode() if isinstance(value, bytes) else value)
        return AWSResponse(request.url, 200, HTTPHeaders(), type("Raw", (), {"stream": lambda _self: iter([b""])})())

    client.meta.events.register("before-send.s3", answer)
    getattr(client, call)(Bucket="b", **given)
    return seen[0]


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
