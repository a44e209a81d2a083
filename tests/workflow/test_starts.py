"""Runs that uploads start: what is put into the source bucket is worked with no further step, in few runs, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from console.checkout import ROOT
from console.doctor.undelivered import undelivered
from console.find.stack import Stack
from console.find.target import Target
from millrace.layout import RunFolder, S3Uri
from tests.workflow.runs import Run, Runs, until
from tests.workflow.sam import physical, sam_deploy
from tests.workflow.tables import Tables

pytestmark = pytest.mark.long

NAME = "millrace-uploads"
HEADER = b"ProductId,ProductName,ProductDescription\n"
PART_BYTES = 5 * 2**20
"""The least that S3 takes for a part that is not the last."""


@dataclass(frozen=True)
class Uploads:
    """A stack that imports what is uploaded as in/….csv into a table.

    Attributes:
        stack: Its outputs.
        runs: Its runs.
        table: The table.
    """

    stack: Stack
    runs: Runs
    table: str

    def started(self) -> list[Run]:
        """The runs that there are, the latest first."""
        listed = self.runs.aws.step_functions.list_executions(stateMachineArn=self.runs.state_machine)["executions"]
        return [self.run_of(found["executionArn"]) for found in listed]

    def run_of(self, execution: str) -> Run:
        """The run of an execution that an upload started."""
        folder = S3Uri(self.stack.result_bucket, "uploads/")
        return Run(execution, RunFolder.of(folder, self.input_of(execution)["run_id"]))

    def input_of(self, execution: str) -> dict[str, Any]:
        """What an execution was started with."""
        described = self.runs.aws.step_functions.describe_execution(executionArn=execution)
        return dict(json.loads(described["input"]))

    def keys(self, run: Run) -> list[str]:
        """The keys that a run is over."""
        return list(self.input_of(run.execution)["keys"])

    def runs_over(self, earlier: list[Run], *keys: str) -> list[Run]:
        """The runs that started since, once they are over all these keys; they are over no other, and none twice."""

        def found() -> list[Run] | None:
            since = [run for run in self.started() if run not in earlier]
            return since if {key for run in since for key in self.keys(run)} >= set(keys) else None

        runs: list[Run] = until(f"runs over {len(keys)} uploads", found)
        assert sorted(key for run in runs for key in self.keys(run)) == sorted(keys)
        return runs

    def run_over(self, earlier: list[Run], *keys: str) -> Run:
        """The one run that started since, which is over these keys."""
        (run,) = self.runs_over(earlier, *keys)
        return run

    def send(self, *bodies: object) -> None:
        """Put messages into the queue of uploads: events as JSON, or any text."""
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.runs.aws.client("sqs").send_message(QueueUrl=self.stack.outputs["UploadsQueueUrl"], MessageBody=text)

    def event(self, key: str, sequencer: str) -> dict[str, Any]:
        """S3's event of an upload."""
        thing = {"key": key, "size": 1, "sequencer": sequencer}
        detail = {"bucket": {"name": self.stack.source_bucket}, "object": thing}
        return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    def waits(self) -> bool:
        """Whether the queue of uploads holds anything."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.runs.aws.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=self.stack.outputs["UploadsQueueUrl"], AttributeNames=names)
        return any(int(found["Attributes"][name]) for name in names)


@pytest.fixture(scope="module")
def uploads(stack: Any, s3: Any, tables: Tables) -> Iterator[Uploads]:
    """The stack with uploads switched on, from what the session's deployment built; its rule ends with the module."""
    table = tables.make("ProductId")
    options = {"table": table, "computed": {"from": "{source_key}"}}
    sam_deploy(
        stack.endpoint_url,
        NAME,
        UploadRequest=json.dumps({"workload": "csv-to-dynamodb", "options": options}),
        UploadKeys="in/*.csv",
        UploadWindowSeconds="2",
        QueueRules=json.dumps([{"prefix": "in/now/", "queue": "urgent"}]),
        TableNames=f"{table},import-*",
    )
    deployed = Stack.find(stack.aws, NAME)
    yield Uploads(deployed, Runs(stack.aws, s3, deployed.state_machine_arn, deployed.job_queue_arn), table)
    stack.aws.client("events").disable_rule(Name=physical(stack.aws.cloudformation, NAME, "UploadRule"))


NAMES = [
    "new products.csv", "a+b%20c&d.csv", "é/e\u0301.csv", "a//../b.csv", '"quoted" \\ <key>.csv', "new\nline.csv",
    "😀.csv",
]  # fmt: skip


def test_uploaded_csv_files_become_rows(uploads: Uploads, s3: Any, tables: Tables) -> None:
    """Putting product CSVs into the bucket, whatever they are called, puts their rows into the table."""
    bucket, earlier = uploads.stack.source_bucket, uploads.started()
    for number, name in enumerate(NAMES):
        s3.put_object(Bucket=bucket, Key=f"kept/{name}", Body=HEADER + b"other,x,y\n")
        s3.put_object(Bucket=bucket, Key=f"in/{name}", Body=HEADER + b"name-%d,Jug,holds 1 l\n" % number)
    runs = uploads.runs_over(earlier, *(f"in/{name}" for name in NAMES))
    outputs = [uploads.runs.wait(run) for run in runs]

    assert [output["run_id"] for output in outputs] == [run.run_id for run in runs]
    assert sum(output["counts"]["succeeded"] for output in outputs) == len(NAMES)
    written = tables.items(uploads.table, "ProductId")
    for number, name in enumerate(NAMES):
        assert written[f"name-{number}"]["from"]["S"] == f"in/{name}"
    assert "other" not in written


def test_fifty_uploads_are_few_runs(uploads: Uploads, s3: Any, stack: Any) -> None:
    """Within the window they are one to three runs; their status names every key, the list the first and how many."""
    earlier, keys = uploads.started(), [f"in/fifty/{number:02}.csv" for number in range(50)]
    for key in keys:
        s3.put_object(Bucket=uploads.stack.source_bucket, Key=key, Body=HEADER + b"fifty,Jug,\n")
    runs = uploads.runs_over(earlier, *keys)
    assert 1 <= len(runs) <= 3
    assert sum(uploads.runs.wait(run)["counts"]["succeeded"] for run in runs) == 50
    for run in runs:
        said = _millrace(stack, "status", run.run_id, "--json")
        assert json.loads(said)["keys"] == uploads.keys(run)
        plain = _millrace(stack, "status", run.run_id)
        assert all(key in plain for key in uploads.keys(run))
    listed = {each["name"]: each for each in json.loads(_millrace(stack, "list", "--json"))}
    assert [(listed[run.run_id]["first_key"], listed[run.run_id]["keys"]) for run in runs] == [
        (uploads.keys(run)[0], len(uploads.keys(run))) for run in runs
    ]
    assert f"{uploads.keys(runs[0])[0]} and {len(uploads.keys(runs[0])) - 1} more" in " ".join(
        _millrace(stack, "list").split()
    )


def test_a_rule_sends_uploads_to_the_urgent_queue(uploads: Uploads, s3: Any) -> None:
    """QueueRules names the queue by the object's prefix: such a run's jobs, and no other's, are in the urgent one."""
    earlier = uploads.started()
    for key in ("in/now/a.csv", "in/later/a.csv"):
        s3.put_object(Bucket=uploads.stack.source_bucket, Key=key, Body=HEADER + b"queued,Jug,\n")
    urgent = replace(uploads.runs, queue=uploads.stack.outputs["UrgentJobQueueArn"])
    found = {}
    for run in uploads.runs_over(earlier, "in/now/a.csv", "in/later/a.csv"):
        uploads.runs.wait(run)
        (key,) = uploads.keys(run)
        # An upload is small work: one job does it all.
        found[key] = len(urgent.jobs(run, "migrate-and-merge")), len(uploads.runs.jobs(run, "migrate-and-merge"))
    assert found == {"in/now/a.csv": (1, 0), "in/later/a.csv": (0, 1)}


def test_a_multipart_upload_starts_one_run(uploads: Uploads, s3: Any, tables: Tables) -> None:
    """The parts of a large upload start nothing; their completion starts one run over the whole object."""
    where = {"Bucket": uploads.stack.source_bucket, "Key": "in/large.csv"}
    padding = b"large-%d,Sack," + b"x" * 300_000 + b"\n"
    first = HEADER + b"".join(padding % number for number in range(PART_BYTES // 300_000 + 1))
    earlier = uploads.started()
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((first, b"large-last,Sack,y\n"), start=1)
    ]
    assert not uploads.waits()
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    output = uploads.runs.wait(uploads.run_over(earlier, "in/large.csv"))

    counts = output["counts"]
    assert (counts["items"], counts["succeeded"], counts["bytes"]) == (1, 1, len(first) + 18)
    written = tables.items(uploads.table, "ProductId")
    assert sum(1 for key in written if key.startswith("large-")) == PART_BYTES // 300_000 + 2


def test_other_objects_start_nothing(uploads: Uploads, s3: Any) -> None:
    """Another prefix or suffix, folder markers, a run's own files, and the result bucket's objects."""
    source, earlier = uploads.stack.source_bucket, uploads.started()
    for key in ("in/readme.txt", "out/a.csv", "in/a.csv.bak", "in/folder/", "in/_millrace/run/a.csv"):
        s3.put_object(Bucket=source, Key=key, Body=HEADER)
    s3.put_object(Bucket=source, Key="in/marker.csv/", Body=b"")
    uploads.send({**uploads.event("in/marker.csv/", "1"), "detail": {
        "bucket": {"name": source}, "object": {"key": "in/marker.csv/", "size": 0}}})  # fmt: skip
    s3.put_object(Bucket=uploads.stack.result_bucket, Key="in/a.csv", Body=HEADER)
    s3.put_object(Bucket=source, Key="in/last.csv", Body=HEADER)
    uploads.runs.wait(uploads.run_over(earlier, "in/last.csv"))
    until("the queue of uploads is empty", lambda: not uploads.waits())
    assert len(uploads.started()) == len(earlier) + 1


def test_an_event_that_comes_again_starts_nothing(uploads: Uploads, s3: Any) -> None:
    """Twice in a batch, superseded in it, or delivered again later: the key is worked once, by one execution."""
    earlier = uploads.started()
    s3.put_object(Bucket=uploads.stack.source_bucket, Key="in/twice.csv", Body=HEADER + b"twice,Jug,\n")
    uploads.runs.wait(uploads.run_over(earlier, "in/twice.csv"))
    earlier = uploads.started()
    events = [uploads.event("in/twice.csv", number) for number in ("0A01", "0A02", "0A02", "0A")]
    uploads.send(*events)
    first = uploads.run_over(earlier, "in/twice.csv")
    uploads.runs.wait(first)
    files = uploads.runs.names(first.folder.root)
    uploads.send(events[1])
    until("the queue of uploads is empty", lambda: not uploads.waits())
    assert len(uploads.started()) == len(earlier) + 1
    # cost.json is the notification's, and comes when it comes.
    assert set(uploads.runs.names(first.folder.root)) - {"cost.json"} == set(files) - {"cost.json"}


def test_an_upload_that_is_gone_fails_alone(uploads: Uploads, s3: Any, tables: Tables) -> None:
    """Deleted before its run could look: its row says NOT_FOUND and the run fails, while the others are worked."""
    earlier, bucket = uploads.started(), uploads.stack.source_bucket
    for name in ("gone", "stays"):
        s3.put_object(Bucket=bucket, Key=f"in/{name}.csv", Body=HEADER + f"{name},Jug,\n".encode())
    s3.delete_object(Bucket=bucket, Key="in/gone.csv")
    for run in uploads.runs_over(earlier, "in/gone.csv", "in/stays.csv"):
        gone = "in/gone.csv" in uploads.keys(run)
        uploads.runs.wait(run, "FAILED" if gone else "SUCCEEDED")
        rows = [row["ErrorCode"] for row in uploads.runs.report(run) if row["ErrorCode"]]
        assert rows == (["NOT_FOUND"] if gone else [])
    written = tables.items(uploads.table, "ProductId")
    assert ("gone" in written, "stays" in written) == (False, True)


def test_a_message_that_is_no_upload_is_buried(uploads: Uploads, s3: Any) -> None:
    """It is in the dead-letter queue with the reason, which `doctor` shows; what came with it is worked."""
    earlier = uploads.started()
    uploads.send("no event", {"Event": "s3:TestEvent"})
    s3.put_object(Bucket=uploads.stack.source_bucket, Key="in/beside.csv", Body=HEADER + b"beside,Jug,\n")
    uploads.runs.wait(uploads.run_over(earlier, "in/beside.csv"))
    until("the queue of uploads is empty", lambda: not uploads.waits())

    check = undelivered(Target(uploads.runs.aws, NAME))
    assert check.outcome == "warn"
    assert "not S3's event of an uploaded object" in check.message
    sqs, buried = uploads.runs.aws.client("sqs"), []
    while messages := sqs.receive_message(
        QueueUrl=uploads.stack.outputs["UndeliveredQueueUrl"], MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        buried += messages
    codes = {each["Body"]: each["MessageAttributes"]["ERROR_CODE"]["StringValue"] for each in buried}
    assert codes == {"no event": "NO_UPLOAD", '{"Event": "s3:TestEvent"}': "NO_UPLOAD"}


def test_the_role_may_write_the_named_tables(uploads: Uploads, stack: Any) -> None:
    """TableNames becomes the resources of one statement of the migrate role: these tables, and no others."""
    role = physical(stack.aws.cloudformation, NAME, "MigrateJobRole")
    policy = stack.aws.client("iam").get_role_policy(RoleName=role, PolicyName="Migrate")["PolicyDocument"]
    document = policy if isinstance(policy, dict) else json.loads(policy)
    (statement,) = [each for each in document["Statement"] if each["Sid"] == "WriteTheTables"]
    tables = {arn.partition(":table/")[2] for arn in statement["Resource"]}
    assert tables == {uploads.table, "import-*", "-"}
    assert statement["Action"] == ["dynamodb:DescribeTable", "dynamodb:BatchWriteItem"]


def _millrace(stack: Any, *arguments: str) -> str:
    """What `millrace …` says of the stack with uploads."""
    command = [sys.executable, "-m", "console", *arguments, "--state-dir", str(stack.state_dir), "--stack", NAME]
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
