"""How a run reads its source: unsigned where it is public data, on this account's bill where the request says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.errors import AccessDeniedError, InvalidRunRequest, RunIdentityError
from millrace.layout import S3Uri
from millrace.records.plan import Plan
from millrace.request.run_request import RunRequest
from millrace.request.source_access import check_public, refusal_explained, source_s3
from millrace.s3.verbs import S3
from millrace.settings import FunctionSettings
from prepare_run import prepare_run
from tests.in_memory_s3 import InMemoryS3Client
from tests.requester_pays_s3 import RequesterPaysClient
from tests.run_in_memory import fast

THEIRS, OURS = "their-data", "results"
PUBLIC = frozenset({"open-data"})
SETTINGS = FunctionSettings(
    queues={"standard": "arn:aws:batch:us-east-1:123456789012:job-queue/standard"}, code_version="1.2.3"
)
FIELDS = {"source": f"s3://{THEIRS}/in/", "destination": f"s3://{OURS}/out/"}


@pytest.fixture
def client() -> RequesterPaysClient:
    """An S3 with a bucket that requesters pay for, and one of our own."""
    client = RequesterPaysClient(OURS, requester_pays=THEIRS)
    client.store(THEIRS, "in/a", b"one two")
    return client


def prepared(client: InMemoryS3Client, name: str = "run-1", **given: Any) -> dict[str, Any]:
    """Prepare Run, for an execution of this name."""
    event = {"input": {**FIELDS, **given}, "execution_arn": name, "execution_name": name, "started_at": "now"}
    return prepare_run(event, S3(client.stub, fast()), SETTINGS)


def test_a_source_that_is_paid_for_is_listed(client: RequesterPaysClient) -> None:
    """With the field, what Prepare Run asks of the source says who pays; what it asks of the destination does not."""
    prepared(client, requester_pays=True)
    assert client.charged == [("ListObjectsV2", THEIRS)]
    written = json.loads(client.bodies(OURS)["out/_millrace/run-1/run.json"])["request"]
    assert written["requester_pays"] is True


def test_who_does_not_pay_is_told_what_may_be_missing(client: RequesterPaysClient) -> None:
    """S3 says no more than 403: the error names the field, and the option of the command."""
    with pytest.raises(InvalidRunRequest, match='needs "requester_pays": true') as raised:
        prepared(client)
    assert raised.value.field == "source"
    assert "--requester-pays" in str(raised.value)
    assert not client.charged


def test_who_pays_already_is_not_told_to(client: RequesterPaysClient) -> None:
    """Another reason than that has to be looked for."""
    client.denied.add((THEIRS, ""))
    with pytest.raises(InvalidRunRequest, match="refuses it") as raised:
        prepared(client, requester_pays=True)
    assert "requester" not in raised.value.allowed


def test_a_run_that_follows_pays_for_itself(client: RequesterPaysClient) -> None:
    """The field is each request's own; the reason is told of a link's source, too."""
    link = {"source": FIELDS["source"], "destination": f"s3://{OURS}/second/"}
    first: dict[str, Any] = {"source": f"s3://{OURS}/in/", "then": link}
    with pytest.raises(InvalidRunRequest, match='needs "requester_pays": true') as raised:
        prepared(client, **first)
    assert raised.value.field == "then.source"
    prepared(client, **first | {"then": link | {"requester_pays": True}})
    assert client.charged == [("ListObjectsV2", THEIRS)]


@pytest.mark.parametrize("value", [1, "requester", None, []])
def test_the_field_is_true_or_false(value: object) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidRunRequest, match="true or false") as raised:
        RunRequest.parse({**FIELDS, "requester_pays": value})
    assert raised.value.field == "requester_pays"


def test_a_rerun_may_begin_to_pay_and_a_resumed_run_may_not() -> None:
    """A rerun has a plan of its own, by which its jobs read; a resumed run has the first one's."""
    client = InMemoryS3Client(OURS, THEIRS)
    prepared(client)
    with pytest.raises(RunIdentityError, match="requester_pays was false, is true"):
        prepared(client, "run-2", run_id="run-1", requester_pays=True)
    with pytest.raises(InvalidRunRequest) as raised:  # no identity is spoilt: what is wrong is that nothing has failed
        prepared(client, "run-3", run_id="run-1", retry_failed=True, requester_pays=True)
    assert raised.value.field == "retry_failed"


def test_a_public_bucket_is_no_destination() -> None:
    """It is only read; the request's field is named."""
    request = RunRequest.parse({"source": f"s3://{OURS}/in/", "destination": "s3://open-data/out/"})
    with pytest.raises(InvalidRunRequest, match="which are only read") as raised:
        check_public(request, PUBLIC)
    assert raised.value.field == "destination"
    check_public(RunRequest.parse({"source": "s3://open-data/in/", "destination": f"s3://{OURS}/out/"}), PUBLIC)


def test_nobody_can_be_billed_for_what_is_read_without_credentials() -> None:
    """S3 refuses an unsigned request to a bucket with Requester Pays: the two exclude each other."""
    given = {"source": "s3://open-data/in/", "destination": f"s3://{OURS}/out/", "requester_pays": True}
    with pytest.raises(InvalidRunRequest, match="without credentials") as raised:
        check_public(RunRequest.parse(given), PUBLIC)
    assert raised.value.field == "requester_pays"
    check_public(RunRequest.parse(given | {"requester_pays": False}), PUBLIC)


def test_prepare_run_refuses_a_public_destination(client: RequesterPaysClient) -> None:
    """It is looked at before anything is asked of S3."""
    settings = FunctionSettings(queues=SETTINGS.queues, public_buckets=frozenset({OURS}))
    event = {"input": FIELDS, "execution_arn": "r", "execution_name": "r", "started_at": "now"}
    with pytest.raises(InvalidRunRequest, match="public buckets"):
        prepare_run(event, S3(client.stub), settings)
    assert not client.requests


def refused(s3: S3, request: RunRequest, public: frozenset[str] = PUBLIC) -> str:
    """What is said where S3 does not let the source be listed."""
    with pytest.raises(AccessDeniedError) as raised, refusal_explained(request, public):
        next(iter(s3.list(THEIRS)))
    return str(raised.value)


def test_a_refusal_is_explained(client: RequesterPaysClient) -> None:
    """Where the command lists a source on its own: the same words, behind those of S3; nothing for who pays."""
    s3, paying = S3(client.stub, fast()), RunRequest.parse({**FIELDS, "requester_pays": True})
    assert "Access Denied (AccessDenied). If the owner of their-data has requesters pay" in refused(
        s3, RunRequest.parse(FIELDS)
    )
    assert "its owner may not allow that" in refused(s3, RunRequest.parse(FIELDS), frozenset({THEIRS}))
    assert "requesters pay" not in refused(s3, paying)
    assert [found.key for found in source_s3(s3, paying).list(THEIRS)] == ["in/a"]


def test_a_manifest_in_another_bucket_is_paid_for_too(client: RequesterPaysClient) -> None:
    """Its owner is the source's, mostly."""
    request = RunRequest.parse(
        {"source": "s3://elsewhere/in/", "destination": FIELDS["destination"], "requester_pays": True}
        | {"manifest": f"s3://{THEIRS}/in/a.csv"}
    )
    client.store(THEIRS, "in/a.csv", b"a")
    assert source_s3(S3(client.stub), request).read(S3Uri(THEIRS, "in/a.csv")) == b"a"


def test_a_plan_that_pays_says_so_and_has_the_same_digest() -> None:
    """It changes no byte of a result, so a run that pays reuses one that did not; other plans are as they were."""
    given: dict[str, Any] = {
        **FIELDS, "workload": "word-count", "run_id": "r", "options": {}, "include": [], "exclude": [], "shards": 0,
        "items": 0, "total_bytes": 0, "skipped": {}, "tolerated_failure_percent": 0, "code_version": "1",
        "digest": "", "planned_at": "",
    }  # fmt: skip
    paying, other = Plan(**given, requester_pays=True), Plan(**given)
    assert paying.digest_of([]) == other.digest_of([])
    assert b"requester_pays" not in other.to_json()
    assert Plan.from_json(paying.to_json(), "plan.json").requester_pays is True
