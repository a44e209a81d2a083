"""Why a run failed, told from recordings of real runs; and how far a run is, told from the same histories."""

import copy
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from console.commands.status import print_run
from console.find.run_lookup import FoundRun
from console.terminal import Terminal
from console.watch.display import shown
from console.watch.explanation import explain, failed_state
from console.watch.progress import observe
from console.watch.steps import SKIPPED, STATES, TOGETHER, Children, states_of, steps_from
from console.watch.watching import Watcher
from millrace.aws.job_failures import exit_code_of, last_error
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

RECORDINGS = Path(__file__).parent / "recordings"

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


class Recording:
    """An AWS that answers what was recorded of one run, and nothing else. It stands in for `console.find.aws.Aws`."""

    def __init__(self, name: str) -> None:
        self.told: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
        for event in self.told["history"]:
            event["timestamp"] = datetime.fromisoformat(event["timestamp"])
        self.step_functions = self
        self.batch = self
        self.logs = self

    @property
    def execution(self) -> dict[str, Any]:
        """What DescribeExecution said."""
        execution: dict[str, Any] = self.told["execution"]
        return execution

    def get_paginator(self, operation: str) -> SimpleNamespace:
        """Every list in one page."""

        def history(**_given: Any) -> Iterator[dict[str, Any]]:
            yield {"events": self.told["history"]}

        def jobs(arrayJobId: str, jobStatus: str) -> Iterator[dict[str, Any]]:  # noqa: N803
            assert jobStatus == "FAILED"
            yield {"jobSummaryList": self.told["failed_children"].get(arrayJobId, [])}

        return SimpleNamespace(paginate={"get_execution_history": history, "list_jobs": jobs}[operation])

    def describe_execution(self, **_given: Any) -> dict[str, Any]:
        """Of the only execution."""
        return self.execution

    def describe_jobs(self, jobs: list[str]) -> dict[str, Any]:
        """The jobs that were recorded."""
        return {"jobs": [self.told["jobs"][job] for job in jobs if job in self.told["jobs"]]}

    def get_log_events(self, logStreamName: str, limit: int, **_given: Any) -> dict[str, Any]:  # noqa: N803
        """The last lines of a recorded stream."""
        if logStreamName not in self.told["logs"]:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetLogEvents")
        return {"events": [{"message": line} for line in self.told["logs"][logStreamName][-limit:]]}

    def explained(self) -> Any:
        """The recorded run's error."""
        return explain(self, self.execution)  # type: ignore[arg-type]


def test_a_failed_array_is_explained_by_its_first_failed_child() -> None:
    """Of two failed children the first one's own error is told, with its child, its job and the exit code."""
    recording = Recording("broken_child")
    error = recording.explained()
    assert error.exit_code == 2
    assert str(error).startswith("Migrate Shards failed: DamagedFileError: read the shard s3://")
    assert "line 1 is not an item" in str(error)
    assert "child 1, the first of 2 failed of 3; job " in str(error)
    assert "Array Child Job failed" not in str(error)


def test_the_first_child_is_the_one_of_the_lowest_index() -> None:
    """Child 2 comes before child 10, in whatever order ListJobs names them."""
    recording = Recording("broken_child")
    ((array, children),) = recording.told["failed_children"].items()
    recording.told["failed_children"][array] = [{"jobId": f"{array}:10"}, *reversed(children)]
    assert "child 1, the first" in str(recording.explained())


def test_too_many_failures_have_their_own_exit_code() -> None:
    """A merge that found more failures than tolerated is told in the job's words, with exit code 3."""
    error = Recording("too_many_failures").explained()
    assert error.exit_code == 3
    assert error.error == "TooManyFailuresError"
    assert error.state == "Merge"
    assert "1 of 7 items failed" in str(error)


def test_a_job_without_a_log_is_told_by_batch() -> None:
    """A job that was killed, or never started, wrote no error: Batch's reason and the exit code are told."""
    recording = Recording("too_many_failures")
    recording.told["logs"].clear()
    for job in recording.told["jobs"].values():
        job["container"] |= {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}
    error = recording.explained()
    assert error.exit_code == 1
    assert "OutOfMemoryError: Container killed due to memory usage, exit code 137 (job " in str(error)


def test_a_job_that_batch_has_forgotten_is_still_told() -> None:
    """Batch keeps jobs for a week; after that the Cause's own reason is what is left."""
    recording = Recording("broken_child")
    recording.told["jobs"].clear()
    assert "Array Child Job failed (job " in str(recording.explained())


def lambda_failure(error_type: str, message: str) -> Recording:
    """A run whose Prepare Run failed: Lambda's error object is the Cause (Lambda developer guide, Python errors)."""
    recording = Recording("succeeded")
    cause = {"errorMessage": message, "errorType": error_type, "requestId": "r", "stackTrace": []}
    recording.told["execution"] |= {"status": "FAILED", "error": error_type, "cause": json.dumps(cause)}
    entered = next(event for event in recording.told["history"] if event["type"] == "TaskStateEntered")
    recording.told["history"] = [entered]
    return recording


@pytest.mark.parametrize(
    ("error_type", "exit_code"),
    [("InvalidRunRequest", 2), ("RunIdentityError", 2), ("StorageError", 1), ("KeyError", 1)],
)
def test_a_failed_lambda_is_told_by_its_type_and_message(error_type: str, exit_code: int) -> None:
    """A Lambda's error type and message are told, and the exit code follows from the type."""
    error = lambda_failure(error_type, "options.top is -1; allowed: 0 to 10000").explained()
    assert str(error) == f"Prepare Run failed: {error_type}: options.top is -1; allowed: 0 to 10000"
    assert error.exit_code == exit_code


def test_a_hostile_message_cannot_command_the_terminal() -> None:
    """A key in a message may hold escape sequences: they are shown, not sent."""
    assert str(lambda_failure("KeyError", "a\x1b[2Jb\nc").explained()).endswith("KeyError: a\\x1b[2Jb\\nc")


def test_other_ends_are_told_as_what_they_are() -> None:
    """An abort names no state; a time-out names the state it hit; an unknown Cause is passed on."""
    recording = lambda_failure("x", "y")
    recording.told["execution"] |= {"status": "ABORTED", "error": "Cancelled", "cause": "too dear"}
    assert str(recording.explained()) == "Aborted: cancelled (Cancelled: too dear)"
    recording.told["execution"] |= {"status": "TIMED_OUT"}
    assert str(recording.explained()).startswith("Prepare Run failed: States.Timeout: ")
    recording.told["execution"] |= {"status": "FAILED", "error": "States.Runtime", "cause": "no such path"}
    assert str(recording.explained()) == "Prepare Run failed: States.Runtime: no such path"


def test_the_last_error_line_is_found_among_others() -> None:
    """Of a log with plain lines, other levels and two errors, the job's last error counts; without one there is none.

    A library's error, which has no exit code, is not the job's: it may quote an object.
    """
    first, last = (json.dumps({"level": "ERROR", "exit_code": 1, "message": name}) for name in ("first", "last"))
    lines = [first, "Traceback", last, '{"level":"ERROR","message":"a library\'s"}', "{", "[1]", "3"]
    found = last_error(lines)
    assert found is not None
    assert found["message"] == "last"
    assert last_error(["{}", '{"level":"INFO"}', lines[3]]) is None


def test_only_millraces_own_errors_have_exit_codes() -> None:
    """A name that happens to be in the errors module without being an error of it means "something broke"."""
    assert [exit_code_of(name) for name in ("TooManyFailuresError", "StrEnum", "ErrorCode", "annotations", "")] == [
        3,
        1,
        1,
        1,
        1,
    ]


def statuses(recording: Recording) -> dict[str, str]:
    """Each step's status."""
    progress = observe(recording, "arn")  # type: ignore[arg-type]
    return {step.name: step.status for step in progress.steps}


def test_a_finished_run_has_every_step_done() -> None:
    """After a good end every step has succeeded, and the shards are counted."""
    recording = Recording("succeeded")
    assert set(statuses(recording).values()) == {"succeeded"}
    migrate = observe(recording, "arn").steps[3]  # type: ignore[arg-type]
    assert migrate.children == Children(total=3, succeeded=3)
    assert migrate.started is not None
    assert migrate.ended is not None
    assert migrate.started < migrate.ended


def test_an_empty_run_skips_migrate() -> None:
    """Without shards the state machine goes past Migrate."""
    assert statuses(Recording("empty"))["Migrate"] == "skipped"


def test_a_failed_run_stops_at_the_failed_step() -> None:
    """The step that failed is failed, the ones behind it wait."""
    assert statuses(Recording("broken_child")) == {
        "Prepare Run": "succeeded",
        "Plan": "succeeded",
        "Read Plan": "succeeded",
        "Migrate": "failed",
        "Merge": "waiting",
        "Read Result": "waiting",
    }


@pytest.mark.parametrize("name", ["succeeded", "empty", "broken_child", "too_many_failures"])
def test_every_moment_of_a_run_makes_sense(name: str) -> None:
    """At each moment of a real history: done steps, then at most one running, then waiting ones."""
    history = Recording(name).told["history"]
    order = {"succeeded": 0, "skipped": 0, "running": 1, "waiting": 2}
    for length in range(len(history) + 1):
        steps = steps_from(states_of(copy.deepcopy(history[:length]), ended=False))
        assert [step.name for step in steps] == [name for name in STATES if name != TOGETHER]
        ranks = [order[step.status] for step in steps]
        assert ranks == sorted(ranks)
        assert ranks.count(1) <= 1


def test_a_run_of_one_job_has_one_step_for_it() -> None:
    """Planned by Prepare Run, worked and merged by one job: no Migrate and no Merge are shown, and Plan says why."""
    events: list[dict[str, Any]] = []
    for second, state in enumerate(("Prepare Run", "Planned?", "Read Plan", "How Many Children?", "Migrate And Merge")):
        at = datetime(2026, 11, 28, 9, 0, second, tzinfo=UTC)
        events += [
            {"timestamp": at, "stateEnteredEventDetails": {"name": state}},
            {"timestamp": at, "stateExitedEventDetails": {"name": state}},
        ]
    steps = {step.name: step.status for step in steps_from(states_of(events[:-1], ended=False))}
    assert steps == {
        "Prepare Run": "succeeded",
        "Plan": "skipped",
        "Read Plan": "succeeded",
        "Migrate And Merge": "running",
        "Read Result": "waiting",
    }
    assert SKIPPED["Plan"] == "done by Prepare Run"


@pytest.mark.parametrize(("overlap", "status", "skipped"), [("skip", "SUCCEEDED", True), ("queue", "RUNNING", False)])
def test_a_run_that_another_one_holds_up_says_so(*, overlap: str, status: str, skipped: bool) -> None:
    """Prepare Run's message reaches status and watch, from a skipped run and from one that waits."""
    recording = Recording("empty")
    execution: Any = {**recording.execution, "status": status, "startDate": START}
    del execution["stopDate"]
    recording.told["execution"] = execution
    run = {"overlap": overlap, "message": "Run run-0 is still at work"}
    state = {"name": "Prepare Run", "output": json.dumps({"run": run})}
    recording.told["history"] = [
        {"timestamp": START, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Prepare Run"}},
        {"timestamp": START, "type": "TaskStateExited", "stateExitedEventDetails": state},
    ]
    progress = Watcher(recording, "arn").look()  # type: ignore[arg-type]
    assert (progress.skipped, progress.overlap) == (skipped, "Run run-0 is still at work")
    assert progress.waiting == ("" if skipped else "queued: Run run-0 is still at work")
    terminal = Terminal()
    with terminal.out.capture() as said:
        print_run(terminal, FoundRun("run-1", "arn", {}, None, execution), progress)
    assert ("SKIPPED: Run run-0 is still at work" in said.get()) == skipped


def test_status_and_watch_tell_what_is_reused() -> None:
    """While a run is at work as its plan says, which is read once; at its end as its result does."""
    reuse = {"base": "run-0", "kept": 1980, "changed": 5, "new": 20, "removed": 3, "kept_shards": 4}
    recording, client = Recording("empty"), InMemoryS3Client("results")
    client.store("results", "out/_millrace/run-1/plan.json", json.dumps({"reuse": reuse}).encode())
    at_work = {**recording.execution, "status": "RUNNING", "startDate": START, "input": json.dumps({"reuse": "latest"})}
    del at_work["stopDate"]
    del at_work["output"]
    recording.told["execution"] = at_work
    prepared = {"run": {"overlap": "", "plan": "s3://results/out/_millrace/run-1/plan.json"}}
    recording.told["history"] = [
        {"timestamp": START, "stateEnteredEventDetails": {"name": name}, "type": "TaskStateEntered"}
        | {"stateExitedEventDetails": {"name": name, "output": json.dumps(output)}}
        for name, output in (("Prepare Run", prepared), ("Read Plan", {"plan": {"shards": 5, "items": 9, "bytes": 9}}))
    ]
    recording.s3 = S3(client.stub)  # type: ignore[attr-defined]
    watcher = Watcher(recording, "arn")  # type: ignore[arg-type]
    watcher.look()
    progress = watcher.look()
    assert progress.reuse == reuse
    assert client.requests["get_object"] == 1
    file = io.StringIO()
    with shown(Console(file=file)) as show:
        show(progress)
    assert "reuse: 1,980 items of run-0 kept in 4 shards; 5 changed, 20 new, 3 gone" in file.getvalue()
    recording.told["execution"] = {**at_work, "output": json.dumps({"reuse": {**reuse, "kept": 1900}})}
    assert Watcher(recording, "arn").look().reuse == {**reuse, "kept": 1900}  # type: ignore[arg-type]


def test_the_failed_state_is_the_one_that_was_not_left() -> None:
    """A state that was entered again after a retry or a redrive is still the one."""
    entered, left = "stateEnteredEventDetails", "stateExitedEventDetails"
    events = [{entered: {"name": "Plan"}}, {left: {"name": "Plan"}}, {entered: {"name": "Merge"}}, {}]
    assert failed_state(events) == "Merge"
    assert failed_state(events[:2]) == ""
    assert failed_state([]) == ""


def entered_and_left(*names: str) -> list[dict[str, Any]]:
    """A history in which these states follow each other, a second each; the last one was not left."""
    events: list[dict[str, Any]] = []
    for second, name in enumerate(names):
        at = START + timedelta(seconds=second)
        events.append({"timestamp": at, "stateEnteredEventDetails": {"name": name}})
        if second < len(names) - 1:
            events.append({"timestamp": at + timedelta(seconds=1), "stateExitedEventDetails": {"name": name}})
    return events


PASSES = ("Prepare Run", "Plan", "Read Plan", "Migrate Shards", "Read Plan", "Migrate Shards", "Read Plan")


def test_the_arrays_of_a_run_are_one_step() -> None:
    """Once something was migrated, Read Plan is part of Migrate, which began with the first array."""
    steps = {step.name: step for step in steps_from(states_of(entered_and_left(*PASSES), ended=False))}
    assert (steps["Read Plan"].status, steps["Read Plan"].started) == ("succeeded", START + timedelta(seconds=2))
    assert (steps["Migrate"].status, steps["Migrate"].started) == ("running", START + timedelta(seconds=3))
    merging = {step.name: step for step in steps_from(states_of(entered_and_left(*PASSES, "Merge"), ended=False))}
    assert (merging["Migrate"].status, merging["Merge"].status) == ("succeeded", "running")
    assert merging["Migrate"].ended == START + timedelta(seconds=7)


def test_a_pass_that_committed_nothing_fails_the_step_migrate() -> None:
    """Read Plan says so, after an array: what did not go on is the migration."""
    steps = {step.name: step.status for step in steps_from(states_of(entered_and_left(*PASSES), ended=True))}
    assert (steps["Read Plan"], steps["Migrate"], steps["Merge"]) == ("succeeded", "failed", "waiting")


def test_the_children_of_a_short_array_merge_as_well() -> None:
    """That is the step Migrate, and Merge was done by it; where none of them has merged, Merge is a step as ever."""
    short = ("Prepare Run", "Read Plan", "Migrate And Merge Shards", "Read Plan")
    steps = {
        step.name: step.status for step in steps_from(states_of(entered_and_left(*short, "Read Result"), ended=False))
    }
    assert (steps["Migrate"], steps["Merge"], SKIPPED["Merge"]) == ("succeeded", "skipped", "done by Migrate")
    steps = {step.name: step.status for step in steps_from(states_of(entered_and_left(*short, "Merge"), ended=False))}
    assert (steps["Migrate"], steps["Merge"]) == ("succeeded", "running")


def test_what_is_left_may_be_one_jobs() -> None:
    """After an array, Migrate And Merge is shown beside Migrate; alone, it stands for Migrate and Merge."""
    names = [step.name for step in steps_from(states_of(entered_and_left(*PASSES, "Migrate And Merge"), ended=False))]
    assert names == ["Prepare Run", "Plan", "Read Plan", "Migrate", "Migrate And Merge", "Read Result"]


def test_what_follows_a_small_job_that_handed_back_is_shown() -> None:
    """The plan is read again, and the job of full size is at work: Read Result waits until it is its turn again."""
    handed_back = ("Prepare Run", "Read Plan", "Migrate And Merge", "Read Result", "Read Plan", "Migrate And Merge")
    events = entered_and_left(*handed_back)
    at_work = {step.name: step.status for step in steps_from(states_of(events, ended=False))}
    assert (at_work["Migrate And Merge"], at_work["Read Result"]) == ("running", "waiting")
    all_of_it = states_of(entered_and_left(*handed_back, "Read Result", "over"), ended=True)
    done = {step.name: step.status for step in steps_from(all_of_it)}
    assert set(done.values()) == {"succeeded", "skipped"}
    merged = entered_and_left(*handed_back[:-1], "Merge In Parts?", "Merge", "Read Result", "over")
    assert {step.name for step in steps_from(states_of(merged, ended=True)) if step.status == "succeeded"} == {
        *("Prepare Run", "Read Plan", "Migrate And Merge", "Merge", "Read Result"),
    }
