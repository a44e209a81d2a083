"""Fills a stack of the embedded AWS: with many runs for the list, and with one run of many shards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.find.aws import Aws
from console.find.executions import Run, new_name, start
from console.find.run_lookup import executions_of
from console.find.target import Target
from millrace.aws.run_jobs import RunJobs
from millrace.cost.run_cost import cost_of, write_cost
from millrace.cost.worked import Worked
from millrace.layout import S3Uri
from millrace.source.sharding import SHARD_SECONDS

LONGEST_SECONDS = 7200
"""How long anything may take."""

AT_ONCE = 8
"""How many requests are sent at once."""

WITHOUT_WORK: dict[str, Any] = {
    "StartAt": "Prepare Run",
    "States": {
        "Prepare Run": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.tags.ends", "StringEquals": "badly", "Next": "Plan"}],
            "Default": "Read Result",
        },
        "Plan": {"Type": "Fail", "Error": "States.TaskFailed", "Cause": "Host EC2 (instance i-0) terminated."},
        "Read Result": {
            "Type": "Pass",
            "Parameters": {"status": "SUCCEEDED", "counts": {"items": 1200, "succeeded": 1197, "failed": 3}},
            "End": True,
        },
    },
}
"""The state machine of the runs in the list: what an execution that succeeds ends with is what the page shows of it."""


@dataclass(frozen=True)
class Size:
    """How much there is: runs in the list; shards of the one run, one item each; how many of these fail."""

    runs: int
    shards: int
    failures: int

    def fails(self, number: int) -> bool:
        """Whether the item of a shard fails: evenly from the first to the last but one."""
        last = max(1, self.shards - 1)
        return (number + 1) * self.failures // last > number * self.failures // last and number < last


@contextmanager
def without_work(aws: Aws, machine: str) -> Iterator[None]:
    """Executions that start meanwhile do nothing, and no rule hears of their end."""
    events, states = aws.client("events"), aws.step_functions
    definition = states.describe_state_machine(stateMachineArn=machine)["definition"]
    rules = [
        rule["Name"]
        for page in events.get_paginator("list_rules").paginate()
        for rule in page["Rules"]
        if rule["State"] == "ENABLED" and "aws.states" in rule.get("EventPattern", "")
    ]
    for rule in rules:
        events.disable_rule(Name=rule)
    states.update_state_machine(stateMachineArn=machine, definition=json.dumps(WITHOUT_WORK))
    try:
        yield
    finally:
        states.update_state_machine(stateMachineArn=machine, definition=definition)
        for rule in rules:
            events.enable_rule(Name=rule)


def fill_list(target: Target, runs: int) -> str:
    """Start so many runs, one in twenty of which fails, each with what it cost; the name of one of them."""
    aws, stack = target.aws, target.stack
    cost = cost_of(RunJobs({}, (), running=False), Worked(), aws.region or "")

    def begin(number: int) -> Run:
        request = {
            "source": f"s3://{stack.source_bucket}/day-{number:05d}/",
            "destination": f"s3://{stack.result_bucket}/day-{number:05d}/",
            "workload": ("word-count", "images", "command", "copy")[number % 4],
            "name": f"Day {number}",
            "tags": {"team": f"team-{number % 10}", "ends": "badly" if number % 20 == 19 else "well"},
        }
        run = start(aws, stack.state_machine_arn, request)
        write_cost(run.folder, aws.s3, cost)
        return run

    with without_work(aws, stack.state_machine_arn), ThreadPoolExecutor(AT_ONCE) as pool:
        begun = list(pool.map(begin, range(runs)))
        until(lambda: not any_at_work(target, begun), "all runs of the list have ended")
    return begun[runs // 2].run_id


def any_at_work(target: Target, runs: Iterable[Run]) -> bool:
    """Whether one of these runs has not ended."""
    machine = target.stack.state_machine_arn
    at_work = {each["executionArn"] for each in executions_of(target.aws, machine, statusFilter="RUNNING")}
    return any(run.execution_arn in at_work for run in runs)


def until(come: Callable[[], bool], what: str, seconds: float = LONGEST_SECONDS, pause: float = 1) -> None:
    """Wait for it, asking again after a pause, in seconds.

    Raises:
        TimeoutError: It does not come.
    """
    deadline = time.monotonic() + seconds
    while not come():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(pause)


def begin_run(target: Target, size: Size, hold: Path) -> Run:
    """Start the run of many shards; its last item waits as long as there is a file `hold`."""
    aws, stack = target.aws, target.stack
    # Names of their own, so that it can be measured again on the same stack.
    place = new_name()
    source, destination = (S3Uri(bucket, f"{place}/") for bucket in (stack.source_bucket, stack.result_bucket))

    def put(number: int) -> None:
        word = "last" if number == size.shards - 1 else "bad" if size.fails(number) else "good"
        aws.s3.put(source.join(f"{number:05d}-{word}.txt"), b"mill race\n")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, range(size.shards)))
    program = (
        'case "$1" in *-bad.txt) echo "no mill at this stream" >&2; exit 3;; '
        '*-last.txt) while [ -e "$3" ]; do sleep 0.2; done;; esac; cp "$1" "$2"'
    )
    request = {
        "source": str(source),
        "destination": str(destination),
        "workload": "command",
        "options": {
            "command": ["sh", "-c", program, "sh", "{input}", "{output}", str(hold)],
            "time_limit_seconds": LONGEST_SECONDS,
        },
        "shard": {"max_items": 1},
        "plan": "job",
        # Enough work, as the plan has it, for as many children as there are places.
        "pace": {"seconds_per_item": SHARD_SECONDS},
        "tolerated_failure_percent": 100,
    }
    return start(aws, stack.state_machine_arn, request)


def committed(aws: Aws, run: Run) -> int:
    """How many shards of a run are committed."""
    place = run.folder.commits
    return sum(1 for _ in aws.s3.list(place.bucket, place.key))
