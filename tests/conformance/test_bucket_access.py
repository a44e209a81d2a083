"""Who may read a bucket of the embedded AWS without credentials, or from another account, and on whose bill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

from tests.conformance.account import Account, unique

pytestmark = pytest.mark.embedded("a bucket of somebody else's is made by an endpoint of the embedded AWS")

OTHERS = "999988887777"
READS = ("s3:ListBucket", "s3:GetObject")


def policy(bucket: str, *actions: str, **more: Any) -> str:
    """A bucket policy that lets everyone do these."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": list(actions), "Resource": resources, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def made(account: Account, *actions: str, payer: str = "BucketOwner") -> str:
    """A bucket with an object `in/a`, whose policy lets everyone do these."""
    storage, bucket = account.client("s3"), unique("access")
    storage.create_bucket(Bucket=bucket)
    storage.delete_public_access_block(Bucket=bucket)
    storage.put_object(Bucket=bucket, Key="in/a", Body=b"one two")
    if actions:
        storage.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, *actions))
    if payer != "BucketOwner":
        storage.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": payer})
    return bucket


@contextmanager
def of_others(account: Account, bucket: str) -> Iterator[None]:
    """Let a bucket be another account's during the block."""
    account.control("POST", "bucket-owner", {"bucket": bucket, "account": OTHERS})
    try:
        yield
    finally:
        account.control("POST", "bucket-owner", {"bucket": bucket, "account": account.account_id})


def anonymous(account: Account) -> Any:
    """An S3 client without credentials."""
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=account.endpoint_url, region_name=account.region, config=config)


def reads(client: Any, bucket: str, **more: Any) -> dict[str, Callable[[], Any]]:
    """Every request that reads an object or a listing."""
    place = {"Bucket": bucket, "Key": "in/a", **more}

    def read(**given: str) -> bytes:
        return bytes(client.get_object(**place, **given)["Body"].read())

    return {
        "list": lambda: client.list_objects_v2(Bucket=bucket, Prefix="in/", **more)["Contents"][0]["Key"],
        "head": lambda: client.head_object(**place)["ContentLength"],
        "get": read,
        "range": lambda: read(Range="bytes=4-6"),
    }


ANSWERS = {"list": "in/a", "head": 7, "get": b"one two", "range": b"two"}


def answered(calls: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """What each call answers: the error's HTTP status where it is refused."""
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            found[name] = call()
        except ClientError as refused:
            found[name] = refused.response["ResponseMetadata"]["HTTPStatusCode"]
    return found


def test_without_credentials_a_policy_for_everyone_is_needed(account: Account) -> None:
    """S3 user guide, "Bucket policy examples", anonymous users: Principal "*" alone lets them in."""
    shut, opened = made(account), made(account, *READS)
    assert answered(reads(anonymous(account), shut)) == dict.fromkeys(ANSWERS, 403)
    assert answered(reads(anonymous(account), opened)) == ANSWERS


def test_a_policy_for_everyone_lets_in_for_what_it_names(account: Account) -> None:
    """IAM user guide, "Policy evaluation logic": what no statement allows is denied; to write, even where all may."""
    client, bucket = anonymous(account), made(account, "s3:GetObject")
    assert answered(reads(client, bucket)) == {**ANSWERS, "list": 403}
    writing = made(account, "s3:PutObject", *READS)
    calls = {"put": lambda: client.put_object(Bucket=writing, Key="in/b", Body=b"x")}
    assert answered(calls) == {"put": 403}, "the guard lets nobody write who does not say who they are"


def test_public_access_that_is_blocked_lets_nobody_in(account: Account) -> None:
    """S3 user guide, "Blocking public access", RestrictPublicBuckets: a public policy lets in no one from outside."""
    bucket = made(account, *READS)
    account.client("s3").put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    assert answered(reads(anonymous(account), bucket)) == dict.fromkeys(ANSWERS, 403)


def test_who_is_refused_without_credentials_is_told_in_the_words_of_s3(account: Account) -> None:
    """S3 API reference, "Error responses": 403 AccessDenied, as XML that clients read."""
    with pytest.raises(ClientError) as refused:
        anonymous(account).get_object(Bucket=made(account), Key="in/a")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_who_pays_is_kept(account: Account) -> None:
    """S3 API reference, GetBucketRequestPayment: BucketOwner until PutBucketRequestPayment says otherwise."""
    storage, bucket = account.client("s3"), made(account)
    assert storage.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for payer in ("Requester", "BucketOwner"):
        storage.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": payer})
        assert storage.get_bucket_request_payment(Bucket=bucket)["Payer"] == payer
    with pytest.raises(ClientError) as refused:
        storage.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})
    assert refused.value.response["Error"]["Code"] == "MalformedXML"
    with pytest.raises(ClientError) as missing:
        storage.get_bucket_request_payment(Bucket=unique("none"))
    assert missing.value.response["Error"]["Code"] == "NoSuchBucket"


def test_the_owner_says_nothing_of_paying(account: Account) -> None:
    """S3 API reference, GetObject, `x-amz-request-payer`: "Bucket owners need not specify this parameter"."""
    bucket = made(account, payer="Requester")
    client = account.client("s3")
    assert answered(reads(client, bucket)) == ANSWERS
    assert "RequestCharged" not in client.head_object(Bucket=bucket, Key="in/a", RequestPayer="requester")


def test_others_have_to_say_that_they_pay(account: Account) -> None:
    """S3 user guide, "Downloading objects from Requester Pays buckets": 403 without the header; with it the answer says
    `x-amz-request-charged: requester`.
    """
    bucket, client = made(account, *READS, payer="Requester"), account.client("s3")
    with of_others(account, bucket):
        assert answered(reads(client, bucket)) == dict.fromkeys(ANSWERS, 403)
        assert answered(reads(client, bucket, RequestPayer="requester")) == ANSWERS
        assert client.head_object(Bucket=bucket, Key="in/a", RequestPayer="requester")["RequestCharged"] == "requester"


def test_a_copy_out_of_such_a_bucket_says_so_too(account: Account) -> None:
    """S3 API reference, CopyObject and UploadPartCopy, `x-amz-request-payer`: "if either the source or destination S3
    bucket has Requester Pays enabled, the requester will pay for the corresponding charges".
    """
    bucket, client, mine = made(account, *READS, payer="Requester"), account.client("s3"), made(account)
    source = {"CopySource": {"Bucket": bucket, "Key": "in/a"}, "Bucket": mine, "Key": "copy"}
    upload = client.create_multipart_upload(Bucket=mine, Key="parts")["UploadId"]
    part = {**source, "Key": "parts", "UploadId": upload, "PartNumber": 1}
    with of_others(account, bucket):
        for more, expected in (({}, 403), ({"RequestPayer": "requester"}, 200)):
            calls = {
                "copy": lambda more=more: status(client.copy_object(**source, **more)),
                "part": lambda more=more: status(client.upload_part_copy(**part, **more)),
            }
            assert answered(calls) == {"copy": expected, "part": expected}
    assert client.get_object(Bucket=mine, Key="copy")["Body"].read() == b"one two"


def status(answer: dict[str, Any]) -> int:
    """An answer's HTTP status."""
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])


def test_nobody_pays_without_a_name(account: Account) -> None:
    """S3 user guide, "Requester Pays", how charges work: anonymous access to such a bucket is not allowed."""
    bucket = made(account, *READS, payer="Requester")
    assert answered(reads(anonymous(account), bucket)) == dict.fromkeys(ANSWERS, 403)
    calls = reads(anonymous(account), bucket, RequestPayer="requester")
    assert answered(calls) == dict.fromkeys(ANSWERS, 403)


def test_another_accounts_bucket_needs_its_policy(account: Account) -> None:
    """IAM user guide, "Cross-account policy evaluation logic": without the owner's policy nothing is allowed."""
    shut, opened = made(account), made(account, *READS)
    client = account.client("s3")
    with of_others(account, shut), of_others(account, opened):
        assert answered(reads(client, shut)) == dict.fromkeys(ANSWERS, 403)
        assert answered(reads(client, opened)) == ANSWERS
        calls = {"put": lambda: client.put_object(Bucket=opened, Key="in/b", Body=b"x")}
        assert answered(calls) == {"put": 403}


def test_the_owner_that_is_expected_must_be_the_owner(account: Account) -> None:
    """S3 API reference, `x-amz-expected-bucket-owner`: 403 where the bucket is another account's."""
    bucket, client = made(account, *READS), account.client("s3")
    mine, others = {"ExpectedBucketOwner": account.account_id}, {"ExpectedBucketOwner": OTHERS}
    assert answered(reads(client, bucket, **mine)) == ANSWERS
    assert answered(reads(client, bucket, **others)) == dict.fromkeys(ANSWERS, 403)
    with of_others(account, bucket):
        assert answered(reads(client, bucket, **mine)) == dict.fromkeys(ANSWERS, 403)
        assert answered(reads(client, bucket, **others)) == ANSWERS


def test_obstore_reads_both_kinds(account: Account) -> None:
    """The jobs' fast client sends no signature where it has none to send, and signs the header of who pays."""
    opened, paid = made(account, *READS), made(account, *READS, payer="Requester")
    where: dict[str, Any] = {
        "endpoint": account.endpoint_url,
        "region": account.region,
        "client_options": {"allow_http": True},
        "retry_config": {"max_retries": 0},
    }
    assert bytes(S3Store(opened, skip_signature=True, **where).get("in/a").bytes()) == b"one two"
    keys = {
        "access_key_id": account.signer["aws_access_key_id"],
        "secret_access_key": account.signer["aws_secret_access_key"],
    }
    with of_others(account, paid):
        with pytest.raises(Exception, match="403"):
            S3Store(paid, **where, **keys).get("in/a")
        assert bytes(S3Store(paid, request_payer=True, **where, **keys).get("in/a").bytes()) == b"one two"
