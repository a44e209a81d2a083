"""Many shards, few children: a run on an embedded AWS whose jobs take their time to start, as on Fargate."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest

from console import embedded_aws
from console.checkout import ROOT, Checkout
from console.find.aws import LOCAL_REGION, Aws
from console.find.stack import LOCAL_STACK, Stack
from console.local.deployment import deploy
from tests.workflow.runs import Run, Runs
from tests.workflow.sam import sam_deploy

SLOTS = 4
START_SECONDS = 3
SHARDS = 2000
SLOW = 50
"""Child 0's shards up to this one take long: a straggler's."""


@pytest.fixture(scope="module")
def slow_starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runs, Stack]]:
    """The real template with four slots, on an embedded AWS that starts four jobs at once, each in three seconds."""
    state = tmp_path_factory.mktemp("slow-starts")
    options = [f"--start-seconds={START_SECONDS}", f"--max-jobs={SLOTS}", "--stop-grace-seconds=1"]
    with embedded_aws.running(0, state_dir=state, options=options) as server:
        deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, print)
        sam_deploy(server.endpoint_url, LOCAL_STACK, MaxvCpus=str(SLOTS))
        aws = Aws.embedded(server.endpoint_url)
        stack = Stack.find(aws, LOCAL_STACK)
        found = embedded_aws.credentials(server.endpoint_url)
        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=LOCAL_REGION,
            aws_access_key_id=found.access_key,
            aws_secret_access_key=found.secret_key,
        )
        yield Runs(aws, s3, stack.state_machine_arn, stack.job_queue_arn), stack


def commits(runs: Runs, run: Run) -> list[dict[str, Any]]:
    """Every commit of a run, in shard order."""
    found = [json.loads(runs.read(run.folder.commit(index)) or b"") for index in sorted(runs.committed(run))]
    assert [each["shard"] for each in found] == list(range(len(found)))
    return found


@pytest.mark.long
def test_two_thousand_shards_are_worked_by_as_many_children_as_slots(slow_starts: tuple[Runs, Stack]) -> None:
    """Each shard is committed once, by one of four children of one array, each of which starts once; the shards of a
    child that is slow are worked by others too, and all children end at about the same time.
    """
    runs, stack = slow_starts
    source, destination = f"s3://{stack.source_bucket}/many/", f"s3://{stack.result_bucket}/many/"
    naps = {index: "0.5" if index % SLOTS == 0 and index < SLOW * SLOTS else "0" for index in range(SHARDS)}
    runs.put(source, {f"{index:05d}.txt": nap.encode() for index, nap in naps.items()})
    options = {"command": ["sh", "-c", 'sleep "$(cat "$1")"', "nap", "{input}"]}
    run = runs.start(source, destination, workload="command", options=options, max_items=1)
    output = runs.wait(run, seconds=1200)
    assert output["counts"] == {**output["counts"], "items": SHARDS, "succeeded": SHARDS, "shards": SHARDS}

    (array,) = runs.jobs(run, "migrate")
    assert array["arrayProperties"]["size"] == SLOTS
    children = runs.describe(f"{array['jobId']}:{index}" for index in range(SLOTS))
    assert [len(child["attempts"]) for child in children] == [1] * SLOTS
    assert all(child["startedAt"] - array["createdAt"] >= START_SECONDS * 1000 for child in children)

    worked = commits(runs, run)
    by_child = Counter(commit["job"]["id"] for commit in worked)
    assert by_child.keys() == {f"{array['jobId']}:{index}" for index in range(SLOTS)}
    assert len(worked) == SHARDS

    of_the_slow_one = [commit for commit in worked if commit["shard"] % SLOTS == 0]
    helpers = {commit["job"]["id"] for commit in of_the_slow_one} - {f"{array['jobId']}:0"}
    assert len(helpers) == SLOTS - 1
    ended = defaultdict(list)
    for commit in worked:
        ended[commit["job"]["id"]].append(datetime.fromisoformat(commit["finished_at"]))
    lasts = [max(times) for times in ended.values()]
    began = min(datetime.fromisoformat(commit["started_at"]) for commit in worked)
    assert (max(lasts) - min(lasts)) / (max(lasts) - began) < 0.25
