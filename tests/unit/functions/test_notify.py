"""Notify: one message per outcome, whatever EventBridge delivers how often and in which order."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from botocore.exceptions import ClientError

import notify
from millrace.aws.events import _time
from millrace.aws.job_failures import JobErrors
from millrace.errors import DamagedFileError
from millrace.layout import RunFolder, S3Uri
from millrace.s3.verbs import S3
from millrace.settings import NotifySettings
from notification.publishing import EventsRefusedError
from notification.run_facts import RunCosts
from tests.in_memory_s3 import InMemoryS3Client
from tests.notifications import FOLDER, QUEUE, Batch, Bus, Logs, Table, Topic, blocked_event, job_event, run_event
from tests.run_in_memory import RunInMemory

SCHEMAS = Path(__file__).parents[3] / "docs/events"
ALL = frozenset({
    "RUN_SUCCEEDED", "RUN_SUCCEEDED_WITH_FAILURES", "RUN_SKIPPED", "RUN_FAILED", "RUN_TIMED_OUT", "RUN_ABORTED",
    "JOB_SUCCEEDED", "JOB_FAILED", "QUEUE_BLOCKED",
})  # fmt: skip
NO_RUN: dict[str, Any] = {"input": "not JSON", "name": "given by the console"}


class Context:
    """A Lambda context with a minute left."""

    function_name = function_version = invoked_function_arn = aws_request_id = "test"
    memory_limit_in_mb = 512

    def get_remaining_time_in_millis(self) -> int:
        """A minute."""
        return 60_000


@dataclass
class Services:
    """Everything that the function talks to."""

    s3: InMemoryS3Client = field(default_factory=lambda: InMemoryS3Client("letters", "results"))
    topic: Topic = field(default_factory=Topic)
    bus: Bus = field(default_factory=Bus)
    table: Table = field(default_factory=Table)
    batch: Batch = field(default_factory=Batch)
    logs: Logs = field(default_factory=Logs)

    def write(self, name: str, content: Any) -> None:
        """Put a file into the run folder."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.s3.store("results", FOLDER + name, body)

    def tell(self, *events: dict[str, Any]) -> None:
        """Deliver events."""
        for event in events:
            notify.handler(event, Context())

    def told(self, event: dict[str, Any]) -> dict[str, Any]:
        """The detail of our event that this one becomes, valid by its schema."""
        self.tell(event)
        entry = self.bus.put[-1]
        detail: dict[str, Any] = json.loads(entry["Detail"])
        schema = json.loads(
            (SCHEMAS / f"{entry['DetailType'].removeprefix('Millrace ').lower().replace(' ', '-')}.json").read_text()
        )
        jsonschema.validate(detail, schema, format_checker=jsonschema.FormatChecker())
        return detail

    def text(self, event: dict[str, Any]) -> str:
        """The text for people that an event becomes."""
        self.tell(event)
        return str(json.loads(self.topic.published[-1]["Message"])["default"])


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """The function, notified of everything, on services in memory."""
    made = Services()
    monkeypatch.setattr(notify, "s3", S3(made.s3.stub))
    monkeypatch.setattr(notify, "jobs", JobErrors(cast("Any", made.batch), cast("Any", made.logs)))
    monkeypatch.setattr(notify, "bus", made.bus)
    monkeypatch.setattr(notify, "topic", made.topic)
    monkeypatch.setattr(notify.sent, "client", made.table)
    monkeypatch.setattr(notify, "settings", NotifySettings("arn:topic", "bus", "told", ALL, stack_name="words"))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return made


def finished(services: Services, status: str = "SUCCEEDED_WITH_FAILURES", **failures: int) -> None:
    """Write what a merged run leaves."""
    failures = failures or {"NOT_TEXT": 2, "NOT_FOUND": 9, "DAMAGED": 1, "TOO_LARGE": 4}
    failed = sum(failures.values())
    services.write("run.json", {"request": {"workload": "word-count"}})
    services.write("plan.json", {"items": 1000, "total_bytes": 5_000_000, "shards": 10})
    services.write(
        "result.json",
        {
            "status": status,
            "counts": {"items": 1000, "succeeded": 1000 - failed, "failed": failed, "bytes": 4_200_000, "shards": 10},
            "failures": failures,
            "page": f"s3://results/{FOLDER}report.html",
        },
    )
    rows = [{"key": f"in/{code}", "error_code": code, "message": f"it is {code}"} for code in failures]
    services.write("failures.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def test_the_plan_and_the_result_are_read_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts of a run and its cost come from one reading of plan.json, and one of result.json."""

    class NoJobs:
        """Batch, with no job of the run left."""

        def get_paginator(self, _operation: str) -> NoJobs:
            return self

        def paginate(self, **_asked: Any) -> list[dict[str, Any]]:
            return [{"jobSummaryList": []}]

        def describe_job_queues(self, **_asked: Any) -> dict[str, Any]:
            return {"jobQueues": []}

        def describe_compute_environments(self, **_asked: Any) -> dict[str, Any]:
            return {"computeEnvironments": []}

    run = RunInMemory({"in/a": b"x", "in/b": b"y"}, folder=RunFolder.of(S3Uri("result", "out/"), "run-1"))
    run.all()
    read: list[str] = []
    run.client.before = lambda verb, _bucket, key: read.append(key) if verb == "get_object" else None
    monkeypatch.setattr(notify, "s3", S3(run.client.stub))
    monkeypatch.setattr(notify, "costs", RunCosts(cast("Any", NoJobs()), (QUEUE,)))

    given = {"source": "s3://source/in/", "destination": "s3://result/out/"}
    detail = services.told(run_event("SUCCEEDED", input=json.dumps(given)))

    assert (detail["planned"]["items"], detail["counts"]["items"]) == (2, 2)
    assert {Counter(read)[run.folder.file(name).key] for name in ("plan.json", "result.json")} == {1}


def test_the_message_of_a_run(services: Services) -> None:
    """Run, workload, counts, the three most frequent errors with an example, duration, links."""
    finished(services)
    text = services.text(run_event("SUCCEEDED"))

    assert text == (
        "Millrace run run-1 succeeded with failures after 12 min 3 s.\n"
        "\n"
        "Workload    word-count\n"
        "Source      s3://letters/in/\n"
        "Run folder  s3://results/out/_millrace/run-1/\n"
        "Items       1,000 (4.2 MB read): 984 succeeded, 16 failed\n"
        "Shards      10, 10 of them committed\n"
        "\n"
        "Most frequent errors:\n"
        "  NOT_FOUND, 9 items\n"
        "    in/NOT_FOUND\n"
        "  TOO_LARGE, 4 items\n"
        "    in/TOO_LARGE\n"
        "  NOT_TEXT, 2 items\n"
        "    in/NOT_TEXT\n"
        "\n"
        "To rerun the failed items:\n"
        "  millrace resume run-1 --retry-failed --stack words --region eu-west-1\n"
        "or without millrace:\n"
        "  aws stepfunctions start-execution --region eu-west-1"
        " --state-machine-arn arn:aws:states:eu-west-1:123456789012:stateMachine:millrace"
        """ --input '{"source": "s3://letters/in/", "destination": "s3://results/out/", "run_id": "run-1", """
        """"retry_failed": true}'\n"""
        "\n"
        "Look at it:\n"
        "  https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1"
        "#/v2/executions/details/arn:aws:states:eu-west-1:123456789012:execution:millrace:run-1\n"
        "  https://eu-west-1.console.aws.amazon.com/s3/buckets/results?region=eu-west-1&prefix=out%2F_millrace%2Frun-1%2F\n"
        "  s3://results/out/_millrace/run-1/report.html\n"
    )
    (published,) = services.topic.published
    assert published["Subject"] == "Millrace run run-1 succeeded with failures"
    assert {name: each["StringValue"] for name, each in published["MessageAttributes"].items()} == {
        "event": "RUN_SUCCEEDED_WITH_FAILURES",
        "status": "SUCCEEDED_WITH_FAILURES",
        "run_id": "run-1",
        "workload": "word-count",
    }


def test_the_message_of_a_named_run_begins_with_the_name(services: Services) -> None:
    """Name and tags are in the event and the text, the name is an attribute to filter by; wrong ones are left out."""
    finished(services)
    given: dict[str, Any] = {"source": "s3://letters/in/", "destination": "s3://results/out/"}
    given |= {"name": "Nightly", "tags": {"team": "ads"}}
    detail = services.told(run_event("SUCCEEDED", input=json.dumps(given)))
    assert (detail["name"], detail["tags"]) == ("Nightly", {"team": "ads"})
    published = services.topic.published[-1]
    assert published["Subject"] == "Millrace run Nightly (run-1) succeeded with failures"
    assert published["MessageAttributes"]["name"]["StringValue"] == "Nightly"
    assert "Tags        team=ads" in json.loads(published["Message"])["default"]
    wrong = {**given, "name": "a\nb", "tags": 7}
    refused = services.told(run_event("FAILED", input=json.dumps(wrong), redriveCount=1))
    assert (refused["name"], refused["tags"]) == (None, {})


def test_the_message_of_a_skipped_run_names_the_run_at_work(services: Services) -> None:
    """It is neither a success nor a failure: it has no folder, no result and nothing to resume."""
    arn = "arn:aws:states:eu-west-1:123456789012:execution:millrace:run-0"
    at_work = {"run_id": "run-0", "execution_arn": arn, "started_at": "2026-11-21T03:00:00Z"}
    output = {"status": "SKIPPED", "overlap": "skip", "run_id": "run-1", "workload": "copy", "at_work": at_work}
    skipped = run_event("SUCCEEDED", output=json.dumps(output))
    detail = services.told(skipped)
    assert (detail["event"], detail["status"], detail["at_work"]) == ("RUN_SKIPPED", "SKIPPED", at_work)
    assert (detail["workload"], detail["run_folder"], detail["result"], detail["counts"]) == ("copy", None, None, None)
    assert not any(detail["resume"].values())
    (published,) = services.topic.published
    assert published["Subject"] == "Millrace run run-1 was skipped"
    text = json.loads(published["Message"])["default"]
    assert "Run run-0 is still at work, since" in text
    assert "no job was started, nothing was written" in text


REUSE = {
    "base": "run-0", "base_retry": 0, "kept": 1980, "changed": 5, "new": 20, "removed": 3, "kept_shards": 4,
    "kept_bytes": 4_000_000, "why_not": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("reuse", "line"),
    [
        (REUSE, "1,980 items of run-0 kept in 4 shards; 5 changed, 20 new, 3 gone"),
        (
            {**dict.fromkeys(REUSE, 0), "base": "", "new": 9, "why_not": "no run has succeeded yet"},
            "nothing reused: no run has succeeded yet",
        ),
    ],
)
def test_a_message_says_what_was_reused(services: Services, reuse: dict[str, Any], line: str) -> None:
    """In the event number by number, in the message in a line; why nothing was, likewise."""
    finished(services)
    result = json.loads(services.s3.bodies("results")[f"{FOLDER}result.json"])
    services.write("result.json", {**result, "reuse": reuse})
    detail = services.told(run_event("SUCCEEDED"))
    assert detail["reuse"] == {**reuse, "base": reuse["base"] or None, "why_not": reuse["why_not"] or None}
    assert f"Reuse       {line}\n" in services.text(run_event("SUCCEEDED", redriveCount=1))


def test_each_protocol_has_its_form(services: Services) -> None:
    """People get the text, programs our event as it stands on the bus, chats a form that they can show."""
    finished(services)
    detail = services.told(run_event("SUCCEEDED"))
    (published,) = services.topic.published
    forms = json.loads(published["Message"])

    assert published["MessageStructure"] == "json"
    assert "email" not in forms
    for protocol in ("sqs", "lambda", "http", "firehose", "email-json"):
        assert json.loads(forms[protocol]) == detail
    chat = json.loads(forms["https"])
    assert (chat["version"], chat["source"], chat["content"]["textType"]) == ("1.0", "custom", "client-markdown")
    assert json.loads(chat["metadata"]["additionalContext"]["event"]) == detail
    assert len(published["Message"].encode()) < 256 * 1024


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_duplicates_in_any_order_change_nothing(services: Services, order: tuple[int, ...]) -> None:
    """Three events, each delivered three times: three events of ours and three messages."""
    finished(services)
    events = [job_event("SUCCEEDED"), run_event("SUCCEEDED"), blocked_event()]
    deliveries = [events[index] for index in order] * 3
    random.Random(str(order)).shuffle(deliveries)
    services.tell(*deliveries)

    expected = {"JOB_SUCCEEDED", "RUN_SUCCEEDED_WITH_FAILURES", "QUEUE_BLOCKED"}
    assert {detail["event"] for detail in services.bus.details()} == expected
    assert len(services.bus.put) == len(services.topic.published) == 3


def test_an_event_that_aws_emits_anew_is_known(services: Services) -> None:
    """The id of the event does not count, only what it tells; a redriven execution that ends again is news."""
    services.tell({**run_event("FAILED"), "id": "a"}, {**run_event("FAILED"), "id": "b", "time": "later"})
    assert len(services.topic.published) == 1
    services.tell(run_event("FAILED", redriveCount=1), run_event("SUCCEEDED", redriveCount=2))
    assert len(services.topic.published) == 3


def test_a_failed_publication_is_tried_again_and_the_bus_gets_it_once(services: Services) -> None:
    """The topic fails, so the call fails, and Lambda calls again: the bus has the event once, the topic the message."""
    services.topic.broken = 1
    with pytest.raises(ClientError):
        services.tell(run_event("ABORTED"))
    assert (len(services.bus.put), services.topic.published) == (1, [])
    services.tell(run_event("ABORTED"))

    assert (len(services.bus.put), len(services.topic.published)) == (1, 1)


def test_two_calls_at_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second delivery during the first one fails, so that Lambda calls again later: neither lost nor told twice."""
    raised = []
    put = services.bus.put_events

    def meanwhile(**given: Any) -> dict[str, Any]:
        monkeypatch.setattr(services.bus, "put_events", put)
        with pytest.raises(IdempotencyAlreadyInProgressError) as error:
            services.tell(run_event("SUCCEEDED"))
        raised.append(error)
        return put(**given)

    monkeypatch.setattr(services.bus, "put_events", meanwhile)
    services.tell(run_event("SUCCEEDED"))

    assert len(raised) == 1
    assert (len(services.bus.put), len(services.topic.published)) == (1, 1)


@pytest.mark.parametrize("code", ["InternalFailure", "ThrottlingException"])
def test_the_bus_takes_some_entries_late(services: Services, code: str) -> None:
    """PutEvents answers 200 and refuses the entry for the moment: it is put again until it is taken."""
    services.bus = Bus(code, code)
    notify.bus = cast("Any", services.bus)
    services.tell(run_event("SUCCEEDED"))

    assert services.bus.calls == [1, 1, 1]
    assert len(services.bus.put) == 1


@pytest.mark.parametrize("answers", [["NotAuthorizedForSourceException"], ["InternalFailure"] * 5])
def test_the_bus_refuses(services: Services, answers: list[str]) -> None:
    """What no further try can mend, or none has mended, fails the call; nothing is remembered as told."""
    notify.bus = cast("Any", Bus(*answers))
    with pytest.raises(EventsRefusedError, match=answers[0]):
        services.tell(run_event("SUCCEEDED"))

    assert services.table.items == {}
    assert services.topic.published == []


def test_the_topic_is_told_what_was_asked_for(services: Services) -> None:
    """`NOTIFY_ON` leaves jobs out: the bus gets them all the same."""
    notify.settings = replace(notify.settings, notify_on=frozenset({"RUN_FAILED"}))
    services.tell(job_event("FAILED"), run_event("FAILED"), run_event("ABORTED", redriveCount=1))

    assert [detail["event"] for detail in services.bus.details()] == ["JOB_FAILED", "RUN_FAILED", "RUN_ABORTED"]
    assert [each["Subject"] for each in services.topic.published] == ["Millrace run run-1 failed"]


def test_an_aborted_run_says_what_is_kept_and_how_to_go_on(services: Services) -> None:
    """Counts of the plan, committed shards, and the line that resumes it; an older result.json is not this end's."""
    finished(services, "FAILED")
    for shard in range(4):
        services.write(f"shards/{shard:05}.json", b"")
    event = run_event("ABORTED")
    detail = services.told(event)
    text = json.loads(services.topic.published[-1]["Message"])["default"]

    assert (detail["counts"], detail["result"], detail["shards_committed"]) == (None, None, 4)
    assert "Items       1,000 (5.0 MB) planned\nShards      10, 4 of them committed\n" in text
    arn = event["detail"]["executionArn"]
    assert (
        "\nCommitted shards are kept. To resume it where it stopped:\n"
        "  millrace resume run-1 --stack words --region eu-west-1\nor without millrace:\n"
    ) in text
    assert f"\n  aws stepfunctions redrive-execution --region eu-west-1 --execution-arn {arn}\n" in text
    assert (
        """ --input '{"source": "s3://letters/in/", "destination": "s3://results/out/", "run_id": "run-1"}'\n""" in text
    )


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
@pytest.mark.parametrize("given", [{}, NO_RUN, {"input": None}, {"input": '{"destination": 7}'}])
def test_nothing_is_required_of_the_run_folder(services: Services, status: str, given: dict[str, Any]) -> None:
    """No folder, no input, not even a destination: the run's end is told with what there is."""
    detail = services.told(run_event(status, **given))

    assert detail["event"] == f"RUN_{status}"
    assert len(services.topic.published) == 1


@pytest.mark.parametrize("name", ["run.json", "plan.json", "result.json", "failures.jsonl"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'{"request": 3, "failures": [], "items": "x"}'])
def test_damaged_files_are_as_good_as_none(services: Services, name: str, body: bytes) -> None:
    """Whatever stands in a file of the run folder, the run's end is reported."""
    finished(services)
    services.write(name, body)
    assert services.told(run_event("SUCCEEDED"))["status"].startswith("SUCCEEDED")


def test_a_folder_that_may_not_be_read(services: Services) -> None:
    """The destination of another account's bucket: told, without counts."""
    finished(services)
    services.s3.denied.add(("results", ""))
    for name in ("run.json", "plan.json", "result.json", "failures.jsonl"):
        services.s3.denied.add(("results", FOLDER + name))
    detail = services.told(run_event("SUCCEEDED"))
    assert (detail["planned"], detail["counts"]) == (None, None)


def test_too_many_failures(services: Services) -> None:
    """The merge job failed, and wrote its report before: counts and errors are in the message."""
    finished(services, "FAILED")
    line = {"level": "ERROR", "error": "TooManyFailuresError", "message": "16 of 1000 items failed", "exit_code": 3}
    container = {"logStreamName": "s", "exitCode": 3, "logConfiguration": {"options": {"awslogs-group": "g"}}}
    services.batch.jobs["job-9"] = {"container": container}
    services.logs.lines["s"] = ['{"level": "INFO"}', json.dumps(line), "not JSON"]
    cause = json.dumps(
        {"JobId": "job-9", "JobName": "run-1-merge", "StatusReason": "Essential container in task exited"}
    )
    text = services.text(run_event("FAILED", error="States.TaskFailed", cause=cause))

    assert "984 succeeded, 16 failed" in text
    assert "Error: TooManyFailuresError (job job-9)\n  16 of 1000 items failed\n" in text
    assert "redrive-execution" not in text  # every shard is committed: merge would say the same again
    assert "\n  millrace resume run-1 --retry-failed --stack words --region eu-west-1\n" in text
    assert "\n  millrace resume run-1 --tolerated-failure-percent 1.6 --stack words --region eu-west-1\n" in text


def test_a_whole_success_is_not_gone_on_with(services: Services) -> None:
    """Without failed items there is nothing to resume, and no line for it."""
    finished(services, "SUCCEEDED", NOT_TEXT=0)
    assert set(services.told(run_event("SUCCEEDED"))["resume"].values()) == {None}
    assert "resume" not in json.loads(services.topic.published[-1]["Message"])["default"]


def test_a_childs_real_error(services: Services) -> None:
    """Batch says "Array Child Job failed"; the message has the child's last log line."""

    def container(stream: str) -> dict[str, Any]:
        return {"logStreamName": stream, "exitCode": 1, "logConfiguration": {"options": {"awslogs-group": "g"}}}

    services.batch.jobs = {
        "job-7": {"arrayProperties": {"size": 1000}, "container": container("none")},
        "job-7:41": {"container": container("a")},
        "job-7:7": {"container": container("b")},
    }
    error = {"level": "ERROR", "error": "ThrottledError", "message": "S3 asks us to slow down", "exit_code": 1}
    services.logs.lines["b"] = [json.dumps(error)]
    detail = services.told(job_event("FAILED"))

    assert detail["error"] == {"name": "ThrottledError", "message": "S3 asks us to slow down", "job_id": "job-7:7"}
    assert detail["children"] == {"size": 1000, "succeeded": 998, "failed": 2}
    assert (detail["verb"], detail["run_id"], detail["reason"]) == ("migrate", "run-1", "Array Child Job failed")


def test_a_job_without_a_log(services: Services) -> None:
    """A job that never started, and one that Batch has forgotten: Batch's reason is all there is."""
    services.batch.jobs["job-7"] = {
        "statusReason": "Task failed to start",
        "container": {"reason": "CannotPullContainerError"},
    }
    plain = {"arrayProperties": None}
    assert services.told(job_event("FAILED", **plain))["error"]["message"] == "CannotPullContainerError"
    forgotten = services.told(job_event("FAILED", jobId="job-8", statusReason="gone", **plain))
    assert forgotten["error"] == {"name": "JobFailed", "message": "gone", "job_id": "job-8"}


def test_a_lambdas_error(services: Services) -> None:
    """A refused request fails Prepare Run: its own error is the run's."""
    cause = json.dumps({"errorType": "InvalidRunRequest", "errorMessage": "source is 7; allowed: an S3 URI"})
    detail = services.told(run_event("FAILED", error="InvalidRunRequest", cause=cause))
    assert detail["error"] == {
        "name": "InvalidRunRequest",
        "message": "source is 7; allowed: an S3 URI",
        "job_id": None,
    }
    assert set(detail["resume"].values()) == {None}  # the same input would be refused again


@pytest.mark.parametrize(
    "error", ["InvalidRunRequest", "WorkloadUnavailableError", "WorkloadFaultError", "CodePackageError"]
)
def test_what_a_run_keeps_for_good_has_no_resume(services: Services, error: str) -> None:
    """Where the request or the code is at fault, a resume would end the same way; the message says what helps."""
    cause = json.dumps({"errorType": error, "errorMessage": "the module jobs cannot be imported"})
    detail = services.told(run_event("FAILED", error=error, cause=cause))
    text = json.loads(services.topic.published[-1]["Message"])["default"]
    assert set(detail["resume"].values()) == {None}
    assert "millrace resume" not in text
    assert "start a new run" in text


def test_a_blocked_queue(services: Services) -> None:
    """Its reason is passed on; the same job for another reason is news, the same reason again is not."""
    text = services.text(blocked_event())
    assert "Millrace queue standard-abc is blocked" in text
    assert "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT" in text
    assert services.told(blocked_event(statusReason="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"))["run_id"] == "run-1"
    services.tell(blocked_event())
    assert len(services.topic.published) == 2


def test_a_job_of_nobody(services: Services) -> None:
    """A job in our queue that is not one of a run is reported as what it is."""
    detail = services.told(job_event("SUCCEEDED", container={"command": ["true"]}, arrayProperties=None))
    assert (detail["verb"], detail["run_id"], detail["children"], detail["error"]) == (None, None, None, None)


def test_hostile_names_and_keys(services: Services) -> None:
    """Line feeds, quotes, terminal commands, marks that turn the reading direction, 5,000 characters: subject and text
    stay what they are, and the resume line stays one line of a shell.
    """
    evil = "a'; rm -rf /\n\x1b[31m\u202e```é" + "x" * 5000
    finished(services, NOT_TEXT=1)
    services.write(
        "failures.jsonl", json.dumps({"key": evil, "error_code": "NOT_TEXT", "message": evil}).encode() + b"\n"
    )
    given = {
        "input": json.dumps({"source": "s3://letters/'$(id)`\n", "destination": "s3://results/out/", "run_id": "run-1"})
    }
    services.tell(run_event("SUCCEEDED", **given), run_event("FAILED", name=f"run\n{evil}", error=evil, cause=evil))
    services.tell(run_event("ABORTED", **given))

    for published in services.topic.published:
        subject = published["Subject"]
        assert 0 < len(subject) < 100
        assert subject.isascii()
        assert subject.isprintable()
        forms = json.loads(published["Message"])
        assert all(line.isprintable() for line in forms["default"].split("\n"))
        assert len(published["Message"].encode()) < 256 * 1024
        assert json.loads(forms["https"])["content"]["description"].count("```") == 2
    resume = json.loads(services.bus.put[-1]["Detail"])["resume"]["start"]
    assert "\n" not in resume
    assert """'"'"'$(id)`\\n""" in resume


def test_a_long_name_leaves_the_outcome_in_the_subject(services: Services) -> None:
    """An execution's name may have 80 characters, a job's 128: the subject has the outcome and the name's beginning."""
    name = "2026-11-21-" + "x" * 69
    services.tell(run_event("SUCCEEDED", name=name), job_event("FAILED", jobName=f"{name}-migrate" + "y" * 40))
    services.tell(run_event("ABORTED", name=name[:60]))
    run, job, short = (published["Subject"] for published in services.topic.published)

    assert (len(run), len(job)) == (99, 99)
    assert run.startswith("Millrace run 2026-11-21-xxx")
    assert run.endswith("x... succeeded")
    assert job.startswith("Millrace migrate job 2026-11-21-xxx")
    assert job.endswith("x... failed")
    assert short == f"Millrace run {name[:60]} was aborted"


@pytest.mark.parametrize(
    "event", [{}, {"detail-type": "Batch Job State Change", "detail": {}}, {"detail-type": "x", "detail": 3}]
)
def test_what_no_rule_lets_through_is_refused(services: Services, event: dict[str, Any]) -> None:
    """An event of another kind fails, so that it ends in the dead-letter queue."""
    with pytest.raises(DamagedFileError):
        services.tell(event)
    assert services.bus.put == []


@pytest.mark.parametrize("counts", [{"succeeded": 999_999}, {"items": 5, "succeeded": 5, "failed": 0}, {"shards": 1}])
def test_a_forged_result_is_not_reported(services: Services, counts: dict[str, int]) -> None:
    """Counts that do not go with the plan are nobody's news: the execution's own output is told instead."""
    finished(services)
    result = json.loads(services.s3.bodies("results")[FOLDER + "result.json"])
    services.write("result.json", {**result, "counts": {**result["counts"], **counts}})
    told = {
        "counts": {"items": 1000, "succeeded": 984, "failed": 16, "bytes": 1, "shards": 10},
        "status": "SUCCEEDED_WITH_FAILURES",
    }
    detail = services.told(run_event("SUCCEEDED", output=json.dumps(told)))

    assert detail["counts"]["succeeded"] == 984


def test_what_is_told_quotes_no_object(services: Services) -> None:
    """A row's message may hold a command's stderr or a cell, and so may a library's log line: neither is told."""
    finished(services, "FAILED", COMMAND_FAILED=16)
    row = {"key": "in/a", "error_code": "COMMAND_FAILED", "message": "exit code 1: SECRET"}
    services.write("failures.jsonl", json.dumps(row).encode() + b"\n")
    container = {"logStreamName": "s", "exitCode": 137, "logConfiguration": {"options": {"awslogs-group": "g"}}}
    services.batch.jobs["job-9"] = {"container": container, "statusReason": "Host EC2 terminated"}
    services.logs.lines["s"] = ['{"level": "ERROR", "message": "bad cell SECRET"}', "SECRET"]
    cause = json.dumps({"JobId": "job-9", "JobName": "run-1-merge", "StatusReason": "gone"})
    text = services.text(run_event("FAILED", error="States.TaskFailed", cause=cause))
    told = json.dumps([services.bus.put, services.topic.published])

    assert "    in/a\n" in text
    assert "COMMAND_FAILED, 16 items" in text
    assert "SECRET" not in text + told


def test_the_parent_of_an_array_that_never_started_has_no_start() -> None:
    """`startedAt: 0`, as AWS tells it of an array's parent, is "not started" and no time in 1970."""
    assert _time({"startedAt": 0}, "startedAt") is None
    assert _time({}, "startedAt") is None
    assert _time({"startedAt": 1764000000000}, "startedAt") == "2025-11-24T16:00:00.000Z"
