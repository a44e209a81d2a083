"""A stack that is updated in place while a run is at work, and a stack that starts runs by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console.find.stack import Stack
from console.find.target import Target
from console.operations.schedules import schedules, set_paused
from millrace.layout import RunFolder, S3Uri
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.faults import Gate
from tests.workflow.runs import Run, Runs, until
from tests.workflow.sam import physical, sam_deploy
from tests.workflow.texts import counted, texts, totals

pytestmark = pytest.mark.long

NAME = "millrace-updated"
DEFINITIONS = {
    "plan": "PlanJobDefinition",
    "migrate": "MigrateJobDefinition",
    "migrate-and-merge": "MigrateAndMergeJobDefinition",
    "merge": "MergeJobDefinition",
}


@pytest.fixture
def own(stack: Any, s3: Any) -> Runs:
    """The runs of a stack of this test's own, on the session's server."""
    sam_deploy(stack.endpoint_url, NAME)
    deployed = Stack.find(stack.aws, NAME)
    return Runs(stack.aws, s3, deployed.state_machine_arn, deployed.job_queue_arn)


def definitions(runs: Runs) -> dict[str, dict[str, Any]]:
    """The stack's present job definitions, by verb."""
    found = {}
    for verb, logical_id in DEFINITIONS.items():
        arn = physical(runs.aws.cloudformation, NAME, logical_id)
        found[verb] = dict(runs.aws.batch.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"][0])
    return found


def used(runs: Runs, run: Run) -> dict[str, str]:
    """The job definitions that a run's jobs were made from, by verb; a small run has one job."""
    jobs = {verb: runs.jobs(run, verb) for verb in DEFINITIONS}
    return {verb: found[-1]["jobDefinition"] for verb, found in jobs.items() if found}


def test_an_update_in_place_under_a_run(own: Runs, stack: Any, proxy: FaultProxy) -> None:
    """A second `sam deploy` with a changed parameter makes new revisions of the job definitions and leaves the old ones
    active; the run that was at work during it succeeds with the old ones, the next run uses the new ones.
    """
    deployed = Stack.find(stack.aws, NAME)
    source, destination = f"s3://{deployed.source_bucket}/in/", f"s3://{deployed.result_bucket}/out/"
    bodies = texts(6)
    own.put(source, bodies)
    before = definitions(own)
    gate = Gate()
    with proxy.when("GET", "/in/0", gate) as held:
        at_work = own.start(source, destination, max_items=2)
        held.wait_for_hits()
        sam_deploy(stack.endpoint_url, NAME, AttemptSeconds="14000")
        gate.open()
        own.wait(at_work)
    after = definitions(own)
    next_run = own.start(source, destination, max_items=2)
    own.wait(next_run)

    for verb in DEFINITIONS:
        assert after[verb]["jobDefinitionName"] == before[verb]["jobDefinitionName"]
        assert after[verb]["revision"] == before[verb]["revision"] + 1
        assert after[verb]["timeout"] == {"attemptDurationSeconds": 14000}
    arns = [before[verb]["jobDefinitionArn"] for verb in DEFINITIONS]
    still = own.aws.batch.describe_job_definitions(jobDefinitions=arns)["jobDefinitions"]
    assert [definition["status"] for definition in still] == ["ACTIVE"] * len(DEFINITIONS)
    for run, definitions_then in ((at_work, before), (next_run, after)):
        found = used(own, run)
        assert found
        assert found == {verb: definitions_then[verb]["jobDefinitionArn"] for verb in found}
    words = own.file(next_run, "words.csv")
    assert words == own.file(at_work, "words.csv")
    assert totals(words) == counted(bodies.values())


def test_a_schedule_works_what_is_new_three_days_in_a_row(own: Runs, stack: Any, proxy: FaultProxy) -> None:
    """`rate(1 minute)`, which a test's server turns into three seconds, starts a run over the whole source bucket into
    the result bucket's folder `scheduled/`. The first works everything; each later one reads that day's objects alone,
    and its result is that of a run over everything.
    """
    deployed = Stack.find(stack.aws, NAME)
    source, destination = f"s3://{deployed.source_bucket}/", f"s3://{deployed.result_bucket}/scheduled/"
    states, machine = own.aws.step_functions, deployed.state_machine_arn
    target = Target(stack.aws, NAME)

    def started() -> list[str]:
        """The executions, the last one first."""
        return [run["executionArn"] for run in states.list_executions(stateMachineArn=machine)["executions"]]

    def next_day(new: dict[str, bytes], begin: Callable[[], object]) -> tuple[Run, dict[str, Any]]:
        """Put objects, begin the schedule, and pause it once it has started a run; the run and its output."""
        own.put(source, new)
        earlier = set(started())
        begin()
        arn = until("a run that the schedule started", lambda: [arn for arn in started() if arn not in earlier])[-1]
        set_paused(target, "stack", paused=True)
        asked = json.loads(states.describe_execution(executionArn=arn)["input"])
        assert asked == {
            "source": source,
            "destination": destination,
            "reuse": "latest",
            "overlap": "skip",
            "tags": {"started-by": "the schedule stack"},
        }
        run = Run(arn, RunFolder.of(S3Uri.parse_folder(destination), arn.rpartition(":")[2]))
        return run, own.wait(run)

    next_day(
        {f"by-the-clock/0-{name}": body for name, body in texts(20).items()},
        lambda: sam_deploy(stack.endpoint_url, NAME, ScheduleExpression="rate(1 minute)"),
    )
    assert [(each.name, each.expression) for each in schedules(target)] == [("stack", "rate(1 minute)")]
    for day in (1, 2, 3):
        proxy.requests.clear()
        new = {f"by-the-clock/{name}-{day}": body for name, body in texts(5).items()}
        before = {arn.rpartition(":")[2] for arn in started()}
        run, output = next_day(new, lambda: set_paused(target, "stack", paused=False))
        read = [uri for verb, uri in proxy.requests if verb == "GET" and uri.startswith(source)]
        assert sorted(read) == sorted(f"{source}{key}" for key in new)
        reuse = json.loads(own.file(run, "result.json"))["reuse"]
        assert reuse == {**reuse, "new": len(new), "changed": 0, "removed": 0}
        assert reuse["base"] in before
        assert reuse["kept"] + len(new) == output["counts"]["succeeded"]
    full = own.start(source, f"s3://{deployed.result_bucket}/full/")
    own.wait(full)
    assert own.file(run, "words.csv") == own.file(full, "words.csv")
    assert any(name.endswith("by-the-clock/000.txt-3.words.txt") for name in own.names(S3Uri.parse(destination)))
