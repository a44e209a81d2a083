"""`aws stepfunctions redrive-execution` after a failure: the run continues where it failed, nothing is done twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.workflow.fault_proxy import Exchange, FaultProxy
from tests.workflow.faults import call_instead, refuse
from tests.workflow.runs import Run, Runs, a_child_each, exit_codes
from tests.workflow.texts import counted, texts, totals

BODIES = texts(12)
"""In shards of three: four shards, each with a child of its own."""

KILLED = [137] * 8
"""A killed job is tried eight times."""


@dataclass(frozen=True)
class Failure:
    """What makes a run fail, and how it looks.

    Attributes:
        verb: The job that fails.
        shard: The shard, or the part of the merge, whose child of an array fails; None for a plain job.
        request: The verb and URI of the request that it fails at; `source` stands for the source folder.
        exit_codes: The exit codes of its attempts: bad input is tried once.
        committed: How many shards are committed by then.
    """

    verb: str
    shard: int | None
    request: tuple[str, str]
    exit_codes: list[int]
    committed: int


FAILURES = [
    Failure("plan", None, ("LIST", "^{source}$"), [2], 0),
    Failure("migrate", 2, ("PUT", "/shards/00002.json$"), KILLED, 3),
    Failure("merge-parts", 1, ("PUT", "/parts/00001.json$"), KILLED, 4),
    Failure("merge", None, ("PUT", "/result.json$"), KILLED, 4),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.verb)
def test_redrive(runs: Runs, proxy: FaultProxy, source: str, destination: str, failure: Failure) -> None:
    """A run whose plan was denied the source, or of which a child or a merge was killed in every attempt, fails;
    redriven, it succeeds under the same id, reads no item of a committed shard, and writes its mark once.
    """
    runs.put(source, BODIES)
    started: list[Run] = []

    def failing() -> dict[str, Any]:
        if failure.verb == "migrate" and failure.shard is not None:
            return runs.worker(started[0], failure.shard)
        return runs.job(started[0], failure.verb, failure.shard)

    def kill(_exchange: Exchange) -> None:
        runs.kill(failing()["jobId"])

    verb, uri = failure.request
    fault = refuse(403, "AccessDenied") if failure.verb == "plan" else call_instead(kill)
    with proxy.when("PUT", "/_SUCCESS$") as marked:
        with proxy.when(verb, uri.format(source=source), fault):
            parts: dict[str, Any] = {"merge_limit_seconds": 0} if failure.verb == "merge-parts" else {}
            started.append(runs.start(source, destination, **a_child_each(3), **parts))
            run = started[0]
            runs.wait(run, "FAILED")
        assert exit_codes(failing()) == failure.exit_codes
        done = {key for shard in runs.committed(run) for key in runs.items(run, shard)}
        assert len(done) == 3 * failure.committed

        proxy.requests.clear()
        runs.redrive(run)
        output = runs.wait(run)

    assert output["run_id"] == run.run_id
    assert output["counts"]["succeeded"] == 12
    assert [key for key in done if proxy.count("GET", f"/{key}$")] == []
    assert proxy.count("GET", f"^{source}") == 12 - len(done)
    assert marked.hits == 1
    submitted = {verb: len(runs.jobs(run, verb)) for verb in ("plan", "migrate", "merge", failure.verb)}
    assert submitted == {"plan": 1, "migrate": 1, "merge": 1} | {failure.verb: 2}
    described = runs.aws.step_functions.describe_execution(executionArn=run.execution)
    assert (described["status"], described.get("redriveCount")) == ("SUCCEEDED", 1)
    assert totals(runs.file(run, "words.csv")) == counted(BODIES.values())
