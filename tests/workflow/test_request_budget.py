"""What a run asks of AWS, counted: by item, by shard, and by run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.embedded_control import control
from tests.workflow.conftest import LocalStack
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.runs import Runs, until

ITEMS = 60
A_SHARD = 7
"""S3 requests of a shard by its job: its file read, its progress listed, its commit looked for, its partial and its
commit written, both read by the merge. In an array it is claimed as well. Prepare Run or the plan job writes its file.
"""
OF_JOBS = 17
OF_FUNCTIONS = 18
"""S3 requests of a run besides: of its one job, and of the state machine's functions, of which Prepare Run plans and
Read Result compares each file of the result with its digest, and looks whether a small job has handed back."""
OF_OUTPUTS = 1
"""A child whose items have outputs says so at the destination, before its first shard and every minute."""
OF_NOTIFICATION = 5
"""The notification of the run's end reads the request, looks for a retry's, reads plan and result, and writes the cost.
"""
STEPS = 6
"""The states that a run goes through."""


@dataclass(frozen=True)
class Asked:
    """What one run asked for.

    Attributes:
        items: S3 requests for its items and their outputs, by verb.
        jobs: All other S3 requests of its jobs.
        functions: S3 requests of Lambda functions.
        tasks: What its state machine called: `lambda:invoke`, `batch:submitJob.sync`.
        steps: How many states it went through.
    """

    items: Counter[str]
    jobs: int
    functions: int
    tasks: Counter[str]
    steps: int


def requests_until(stack: LocalStack, last: str) -> list[list[str]]:
    """The requests to S3 that the embedded AWS remembers, as service, verb and path; none before the last one came."""
    requests = control(stack.endpoint_url, "requests")["requests"]
    return [line.split(" ", 2) for line in requests if line.startswith("s3 ")] if last in requests else []


def asked(stack: LocalStack, runs: Runs, proxy: FaultProxy, source: str, destination: str, **request: Any) -> Asked:
    """Run over the items, and count. The proxy sees what the jobs ask for, the embedded AWS what anybody does."""
    runs.put(source, {f"{number:03}.txt": b"one two two" for number in range(ITEMS)})
    proxy.requests.clear()
    run = runs.start(source, destination, **request)
    runs.wait(run)
    of_jobs = Counter(
        {
            verb_uri: number
            for verb_uri, number in proxy.requests.items()
            if verb_uri[1].startswith((source, destination))
        }
    )
    items: Counter[str] = Counter()
    for (verb, uri), number in of_jobs.items():
        if verb != "LIST" and "/_millrace/" not in uri:
            items[verb] += number
    cost = str(run.folder.file("cost.json")).removeprefix("s3://")
    lines = until("the cost, which is written last", lambda: requests_until(stack, f"s3 PUT {cost}"))
    # What is in the source was put there by the test.
    of_anybody = sum(
        f"s3://{path}".startswith(destination) or (verb != "PUT" and f"s3://{path}".startswith(source))
        for _, verb, path in lines
    )
    pages = stack.aws.step_functions.get_paginator("get_execution_history").paginate(executionArn=run.execution)
    events = [event for page in pages for event in page["events"]]
    called = [event["taskScheduledEventDetails"] for event in events if "taskScheduledEventDetails" in event]
    return Asked(
        items=items,
        jobs=of_jobs.total() - items.total(),
        functions=of_anybody - of_jobs.total(),
        tasks=Counter(f"{task['resourceType']}:{task['resource']}" for task in called),
        steps=sum(event["type"].endswith("StateEntered") for event in events),
    )


def test_a_run_keeps_to_its_budget(
    stack: LocalStack, runs: Runs, proxy: FaultProxy, source: str, destination: str
) -> None:
    """An item is read, and written where it has an output; eight requests a shard, some a run, whatever its size.

    docs/performance.md has the table.
    """
    few = asked(stack, runs, proxy, f"{source}few/", f"{destination}few/", max_items=30)
    many = asked(stack, runs, proxy, f"{source}many/", f"{destination}many/", max_items=10, options={"outputs": "none"})

    assert few.items == {"GET": ITEMS, "PUT": ITEMS}
    assert many.items == {"GET": ITEMS}
    assert (few.jobs, many.jobs) == (OF_JOBS + OF_OUTPUTS + 2 * A_SHARD, OF_JOBS + 6 * A_SHARD)
    besides = OF_FUNCTIONS + OF_NOTIFICATION
    assert (few.functions, many.functions) == (besides + 2, besides + 6)
    assert few.tasks == many.tasks == {"lambda:invoke": 3, "batch:submitJob.sync": 1}
    assert few.steps == many.steps == STEPS
