"""`aws stepfunctions redrive-execution` after a failure: the run goes on at the failed state, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workflow.fault_proxy import Exchange, FaultProxy
from tests.workflow.faults import call_instead, refuse
from tests.workflow.runs import Run, Runs
from tests.workflow.texts import counted, texts, totals

BODIES = texts(12)
"""In shards of three: four shards."""


@pytest.mark.parametrize(
    ("state", "exit_codes", "read_again"),
    [
        ("plan", [2], 12),
        ("migrate", [137, 137, 137], 3),
        ("merge", [137, 137, 137], 0),
    ],
)
def test_redrive(
    runs: Runs,
    proxy: FaultProxy,
    source: str,
    destination: str,
    state: str,
    exit_codes: list[int],
    read_again: int,
) -> None:
    """A run whose plan was denied the source, or of which a child or the merge was killed in every attempt, fails; redriven,
    it succeeds under the same id, reads no item of a committed shard, and writes its mark once.
    """
    runs.put(source, BODIES)
    started: list[Run] = []

    def failed() -> dict[str, object]:
        return runs.job(started[0], state, 2 if state == "migrate" else None)

    def kill(_exchange: Exchange) -> None:
        runs.kill(str(failed()["jobId"]))

    faults: dict[str, tuple[str, str, Callable[..., object]]] = {
        "plan": ("LIST", f"^{source}$", refuse(403, "AccessDenied")),
        "migrate": ("PUT", "/shards/00002.json$", call_instead(kill)),
        "merge": ("PUT", "/result.json$", call_instead(kill)),
    }
    with proxy.when("PUT", "/_SUCCESS$") as marked:
        with proxy.when(*faults[state]):  # type: ignore[arg-type]
            started.append(runs.start(source, destination, max_items=3))
            run = started[0]
            runs.wait(run, "FAILED")
        attempts = failed()["attempts"]
        assert [attempt["container"]["exitCode"] for attempt in attempts] == exit_codes  # type: ignore[attr-defined]
        committed = runs.committed(run)
        assert len(committed) == {"plan": 0, "migrate": 3, "merge": 4}[state]
        done = [key for shard in committed for key in runs.items(run, shard)]

        proxy.requests.clear()
        runs.redrive(run)
        output = runs.wait(run)

    assert output["run_id"] == run.run_id
    assert output["counts"]["succeeded"] == 12
    assert [key for key in done if proxy.count("GET", f"{key}$")] == []
    assert proxy.count("GET", f"^{source}") == read_again
    assert marked.hits == 1
    submitted = {verb: len(runs.jobs(run, verb)) for verb in ("plan", "migrate", "merge")}
    assert submitted == {"plan": 1, "migrate": 1, "merge": 1} | {state: 2}
    described = runs.aws.step_functions.describe_execution(executionArn=run.execution)
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    assert totals(runs.file(run, "words.csv")) == counted(BODIES.values())
