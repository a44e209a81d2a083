"""The embedded AWS's answers and events beside AWS's own, as far as public projects recorded them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import get_session

from console.checkout import ROOT
from millrace.aws.events import EXECUTION_CHANGE, JOB_CHANGE, QUEUE_BLOCKED, read_event
from tests.conformance.account import Account
from tests.conformance.answers import ANSWERS, ended
from tests.conformance.recorded import (
    FOLDER,
    Recorder,
    Recording,
    compared,
    differences,
    normalised,
    recordings,
)

RECORDED = {each.name: each for each in recordings()}
UNREAD = "nothing: no code of ours reads more of such an error than its code and its status"
KNOWN: dict[str, dict[str, str]] = {
    **{
        name: {"Error.Condition is missing": UNREAD}
        for name in ("s3-put-if-none-match", "s3-put-if-match", "s3-get-if-match", "s3-complete-if-none-match")
    },
    "s3-put-if-match-missing": {"Error.Key is missing": UNREAD},
    "s3-complete-conflict": {
        "Error is missing": "how a writer bears 409 when its object is deleted under an upload in parts; "
        "tests/unit/s3 and the simulator answer 409 in its place",
        "HTTPStatusCode is missing": "the same",
    },
    "event-object-created": {
        "detail.event-version is in no model of AWS": "a rule that asks for it would match here alone; none does"
    },
    "states-cause-job-lost": {
        "Cause.StartedAt is missing": "a job that started and lost its container; here it never started, "
        "and what reads the cause reads JobId, StatusReason and no time"
    },
}
"""What the embedded AWS answers otherwise, by recording and difference, each with what that could hide."""
EMITTED_BY_AWS_ALONE = {
    "event-queue-blocked": "the embedded AWS blocks no queue; tests/unit/functions/test_notify.py reads such events",
}
"""Recordings that nothing here can answer; they are read by what reads them in production."""


@pytest.mark.embedded("it holds the embedded AWS against AWS")
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answer_is_shaped_as_aws_shapes_it(account: Account, queue: str, name: str) -> None:
    """Members, types, case, error codes and the wordings that we match on, but for the differences that are known."""
    recorded = RECORDED[name]
    answered = json.loads(json.dumps(normalised(ANSWERS[name](account, queue))))
    found = set(differences(recorded.answer, answered, recorded.exact))
    assert found == set(KNOWN.get(name, {})), "a difference that is new, or is gone: mend it, or say what it could hide"


UNRECORDED = {
    "doctor asks once, and its tests make the answers up: a name that AWS writes otherwise makes a check of it say "
    "that it could not look": {
        *("get_caller_identity", "describe_images", "get_service_quota", "get_key_policy", "get_topic_attributes"),
        *("get_function", "get_layer_version", "describe_state_machine", "get_queue_attributes", "receive_message"),
        "head_bucket",
    },
    "of S3's answers to writes ETag and UploadId are read, of HEAD the length: without one of them no run would end": {
        *(
            "head_object",
            "delete_object",
            "copy_object",
            "create_multipart_upload",
            "upload_part",
            "abort_multipart_upload",
        ),
    },
    "the layer only lists them among what who asks may pay for; the workload copy calls them, and its tests on "
    "the embedded AWS compare tags and parts": {"get_object_tagging", "upload_part_copy"},
    "of the answer nothing is read but that there was one": {
        *("terminate_job", "send_message", "publish", "create_schedule", "update_schedule", "delete_schedule"),
    },
    "`millrace schedule` reads names of the API's model; a field that AWS fills otherwise would be lost by a pause, "
    "which writes the whole schedule back": {"get_schedule", "list_schedules"},
    "its `definition` alone is read, by the page that follows a run": {"describe_state_machine_for_execution"},
}
"""What no recording shows of the answers that are read, each with what that could hide."""
READERS = ("functions", "console", "layer/python/millrace")
READ_SERVICES = (
    "batch", "stepfunctions", "s3", "logs", "cloudformation", "events", "sns", "sqs", "sts", "ecr", "service-quotas",
    "lambda", "kms", "scheduler",
)  # fmt: skip
ELSEWHERE = {"get_template"}
"""Methods of other things than clients that have an operation's name."""


def read_operations() -> set[str]:
    """The client methods that notify, console, cost and error mapping call, found in their sources."""
    known = {
        xform_name(name)
        for service in READ_SERVICES
        for name in get_session().get_service_model(service).operation_names
    }
    words: set[str] = set()
    for folder in READERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute):
                    words.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # get_paginator("list_jobs")
                    words.add(node.value)
    return known & words - ELSEWHERE


def test_every_answer_that_is_read_is_recorded() -> None:
    """Whatever operation the code asks: its answer is among the recordings, or it is said what that could hide."""
    recorded = {xform_name(each.of.partition(" ")[2]) for each in RECORDED.values()}
    excused = {name for names in UNRECORDED.values() for name in names}
    assert read_operations() - recorded == excused


def test_every_event_that_is_read_is_recorded() -> None:
    """Each kind of event, and each end of an execution."""
    kinds = {each.answer["detail-type"] for each in RECORDED.values() if each.of.startswith("event ")}
    assert {JOB_CHANGE, EXECUTION_CHANGE, QUEUE_BLOCKED, "Object Created"} <= kinds
    ends = {each.answer["detail"]["status"] for each in RECORDED.values() if each.of == f"event {EXECUTION_CHANGE}"}
    assert ends == {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


def test_every_recording_is_compared() -> None:
    """None lies there without a question to the embedded AWS, and no question is without a recording."""
    assert set(ANSWERS) | set(EMITTED_BY_AWS_ALONE) == set(RECORDED)
    assert set(KNOWN) <= set(ANSWERS)


@pytest.mark.parametrize(
    "name", sorted(name for name in RECORDED if name.startswith("event-") and "object" not in name)
)
def test_the_function_notify_reads_recorded_events(name: str) -> None:
    """What AWS sends becomes a change that can be told, with its reason."""
    event = RECORDED[name].answer
    change = read_event(event)
    assert change.key.split()[0] in ("job", "run", "queue")


def test_a_recording_says_where_it_is_from() -> None:
    """Source and evidence, and nothing of any account but the one of examples."""
    for each in RECORDED.values():
        assert each.source
        assert each.evidence in ("recorded", "measured", "documented", "run"), each.name
        assert normalised(each.answer) == each.answer, each.name


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        ({"jobs": [{"status": "FAILED", "startedAt": 0}]}, []),
        ({"jobs": [{"status": "FAILED"}]}, ["jobs[].startedAt is missing"]),
        ({"jobs": [{"status": "FAILED", "startedat": 0}]}, ["jobs[].startedat is written startedAt"]),
        ({"jobs": [{"status": "FAILED", "startedAt": "0"}]}, ["jobs[].startedAt is a text, not a number"]),
        ({"jobs": [{"status": "RUNNING", "startedAt": 0}]}, ["jobs[].status is 'RUNNING', not 'FAILED'"]),
        ({"jobs": [{"status": "FAILED", "startedAt": 0, "madeUp": 1}]}, ["jobs[].madeUp is in no model of AWS"]),
        ({"jobs": [{"status": "FAILED", "startedAt": 0, "stoppedAt": 1}]}, []),
        ({"jobs": []}, ["jobs is empty"]),
    ],
)
def test_a_difference_is_seen(answered: Any, found: list[str]) -> None:
    """A missing member, another case, another type, a wording we match on, a member that AWS does not have."""
    recorded = {"jobs": [{"status": "FAILED", "startedAt": 0}]}
    assert list(differences(recorded, answered, ("jobs[].status",))) == found


@pytest.mark.embedded("it signs as the embedded AWS wants it")
def test_answers_are_recorded_without_what_is_private(account: Account, queue: str, tmp_path: Path) -> None:
    """The hook writes one file for each operation and outcome, with no id, time, account or Region of the caller."""
    recorder = Recorder(tmp_path, "today", "123456789012", "us-east-1", case="a_test")
    session = boto3.Session(**account.signer, region_name="us-east-1")
    recorder.watch(session)
    batch = session.client("batch", endpoint_url=account.endpoint_url)
    job_id = ended(account, queue, "exit 3")
    batch.describe_jobs(jobs=[job_id])
    with pytest.raises(ClientError):
        batch.submit_job(jobName="a", jobQueue="none", jobDefinition="none")

    written = {each.name: each for each in recordings(tmp_path)}
    assert set(written) == {"a_test.batch.DescribeJobs.FAILED", "a_test.batch.SubmitJob.ClientException"}
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert job_id not in text
    failed_job: Recording = written["a_test.batch.DescribeJobs.FAILED"]
    assert list(differences(RECORDED["batch-describe-failed"].answer, failed_job.answer)) == []
    assert failed_job.evidence == "run"
    moved = normalised({"arn": f"arn:aws:batch:eu-west-3:999999999999:job/{job_id}"}, "999999999999", "eu-west-3")
    assert moved == {"arn": "arn:aws:batch:us-east-1:123456789012:job/00000000-0000-4000-8000-000000000001"}
    assert tmp_path != FOLDER


@pytest.mark.embedded("it needs no account")
def test_a_real_run_is_compared_with_a_rehearsal(tmp_path: Path) -> None:
    """Recordings of one name are held against each other; an answer that the rehearsal never had is named."""
    real, rehearsed = tmp_path / "real", tmp_path / "rehearsed"
    answers = {"a.FAILED": {"status": "FAILED", "code": 1}, "b.SUCCEEDED": {"status": "SUCCEEDED"}}
    for folder, given in ((real, answers), (rehearsed, {"a.FAILED": {"status": "FAILED", "code": "1"}})):
        folder.mkdir()
        for name, answer in given.items():
            content = {"of": "x", "when": "x", "evidence": "run", "source": "x", "exact": [], "answer": answer}
            (folder / f"{name}.json").write_text(json.dumps(content))
    assert compared(real, rehearsed) == {
        "a.FAILED": ["code is a text, not a number"],
        "b.SUCCEEDED": ["the embedded AWS never answered so"],
    }
