"""Runs that an upload starts: what is put into the source bucket is worked with no further step, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from console.find.stack import Stack
from millrace.layout import RunFolder, S3Uri
from tests.workflow.runs import Run, Runs, until
from tests.workflow.sam import physical, sam_deploy
from tests.workflow.tables import Tables

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

    def runs_since(self, earlier: list[Run], number: int) -> list[Run]:
        """So many runs that started since."""

        def found() -> list[Run] | None:
            since = [run for run in self.started() if run not in earlier]
            return since if len(since) >= number else None

        runs: list[Run] = until(f"{number} runs that uploads started", found)
        assert len(runs) == number
        return runs

    def next_run(self, earlier: list[Run]) -> Run:
        """The one run that started since."""
        (run,) = self.runs_since(earlier, 1)
        return run


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
        QueueRules=json.dumps([{"prefix": "in/now/", "queue": "urgent"}]),
        TableNames=f"{table},import-*",
    )
    deployed = Stack.find(stack.aws, NAME)
    yield Uploads(deployed, Runs(stack.aws, s3, deployed.state_machine_arn, deployed.job_queue_arn), table)
    events = stack.aws.client("events")
    for name in events.list_rule_names_by_target(TargetArn=deployed.state_machine_arn)["RuleNames"]:
        events.disable_rule(Name=name)


NAMES = ["new products.csv", "a+b%20c&d.csv", "é/e\u0301.csv", "a//../b.csv", '"quoted" \\ <key>.csv', "new\nline.csv"]


def test_uploaded_csv_files_become_rows(uploads: Uploads, s3: Any, tables: Tables) -> None:
    """Putting product CSVs into the bucket, whatever they are called, puts their rows into the table: each is a run."""
    bucket, earlier = uploads.stack.source_bucket, uploads.started()
    for number, name in enumerate(NAMES):
        s3.put_object(Bucket=bucket, Key=f"kept/{name}", Body=HEADER + b"other,x,y\n")
        s3.put_object(Bucket=bucket, Key=f"in/{name}", Body=HEADER + b"name-%d,Jug,holds 1 l\n" % number)
    runs = uploads.runs_since(earlier, len(NAMES))
    outputs = [uploads.runs.wait(run) for run in runs]

    asked = [uploads.input_of(run.execution) for run in runs]
    assert sorted(request["upload"]["detail"]["object"]["key"] for request in asked) == sorted(
        f"in/{name}" for name in NAMES
    )
    assert [output["run_id"] for output in outputs] == [run.run_id for run in runs]
    assert [output["counts"]["items"] for output in outputs] == [1] * len(NAMES)
    written = tables.items(uploads.table, "ProductId")
    for number, name in enumerate(NAMES):
        assert written[f"name-{number}"]["from"]["S"] == f"in/{name}"
    assert "other" not in written


def test_a_rule_sends_uploads_to_the_urgent_queue(uploads: Uploads, s3: Any) -> None:
    """QueueRules names the queue by the object's prefix: such a run's jobs, and no other's, are in the urgent one."""
    earlier = uploads.started()
    for key in ("in/now/a.csv", "in/later/a.csv"):
        s3.put_object(Bucket=uploads.stack.source_bucket, Key=key, Body=HEADER + b"queued,Jug,\n")
    urgent = replace(uploads.runs, queue=uploads.stack.outputs["UrgentJobQueueArn"])
    found = {}
    for run in uploads.runs_since(earlier, 2):
        uploads.runs.wait(run)
        key = uploads.input_of(run.execution)["upload"]["detail"]["object"]["key"]
        found[key] = len(urgent.jobs(run, "migrate")), len(uploads.runs.jobs(run, "migrate"))
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
    assert uploads.started() == earlier
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    run = uploads.next_run(earlier)
    output = uploads.runs.wait(run)

    assert output["counts"] == {"items": 1, "succeeded": 1, "failed": 0, "bytes": len(first) + 18, "shards": 1}
    written = tables.items(uploads.table, "ProductId")
    assert sum(1 for key in written if key.startswith("large-")) == PART_BYTES // 300_000 + 2


def test_other_objects_start_nothing(uploads: Uploads, s3: Any) -> None:
    """Another prefix or suffix, a folder that the console makes, and the result bucket's objects are not the rule's."""
    source, earlier = uploads.stack.source_bucket, uploads.started()
    for key in ("in/readme.txt", "out/a.csv", "in/a.csv.bak", "in/folder/"):
        s3.put_object(Bucket=source, Key=key, Body=HEADER)
    s3.put_object(Bucket=uploads.stack.result_bucket, Key="in/a.csv", Body=HEADER)
    s3.put_object(Bucket=source, Key="in/last.csv", Body=HEADER)
    run = uploads.next_run(earlier)
    uploads.runs.wait(run)
    assert uploads.input_of(run.execution)["upload"]["detail"]["object"]["key"] == "in/last.csv"
    assert len(uploads.started()) == len(earlier) + 1


def test_an_event_that_comes_twice_gives_one_result(uploads: Uploads, s3: Any, tables: Tables) -> None:
    """EventBridge delivers at least once: a second execution, at the same time or later, joins the first one's run."""
    earlier = uploads.started()
    s3.put_object(Bucket=uploads.stack.source_bucket, Key="in/twice.csv", Body=HEADER + b"twice,Jug,\n")
    run = uploads.next_run(earlier)
    asked = uploads.input_of(run.execution)
    states = uploads.runs.aws.step_functions

    def again() -> Run:
        started = states.start_execution(stateMachineArn=uploads.runs.state_machine, input=json.dumps(asked))
        return uploads.run_of(started["executionArn"])

    at_once = again()
    outputs = [uploads.runs.wait(run), uploads.runs.wait(at_once)]
    files = [name for name in uploads.runs.names(run.folder.root) if name != "cost.json"]
    outputs.append(uploads.runs.wait(again()))

    # One of the first two worked the object; the others found it done.
    assert sorted(output.pop("reused")["items"] for output in outputs) == [0, 1, 1]
    first, second, third = outputs
    assert first == second == third
    assert first["run_id"] == asked["run_id"] == run.run_id
    # cost.json is the notification's, and comes when it comes.
    assert [name for name in uploads.runs.names(run.folder.root) if name != "cost.json"] == files
    assert "twice" in tables.items(uploads.table, "ProductId")


def test_an_upload_that_is_gone_is_a_failed_run(uploads: Uploads) -> None:
    """Deleted before the run could look: its row says NOT_FOUND, and the run fails rather than do nothing."""
    request: dict[str, Any] = {
        "keys": ["in/never-was.csv"],
        "workload": "csv-to-dynamodb",
        "options": {"table": uploads.table},
    }
    source, destination = f"s3://{uploads.stack.source_bucket}/", f"s3://{uploads.stack.result_bucket}/gone/"
    run = uploads.runs.start(source, destination, **request)
    uploads.runs.wait(run, "FAILED")
    assert [row["ErrorCode"] for row in uploads.runs.report(run)] == ["NOT_FOUND"]


def test_the_role_may_write_the_named_tables(uploads: Uploads, stack: Any) -> None:
    """TableNames becomes the resources of one statement of the migrate role: these tables, and no others."""
    role = physical(stack.aws.cloudformation, NAME, "MigrateJobRole")
    policy = stack.aws.client("iam").get_role_policy(RoleName=role, PolicyName="Migrate")["PolicyDocument"]
    document = policy if isinstance(policy, dict) else json.loads(policy)
    (statement,) = [each for each in document["Statement"] if each["Sid"] == "WriteTheTables"]
    tables = {arn.partition(":table/")[2] for arn in statement["Resource"]}
    assert tables == {uploads.table, "import-*", "-"}
    assert statement["Action"] == ["dynamodb:DescribeTable", "dynamodb:BatchWriteItem"]
