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


KEYS = ["a", "a/", "a/b", "a/c/d", "a+ b", "a&b", "ab/c", "b", "é/1", "é/2", "z" * 200]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(("prefix", "delimiter"), [("", ""), ("a", ""), ("a/", "/"), ("", "/"), ("no", "/")])
def test_a_listing_is_the_keys_that_are_there_in_order(
    account: Account, size: int, prefix: str, delimiter: str
) -> None:
    """Pages of any size join up, before and after keys are put, replaced and deleted behind a first listing."""
    storage = account.client("s3")
    bucket = unique("listed")
    storage.create_bucket(Bucket=bucket)

    def listed() -> tuple[list[tuple[str, int]], list[str]]:
        pages = storage.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
        )
        found, groups = [], []
        for page in pages:
            assert len(page.get("Contents", [])) + len(page.get("CommonPrefixes", [])) == page["KeyCount"] <= size
            found += [(each["Key"], each["Size"]) for each in page.get("Contents", [])]
            groups += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        return found, groups

    def expected(there: dict[str, int]) -> tuple[list[tuple[str, int]], list[str]]:
        chosen = sorted((key, length) for key, length in there.items() if key.startswith(prefix))
        if not delimiter:
            return chosen, []
        cut = [(key, key.find(delimiter, len(prefix)), length) for key, length in chosen]
        return [(key, length) for key, end, length in cut if end < 0], sorted(
            {key[: end + 1] for key, end, _ in cut if end >= 0}
        )

    for key in KEYS[::2]:
        storage.put_object(Bucket=bucket, Key=key, Body=b"1")
    there = dict.fromkeys(KEYS[::2], 1)
    assert listed() == expected(there)
    for key in KEYS[1::2]:
        storage.put_object(Bucket=bucket, Key=key, Body=b"12")
        there[key] = 2
    assert listed() == expected(there)
    storage.put_object(Bucket=bucket, Key="a", Body=b"123")
    storage.delete_object(Bucket=bucket, Key="b")
    storage.delete_object(Bucket=bucket, Key="b")
    storage.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a/b"}, {"Key": "none"}]})
    storage.copy_object(Bucket=bucket, Key="a/b/copy", CopySource={"Bucket": bucket, "Key": "a"})
    there = {**there, "a": 3, "a/b/copy": 3}
    del there["b"], there["a/b"]
    assert listed() == expected(there)
    behind = storage.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter="a/")
    keys = [key for key in sorted(there) if key.startswith(prefix) and key > "a/"]
    assert [each["Key"] for each in behind.get("Contents", [])] == keys
