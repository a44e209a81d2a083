"""Publishing a result: replaced whole, and only by one that outranks it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from batch_jobs.merging.publishing import publish
from millrace.errors import StorageError
from millrace.layout import S3Uri
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.records.result import Result, rank_of
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client, error
from tests.run_in_memory import RESULT, fast

URI = S3Uri(RESULT, "run/result.json")
PLAN = Plan("run", "s3://s/", "s3://r/", "sizes", {}, [], [], 1, 1, 1, {}, 0, "1", "sha256:0", "2026-01-01")
FIRST = Result(PLAN, "SUCCEEDED", Counts(), {}, {}, "r", "f", {}, None, {}, {}, "2026-01-01")


def ranked(retry: int, status: str) -> Result:
    """A result of that retry and status."""
    return replace(FIRST, status=status, retry={"number": retry} if retry else None)


ASCENDING = [ranked(0, "FAILED"), ranked(0, "SUCCEEDED"), ranked(1, "SUCCEEDED"), ranked(2, "SUCCEEDED_WITH_FAILURES")]


@pytest.mark.parametrize("there", range(-1, 4))
@pytest.mark.parametrize("mine", range(4))
def test_the_higher_rank_stays(there: int, mine: int) -> None:
    """Whatever is there, what is there afterwards is the one of the higher rank."""
    client = InMemoryS3Client(RESULT)
    if there >= 0:
        client.store(RESULT, URI.key, ASCENDING[there].to_json())
    publish(URI, ASCENDING[mine], S3(client.stub, fast()))

    assert client.bodies(RESULT)[URI.key] == ASCENDING[max(there, mine)].to_json()


@pytest.mark.parametrize("there", [b"", b"[]", b"{}", b'{"retry": 3}'])
def test_what_is_no_result_is_replaced(there: bytes) -> None:
    """Somebody's scribble ranks below every result."""
    client = InMemoryS3Client(RESULT)
    client.store(RESULT, URI.key, there)
    publish(URI, ASCENDING[0], S3(client.stub, fast()))

    assert json.loads(client.bodies(RESULT)[URI.key])["status"] == "FAILED"


@pytest.mark.parametrize("between", [1, 3])
def test_a_race_is_won_by_the_higher_rank(between: int) -> None:
    """Another copy writes between our look and our write: the condition finds out, and the ranks decide."""
    client = InMemoryS3Client(RESULT)
    client.store(RESULT, URI.key, ASCENDING[0].to_json())

    def write(verb: str, _bucket: str, _key: str) -> None:
        if verb == "put_object":
            client.before = lambda *_call: None
            client.store(RESULT, URI.key, ASCENDING[between].to_json())

    client.before = write
    publish(URI, ASCENDING[2], S3(client.stub, fast()))

    assert client.bodies(RESULT)[URI.key] == ASCENDING[max(between, 2)].to_json()


def test_a_lost_answer_is_found_out() -> None:
    """The write took effect and its answer was lost; the botocore retry meets 412, and the result is there once."""
    client = InMemoryS3Client(RESULT)

    def lose(verb: str, _bucket: str, _key: str, _answer: object) -> None:
        if verb == "put_object":
            client.after = lambda *_call: None
            raise error("PreconditionFailed", 412)

    client.after = lose
    publish(URI, FIRST, S3(client.stub, fast()))

    assert client.bodies(RESULT)[URI.key] == FIRST.to_json()


def test_it_gives_up_on_a_store_that_never_agrees() -> None:
    """An S3 that refuses every conditional write ends the job; it does not go round for ever."""
    client = InMemoryS3Client(RESULT)

    def refuse(verb: str, _bucket: str, _key: str) -> None:
        if verb == "put_object":
            raise error("PreconditionFailed", 412)

    client.before = refuse
    with pytest.raises(StorageError, match="other copies of merge keep writing it"):
        publish(URI, FIRST, S3(client.stub, fast()))


def test_the_rank_is_read_back() -> None:
    """What a result is ranked as is what its file is ranked as."""
    assert [rank_of(result.to_json()) for result in ASCENDING] == [result.rank for result in ASCENDING]
    assert [result.rank for result in ASCENDING] == sorted(result.rank for result in ASCENDING)
