"""How the command itself reads a source: public buckets of the stack unsigned, with the bill where requesters pay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from console.doctor.checks import _public
from console.find.aws import Aws
from console.find.stack import Stack
from console.find.target import Target
from console.operations.estimating import estimate_of
from console.operations.starting import checked_request
from console.run_order import refuse_foreign_buckets
from millrace.errors import AccessDeniedError, InvalidRunRequest
from millrace.layout import S3Uri
from millrace.s3.listing_page import ListedObject
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client
from tests.listing_answers import Raw, page_of, s3_writes
from tests.requester_pays_s3 import RequesterPaysClient
from tests.run_in_memory import fast

THEIRS = "their-data"
OUTPUTS = {"SourceBucketName": "letters", "ResultBucketName": "results"}


class FakeAws:
    """An AWS with an S3 in memory, that notes which buckets it was to read without credentials."""

    endpoint_url = None

    def __init__(self, client: InMemoryS3Client) -> None:
        self.s3 = S3(client.stub, fast())
        self.public: list[frozenset[str]] = []

    def s3_reading(self, public: frozenset[str]) -> S3:
        """The same S3."""
        self.public.append(public)
        return self.s3


def target_of(client: InMemoryS3Client, public: str = "") -> tuple[Target, FakeAws]:
    """A stack with these public buckets."""
    aws: Any = FakeAws(client)
    target = Target(aws, "millrace")
    target.__dict__["stack"] = Stack("millrace", OUTPUTS, {"PublicBucketNames": public})
    return target, aws


@contextmanager
def silent() -> Iterator[Any]:
    """Shows nothing."""
    yield SimpleNamespace(update=lambda _status: None)


def estimated(client: InMemoryS3Client, public: str = "", **fields: Any) -> tuple[dict[str, Any], FakeAws]:
    """The estimate of a run over their data, as JSON."""
    target, aws = target_of(client, public)
    given = {"source": f"s3://{THEIRS}/in/", **fields}
    return estimate_of(target, given, None, lambda _note: None, silent).document(), aws


@pytest.fixture
def client() -> RequesterPaysClient:
    """An S3 with a bucket that requesters pay for."""
    client = RequesterPaysClient("results", requester_pays=THEIRS)
    client.store(THEIRS, "in/a", bytes(1000))
    return client


def test_an_estimate_says_what_requesters_pay(client: RequesterPaysClient) -> None:
    """With the option the source is listed on this account's bill, and the bill is in the estimate."""
    document, _ = estimated(client, requester_pays=True)
    assert client.charged == [("ListObjectsV2", THEIRS)]
    bill = document["requester_pays"]
    assert (bill["list_requests"], bill["get_requests"], bill["bytes"]) == (1, 1, 1000)


def test_an_estimate_that_is_refused_names_the_option(client: RequesterPaysClient) -> None:
    """S3 itself says 403 and no more."""
    with pytest.raises(AccessDeniedError, match="--requester-pays"):
        estimated(client)


def test_an_estimate_reads_the_stacks_public_buckets_unsigned() -> None:
    """Which they are is a parameter of the stack; nobody is billed."""
    client = InMemoryS3Client(THEIRS)
    client.store(THEIRS, "in/a", b"x")
    document, aws = estimated(client, f"open-data,{THEIRS}")
    assert aws.public == [frozenset({"open-data", THEIRS})]
    assert (document["objects"], document["requester_pays"]) == (1, None)


def test_public_buckets_are_read_unsigned_by_a_client_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other client of the same AWS signs, and so does this one what is in other buckets."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    aws = Aws(region="us-east-1")
    seen: list[bool] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        seen.append("Authorization" in request.headers)
        return AWSResponse(request.url, 200, HTTPHeaders(), type("Raw", (), {"stream": lambda _self: iter([b""])})())

    assert aws.s3_reading(frozenset()) is aws.s3
    unsigned = aws.s3_reading(frozenset({"open-data"}))
    for s3 in (unsigned, aws.s3):
        s3.requests.client.meta.events.register("before-send.s3.ListObjectsV2", answer)  # type: ignore[attr-defined]
    for s3, bucket in ((unsigned, "open-data"), (unsigned, "letters"), (aws.s3, "open-data")):
        assert list(s3.list(bucket)) == []
    assert seen == [False, True, True]


def test_listings_are_read_by_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row of a listing that a command or the page asks for is parsed by botocore, which is slow at it."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    one = ListedObject("a b+c", 3, '"e"', "STANDARD")
    aws = Aws(region="us-east-1")
    for s3 in (aws.s3, aws.s3_reading(frozenset({"open-data"}))):
        client: Any = s3.requests.client  # type: ignore[attr-defined]
        client.meta.events.register("before-send.s3.ListObjectsV2", lambda request, **_given: AWSResponse(
            request.url, 200, HTTPHeaders.from_dict({"content-type": "application/xml"}), Raw(page_of(s3_writes(one)))
        ))  # fmt: skip
        assert list(s3.list("bucket")) == [one]
        assert "Contents" not in s3.ask(
            "list", S3Uri("bucket", ""), "list_objects_v2", Bucket="bucket", EncodingType="url"
        )


@pytest.mark.parametrize("names", ["", "open-data", " open-data , more.data "])
def test_the_stacks_public_buckets_are_its_parameter(names: str) -> None:
    """A stack that has no such parameter has none."""
    stack = Stack("millrace", OUTPUTS, {"PublicBucketNames": names})
    assert stack.public_buckets == {name.strip() for name in names.split(",")} - {""}
    assert Stack("millrace", OUTPUTS).public_buckets == frozenset()


def test_a_start_into_a_public_bucket_is_refused() -> None:
    """Before anything is started, also of a run that follows."""
    target, _ = target_of(InMemoryS3Client(), THEIRS)
    code = {"code": None}
    request = {"source": "s3://letters/in/", "destination": f"s3://{THEIRS}/out/"}
    with pytest.raises(InvalidRunRequest, match="public buckets"):
        checked_request(target, request, code, None)
    first = request | {"destination": "s3://results/out/"}
    with pytest.raises(InvalidRunRequest, match="public buckets"):
        checked_request(target, first | {"then": {"destination": f"s3://{THEIRS}/out/"}}, code, None)
    assert checked_request(target, first, code, None) == first


def test_the_embedded_aws_takes_a_public_bucket_for_a_source_alone() -> None:
    """It asks no role; the command does as the roles of a stack do."""
    request = {"source": f"s3://{THEIRS}/in/", "destination": "s3://results/out/"}
    refuse_foreign_buckets(request, ("s3://letters/",), "results", frozenset({THEIRS}))
    with pytest.raises(InvalidRunRequest, match="a folder of s3://letters/, which this stack reads"):
        refuse_foreign_buckets(request, ("s3://letters/",), "results")
    with pytest.raises(InvalidRunRequest, match="destination"):
        refuse_foreign_buckets(
            request | {"destination": f"s3://{THEIRS}/b/"}, ("s3://letters/",), "results", frozenset({THEIRS})
        )


def test_doctor_looks_at_public_buckets() -> None:
    """One that everyone may list, one that is not there, and a parameter that names no bucket."""
    client = InMemoryS3Client(THEIRS, "shut-data")
    client.denied.add(("shut-data", ""))
    found = list(_public(target_of(client, f"shut-data,{THEIRS}")[0]))
    assert {check.message.split("/")[2]: check.outcome for check in found} == {"shut-data": "fail", THEIRS: "ok"}
    assert not list(_public(target_of(client)[0]))
    (wrong,) = _public(target_of(client, "Not_A_Bucket")[0])
    assert wrong.outcome == "fail"
