"""The operator's verbs: their options, what they print, and what they say of a run, without an AWS."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from rich.console import Console

from console import __main__ as edge
from console.commands.start import start as start_verb
from console.commands.status import print_run
from console.doctor.checks import _asked, _image, _waiting
from console.doctor.drift import DEFINITION, same_definition
from console.doctor.limits import QUOTAS, quota_behind, rates, vcpu_quota
from console.doctor.undelivered import undelivered
from console.errors import RunFailedError
from console.find.aws import Aws
from console.find.executions import MAX_INPUT_BYTES, start
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.operations.resuming import name_of_resumption
from console.operations.starting import begin
from console.terminal import Terminal
from console.ui.actions import possible
from console.watch.progress import RunProgress
from console.watch.run_document import run_document
from console.watch.run_logs import readable
from console.watch.shard_counts import Committed, Work
from console.watch.steps import STATES, Children, Step, state_outputs, submitted_jobs
from console.watch.summary import next_commands
from millrace.aws.job_failures import log_lines, streams_of
from millrace.aws.run_jobs import index_of, jobs_of, unended
from millrace.errors import InvalidRunRequest
from millrace.layout import RunFolder, S3Uri
from millrace.records.outcome import Counts

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ARN = "arn:aws:states:eu-west-1:1:execution:machine:r-1"


class Printed(Terminal):
    """A terminal of 200 columns and its text."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        super().__init__(Console(file=self.text, width=200), Console(file=self.text, width=200))


def found_run() -> FoundRun:
    """A run with a hostile source."""
    request = {"source": "s3://input/\x1b[2J/", "destination": "s3://out/", "workload": "word-count"}
    return FoundRun("r-1", ARN, request, RunFolder(S3Uri("out", "_millrace/r-1/")))


def progress(status: str = "RUNNING", **execution: Any) -> RunProgress:
    """A run that is at work on its shards."""
    steps = [Step(name) for name in STATES]
    steps[0] = Step("Prepare Run", "succeeded", START, START)
    steps[3] = Step("Migrate", "running", START, None, Children(6, 2, 0, 1, 1, 2), "job-1")
    given: Any = {"executionArn": ARN, "startDate": START, "status": status, **execution}
    counts = Counts(20, 18, 2, 2000)
    work = Work(Committed(2, counts, 1, Counts(10, 9, 1, 1000)), 5.0, 500.0, 8.0)
    planned: Any = {"shards": 6, "items": 60, "bytes": 6000, "digest": "sha256:0"}
    return RunProgress(status, tuple(steps), given, None, planned, work, "RUNNABLE for 10 s: no capacity")


def test_a_run_is_shown_with_all_that_is_known() -> None:
    """Status, shards by state, items, failures so far, pace, what is left, what it waits for; keys cannot command."""
    terminal = Printed()
    print_run(terminal, found_run(), progress(redriveCount=2))
    text = terminal.text.getvalue()
    for words in (
        "r-1",
        "RUNNING",
        "2 times",
        "2 of 6 shards done, 2 children running, 2 waiting",
        "20 of 60 items committed, 2 failed, 1 shard from before, 5 items/s, 500 B/s, about 8.0 s left",
        "waiting: RUNNABLE for 10 s: no capacity",
        r"s3://input/\x1b[2J/",
    ):
        assert words in text
    assert "\x1b" not in text


def test_the_document_has_one_shape() -> None:
    """Whatever the run's state is, the same fields are there, and JSON can hold them."""
    running = run_document(found_run(), progress(), None)
    failure = RunFailedError("Merge", "TooManyFailuresError", "too many", exit_code=3)
    failed = run_document(found_run(), progress("FAILED", stopDate=START, output='{"a": 1}'), failure)
    assert running.keys() == failed.keys()
    assert running["planned"] == {"shards": 6, "items": 60, "bytes": 6000}
    assert running["children"] == {
        "total": 6,
        "succeeded": 2,
        "failed": 0,
        "running": 1,
        "starting": 1,
        "runnable": 2,
        "cancelled": 0,
    }
    assert running["committed"]["reused_shards"] == 1
    assert running["started_at"] == "2026-11-21T09:00:00.000+00:00"
    assert (running["ended_at"], running["error"], running["output"]) == (None, None, None)
    assert failed["error"]["exit_code"] == 3
    assert failed["output"] == {"a": 1}
    assert failed["committed"]["seconds_left"] is None
    json.dumps(failed)


def test_the_next_commands_fit_the_failure() -> None:
    """Too many failures: the line that accepts them comes first; an abort has no logs; a refused input no way on."""
    target = Target(Aws(), "words", "--stack=words")

    def ways(state: str, error: str, code: int, result: dict[str, Any] | None = None) -> str:
        return "\n".join(next_commands(found_run(), RunFailedError(state, error, "", exit_code=code), target, result))

    assert "millrace resume r-1 --retry-failed --stack=words" in ways("Merge", "TooManyFailuresError", 3)
    counted = ways("Merge", "TooManyFailuresError", 3, {"counts": {"items": 12, "failed": 3}})
    assert "millrace resume r-1 --tolerated-failure-percent 25 --stack=words" in counted
    assert counted.index("Accept") < counted.index("Retry")
    assert "millrace logs r-1 --failed" in ways("Plan", "StorageError", 1)
    assert "logs" not in ways("", "Aborted", 1)
    assert ways("Prepare Run", "InvalidRunRequest", 2) == ""
    assert "millrace resume r-1" in ways("Migrate Shards", "CodePackageError", 2)


@pytest.mark.parametrize("error", ["InvalidRunRequest", "WorkloadUnavailableError", "CodePackageError"])
def test_what_a_resume_cannot_put_right_has_no_resume(error: str) -> None:
    """A run keeps its request and its code: where the plan job finds a fault in them, only a new run helps."""
    target = Target(Aws(), "words", "--stack=words")
    said = next_commands(found_run(), RunFailedError("Plan", error, "", exit_code=2), target)
    assert "new run" in said[-1]
    assert not any("millrace resume" in line or "millrace report" in line for line in said)  # there is no row yet
    later = next_commands(found_run(), RunFailedError("Migrate Shards", error, "", exit_code=2), target)
    assert any("millrace resume" in line for line in later)
    assert any("millrace report" in line for line in later)
    assert "start a new one" in later[-1]


@pytest.mark.parametrize("state", ["Plan", "Migrate Shards", "Migrate And Merge", "Merge"])
def test_code_that_gives_what_cannot_be_merged_has_no_resume(state: str) -> None:
    """Whenever it is found: the run keeps its code, so the last line says what to do, and the page has no button."""
    failure = RunFailedError(state, "WorkloadFaultError", "one kind can be merged", exit_code=2)
    said = next_commands(found_run(), failure, Target(Aws(), "words", "--stack=words"))
    assert "new run" in said[-1]
    assert not any("millrace resume" in line for line in said)
    assert possible(found_run(), progress("FAILED"), 3, failure) == []


@pytest.mark.parametrize(("length", "taken"), [(MAX_INPUT_BYTES, True), (MAX_INPUT_BYTES + 1, False)])
@pytest.mark.parametrize("character", ["x", "\u00e9"])
def test_a_request_that_step_functions_would_not_take_is_refused(length: int, taken: bool, character: str) -> None:  # noqa: FBT001
    """An input of 262,144 bytes of UTF-8 is sent, one byte more is refused before any call, with the way around it."""
    calls: list[str] = []

    def start_execution(*, input: str, **_given: str) -> dict[str, str]:  # noqa: A002 - boto3's name
        calls.append(input)
        return {"executionArn": ARN}

    aws: Any = SimpleNamespace(step_functions=SimpleNamespace(start_execution=start_execution))
    request = {"source": "s3://abc/b/", "destination": "s3://cde/d/", "include": [""]}
    room = length - len(json.dumps(request).encode())
    request["include"] = [character * (room // len(character.encode())) + "x" * (room % len(character.encode()))]
    if taken:
        start(aws, "arn", request)
        assert [len(text.encode()) for text in calls] == [length]
    else:
        with pytest.raises(InvalidRunRequest, match=r"262,145 bytes.*at most 262,144 bytes.*--manifest"):
            start(aws, "arn", request)
        assert calls == []


def asked(*arguments: str) -> tuple[Path | None, str | None, dict[str, Any]]:
    """What `start` makes of its options."""
    context = start_verb.make_context("start", [*arguments])
    assert isinstance(context, click.Context)
    given = {name: value for name, value in context.params.items() if name not in ("input_file", "given_id")}
    return context.params["input_file"], context.params["given_id"], given


class Starting:
    """A target that only remembers what was started."""

    def __init__(self) -> None:
        self.aws = self.step_functions = self
        self.stack = SimpleNamespace(state_machine_arn="machine", public_buckets=frozenset())
        self.input: dict[str, Any] = {}
        self.is_local = False

    def start_execution(self, **given: Any) -> dict[str, str]:
        """Remember it; the name "taken" is taken."""
        if given["name"] == "taken":
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}, "StartExecution")
        self.input = json.loads(given["input"])
        return {"executionArn": f"arn:aws:states:eu-west-1:1:execution:machine:{given['name']}"}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        """What was started."""
        return {"executionArn": executionArn, "input": json.dumps(self.input), "status": "RUNNING"}


def test_options_go_before_the_input_file(tmp_path: Path) -> None:
    """The file is the execution input; each option replaces its field, and options of the workload are joined."""
    path = tmp_path / "input.json"
    fields = {
        "source": "s3://input/",
        "destination": "s3://out/",
        "options": {"top": 4, "min_count": 2},
        "shard": {"max_items": 9},
        "share": "night",
    }
    path.write_text(json.dumps(fields))
    target = Starting()
    words = asked(
        "--input", str(path), "--option", "top=5", "--max-shards", "7", "--source", "s3://other/", "--id", "n"
    )
    found = begin(target, *words)  # type: ignore[arg-type]
    assert found.run_id == "n"
    assert target.input == {
        **fields,
        "source": "s3://other/",
        "workload": "word-count",
        "options": {"top": 5, "min_count": 2},
        "shard": {"max_items": 9, "max_shards": 7},
    }


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--source", "letters", "--destination", "s3://out/"), "source"),
        (("--destination", "s3://out/"), "source"),
        (("--source", "s3://input/", "--destination", "s3://out/", "--id", "no good"), "run_id"),
        (("--source", "s3://input/", "--destination", "s3://out/", "--id", "taken"), "id"),
        (("--source", "s3://input/", "--destination", "s3://out/", "--name", ""), "name"),
        (("--source", "s3://input/", "--destination", "s3://out/", "--tag", "aws:x=1"), "tags"),
        (("--source", "s3://input/", "--destination", "s3://out/", "--max-items", "0"), "shard.max_items"),
    ],
)
def test_a_bad_request_is_refused_before_or_as_it_is_started(arguments: tuple[str, ...], field: str) -> None:
    """The field is named; a name that is taken is not drawn again."""
    target = Starting()
    with pytest.raises(InvalidRunRequest) as caught:
        begin(target, *asked(*arguments))  # type: ignore[arg-type]
    assert caught.value.field == field
    assert target.input == {}


def test_a_resumption_is_named_after_its_run() -> None:
    """The name fits Step Functions, however long the run's id is."""
    assert name_of_resumption("r-1").startswith("r-1-resume-")
    assert len(name_of_resumption("r" * 80)) == 80


def test_a_log_line_is_told_for_people() -> None:
    """JSON lines become time, level, message and fields; anything else is shown as it is, never sent as it is."""
    line = '{"level":"INFO","time":"2026-11-21T09:12:31.123+00:00","message":"done\\u001b[2J","shard":3,"a":{"b":1}}'
    assert readable(line).plain == '09:12:31 INFO    done\\x1b[2J  shard=3  a={"b": 1}'
    assert readable("plain \x07").plain == "plain \\x07"
    assert readable("[1]").plain == "[1]"


def test_every_attempts_stream_is_found_once() -> None:
    """The attempt at work is not among the attempts yet; one that never started has no stream."""
    attempts = [{"container": {"logStreamName": "a"}}, {"container": {}}]
    assert streams_of({"attempts": attempts, "container": {"logStreamName": "b"}}) == ["a", "b"]
    assert streams_of({"attempts": attempts[:1], "container": {"logStreamName": "a"}}) == ["a"]


def test_the_last_lines_are_paged_backwards() -> None:
    """A page may be empty without being the last: the same token twice is the beginning."""
    pages = {"": (["5", "6"], "t1"), "t1": ([], "t2"), "t2": (["3", "4"], "t3"), "t3": ([], "t3")}

    def get_log_events(nextToken: str = "", **_given: Any) -> dict[str, Any]:  # noqa: N803
        lines, token = pages[nextToken]
        return {"events": [{"message": line} for line in lines], "nextBackwardToken": token}

    aws: Any = SimpleNamespace(logs=SimpleNamespace(get_log_events=get_log_events))
    job: Any = {"container": {}}
    assert log_lines(aws.logs, job, "s", 100) == ["3", "4", "5", "6"]


def test_jobs_are_told_by_their_exact_names() -> None:
    """ListJobs' name filter ignores case: another run's jobs are not ours. Both copies of a doubled job are."""
    names = {"1": "r-1-migrate", "2": "R-1-migrate", "3": "r-1-migrate"}

    def paginate(filters: list[dict[str, Any]], **_given: Any) -> list[dict[str, Any]]:
        prefix = filters[0]["values"][0].removesuffix("*").lower()
        summaries = [{"jobId": key, "jobName": name} for key, name in names.items() if name.lower().startswith(prefix)]
        return [{"jobSummaryList": summaries}]

    batch = SimpleNamespace(
        get_paginator=lambda _operation: SimpleNamespace(paginate=paginate),
        describe_jobs=lambda jobs: {"jobs": [{"jobId": job} for job in reversed(jobs)]},
    )
    aws: Any = SimpleNamespace(batch=batch)
    assert [job["jobId"] for job in jobs_of(aws.batch, ["q"], "r-1")] == ["1", "3"]


def test_what_is_left_of_a_job_counts_children() -> None:
    """A parent has as many processes left as children that have not ended, and itself until it has."""
    jobs: list[tuple[Any, int]] = [
        ({"status": "PENDING", "arrayProperties": {"size": 9, "statusSummary": {"RUNNING": 2, "FAILED": 7}}}, 2),
        ({"status": "PENDING", "arrayProperties": {"size": 9, "statusSummary": {"FAILED": 9}}}, 1),
        ({"status": "FAILED", "arrayProperties": {"size": 9, "statusSummary": {"FAILED": 9}}}, 0),
        ({"status": "RUNNABLE"}, 1),
        ({"status": "SUCCEEDED"}, 0),
    ]
    assert [unended(job) for job, _ in jobs] == [left for _, left in jobs]
    assert (index_of("a-b:12"), index_of("a-b")) == (12, 0)


def test_the_last_job_of_a_step_counts() -> None:
    """After a redrive or a retry a step has submitted twice; outputs that are no objects say nothing."""

    def submitted(job: str) -> dict[str, Any]:
        return {"type": "TaskSubmitted", "taskSubmittedEventDetails": {"output": json.dumps({"JobId": job})}}

    entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Migrate And Merge"}}
    left = {"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Plan", "output": '{"a": 1}'}}
    odd = {"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Merge", "output": "[]"}}
    events = [submitted("lost"), entered, submitted("1"), submitted("2"), left, odd]
    assert submitted_jobs(events) == {"Migrate And Merge": "2"}
    assert state_outputs(events) == {"Plan": {"a": 1}}


def test_a_deployed_definition_is_ours_with_arns_in_it() -> None:
    """Placeholders match what stands for them; any other change is drift."""
    ours = DEFINITION.read_text()
    deployed = re.sub(r"\$\{(\w+)\}", r"arn:aws:batch:eu-west-1:1:job-definition/\1:3", ours)
    assert deployed != ours
    assert same_definition(ours, deployed)
    assert not same_definition(ours, re.sub(r'("TimeoutSeconds": \d+)', r"\g<1>1", deployed, count=1))
    assert not same_definition('{"a": "${X}-plan"}', '{"a": "arn-merge"}')


class Account:
    """A target on AWS with these clients."""

    def __init__(self, parameters: dict[str, str] | None = None, **clients: Any) -> None:
        self.aws = SimpleNamespace(client=clients.__getitem__, batch=clients.get("batch"))
        self.stack = SimpleNamespace(parameters=parameters or {}, outputs={}, job_queue_arns=["q"])
        self.is_local = False
        self.stack_name = "words"

    def command(self, verb: str) -> str:
        """A command line."""
        return f"millrace {verb}"


def refused(code: str) -> ClientError:
    """A refusal of AWS."""
    return ClientError({"Error": {"Code": code, "Message": f"{code}!"}}, "Operation")


@pytest.mark.parametrize(
    ("quota", "shards", "outcome", "says"),
    [
        (6, None, "warn", "6 Fargate Spot vCPUs, the stack would use 16: 6 jobs at once"),
        (6, 4, "ok", "6 jobs of 1 at once"),
        (100, None, "ok", "16 jobs of 1 at once"),
        (0.5, None, "fail", "one job needs 1"),
    ],
)
def test_the_quota_is_held_against_the_size(quota: float, shards: int | None, outcome: str, says: str) -> None:
    """A quota below what the stack would use makes a run slow; below one job's vCPUs nothing runs."""

    def get_service_quota(**given: str) -> dict[str, Any]:
        assert (given["ServiceCode"], given["QuotaCode"]) == QUOTAS["FARGATE_SPOT"][:2]
        return {"Quota": {"Value": quota}}

    target: Any = Account(
        {"MaxvCpus": "16", "Compute": "FARGATE_SPOT"},
        **{"service-quotas": SimpleNamespace(get_service_quota=get_service_quota)},
    )
    check = vcpu_quota(target, shards)
    assert check.outcome == outcome
    assert says in check.message
    assert bool(check.todo) == (outcome != "ok")


@pytest.mark.parametrize(
    ("compute", "quota", "outcome", "says"),
    [
        ("FARGATE_SPOT", 6, "ok", "6 Fargate On-Demand vCPUs: 6 jobs at once"),
        ("EC2", 0, "warn", "one job needs 1: no urgent run can start"),
        ("FARGATE", 0, "ok", "no Spot is used"),
    ],
)
def test_what_stands_behind_spot(compute: str, quota: float, outcome: str, says: str) -> None:
    """Urgent runs use On-Demand alone: its own quota is looked at, where Spot comes first."""
    client = SimpleNamespace(get_service_quota=lambda **_given: {"Quota": {"Value": quota}})
    target: Any = Account({"Compute": compute}, **{"service-quotas": client})
    check = quota_behind(target)
    assert (check.outcome, bool(check.todo)) == (outcome, outcome != "ok")
    assert says in check.message


@pytest.mark.parametrize(
    ("compute", "shards", "outcome", "says"),
    [
        ("FARGATE_SPOT", None, "ok", "1 to 3 SubmitJob calls"),
        (
            "FARGATE_SPOT",
            10_000,
            "ok",
            "10,000 shards are worked by at most 16 children, which take at least 0.8 s to start",
        ),
        ("EC2", 10_000, "ok", "the limit is 50 a second"),
        ("FARGATE", 10_001, "ok", "at most 16 children"),
        ("FARGATE", 100_001, "warn", "at most 100,000 shards, not 100,001"),
    ],
)
def test_the_rates_are_held_against_the_size(compute: str, shards: int | None, outcome: str, says: str) -> None:
    """A run submits three jobs, and Fargate starts tasks at a rate; more shards than a run may have are none."""
    target: Any = Account({"Compute": compute})
    check = rates(target, shards)
    assert (check.outcome, bool(check.todo)) == (outcome, outcome != "ok")
    assert says in check.message


class Queue:
    """SQS with one queue, whose messages are as old as they say."""

    def __init__(self, *messages: tuple[float, str], **attributes: str) -> None:
        now = datetime.now(UTC).timestamp()
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        self.messages = [
            {
                "Body": body,
                "Attributes": {"SentTimestamp": str(int((now - age) * 1000))},
                **({"MessageAttributes": told} if told else {}),
            }
            for age, body in messages
        ]

    def get_queue_attributes(self, **_given: Any) -> dict[str, Any]:
        """One of them is being looked at by somebody else."""
        count = len(self.messages)
        hidden = min(1, count)
        return {
            "Attributes": {
                "ApproximateNumberOfMessages": str(count - hidden),
                "ApproximateNumberOfMessagesNotVisible": str(hidden),
            }
        }

    def receive_message(self, **given: Any) -> dict[str, Any]:
        """Looking takes nothing away from anybody."""
        assert given["VisibilityTimeout"] == 0
        assert given["MessageAttributeNames"] == ["ERROR_MESSAGE"]
        return {"Messages": self.messages[:10]} if self.messages else {}


def dead_lettered(*messages: tuple[float, str], **attributes: str) -> Any:
    """The check on a queue with these messages."""
    account: Any = Account(sqs=Queue(*messages, **attributes))
    account.stack.outputs["UndeliveredQueueUrl"] = "https://sqs/undelivered"
    return undelivered(account)


def test_undelivered_notifications_are_reported() -> None:
    """An empty queue is well. What is there is counted, with its age and the runs that it is about."""
    assert dead_lettered().outcome == "ok"
    check = dead_lettered(
        (60, json.dumps({"detail-type": "x", "detail": {"name": "letters"}})),
        (7200, json.dumps({"requestPayload": {"detail": {"jobName": "words-plan"}}})),
        (5, json.dumps({"Type": "Notification", "Message": json.dumps({"run_id": "songs"})})),
        (5, "not JSON"),
        (5, json.dumps({"detail": {"name": "letters"}})),
    )
    assert check.outcome == "warn"
    assert check.message.startswith("5 messages in https://sqs/undelivered, the oldest seen for 2 h")
    assert check.message.endswith(": letters, words-plan, songs")
    assert "docs/notifications.md" in check.todo


def test_an_upload_without_a_run_is_said_with_its_reason() -> None:
    """The key of an upload, and what the function wrote beside it; text that shows nothing comes as escapes."""
    upload = {"detail": {"bucket": {"name": "letters"}, "object": {"key": "in/a\u202e.csv"}}}
    check = dead_lettered((60, json.dumps(upload)), (60, "no JSON"), ERROR_MESSAGE="Rate exceeded\n" + "x" * 300)
    assert ": in/a\\u202e.csv; why: Rate exceeded\\nxxx" in check.message
    assert check.message.endswith("…")


class ImageMissing(Exception):  # noqa: N818 - as botocore names it
    """ImageNotFoundException."""


@pytest.mark.parametrize(("pushed", "outcome"), [(True, "ok"), (False, "fail")])
def test_the_image_must_be_in_the_repository(*, pushed: bool, outcome: str) -> None:
    """Without it no job starts; the check says which, and how it comes there."""

    def describe_images(**asked: Any) -> dict[str, Any]:
        ids = [{"imageDigest": "sha256:0a"}]
        assert asked == {"registryId": "12", "repositoryName": "my/words", "imageIds": ids}
        if not pushed:
            raise ImageMissing
        return {"imageDetails": [{"imagePushedAt": START}]}

    exceptions = SimpleNamespace(ImageNotFoundException=ImageMissing, RepositoryNotFoundException=ImageMissing)
    client = SimpleNamespace(describe_images=describe_images, exceptions=exceptions)
    target: Any = Account({"Image": "12.dkr.ecr.eu-west-1.amazonaws.com/my/words@sha256:0a"}, ecr=client)
    check = _image(target)
    assert check.outcome == outcome
    assert "amazonaws.com/my/words@sha256:0a" in check.message
    assert check.todo == ("" if pushed else "millrace deploy --stack words")


def test_jobs_that_wait_for_long_are_told() -> None:
    """The oldest one's age decides; its reason is passed on."""
    old = {"jobId": "1", "createdAt": 0, "statusReason": "CAPACITY:INSUFFICIENT"}
    target: Any = Account(batch=SimpleNamespace(list_jobs=lambda **_given: {"jobSummaryList": [old]}))
    check = _waiting(target)
    assert (check.outcome, check.todo) == ("warn", "look at it: millrace status")
    assert "CAPACITY:INSUFFICIENT" in check.message


def test_a_refused_look_is_a_warning_and_bad_credentials_a_failure() -> None:
    """What cannot be looked at may be well; without credentials nothing is."""

    def denied() -> Any:
        raise refused("AccessDenied")

    def nobody() -> Any:
        raise NoCredentialsError

    assert (_asked("image", denied).outcome, _asked("image", denied).message) == (
        "warn",
        "cannot be read: AccessDenied!",
    )
    assert _asked("credentials", denied).outcome == "fail"
    assert _asked("credentials", nobody).outcome == "fail"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each script asks the command itself for what may come next."""
    assert edge._run(["completion", shell]) == 0
    assert "_MILLRACE_COMPLETE" in capsys.readouterr().out


def test_completion_knows_the_verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What the script asks is answered: verbs, and a verb's options."""
    for words, expected in (("millrace re", {"report", "resume"}), ("millrace resume --re", {"--retry-failed"})):
        monkeypatch.setenv("_MILLRACE_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit):
            edge._run([])
        told = {line.partition(",")[2] for line in capsys.readouterr().out.split()}
        assert expected <= told


def test_an_error_of_aws_before_any_call_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing credentials are wrong usage, with the way out."""

    @click.command
    def verb() -> None:
        raise NoCredentialsError

    monkeypatch.setattr(edge.millrace, "get_command", lambda _context, _name: verb)
    assert edge._run(["verb"]) == 2
    assert "aws sso login" in capsys.readouterr().err
