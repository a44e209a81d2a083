"""With IAM enforced: a run needs what its roles allow, every single permission of it, and nothing more."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from checks.conditions import Resolver
from checks.security.policies import _Plain
from checks.sources import Sources
from console.checkout import ROOT
from console.find.executions import new_name
from millrace.cost.ranges import LEAST_RANGE_BYTES
from millrace.layout import RunFolder, S3Uri
from tests.workflow.notices import Notices, called_once
from tests.workflow.permissions import Permission, permissions
from tests.workflow.runs import until
from tests.workflow.strict_stack import PARAMETERS, PYTHON, TABLES, Strict
from tests.workflow.texts import totals

pytestmark = pytest.mark.long

TEMPLATE = Sources(ROOT).expanded
LOGS = "the embedded AWS delivers no state machine logs to CloudWatch"
UNNOTICED: dict[tuple[str, str], str] = {
    ("MigrationStateMachineRole", f"logs:{action}"): LOGS
    for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
}  # fmt: skip
UNNOTICED["ReadSettingsPolicy", "kms:Decrypt"] = "the embedded AWS encrypts no secrets"
"""Permissions that AWS needs by its documentation, and whose absence cannot be seen here, with the reason."""
NOWHERE = ("arn:aws:s3:::-", "arn:aws:s3:::-/*")
"""What fills up the places of sources and public buckets: no bucket has such a short name, so that it allows nothing.
tests/infrastructure/test_sources.py holds what a place allows that is filled."""


def resource_of(permission: Permission) -> str:
    """The resource of a permission, as plain text."""
    resolver = Resolver(TEMPLATE, PARAMETERS)
    made = resolver.resolve(TEMPLATE["Resources"][permission.role]["Properties"])
    policy = made.get("Policies", [made])[permission.policy]
    named = policy["PolicyDocument"]["Statement"][permission.statement]["Resource"]
    resource = named[permission.resource] if isinstance(named, list) else named
    return str(_Plain(TEMPLATE, resolver).value(resource))


PERMISSIONS = [
    found
    for found in permissions(TEMPLATE, PARAMETERS)
    if (found.role, found.action) not in UNNOTICED
    and not (found.action.startswith("s3:") and resource_of(found) in NOWHERE)
]
DENIALS = list(permissions(TEMPLATE, PARAMETERS, "Deny"))
NOTICES: dict[str, Notices] = {}
"""The failed run that is reported, once it is there."""


def prepare_run(strict: Strict) -> Any:
    """A new run, which gets its plan, and the same execution once more, which finds its own run.json."""
    name = new_name()
    folders = {
        "source": f"s3://{strict.stack.source_bucket}/{name}/",
        "destination": f"s3://{strict.stack.result_bucket}/b/",
    }
    strict.runs.put(folders["source"], {"a": b"one two"})
    event = {"input": folders, "execution_arn": "arn", "execution_name": name, "started_at": "now"}
    answers = strict.invoke("PrepareRunFunction", event), strict.invoke("PrepareRunFunction", event)
    planned = strict.runs.read(RunFolder.of(S3Uri.parse(folders["destination"]), name).plan) is not None
    return answers, planned


def minding(strict: Strict) -> Any:
    """A start that minds others: one that takes the turn, and one that looks whether the run of the turn is at work."""
    folders = {
        "source": f"s3://{strict.stack.source_bucket}/{new_name()}/",
        "destination": f"s3://{strict.stack.result_bucket}/{new_name()}/",
    }
    arn = strict.stack.state_machine_arn.replace(":stateMachine:", ":execution:")
    event = {"input": {**folders, "overlap": "skip"}, "started_at": "2026-11-21T09:00:00Z"}
    names = new_name(), new_name()
    return [
        strict.invoke("PrepareRunFunction", {**event, "execution_arn": f"{arn}:{name}", "execution_name": name})
        for name in names
    ]


def read_plan(strict: Strict) -> Any:
    """A plan that is there, and one that is not."""
    folder = strict.unworked
    missing = f"s3://{strict.stack.result_bucket}/_millrace/none/plan.json"
    first = {"before": {"pass": 0, "shards_left": 0, "redrives": 0, "jobs": []}, "migrate_job": "", "execution": {}}
    return [strict.invoke("ReadPlanFunction", {"plan": uri, **first}) for uri in (str(folder.plan), missing)]


def read_result(strict: Strict) -> Any:
    """A result that is there, and one that is not."""
    name = new_name()
    folder = RunFolder.of(S3Uri(strict.stack.result_bucket, f"{name}/"), name)
    content = {
        "run_id": "r",
        "status": "SUCCEEDED",
        "failures": {},
        "retry": None,
        "worked_by": {},
        "files": {},
        "counts": {"items": 0, "succeeded": 0, "failed": 0, "bytes": 0, "shards": 0},
        "report": str(folder.file("report.csv")),
        "failure_rows": str(folder.file("failures.jsonl")),
        "digests": dict.fromkeys(("report.csv", "failures.jsonl"), f"sha256:{sha256(b'').hexdigest()}"),
    }
    for name, body in (("result.json", json.dumps(content)), ("report.csv", ""), ("failures.jsonl", "")):
        strict.s3.put_object(Bucket=folder.root.bucket, Key=folder.file(name).key, Body=body)
    missing = f"s3://{strict.stack.result_bucket}/_millrace/none/plan.json"
    return [
        strict.invoke("ReadResultFunction", {"plan": uri, "migrate_job": ""}) for uri in (str(folder.plan), missing)
    ]


def plan(strict: Strict) -> Any:
    """A plan that is made, and kept when the job runs again."""
    _, folder = strict.prepared(a="one two")
    return strict.job(strict.physical("PlanJobDefinition"), "plan", "--request", str(folder.request))


def plan_cuts(strict: Strict) -> Any:
    """A plan that cuts a CSV file: it has to read the request, and the file."""
    name = new_name()
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a.csv": b"name,text\n" + b"one,two\n" * (LEAST_RANGE_BYTES // 4)})
    request = {"source": source, "destination": destination, "shard": {"target_bytes": 1}}
    request |= {"workload": "csv-to-dynamodb", "options": {"table": "films"}}
    event = {"input": request, "execution_arn": f"arn:{name}", "execution_name": name, "started_at": "now"}
    assert strict.invoke("PrepareRunFunction", event) is None
    folder = RunFolder.of(S3Uri.parse_folder(destination), name)
    ended = strict.job(strict.physical("PlanJobDefinition"), "plan", "--request", str(folder.request))
    made = strict.runs.read(folder.plan)
    return ended, made and json.loads(made)["shards"]


def plan_reuses(strict: Strict, **planned_by: str) -> Any:
    """A plan that takes over a shard of an earlier run, of which one object is gone; or which the function makes."""
    name, shards = new_name(), {"max_items": 1}
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a": b"one", "b": b"two"})
    request: dict[str, Any] = {"source": source, "destination": destination, "shard": shards}
    request |= {"workload": "copy", **planned_by}  # which keeps its items' contributions
    folders = [RunFolder.of(S3Uri.parse_folder(destination), f"{name}-{number}") for number in range(2)]
    for folder, more in zip(folders, ({}, {"reuse": folders[0].run_id}), strict=True):
        event = {"input": request | more, "execution_name": folder.run_id, "started_at": "now"}
        assert strict.invoke("PrepareRunFunction", {**event, "execution_arn": f"arn:{folder.run_id}"}) is None
        ended: Any = strict.runs.read(folder.plan) is not None
        if planned_by:
            ended = strict.job(strict.physical("PlanJobDefinition"), "plan", "--request", str(folder.request))
        if not more:
            command = ("migrate-and-merge", "--plan", str(folder.plan))
            assert strict.job(strict.physical("MigrateAndMergeJobDefinition"), *command)[0] == 0
            strict.runs.delete(source, ["b"])
    taken = [strict.runs.read(uri) is not None for uri in (folders[1].commit(0), folders[1].file("removed.jsonl"))]
    return ended, taken


def migrate(strict: Strict) -> Any:
    """A shard with a text, one that was deleted since it was planned, and a progress file of an earlier attempt."""
    source, folder = strict.planned(a="one two", b="three")
    strict.runs.delete(source, ["b"])
    progress = folder.progress(0, "earlier")
    strict.s3.put_object(Bucket=progress.bucket, Key=progress.key, Body=b"of no use")
    ended = strict.job(strict.physical("MigrateJobDefinition"), "migrate", "--plan", str(folder.plan))
    commit = json.loads(strict.runs.read(folder.commit(0)) or b'{"outcomes": []}')
    return ended, [outcome.get("error_code") for outcome in commit["outcomes"]]


def migrate_upload(strict: Strict) -> Any:
    """An output's upload that breaks off leaves nothing behind."""
    return strict.broken_upload("MigrateJobDefinition", S3Uri(strict.stack.result_bucket, f"{new_name()}/output"))


def migrate_and_merge(strict: Strict) -> Any:
    """One job that works a shard and refuses the result, and one that accepts it and takes the mark off."""
    source, folder = strict.planned(a="one two", b="three")
    strict.runs.delete(source, ["b"])
    progress = folder.progress(0, "earlier")
    strict.s3.put_object(Bucket=progress.bucket, Key=progress.key, Body=b"of no use")
    arguments = (strict.physical("MigrateAndMergeJobDefinition"), "migrate-and-merge", "--plan", str(folder.plan))
    refused = strict.job(*arguments)
    accepted = strict.job(*arguments, "--tolerated-failure-percent", "50")
    commit = json.loads(strict.runs.read(folder.commit(0)) or b'{"outcomes": []}')
    codes = [outcome.get("error_code") for outcome in commit["outcomes"]]
    return refused[0], accepted, codes, strict.runs.read(folder.file("_INCOMPLETE")) is None


def together_upload(strict: Strict) -> Any:
    """An output's upload that breaks off leaves nothing behind."""
    uri = S3Uri(strict.stack.result_bucket, f"{new_name()}/output")
    return strict.broken_upload("MigrateAndMergeJobDefinition", uri)


def copied(strict: Strict, **way: Any) -> Any:
    """Copies that have the tags of their sources."""
    source, destination, _ = tagged(strict)
    return strict.end(strict.runs.start(source, destination, workload="copy", **way))[:2]


def copied_versions(strict: Strict, **way: Any) -> Any:
    """The same of the versions that a manifest names, which is in the source."""
    bucket = strict.stack.source_bucket
    source, destination, versions = tagged(strict)
    place = S3Uri.parse(source)
    rows = "".join(f"{bucket},{place.key}{key},{version}\n" for key, version in versions.items())
    strict.s3.put_object(Bucket=place.bucket, Key=f"{place.key}list.csv", Body=rows.encode())
    return strict.end(strict.runs.start(source, destination, workload="copy", manifest=f"{source}list.csv", **way))[:2]


def copied_on(strict: Strict, **way: Any) -> Any:
    """Copies of what an earlier run put into the result bucket, with its tags."""
    source, destination, _ = tagged(strict, strict.stack.result_bucket)
    return strict.end(strict.runs.start(source, destination, workload="copy", **way))[:2]


def copied_public(strict: Strict, **way: Any) -> Any:
    """Copies of public data in another account: listed without credentials, and copied on a signed request."""
    bucket, name = PARAMETERS["PublicBucketNames"], new_name()
    with suppress(strict.s3.exceptions.BucketAlreadyOwnedByYou):
        strict.s3.create_bucket(Bucket=bucket)
        strict.s3.delete_public_access_block(Bucket=bucket)
        everyone = {"Effect": "Allow", "Principal": "*", "Action": ["s3:ListBucket", "s3:GetObject"]}
        everyone["Resource"] = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        document = {"Version": "2012-10-17", "Statement": [everyone]}
        strict.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    for key in "ab":
        strict.s3.put_object(Bucket=bucket, Key=f"{name}/{key}", Body=b"one two")
    strict.runs.control("bucket-owner", {"bucket": bucket, "account": "999988887777"})
    source, destination = f"s3://{bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}-copied/"
    options = {"keep_tags": False}
    ended = strict.end(strict.runs.start(source, destination, workload="copy", options=options, **way))[:2]
    strict.runs.control("bucket-owner", {"bucket": bucket, "account": "123456789012"})
    return ended


def tagged(strict: Strict, bucket: str = "") -> tuple[str, str, dict[str, str]]:
    """A source of two objects with a tag, a destination, and the objects' versions."""
    name, bucket = new_name(), bucket or strict.stack.source_bucket
    versions = {
        key: strict.s3.put_object(Bucket=bucket, Key=f"{name}/{key}", Body=b"one two", Tagging="kept=yes")["VersionId"]
        for key in "ab"
    }
    return f"s3://{bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}-copied/", versions


def run_of_a_manifest(strict: Strict, **way: Any) -> Any:
    """A run over what a manifest in a bucket of its own names, in the versions that it names."""
    name, (bucket, _, folder) = new_name(), PARAMETERS["ManifestLocation"].partition("/")
    with suppress(strict.s3.exceptions.BucketAlreadyOwnedByYou):
        strict.s3.create_bucket(Bucket=bucket)
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a b": b"one two", "c": b"two", "not named": b"three"})
    rows = "".join(
        f"{strict.stack.source_bucket},{name}/{quote(key)},"
        f"{strict.s3.head_object(Bucket=strict.stack.source_bucket, Key=f'{name}/{key}')['VersionId']}\n"
        for key in ("a b", "c")
    )
    strict.s3.put_object(Bucket=bucket, Key=f"{folder}{name}.csv", Body=rows.encode())
    run = strict.runs.start(source, destination, manifest=f"s3://{bucket}/{folder}{name}.csv", **way)
    status, error, _ = strict.end(run)
    return status, error, totals(strict.runs.file(run, "words.csv")) if status == "SUCCEEDED" else None


def migrate_into_a_table(strict: Strict, table: str, **way: Any) -> Any:
    """A row of each CSV file becomes an item."""
    database, name = strict.aws.client("dynamodb"), new_name()
    if table not in database.list_tables()["TableNames"]:
        database.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    row = f"id,text\n{name},two\n".encode()
    strict.runs.put(source, {"a.csv": row, "b.csv": row})
    run = strict.runs.start(source, destination, workload="csv-to-dynamodb", options={"table": table}, **way)
    ended = strict.end(run)[:2]
    return ended, "Item" in database.get_item(TableName=table, Key={"id": {"S": name}})


def merge(strict: Strict) -> Any:
    """A merge before the shard has its commit, and one after."""
    early = strict.job(strict.physical("MergeJobDefinition"), "merge", "--plan", str(strict.unworked.plan))
    if early[2] == "AccessDeniedError":
        return early
    _, folder = strict.planned(a="one two")
    assert strict.job(strict.physical("MigrateJobDefinition"), "migrate", "--plan", str(folder.plan))[0] == 0
    return early, strict.job(strict.physical("MergeJobDefinition"), "merge", "--plan", str(folder.plan))


def merge_accepted(strict: Strict) -> Any:
    """A merge of a run with more failures than tolerated, and one that accepts them and takes the mark off."""
    source, folder = strict.planned(a="one two", b="three")
    strict.runs.delete(source, ["b"])
    assert strict.job(strict.physical("MigrateJobDefinition"), "migrate", "--plan", str(folder.plan))[0] == 0
    arguments = ("merge", "--plan", str(folder.plan))
    refused = strict.job(strict.physical("MergeJobDefinition"), *arguments)
    accepted = strict.job(strict.physical("MergeJobDefinition"), *arguments, "--tolerated-failure-percent", "50")
    return refused[0], accepted, strict.runs.read(folder.file("_INCOMPLETE")) is None


def merge_mirrors(strict: Strict) -> Any:
    """A run that reuses another and mirrors: the output of an object that is gone is deleted, the other one stays."""
    name = new_name()
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a": b"one two", "b": b"three", "c": b"four"})
    strict.end(strict.runs.start(source, destination))
    strict.runs.delete(source, ["b"])
    mirror = {"reuse": "latest", "mirror": True, "mirror_limit_percent": 50, **LONG_WAY}
    ended = strict.end(strict.runs.start(source, destination, **mirror))[:2]
    outputs = [strict.runs.read(S3Uri.parse(f"{destination}{key}.words.txt")) is not None for key in "ab"]
    return ended, outputs


def merge_upload(strict: Strict) -> Any:
    """A result's upload that breaks off leaves nothing behind."""
    uri = S3Uri(strict.stack.result_bucket, f"{new_name()}/_millrace/r/words.csv")
    return strict.broken_upload("MergeJobDefinition", uri)


def start_a_job(strict: Strict) -> Any:
    """A job that only says how it is used: what ECS does before and around it."""
    return strict.job(strict.physical("PlanJobDefinition"), "plan", "--help")


def start_with_settings(strict: Strict) -> Any:
    """The same of a job that works items: ECS reads its settings and secrets before."""
    return strict.job(strict.physical("MigrateJobDefinition"), "migrate", "--help")


def whole_run(strict: Strict, **request: Any) -> Any:
    """A run over two objects, from the state machine on."""
    name = new_name()
    source = f"s3://{strict.stack.source_bucket}/{name}/"
    strict.runs.put(source, {"a": b"one two", "b": b"three"})
    run = strict.runs.start(source, f"s3://{strict.stack.result_bucket}/{name}/", **request)
    return strict.end(run)[:2]


def both_ways(strict: Strict) -> Any:
    """A small run, and one with a plan job, an array and a merge job."""
    return whole_run(strict), whole_run(strict, **LONG_WAY)


def urgent_run(strict: Strict) -> Any:
    """A run in the urgent queue."""
    return whole_run(strict, queue="urgent")


def measure_queues(strict: Strict) -> Any:
    """The queues, measured."""
    return strict.invoke("MeasureQueuesFunction", {})


def stopped_run(strict: Strict) -> Any:
    """What becomes of the plan job when its execution is stopped."""
    name = new_name()
    folders = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    run = strict.runs.start(*folders, plan="job")
    job = until("the plan job", lambda: strict.runs.jobs(run, "plan"))[0]
    strict.aws.step_functions.stop_execution(executionArn=run.execution)
    return until("the plan job's end", lambda: strict.job_end(job["jobId"]))["status"]


def new_state_machine(strict: Strict) -> Any:
    """Whether a state machine of the same definition can be made with the role."""
    states = strict.aws.step_functions
    found = states.describe_state_machine(stateMachineArn=strict.stack.state_machine_arn)
    try:
        made = states.create_state_machine(name=new_name(), definition=found["definition"], roleArn=found["roleArn"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    states.delete_state_machine(stateMachineArn=made["stateMachineArn"])
    return "made"


FUNCTION_SECONDS = 20
"""Long enough for a function that has not been called before on a busy machine."""


def scheduled(strict: Strict, target_arn: str) -> tuple[str, Callable[[], Any]]:
    """A schedule with the stack's role that fires in a second; returns words of its input, and what removes it."""
    client, name = strict.aws.client("scheduler"), new_name()
    role = strict.aws.client("iam").get_role(RoleName=strict.physical("ScheduleRole"))["Role"]["Arn"]
    sqs, queue = strict.aws.client("sqs"), strict.stack.outputs["UndeliveredQueueUrl"]
    buried = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    place = {"Name": name, "GroupName": strict.stack.schedule_group}
    target = {
        "Arn": target_arn, "RoleArn": role, "Input": json.dumps({"by": name}), "DeadLetterConfig": {"Arn": buried},
    }  # fmt: skip
    client.create_schedule(
        **place, ScheduleExpression="rate(1 minute)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )
    return name, lambda: client.delete_schedule(**place)


def scheduled_start(strict: Strict) -> Any:
    """Whether a schedule starts the state machine."""
    name, remove = scheduled(strict, strict.stack.state_machine_arn)
    found = wait_for_a_start(strict, name)
    remove()
    return found


def buried_start(strict: Strict) -> Any:
    """Whether a schedule's start that fails comes to the dead-letter queue."""
    name, remove = scheduled(strict, f"{strict.stack.state_machine_arn}-gone")
    found = wait_for_a_burial(strict, json.dumps({"by": name}), 5)
    remove()
    return found


def followed(strict: Strict) -> Any:
    """Whether a run that says `then` is followed by another one."""
    name = new_name()
    source, middle = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a": b"one two"})
    then = {"destination": f"s3://{strict.stack.result_bucket}/{name}-then/"}
    ended = strict.end(strict.runs.start(source, middle, workload="copy", then=then))
    return ended[:2], wait_for_a_start(strict, f'"source": "{middle}"', FUNCTION_SECONDS)


def buried_end(strict: Strict) -> Any:
    """Whether the end of a run that cannot be looked up comes to the dead-letter queue."""
    arn = f"{strict.stack.state_machine_arn.replace(':stateMachine:', ':execution:')}:{new_name()}"
    detail = {"executionArn": arn, "stateMachineArn": "arn", "name": "gone", "status": "SUCCEEDED"}
    event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
    client, function = strict.aws.client("lambda"), strict.physical("StartNextFunction")
    with called_once(client, function):
        client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
        return wait_for_a_burial(strict, arn, FUNCTION_SECONDS)


def wait_for_a_start(strict: Strict, words: str, seconds: float = 5) -> str:
    """Whether an execution starts that has these words in its input."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for each in strict.aws.step_functions.list_executions(stateMachineArn=strict.stack.state_machine_arn)[
            "executions"
        ]:
            found = strict.aws.step_functions.describe_execution(executionArn=each["executionArn"])
            if words in found["input"]:
                return "started"
        time.sleep(0.1)
    return "not started"


def started_by_an_upload(strict: Strict) -> Any:
    """Whether an upload starts the state machine."""
    key = f"uploads-alone/{new_name()}"
    strict.s3.put_object(Bucket=strict.stack.source_bucket, Key=key, Body=b"one two")
    return wait_for_a_start(strict, key, FUNCTION_SECONDS)


def buried_message(strict: Strict) -> Any:
    """Whether a message that is no upload comes to the dead-letter queue."""
    sqs, body = strict.aws.client("sqs"), new_name()
    sqs.send_message(QueueUrl=strict.stack.outputs["UploadsQueueUrl"], MessageBody=body)
    return wait_for_a_burial(strict, body, FUNCTION_SECONDS)


def wait_for_a_burial(strict: Strict, body: str, seconds: float) -> str:
    """Whether a message with these words comes to the dead-letter queue; it is taken out."""
    sqs, undelivered = strict.aws.client("sqs"), strict.stack.outputs["UndeliveredQueueUrl"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = sqs.receive_message(QueueUrl=undelivered, MaxNumberOfMessages=10, VisibilityTimeout=0)
        for message in found.get("Messages", []):
            if body in message["Body"]:
                sqs.delete_message(QueueUrl=undelivered, ReceiptHandle=message["ReceiptHandle"])
                return "buried"
        time.sleep(0.1)
    return "lost"


def notices(strict: Strict) -> Notices:
    """The notices of a run that failed."""
    if strict.endpoint_url not in NOTICES:
        NOTICES[strict.endpoint_url] = Notices.of(strict)
    return NOTICES[strict.endpoint_url]


def notice(strict: Strict) -> Any:
    """What is told of a run that failed, and of one that was stopped."""
    failed = notices(strict).told("FAILED")
    return (failed, notices(strict).told("ABORTED")) if failed["errors"] == [None, None] else (failed,)


def look_at_runs(strict: Strict) -> Any:
    """Whether runs at work are looked at: one that waits behind another is there."""
    name = new_name()
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, {"a": b"one two"})
    run = strict.runs.start(source, destination, workload="command", options={"command": ["sleep", "20"]})
    detail = {"least_seconds": 0, "times": 3}
    found = strict.invoke("NotifyFunction", {"detail-type": "Millrace Look At Runs", "detail": detail})
    strict.aws.step_functions.stop_execution(executionArn=run.execution)
    return found


def notice_after_a_failure(strict: Strict) -> Any:
    """A notice whose first delivery failed."""
    return notices(strict).after_a_failure()


def lost_notice(strict: Strict) -> Any:
    """A notice that cannot be delivered."""
    return notices(strict).kept()


LONG_WAY: dict[str, Any] = {"plan": "job", "max_items": 1, "pace": {"seconds_per_item": 60}}
"""Fields of a request that give two objects a plan job, an array of two children and a merge job."""
migrate_copy, together_copy = partial(copied, **LONG_WAY), partial(copied)
migrate_copy_on, together_copy_on = partial(copied_on, **LONG_WAY), partial(copied_on)
migrate_copy_public, together_copy_public = partial(copied_public, **LONG_WAY), partial(copied_public)
manifest_copy, together_manifest_copy = partial(copied_versions, **LONG_WAY), partial(copied_versions)
manifest_run, together_manifest_run = partial(run_of_a_manifest, **LONG_WAY), partial(run_of_a_manifest)
plan_job_reuses = partial(plan_reuses, plan="job")

PARTS: dict[str, Callable[[Strict], Any]] = {
    "PrepareRunFunctionRole": prepare_run,
    "ListSourcesPolicy": prepare_run,
    "ReadPlanFunctionRole": read_plan,
    "ReadResultFunctionRole": read_result,
    "MeasureQueuesFunctionRole": measure_queues,
    "PlanJobRole": plan,
    "MigrateJobRole": migrate,
    "MergeJobRole": merge,
    "MigrateAndMergeJobRole": migrate_and_merge,
    "JobExecutionRole": start_a_job,
    "ReadSettingsPolicy": start_with_settings,
    "MigrationStateMachineRole": both_ways,
    "ScheduleRole": scheduled_start,
    "StartNextFunctionRole": followed,
    "StartUploadsFunctionRole": started_by_an_upload,
    "NotifyFunctionRole": notice,
}
"""The part of a run that needs a role, by the role."""
SPECIAL: dict[tuple[str, str], Callable[[Strict], Any]] = {
    ("PrepareRunFunctionRole", "states:DescribeExecution"): minding,
    ("ScheduleRole", "sqs:SendMessage"): buried_start,
    ("NotifyFunctionRole", "FindTheRunsAtWork"): look_at_runs,
    ("NotifyFunctionRole", "ReadWhatTheyWereAskedFor"): look_at_runs,
    ("StartNextFunctionRole", "sqs:SendMessage"): buried_end,
    ("PlanJobRole", "ReadRunFoldersAndOutputs"): plan,
    ("PlanJobRole", "s3:GetObject"): plan_cuts,
    ("PlanJobRole", "TakeOverShards"): plan_job_reuses,
    ("MigrateJobRole", "CopyPublicData"): migrate_copy_public,
    ("MigrateAndMergeJobRole", "CopyPublicData"): together_copy_public,
    ("MigrateJobRole", "s3:AbortMultipartUpload"): migrate_upload,
    ("MigrateJobRole", "ReadTagsOfOutputs"): migrate_copy_on,
    ("MigrateJobRole", "s3:GetObjectTagging"): migrate_copy,
    ("MigrateJobRole", "s3:GetObjectVersion"): manifest_run,
    ("MigrateJobRole", "s3:GetObjectVersionTagging"): manifest_copy,
    ("PlanJobRole", "ReadTheManifest"): manifest_run,
    ("MigrateJobRole", "s3:PutObjectTagging"): migrate_copy,
    ("MigrateAndMergeJobRole", "s3:AbortMultipartUpload"): together_upload,
    ("MigrateAndMergeJobRole", "ReadTagsOfOutputs"): together_copy_on,
    ("MigrateAndMergeJobRole", "s3:GetObjectTagging"): together_copy,
    ("MigrateAndMergeJobRole", "s3:GetObjectVersion"): together_manifest_run,
    ("MigrateAndMergeJobRole", "s3:GetObjectVersionTagging"): together_manifest_copy,
    ("MigrateAndMergeJobRole", "s3:PutObjectTagging"): together_copy,
    ("MergeJobRole", "s3:AbortMultipartUpload"): merge_upload,
    ("MergeJobRole", "s3:DeleteObject"): merge_mirrors,
    ("StartUploadsFunctionRole", "sqs:SendMessage"): buried_message,
    ("NotifyFunctionRole", "dynamodb:DeleteItem"): notice_after_a_failure,
    ("NotifyFunctionRole", "sqs:SendMessage"): lost_notice,
    ("MigrationStateMachineRole", "batch:TerminateJob"): stopped_run,
    ("MigrationStateMachineRole", "events:PutTargets"): new_state_machine,
    ("MigrationStateMachineRole", "events:PutRule"): new_state_machine,
    ("MigrationStateMachineRole", "events:DescribeRule"): new_state_machine,
}
"""What needs a permission that no undisturbed run uses, by its action or its statement's Sid."""
INTO_TABLES = {
    role: [partial(migrate_into_a_table, table=table, **way) for table in TABLES]
    for role, way in (("MigrateJobRole", LONG_WAY), ("MigrateAndMergeJobRole", {}))
}
"""What needs the right to a table, by its place among the statement's resources."""
URGENT_QUEUE = 1
"""Its place among the resources of batch:SubmitJob."""
THE_TURN, WHAT_IS_GONE = 0, 4
"""The places of at-work-*.json and of removed.jsonl among what Prepare Run writes."""


def part_of(permission: Permission) -> Callable[[Strict], Any]:
    """What needs this permission."""
    if permission.action == "batch:SubmitJob" and permission.resource == URGENT_QUEUE:
        return urgent_run
    if permission.sid == "WriteTheRequestAndThePlan" and permission.resource == THE_TURN:
        return minding
    if permission.sid == "WriteTheRequestAndThePlan" and permission.resource == WHAT_IS_GONE:
        return plan_reuses
    if permission.sid == "WriteTheTables":
        return INTO_TABLES[permission.role][permission.resource]
    found = (SPECIAL.get((permission.role, name)) for name in (permission.sid, permission.action))
    return next(filter(None, found), PARTS[permission.role])


@pytest.fixture(scope="module")
def usual(strict: Strict) -> Callable[[Callable[[Strict], Any]], Any]:
    """What a part of a run comes to with all permissions; found out once."""
    known: dict[Callable[[Strict], Any], Any] = {}

    def of(part: Callable[[Strict], Any]) -> Any:
        if part not in known:
            known[part] = part(strict)
        return known[part]

    return of


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_run_needs_no_more_than_its_roles(strict: Strict, count: int) -> None:
    """A run without, with one and with many shards succeeds where every job and function has only its own role."""
    name = new_name()
    source = f"s3://{strict.stack.source_bucket}/{name}/"
    strict.runs.put(source, {f"{number}.txt": b"one two" for number in range(count)})
    run = strict.runs.start(source, f"s3://{strict.stack.result_bucket}/{name}/", max_items=1)
    output = strict.runs.wait(run)
    assert output["counts"]["succeeded"] == output["counts"]["shards"] == count


@pytest.mark.parametrize("permission", PERMISSIONS, ids=str)
def test_every_permission_is_needed(
    strict: Strict, usual: Callable[[Callable[[Strict], Any]], Any], permission: Permission
) -> None:
    """Without this one permission, the part of a run that its role is for comes to something else."""
    part = part_of(permission)
    expected = usual(part)
    with strict.taken_away(permission):
        assert part(strict) != expected


def test_the_undisturbed_parts_succeed(usual: Callable[[Callable[[Strict], Any]], Any]) -> None:
    """With all permissions nothing is denied: the comparisons above start from success."""
    assert usual(whole_run)[0] == "SUCCEEDED"
    assert usual(prepare_run) == ((None, None), True)
    assert usual(minding) == [None, None]
    assert usual(read_plan)[0] is None
    assert usual(plan) == (0, None, None, True)
    assert usual(plan_reuses) == (True, [False, True])
    assert usual(plan_job_reuses) == ((0, None, None, True), [True, True])
    assert usual(migrate)[1] == [None, "NOT_FOUND"]
    assert usual(migrate_upload) == usual(merge_upload) == 0
    assert usual(merge_mirrors) == (("SUCCEEDED", None), [True, False])
    assert usual(merge_accepted) == (3, (0, None, None, True), True)
    for part in (migrate_copy, together_copy, migrate_copy_public, together_copy_public, manifest_copy,
                 together_manifest_copy):  # fmt: skip
        assert usual(part)[0] == "SUCCEEDED"
    for part in (manifest_run, together_manifest_run):
        assert usual(part) == ("SUCCEEDED", None, {"one": 1, "two": 2})
    failed, stopped = usual(notice)
    for told in (failed, stopped):
        assert (told["errors"], told["bus"], told["topic"]) == ([None, None], 1, 1)
        assert (told["planned"]["items"], told["shards_committed"], told["cost"], told["kept"]) == (2, 1, 1, True)
    assert (failed["error"], failed["counts"]["failed"]) == ("TooManyFailuresError", 1)
    assert (stopped["error"], stopped["counts"]) == (None, None)
    for parts in INTO_TABLES.values():
        assert [usual(part) for part in parts] == [(("SUCCEEDED", None), True)] * len(TABLES)
    assert usual(migrate_and_merge) == (3, (0, None, None, True), [None, "NOT_FOUND"], True)
    assert usual(both_ways) == (("SUCCEEDED", None), ("SUCCEEDED", None))
    assert usual(notice_after_a_failure)[1] is None
    assert usual(lost_notice) == "kept"
    assert usual(stopped_run) == "FAILED"
    assert usual(new_state_machine) == "made"
    assert usual(scheduled_start) == usual(started_by_an_upload) == "started"
    assert usual(buried_message) == "buried"


CODE = f"code/{'0' * 64}.zip"
WRITERS = {
    "PlanJobDefinition": [
        "plan.json", "plan/0123456789abcdef/00000.jsonl", "retries/001/plan.json", "removed.jsonl",
    ],
    "MigrateJobDefinition": [
        "shards/00000.json", "partials/00000.0123456789abcdef.csv", "progress/00000/0123456789abcdef", "claims/00000",
        "retries/001/shards/00000.json", "retries/001/partials/00000.0123456789abcdef.csv",
        "contributions/00000.0123456789abcdef",
    ],
    "MergeJobDefinition": [
        "parts/00000.json", "parts/00000.0123456789abcdef.csv", "result.json", "report.csv", "report.html",
        "failures.jsonl", "_SUCCESS", "_INCOMPLETE", "retries/001/result.json", "retries/001/_SUCCESS",
        "retries/001/parts/00000.json", "words.csv", "files.csv", "rejected_rows.csv", "collisions.csv",
        "contact-sheet.html", "rows.csv", "rows.parquet",
    ],
    "nobody": ["run.json", "retries/001/run.json", "cost.json", CODE],
}  # fmt: skip
"""The files of a run folder by who may write them among the jobs: run.json and cost.json are those of functions, a zip
of code, beside the run folders, is the command's."""
OWN_NAMES = [name for names in WRITERS.values() for name in names]
MAY_WRITE = {definition: names for definition, names in WRITERS.items() if definition != "nobody"}
# It takes shards over of an earlier run.
MAY_WRITE["PlanJobDefinition"] = [
    *WRITERS["PlanJobDefinition"],
    *(name for name in WRITERS["MigrateJobDefinition"] if "progress/" not in name and "claims/" not in name),
]
MAY_WRITE["MigrateAndMergeJobDefinition"] = [
    *WRITERS["MigrateJobDefinition"],
    *(name for name in WRITERS["MergeJobDefinition"] if "parts/" not in name),
]
JOBS = {definition: f"{definition.removesuffix('Definition')}Role" for definition in MAY_WRITE}


def in_folders(names: list[str]) -> list[str]:
    """Keys of these names in a fresh run's folder, one below a folder and one at the top of the bucket."""
    run = new_name()
    inside = [name if name == CODE else f"{run}/{name}" for name in names]
    return [f"{place}_millrace/{name}" for place in (f"{run}/", "") for name in inside]


@pytest.mark.parametrize("definition", JOBS)
def test_a_job_writes_its_own_kind_of_file_alone(strict: Strict, definition: str) -> None:
    """A forged plan, commit, result or mark of success is refused to every job that does not write such files."""
    requests = [("put_object", key, {"Body": "forged"}) for key in in_folders(OWN_NAMES)]
    allowed = strict.allowed(definition, requests)
    written = [name for name, done in zip(OWN_NAMES * 2, allowed, strict=True) if done]
    assert sorted(written) == sorted(MAY_WRITE[definition] * 2)


def test_only_migrate_writes_outputs_and_deletes(strict: Strict) -> None:
    """Outputs are outside the run folders, even where names look alike; outputs and progress are all it deletes.

    But for what merge deletes: outputs of items that are gone, and `_INCOMPLETE`, off a result that was accepted.
    """
    names = ("a.txt", "plan/b", "run.json", "result.json", "x_millrace/r/plan.json")
    outputs = [f"{new_name()}/{name}" for name in names]
    progress = in_folders(["progress/00000/0123456789abcdef"])
    evidence = in_folders([name for name in OWN_NAMES if "progress" not in name and "claims" not in name])
    for definition in JOBS:
        mine = definition in {"MigrateJobDefinition", "MigrateAndMergeJobDefinition"}
        written = strict.allowed(definition, [("put_object", key, {"Body": "x"}) for key in outputs[:-1]])
        assert written == [mine] * 4
        deleted = strict.allowed(definition, [("delete_object", key, {}) for key in (*outputs, *progress, *evidence)])
        marks = ["Merge" in definition and key.endswith("/_INCOMPLETE") for key in evidence]
        merges = "Merge" in definition
        assert deleted == [mine or merges] * len(outputs) + [mine] * len(progress) + marks
    assert strict.allowed("MigrateJobDefinition", [("put_object", outputs[-1], {"Body": "x"})]) == [True]


@pytest.mark.parametrize("definition", ["MigrateJobDefinition", "MigrateAndMergeJobDefinition", "MergeJobDefinition"])
def test_the_denials_are_what_refuses(strict: Strict, definition: str) -> None:
    """Without them the same role writes all of it: the test above sees the denials, and nothing else."""
    requests = [("put_object", key, {"Body": "forged"}) for key in in_folders(OWN_NAMES)]
    with strict.undenied(JOBS[definition]):
        assert all(strict.allowed(definition, requests))


@pytest.mark.parametrize("denial", DENIALS, ids=str)
def test_no_denial_is_too_many(denial: Permission) -> None:
    """Each denied name is one that a run folder has, and that no other pattern of the statement covers."""
    role = Resolver(TEMPLATE, PARAMETERS).resolve(TEMPLATE["Resources"][denial.role]["Properties"])
    patterns = {
        found: role["Policies"][found.policy]["PolicyDocument"]["Statement"][found.statement]["Resource"]
        for found in DENIALS
        if (found.role, found.sid, found.action) == (denial.role, denial.sid, denial.action)
    }
    if denial.sid == "EncryptWithTheKey":
        return
    texts = {found: resources[found.resource]["Fn::Sub"] for found, resources in patterns.items()}
    keys = [f"arn:${{AWS::Partition}}:s3:::b/_millrace/r/{name}" for name in OWN_NAMES]
    keys += [f"arn:${{AWS::Partition}}:s3:::b/_millrace/{name}" for name in ("latest.json", CODE)]
    mine = {key for key in keys if fnmatchcase(key, texts[denial])}
    others = {key for key in keys for found, text in texts.items() if found != denial and fnmatchcase(key, text)}
    assert mine - others


def test_results_of_the_built_in_workloads_are_named() -> None:
    """Every file that a built-in workload merges into the run folder is one that migrate may not write."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "batch_jobs/workloads").rglob("*.py"))
    merged = set(re.findall(r'results\.open\(\s*"([^"]+)"', text))
    assert merged
    assert merged <= set(WRITERS["MergeJobDefinition"])


def test_with_a_key_nothing_is_written_with_another(strict: Strict) -> None:
    """Neither S3's own encryption nor AWS's own key: the bucket's key, by default or by name."""
    ways = [
        {},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": PARAMETERS["KmsKeyArn"]},
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms"},
    ]
    requests = [("put_object", f"{new_name()}/a", {"Body": "x", **way}) for way in ways]
    assert strict.allowed("MigrateJobDefinition", requests) == [True, True, False, False]


def test_functions_write_their_own_file_alone() -> None:
    """Prepare Run writes run.json, small plans and whose turn it is, notify cost.json; the others write nothing."""
    written: dict[str, list[str]] = {}
    resolver = Resolver(TEMPLATE, PARAMETERS)
    for found in permissions(TEMPLATE, PARAMETERS):
        if found.role.endswith("FunctionRole") and found.action == "s3:PutObject":
            properties = resolver.resolve(TEMPLATE["Resources"][found.role]["Properties"])
            statement = properties["Policies"][found.policy]["PolicyDocument"]["Statement"][found.statement]
            named = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            written.setdefault(found.role, []).append(named[found.resource]["Fn::Sub"][0].partition("_millrace/")[2])
    assert written == {
        "PrepareRunFunctionRole": ["at-work-*.json", "*/run.json", "*/plan.json", "*/plan/*", "*/removed.jsonl"],
        "NotifyFunctionRole": ["*/cost.json"],
    }


def test_what_goes_unnoticed_is_there() -> None:
    """Nothing is excused that the template does not grant any more."""
    granted = {(found.role, found.action) for found in permissions(TEMPLATE, PARAMETERS)}
    assert set(UNNOTICED) <= granted


def statements(part: Any) -> Iterator[str]:
    """The Sid of every statement in a policy, or its place: those under every condition."""
    match part:
        case {"Effect": _, "Action": _}:
            yield part.get("Sid", "")
        case dict():
            for value in part.values():
                yield from statements(value)
        case list():
            for value in part:
                yield from statements(value)


def test_no_statement_is_left_out() -> None:
    """Whatever condition a statement of a role stands behind, the parameters here bring it in."""
    for role, resource in TEMPLATE["Resources"].items():
        if resource["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}:
            policies = resource["Properties"].get("Policies", resource["Properties"].get("PolicyDocument", []))
            there = [sid for sid in statements(policies) if sid]
            everything = (*permissions(TEMPLATE, PARAMETERS), *DENIALS)
            tried = {found.sid for found in everything if found.role == role}
            assert len(there) == len(set(there)), role
            assert set(there) <= tried, role


def test_plain_http_is_refused(strict: Strict) -> None:
    """The buckets' policy holds here too: a request that says it came without TLS is denied to every role."""
    script = (
        "import boto3, sys; client = boto3.client('s3'); "
        "client.meta.events.register('before-send.s3', lambda request, **_: "
        "request.headers.__setitem__('x-forwarded-proto', sys.argv[2])); "
        "client.list_objects_v2(Bucket=sys.argv[1])"
    )
    bucket = strict.stack.source_bucket
    probe = strict.probe("PlanJobDefinition")
    assert strict.job(probe, PYTHON, "-c", script, bucket, "https")[0] == 0
    assert strict.job(probe, PYTHON, "-c", script, bucket, "http")[0] == 1
