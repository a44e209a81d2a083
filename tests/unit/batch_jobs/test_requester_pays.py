"""A run over a source that requesters pay for: every job says so where it reads the source, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from batch_jobs.s3.paced_requests import PacedRequests
from batch_jobs.workloads.registry import load_workload
from millrace.errors import AccessDeniedError
from millrace.s3.verbs import S3
from millrace.workload.registry import checked_options
from tests.requester_pays_s3 import RequesterPaysClient
from tests.run_in_memory import RESULT, SOURCE, RunInMemory, Sizes

TEXTS = {"in/a": b"one two", "in/b": b"three"}


def client() -> RequesterPaysClient:
    """An S3 whose source bucket requesters pay for."""
    return RequesterPaysClient(RESULT, requester_pays=SOURCE)


def run_over(texts: dict[str, bytes], **request: Any) -> RunInMemory:
    """A run over that source, with a shard for each object."""
    request = {"shard": {"max_items": 1}, **request}
    return RunInMemory(texts, request=request, client=client(), load=lambda _name, options: Sizes(options))


def charged(run: RunInMemory) -> list[str]:
    """The requests that said who pays."""
    assert isinstance(run.client, RequesterPaysClient)
    return sorted(operation for operation, _ in run.client.charged)


def test_every_job_says_who_pays() -> None:
    """Plan lists, migrate reads; what they ask of the destination, and all that merge does, has no such header."""
    run = run_over(TEXTS, requester_pays=True)
    run.all()
    assert run.result()["counts"]["succeeded"] == 2
    assert charged(run) == ["GetObject", "GetObject", "ListObjectsV2"]


def test_without_the_field_no_job_pays() -> None:
    """The header is never sent unasked: the plan job is refused as S3 refuses it."""
    run = run_over(TEXTS)
    with pytest.raises(AccessDeniedError):
        run.plan()
    assert not charged(run)


def test_a_plan_of_prepare_run_is_worked_the_same_way() -> None:
    """Whoever has planned: plan.json tells the children."""
    run = run_over(TEXTS, requester_pays=True)
    planned = run.plan_in_function()
    assert planned is not None
    for index in range(planned.shards):
        run.migrate(index)
    assert charged(run) == ["GetObject", "GetObject", "ListObjectsV2"]


def test_a_copy_says_who_pays() -> None:
    """HEAD of the source and the copy itself; HEAD of the copy is of a bucket of our own."""
    options = checked_options("copy", {})
    run = RunInMemory(
        TEXTS,
        request={"workload": "copy", "options": options, "requester_pays": True, "shard": {"max_items": 1}},
        client=client(),
        load=load_workload,
    )
    run.all()
    assert run.outputs() == {"a": b"one two", "b": b"three"}
    assert charged(run) == ["CopyObject", "CopyObject", "HeadObject", "HeadObject", "ListObjectsV2"]


def test_requests_that_are_paced_are_paid_for_too() -> None:
    """The pace and the bill do not know of each other."""

    class Taken:
        times = 0

        def take(self) -> None:
            self.times += 1

    reads: Any = Taken()
    made = client()
    made.store(SOURCE, "in/a", b"x")
    paced = PacedRequests(made.stub, reads, reads).paying(SOURCE)
    assert [found.key for found in S3(paced).list(SOURCE)] == ["in/a"]
    assert (made.charged, reads.times) == ([("ListObjectsV2", SOURCE)], 1)
