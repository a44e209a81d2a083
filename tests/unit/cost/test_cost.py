"""What a run cost: its attempts' own times, multiplied by hand; what is not known; what is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.resources import files
from typing import Any

import pytest

from console.watch.run_costs import cost_lines
from millrace.aws.run_jobs import Attempt, RunJobs, jobs_of, read_run_jobs
from millrace.cost.bill import Used, bill
from millrace.cost.prices import prices
from millrace.cost.requester_pays import source_bill_text
from millrace.cost.run_cost import read_cost, run_cost, write_cost
from millrace.cost.s3_requests import REQUESTS_PER_RUN, S3Requests
from millrace.layout import RunFolder, S3Uri
from millrace.records.reused import RunReuse
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client
from tests.report_pages import plan_of
from tests.run_in_memory import RunInMemory

QUEUE = "arn:aws:batch:eu-west-1:123456789012:job-queue/standard"
FOLDER = RunFolder.of(S3Uri("results", "out/"), "letters")
NO_REQUESTS = S3Requests(0, 0)


class FakeBatch:
    """Batch with these jobs, in a queue of Fargate Spot first and Fargate behind it."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = {job["jobId"]: job for job in jobs}
        self.described: list[int] = []

    def get_paginator(self, _operation: str) -> FakeBatch:
        """Its own, of two jobs a page."""
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        """ListJobs: a queue's by the beginning of their names, or an array's children of a status."""
        if "arrayJobId" in asked:
            found = [
                job
                for job in self.jobs.values()
                if job["jobId"].startswith(f"{asked['arrayJobId']}:") and job["status"] == asked["jobStatus"]
            ]
        else:
            (prefix,) = asked["filters"][0]["values"]
            found = [
                job
                for job in self.jobs.values()
                if ":" not in job["jobId"]
                and job["jobName"].lower().startswith(prefix[:-1].lower())
                and job["jobQueue"] == asked["jobQueue"]
            ]
        for start in range(0, len(found), 2):
            yield {"jobSummaryList": [{name: job[name] for name in ("jobId", "jobName")} for job in found[start:][:2]]}

    def describe_jobs(self, *, jobs: list[str]) -> dict[str, Any]:
        """At most 100 of them."""
        assert len(jobs) <= 100
        self.described.append(len(jobs))
        return {"jobs": [self.jobs[job] for job in jobs]}

    def describe_job_queues(self, *, jobQueues: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Every queue has both environments."""
        order = [{"order": 2, "computeEnvironment": "arn:fargate"}, {"order": 1, "computeEnvironment": "arn:spot"}]
        return {"jobQueues": [{"jobQueueArn": queue, "computeEnvironmentOrder": order} for queue in jobQueues]}

    def describe_compute_environments(self, *, computeEnvironments: list[str]) -> dict[str, Any]:  # noqa: N803
        """Both."""
        kinds = {"arn:spot": "FARGATE_SPOT", "arn:fargate": "FARGATE"}
        return {
            "computeEnvironments": [
                {
                    "computeEnvironmentArn": arn,
                    "computeResources": {"type": kinds[arn]},
                    "ecsClusterArn": f"arn:aws:ecs:eu-west-1:123456789012:cluster/{kinds[arn]}-cluster",
                }
                for arn in computeEnvironments
            ]
        }


def job(job_id: str, stage: str, *seconds: float, **given: Any) -> dict[str, Any]:
    """A job with an attempt for each number of seconds; `name` and `cluster` are what they say."""
    name, cluster = given.pop("name", f"letters-{stage}"), given.pop("cluster", "FARGATE_SPOT-cluster")
    return {
        "jobId": job_id,
        "jobName": name,
        "jobQueue": QUEUE,
        "status": "SUCCEEDED",
        "attempts": [{"startedAt": 1_000_000, "stoppedAt": 1_000_000 + 1000 * each} for each in seconds],
        "container": {
            "command": [stage, "--plan", str(FOLDER.plan)],
            "resourceRequirements": [{"type": "MEMORY", "value": "4096"}, {"type": "VCPU", "value": "0.5"}],
            "networkConfiguration": {"assignPublicIp": "ENABLED"},
            "runtimePlatform": {"cpuArchitecture": "ARM64"},
            "taskArn": f"arn:aws:ecs:eu-west-1:123456789012:task/{cluster}/0123",
        },
        **given,
    }


def read(*jobs: dict[str, Any]) -> RunJobs:
    """What is read of a run with these jobs."""
    return read_run_jobs(FakeBatch(*jobs), [QUEUE], FOLDER)  # type: ignore[arg-type]


def test_the_bill_by_hand() -> None:
    """Two attempts of ten minutes on 2 vCPU and 4 GB, one on Spot: seconds times the table's prices."""
    both = tuple(Attempt("migrate", 580, 2, 4, compute, public_ip=False) for compute in ("FARGATE", "FARGATE_SPOT"))
    made = bill(Used(both, NO_REQUESTS, 0, 0))
    hour = 2 * 0.04048 + 4 * 0.004445
    assert made["dollars"] == made["parts"]["compute"] == pytest.approx(hour * (600 / 3600) * 1.3)
    assert made["usage"] == {
        "attempts": 2, "seconds": 1160, "billed_seconds": 1200, "vcpu_seconds": 2400, "gb_seconds": 4800,
        "s3_put_requests": 0, "s3_get_requests": 0, "state_transitions": 0, "lambda_calls": 0,
    }  # fmt: skip
    assert made["compute"] == {"FARGATE": 1, "FARGATE_SPOT": 1}


def test_a_second_is_a_minute() -> None:
    """Fargate's least is a minute; the public address costs as long."""
    (stage,) = bill(Used((Attempt("plan", 1, 1, 2, "FARGATE"),), NO_REQUESTS, 0, 0))["stages"].values()
    assert (stage["seconds"], stage["billed_seconds"]) == (1, 60)
    made = bill(Used((Attempt("plan", 1, 1, 2, "FARGATE"),), NO_REQUESTS, 0, 0))
    assert made["parts"]["public_ipv4"] == pytest.approx(0.005 / 60, abs=1e-8)


def test_requests_transitions_and_calls() -> None:
    """A thousand PUTs, ten thousand GETs, forty transitions, eight calls of 0.7 GB and a second."""
    parts = bill(Used((), S3Requests(1000, 10_000), 40, 8))["parts"]
    assert parts == {
        "compute": 0, "public_ipv4": 0, "s3_requests": pytest.approx(0.009), "step_functions": pytest.approx(0.001),
        "lambda": pytest.approx(8 * (0.0000002 + 0.7 * 0.0000166667), abs=1e-8),
    }  # fmt: skip


def test_every_figure_has_a_source_and_the_table_a_date() -> None:
    """No table of prices is without the page that it was checked against, or the word that it is assumed."""
    text = files("millrace.cost").joinpath("prices.toml").read_text("utf-8")
    parts = text.split("\n\n")
    priced = ("[fargate.X86_64]", "[compute]", "[network]", "[s3]", "[step_functions]", "[lambda]", "[lambda_calls]")
    for name in priced:
        (part,) = (each for each in parts if name in each)
        assert re.search(r"\.(com|dev)\b|ASSUMED", part), name
    assert prices()["region"] == "us-east-1"


@pytest.mark.parametrize(("items", "each"), [(0, 1), (40, 10), (200, 1), (1000, 100)])
def test_the_requests_are_those_that_the_jobs_make(items: int, each: int) -> None:
    """What follows from the counts is what plan, migrate and merge asked of S3, but for a few a run."""
    run = RunInMemory({f"in/{number}": b"x" for number in range(items)}, {"shard": {"max_items": each}})
    shards = run.plan().shards
    run.child(0, of=2, job_id="array:0")  # it helps with all shards of the other child
    run.merge()
    made, told = run.client.requests, S3Requests.of(listed=items, items=items, shards=shards, outputs=1)
    puts = sum(made[verb] for verb in ("put_object", "list_objects_v2"))
    assert puts == pytest.approx(told.put, rel=0.02, abs=REQUESTS_PER_RUN)
    assert made["get_object"] == pytest.approx(told.get, rel=0.02, abs=REQUESTS_PER_RUN)


def test_every_attempt_counts() -> None:
    """A job that was tried twice, an array whose children were tried and tried again, a job that never started."""
    found = read(
        job("a", "plan", 10, 20),
        job("b", "migrate", arrayProperties={"size": 3}),
        job("b:0", "migrate", 30, arrayProperties={"index": 0}),
        job("b:1", "migrate", 40, 50, arrayProperties={"index": 1}, status="FAILED"),
        job("b:2", "migrate", 60, arrayProperties={"index": 2}, status="RUNNABLE"),
        job("p", "merge", 70, name="letters-merge-parts"),
        job("c", "merge"),
    )
    assert [attempt.seconds for attempt in found.attempts] == [10, 20, 70, 30, 40, 50, 60]
    assert found.by_id == {"a": "plan", "b": "migrate", "p": "merge-parts", "c": "merge"}
    assert not found.running
    assert {(each.vcpus, each.gb, each.architecture, each.public_ip) for each in found.attempts} == {
        (0.5, 4, "ARM64", True)
    }


def test_many_children_are_described_a_hundred_at_once() -> None:
    """Of 250 children none is left out."""
    children = [job(f"b:{index}", "migrate", index, arrayProperties={"index": index}) for index in range(250)]
    found = read(job("b", "migrate", arrayProperties={"size": 250}), *children)
    assert sorted(attempt.seconds for attempt in found.attempts) == list(range(250))


def test_what_ran_where() -> None:
    """By the task's cluster; where that is nobody's, the queue's first environment stands for it."""
    tried = [
        job("a", "plan", 1, cluster="FARGATE-cluster"),
        job("b", "migrate", 1),
        job("c", "merge", 1, cluster="unknown"),
    ]
    assert [each.compute for each in read(*tried).attempts] == ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]


def test_only_the_runs_own_jobs() -> None:
    """Retries are its own; a run whose name begins so, or ends as a retry's, and jobs of another folder are not."""
    elsewhere = RunFolder.of(S3Uri("results", "out/"), "letters-retry-001")
    other = job("x", "plan", 7, name="letters-retry-001-plan")
    other["container"]["command"] = ["plan", "--request", str(elsewhere.request)]
    retry = job("r", "migrate", 5, name="letters-retry-002-migrate")
    retry["container"]["command"] = ["migrate", "--plan", str(FOLDER.of_retry(2).plan)]
    found = read(
        job("a", "plan", 3),
        retry,
        other,
        job("l", "plan", 9, name="letters-2026-plan"),
        job("u", "plan", 11, name="Letters-plan"),
    )
    assert found.by_id == {"a": "plan", "r": "migrate"}


def test_a_job_that_runs_counts_until_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first attempt and the one that is under way."""
    monkeypatch.setattr("time.time", lambda: 2000.0)
    found = read(job("a", "plan", 10, status="RUNNING", startedAt=1_990_000))
    assert [attempt.seconds for attempt in found.attempts] == [10, 10]
    assert found.running


@pytest.fixture
def s3() -> InMemoryS3Client:
    """A bucket with the run's plan."""
    client = InMemoryS3Client("results")
    client.store("results", FOLDER.plan.key, plan_of(4, 2000, run_id="letters").to_json())
    return client


def merged(s3: InMemoryS3Client, worked_by: str, items: int) -> None:
    """Write a result that says which job worked its four shards."""
    plan = plan_of(4, 2000, run_id="letters")
    document = {
        "run_id": plan.run_id,
        "plan_digest": plan.digest,
        "status": "SUCCEEDED",
        "failures": {},
        "counts": {"items": plan.items, "succeeded": plan.items, "failed": 0, "bytes": 1, "shards": plan.shards},
        "worked_by": {worked_by: {"shards": 4, "items": items}},
    }
    s3.store("results", FOLDER.file("result.json").key, json.dumps(document).encode())


JOBS = (job("a", "plan", 10), job("b", "migrate", 100), job("c", "merge", 10))


def test_the_cost_of_a_run(s3: InMemoryS3Client) -> None:
    """Requests from what the result says was worked; the estimate beside it; complete, as every job is known."""
    merged(s3, "b", 2000)
    cost = run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    assert cost["usage"]["s3_get_requests"] == 2000 + 4 * 4 + 12
    assert cost["usage"]["s3_put_requests"] == round(2000 + 4 * 5 + 2.002 + 12)
    assert (cost["usage"]["state_transitions"], cost["usage"]["lambda_calls"]) == (12, 8)
    assert cost["dollars"] == pytest.approx(sum(cost["parts"].values()), abs=1e-7)
    assert 0 < cost["estimated_dollars"] < 1
    assert cost["complete"]
    assert (cost["region"], cost["prices"]["region"]) == ("eu-west-1", "us-east-1")


def test_what_reuse_saved(s3: InMemoryS3Client) -> None:
    """Three of four shards were taken over: requests for the fourth alone, and what the three would have cost."""
    merged(s3, "b", 2000)
    whole = run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    assert "saved_dollars" not in whole
    merged(s3, "b", 500)
    key = FOLDER.file("result.json").key
    document = json.loads(s3.bodies("results")[key])
    reuse = RunReuse("run-0", 0, 1500, 0, 500, 0, 3, plan_of(4, 2000, run_id="letters").total_bytes * 3 // 4, "")
    document |= {"reuse": asdict(reuse), "worked_by": {"b": {"shards": 1, "items": 500}}}
    s3.store("results", key, json.dumps(document).encode())
    cost = run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    assert cost["usage"]["s3_get_requests"] == 500 + 4 + 12
    assert cost["saved_dollars"] > 0
    assert cost["estimated_dollars"] + cost["saved_dollars"] == pytest.approx(whole["estimated_dollars"], abs=1e-7)


def test_what_requesters_pay_is_said(s3: InMemoryS3Client) -> None:
    """Of the run's requests those that read the source, its bytes, and what these cost to another Region."""
    merged(s3, "b", 2000)
    plan = plan_of(4, 2000, run_id="letters")
    assert "requester_pays" not in run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    s3.store("results", FOLDER.plan.key, replace(plan, requester_pays=True, total_bytes=3 * 10**9).to_json())
    cost = run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    assert cost["requester_pays"] == {
        "list_requests": 3,
        "get_requests": 2000,
        "request_dollars": pytest.approx(3 * 0.005 / 1000 + 2000 * 0.0004 / 1000),
        "bytes": 3 * 10**9,
        "transfer_dollars": pytest.approx(3 * 0.02),
    }
    says = source_bill_text(cost["requester_pays"])
    assert "2,000 reads and 3 listings" in says
    assert "nothing within the bucket's Region, else about $0.06" in says
    assert says in cost_lines(cost)[-1]


def test_a_run_that_was_stopped_is_paid_for_what_it_did(s3: InMemoryS3Client) -> None:
    """One of four shards is committed: a quarter of the items' requests."""
    s3.store("results", FOLDER.commit(1).key, b"{}")
    cost = run_cost(FakeBatch(*JOBS[:2]), [QUEUE], FOLDER, S3(s3.stub))  # type: ignore[arg-type]
    assert cost["usage"]["s3_get_requests"] == 500 + 4 + 12


def test_what_is_not_known_is_said(s3: InMemoryS3Client) -> None:
    """A job that Batch has forgotten, or one that runs: not complete. Without a plan nothing is expected."""
    merged(s3, "old", 9)
    assert not run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(s3.stub))["complete"]  # type: ignore[arg-type]
    none = run_cost(FakeBatch(*JOBS), [QUEUE], FOLDER, S3(InMemoryS3Client("results").stub))  # type: ignore[arg-type]
    assert (none["estimated_dollars"], none["usage"]["attempts"]) == (None, 3)


def test_the_cost_is_kept(s3: InMemoryS3Client) -> None:
    """cost.json gives back what was written; where there is none, or something else, there is nothing."""
    folder = FOLDER.of_retry(1)
    assert read_cost(folder, S3(s3.stub)) is None
    cost = run_cost(FakeBatch(*JOBS), [QUEUE], folder, S3(s3.stub))  # type: ignore[arg-type]
    write_cost(folder, S3(s3.stub), cost)
    assert read_cost(FOLDER, S3(s3.stub)) == cost
    for damaged in (b"", b"[]", b'{"dollars": "7"}'):
        s3.store("results", FOLDER.file("cost.json").key, damaged)
        assert read_cost(FOLDER, S3(s3.stub)) is None


def test_a_runs_jobs_are_its_reruns_too_and_nobody_elses() -> None:
    """A rerun's jobs belong to the run, by the folder in their commands; those of a run of a like name do not."""
    theirs = RunFolder(S3Uri("results", "out/_millrace/r-1-retry-001/"))
    ours = RunFolder(S3Uri("results", "out/_millrace/r-1/"))

    def job(job_id: str, name: str, folder: RunFolder) -> dict[str, Any]:
        container = {"command": ["migrate", "--plan", str(folder.plan)]}
        return {"jobId": job_id, "jobName": name, "jobQueue": "q", "status": "RUNNING", "container": container}

    rerun = ours.root.key + "retries/001/"
    batch: Any = FakeBatch(
        job("1", "r-1-migrate", ours),
        job("2", "r-1-retry-001-migrate", RunFolder.of_plan(S3Uri("results", f"{rerun}plan.json"))),
        job("3", "r-1-retry-001-migrate", theirs),
        job("4", "r-1-migrate", RunFolder(S3Uri("elsewhere", "_millrace/r-1/"))),
    )
    assert [found["jobId"] for found in jobs_of(batch, ["q"], "r-1", ours)] == ["1", "2"]
