"""A run that reuses yesterday's, on the real stack."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from console.watch.explanation import explain
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.runs import Runs

YESTERDAY, MORE, A_SHARD, A_PAGE = 2000, 20, 50, 1000


def text(number: int) -> bytes:
    """The text of an object."""
    return b"mill wheel " + b"water " * (number % 7)


def sent(proxy: FaultProxy, verb: str, place: str) -> list[str]:
    """The URIs below a place that jobs asked for with a verb, each as often as it was."""
    found = [(uri, count) for (method, uri), count in proxy.requests.items() if method == verb]
    return sorted(uri for uri, count in found for _ in range(count) if uri.startswith(place))


@pytest.mark.long
@pytest.mark.parametrize("plan", ["auto", "job"])
def test_only_what_is_new_is_read(
    runs: Runs, proxy: FaultProxy, source: str, destination: str, plan: Literal["auto", "job"]
) -> None:
    """Yesterday's 2,000 objects, and 20 more between them: these alone are read, and the result is a full run's.

    The log of the jobs' requests has the listing of the source where the plan job made the plan, and none where Prepare
    Run did, whose own requests do not pass the proxy; then one job takes over what is kept, works and merges.
    """
    request: dict[str, Any] = {"max_items": A_SHARD, "pace": {"seconds_per_item": 0.001}}
    runs.put(source, {f"{number:04}.txt": text(number) for number in range(YESTERDAY)})
    yesterday = runs.start(source, destination, **request)
    runs.wait(yesterday)
    new = {f"{number * 100:04}-new.txt": text(number) for number in range(MORE)}
    runs.put(source, new)
    proxy.requests.clear()

    today = runs.start(source, destination, reuse="latest", plan=plan, **request)
    runs.wait(today)

    pages = -(-(YESTERDAY + MORE) // A_PAGE)
    assert len(sent(proxy, "LIST", source)) == (pages if plan == "job" else 0)
    verbs = ["plan", "migrate-and-merge"] if plan == "job" else ["migrate-and-merge"]
    assert [verb for verb in ("plan", "migrate", "migrate-and-merge", "merge") if runs.jobs(today, verb)] == verbs
    assert sent(proxy, "GET", source) == [f"{source}{key}" for key in sorted(new)]
    # S3 copies yesterday's partials, and each shard has its commit written anew.
    kept = YESTERDAY // A_SHARD
    for folder in ("partials/", "shards/"):
        assert len(sent(proxy, "PUT", str(today.folder.file(folder)))) == kept + 1
    result = json.loads(runs.file(today, "result.json"))
    assert {name: result["reuse"][name] for name in ("base", "kept", "new", "changed", "removed", "kept_shards")} == {
        "base": yesterday.run_id,
        "kept": YESTERDAY,
        "new": MORE,
        "changed": 0,
        "removed": 0,
        "kept_shards": kept,
    }
    origins = [row["ReusedFrom"] for row in runs.report(today)]
    assert origins == [yesterday.run_id] * YESTERDAY + [""] * MORE

    full = runs.start(source, destination, **request)
    runs.wait(full)
    assert runs.file(today, "words.csv") == runs.file(full, "words.csv")
    assert json.loads(runs.file(full, "result.json"))["result"] == result["result"]


def test_nothing_new_costs_no_read(runs: Runs, proxy: FaultProxy, source: str, destination: str) -> None:
    """No object is read, and one job does it all; where nothing may be reused, a run that requires it is refused."""
    runs.put(source, {f"{number}.txt": text(number) for number in range(5)})
    first = runs.start(source, destination)
    runs.wait(first)
    proxy.requests.clear()
    second = runs.start(source, destination, reuse=first.run_id)
    assert runs.wait(second)["reused"] == {"shards": 1, "items": 5}
    assert sent(proxy, "GET", source) == []
    assert runs.file(second, "words.csv") == runs.file(first, "words.csv")
    assert [verb for verb in ("plan", "migrate", "merge") if runs.jobs(second, verb)] == []
    assert len(runs.jobs(second, "migrate-and-merge")) == 1
    other = runs.start(source, destination, reuse="latest", reuse_required=True, options={"min_length": 9})
    runs.wait(other, "FAILED")
    why = explain(runs.aws, runs.aws.step_functions.describe_execution(executionArn=other.execution))
    assert (why.error, why.exit_code) == ("NothingToReuseError", 2)
    assert "other options" in str(why)
