"""S3 of the embedded AWS where ministack alone is laxer than S3."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.conformance.account import Account, unique


@pytest.mark.parametrize("letter", ["k", "é", "%"])
def test_a_key_of_more_than_1024_bytes_is_refused(account: Account, letter: str) -> None:
    """S3 user guide, "Naming Amazon S3 objects": at most 1,024 bytes of UTF-8; beyond, 400 KeyTooLongError."""
    storage = account.client("s3")
    bucket = unique("keys")
    storage.create_bucket(Bucket=bucket)
    longest = letter * (1024 // len(letter.encode()))
    storage.put_object(Bucket=bucket, Key=longest, Body=b"there")
    assert storage.get_object(Bucket=bucket, Key=longest)["Body"].read() == b"there"
    copy = {"Bucket": bucket, "Key": longest}
    too_long = longest + "k"
    calls: tuple[Callable[[], object], ...] = (
        lambda: storage.put_object(Bucket=bucket, Key=too_long, Body=b"x"),
        lambda: storage.get_object(Bucket=bucket, Key=too_long),
        lambda: storage.copy_object(Bucket=bucket, Key=too_long, CopySource=copy),
        lambda: storage.create_multipart_upload(Bucket=bucket, Key=too_long),
        lambda: storage.delete_object(Bucket=bucket, Key=too_long),
    )
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        answer = refused.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("KeyTooLongError", 400)
    assert [found["Key"] for found in storage.list_objects_v2(Bucket=bucket)["Contents"]] == [longest]
