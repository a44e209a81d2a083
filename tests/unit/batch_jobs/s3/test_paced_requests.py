"""A run's requests to S3 stay below its rates, whatever the number of its children."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batch_jobs.job import Job
from batch_jobs.rate import Rate
from batch_jobs.s3.paced_requests import EARLY_SECONDS, PacedRequests, paced
from batch_jobs.stop import Stop
from millrace.errors import InvalidRunRequest, StoppedError
from millrace.layout import S3Uri
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RunInMemory

URI = S3Uri("bucket", "key")


class Waiting:
    """A clock that advances only by waiting."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.now += seconds

    def clock(self) -> float:
        """What time it is."""
        return self.now


def s3_at(reads: float, writes: float) -> tuple[S3, Waiting, InMemoryS3Client]:
    """An S3 that is asked no faster."""
    time, memory = Waiting(), InMemoryS3Client("bucket")
    rates = [Rate(rate, time.sleep, time.clock, EARLY_SECONDS) for rate in (reads, writes)]
    return S3(PacedRequests(memory.stub, *rates)), time, memory


def test_reads_and_writes_have_rates_of_their_own() -> None:
    """A hundred of each take as long as the rates say, one after the other."""
    s3, time, _ = s3_at(10, 5)
    for _ in range(100):
        s3.put(URI, b"x")
    assert time.now == pytest.approx(99 / 5)
    began = time.now
    for _ in range(100):
        s3.read(URI)
    assert time.now - began == pytest.approx(99 / 10)


def test_no_rate_is_no_waiting() -> None:
    """0 asks for no limit."""
    s3, time, memory = s3_at(0, 0)
    for _ in range(100):
        s3.put(URI, b"x")
    assert (time.now, memory.requests["put_object"]) == (0, 100)


def test_time_that_went_by_unused_is_lost() -> None:
    """After a pause there is no burst: S3 would not allow it either."""
    s3, time, _ = s3_at(0, 10)
    s3.put(URI, b"x")
    time.now += 100
    for _ in range(11):
        s3.put(URI, b"x")
    assert time.now == pytest.approx(101)


def test_a_request_may_go_a_little_early() -> None:
    """To wait for a millisecond costs more CPU than a small object; the rate holds all the same."""
    s3, time, _ = s3_at(0, 1000)
    for _ in range(20):
        s3.put(URI, b"x")
    assert time.now == 0
    for _ in range(10_000):
        s3.put(URI, b"x")
    assert time.now == pytest.approx(10, abs=0.05)


def planned_at(children: int | None, slots: int | None = None, **request: Any) -> tuple[Any, Job]:
    """A plan of 40 shards, and the surroundings of a child of it."""
    run = RunInMemory({f"in/{number:02}": b"x" for number in range(40)}, {"shard": {"max_items": 1}, **request})
    plan = run.plan()
    time = Waiting()
    job = Job(
        run.job().s3,
        JobSettings(array_size=children, slots=slots),
        Stop(clock=time.clock, wait=time.sleep),
        clock=time.clock,
    )
    return plan, job


@pytest.mark.parametrize(
    ("children", "slots", "expected"), [(None, None, 1), (10, None, 10), (10, 16, 10), (40, 4, 4), (None, 16, 1)]
)
def test_the_rate_is_shared_by_the_children_that_there_are(
    children: int | None, slots: int | None, expected: int
) -> None:
    """Among the array's children, or among as many as there is room for, however many shards the plan has."""
    plan, job = planned_at(children, slots, reads_per_second=100, writes_per_second=40)
    requests, uri = paced(job.s3.requests, plan, job), S3Uri("result", "x")
    for _ in range(11):
        requests.put(uri, b"", content_type="text/plain")
    assert job.clock() == pytest.approx(10 * expected / 40, abs=0.05)
    before = job.clock()
    for _ in range(11):
        requests.get(uri)
    assert job.clock() - before == pytest.approx(10 * expected / 100, abs=0.05)


def test_without_rates_the_requests_are_the_jobs_own() -> None:
    """Nothing stands between."""
    plan, job = planned_at(None, reads_per_second=0, writes_per_second=0)
    assert paced(job.s3.requests, plan, job) is job.s3.requests


def test_a_job_that_has_to_stop_does_not_wait_for_its_place() -> None:
    """SIGTERM ends the waiting."""
    plan, job = planned_at(None, writes_per_second=1)
    job.stop.request("SIGTERM")
    s3 = replace(job.s3, requests=paced(job.s3.requests, plan, job))
    s3.put(S3Uri("result", "x"), b"")
    with pytest.raises(StoppedError):
        s3.put(S3Uri("result", "x"), b"")


@pytest.mark.parametrize("value", [-1, 1.5, "fast", True, 10**6 + 1])
@pytest.mark.parametrize("field", ["reads_per_second", "writes_per_second"])
def test_a_rate_is_a_whole_number(field: str, value: object) -> None:
    """Refused by name, before anything is planned."""
    with pytest.raises(InvalidRunRequest, match=f"{field} is"):
        RunRequest.parse({"source": "s3://source/in/", "destination": "s3://result/out/", field: value})


@pytest.mark.parametrize("vcpus", ["0", "-1", "x", "nan", "inf"])
def test_the_vcpus_of_a_job_are_a_number(vcpus: str) -> None:
    """A wrong variable is refused by name."""
    with pytest.raises(InvalidRunRequest, match="MILLRACE_JOB_VCPUS is"):
        JobSettings.from_environment({"MILLRACE_MAX_VCPUS": "16", "MILLRACE_JOB_VCPUS": vcpus})
