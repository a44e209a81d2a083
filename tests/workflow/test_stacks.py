"""Two stacks in an account, with other parameters, under IAM: what keeps them apart, and what a deletion keeps."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from botocore.exceptions import ClientError

from checks.sources import Sources
from console.checkout import ROOT
from console.doctor.sources import LISTS, WORKS, check_source, roles, statements
from console.find.executions import new_name
from console.find.stack import NESTED, Stack, stack_resources
from console.find.target import Target
from millrace.layout import RunFolder, S3Uri
from tests.workflow.runs import Run, until
from tests.workflow.sam import sam_delete, sam_deploy
from tests.workflow.strict_stack import Strict

pytestmark = pytest.mark.long

NAME = "millrace-scoped"
TEMPLATE = Sources(ROOT).expanded
LAYER = "AWS::Lambda::LayerVersion"
"""Its logical id has a digest of where its code was uploaded to."""
A_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api-AbCdEf"
SCOPES = {
    "SourceBucketNames": "scoped-letters/in/,scoped-scans/2026/11/,scoped-books",
    "ResultPrefix": "out/",
    "TableNames": "words*,films",
    "BucketOwner": "123456789012",
    "Compute": "EC2",
    "Network": "PRIVATE",
    "UploadRequest": '{"workload": "word-count", "queue": "urgent"}',
    "UploadKeys": "new/*",
    "UploadWindowSeconds": "0",
    "AllowedWorkloads": "word-*,acme.*",
    "NotificationEmail": "NONE",
    "MonthlyBudget": "NONE",
}
BUCKETS = ("scoped-letters", "scoped-scans", "scoped-books")


@pytest.fixture(scope="module")
def scoped(strict: Strict) -> Strict:
    """A second stack beside the first: on EC2, in a private network, with three sources, limited to folders."""
    for name in BUCKETS:
        strict.s3.create_bucket(Bucket=name)
        strict.s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    sam_deploy(strict.endpoint_url, NAME, **SCOPES)
    return Strict(Stack.find(strict.aws, NAME), strict.aws, strict.endpoint_url)


def started(strict: Strict, source: str, destination: str, texts: tuple[str, ...] = ("a.txt",), **fields: Any) -> Run:
    """A run over texts that are there, one without more said."""
    strict.runs.put(source, dict.fromkeys(texts, b"one two"))
    return strict.runs.start(source, destination, **fields)


def test_one_deployment_makes_every_nested_stack(strict: Strict, scoped: Strict) -> None:
    """Root and nested stacks are there with every resource complete, under either set of parameters."""
    for each in (strict, scoped):
        found = list(stack_resources(each.aws.cloudformation, each.stack.name))
        nested = {one["LogicalResourceId"] for one in found if one["ResourceType"] == NESTED}
        always = {"JobNetwork", "Capacity", "JobRoles", "Jobs", "Starts", "Notifications"}
        # It alone has settings and secrets, and operations.
        assert nested == always | ({"Workload", "Operations"} if each is strict else set())
        wanted = {
            name for name, one in TEMPLATE["Resources"].items() if "Condition" not in one and one["Type"] != LAYER
        }
        assert wanted <= {one["LogicalResourceId"] for one in found}
        assert {one["ResourceStatus"] for one in found} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_a_stack_without_notifications_has_none(strict: Strict, scoped: Strict) -> None:
    """NotificationEmail=NONE makes no topic, bus, table or function for them; uploads keep their dead-letter queue."""
    kinds = {"AWS::SNS::Topic", "AWS::Events::EventBus", "AWS::DynamoDB::Table", "AWS::KMS::Key"}
    for each, has in ((strict, True), (scoped, False)):
        found = {one["ResourceType"] for one in stack_resources(each.aws.cloudformation, each.stack.name)}
        outputs = each.stack.outputs.keys()
        assert ("AWS::SNS::Topic" in found, not kinds & found) == (has, not has)
        assert (outputs & {"NotificationTopicArn", "EventBusName"} != set()) is has
        assert "UndeliveredQueueUrl" in outputs


def test_a_stack_without_operations_has_none(strict: Strict, scoped: Strict) -> None:
    """MonthlyBudget=NONE makes no alarm, dashboard or function that measures queues; runs need none of them."""
    kinds = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
    for each, has in ((strict, True), (scoped, False)):
        found = {one["ResourceType"] for one in stack_resources(each.aws.cloudformation, each.stack.name)}
        assert (kinds & found, "DashboardUrl" in each.stack.outputs) == ((kinds, True) if has else (set(), False))


def test_two_stacks_run_side_by_side(strict: Strict, scoped: Strict) -> None:
    """Each works its own folders, in its own queues, at the same time, with the share and priority asked for.

    Every kind of job is there: plan, an array of two, merge.
    """
    name = new_name()
    long_way: dict[str, Any] = {
        "texts": ("a.txt", "b.txt"), "plan": "job", "max_items": 1, "pace": {"seconds_per_item": 60},
    }  # fmt: skip
    first = started(
        strict,
        f"s3://{strict.stack.source_bucket}/{name}/",
        f"s3://{strict.stack.result_bucket}/{name}/",
        **long_way,
    )
    second = started(
        scoped,
        f"s3://{scoped.stack.source_bucket}/in/{name}/",
        f"s3://{scoped.stack.result_bucket}/out/{name}/",
        share="nightly7",
        priority=7,
        **long_way,
    )
    assert strict.runs.wait(first)["counts"]["succeeded"] == 2
    assert scoped.runs.wait(second)["counts"]["succeeded"] == 2
    assert not {job["jobDefinition"] for job in strict.runs.jobs(first, "plan")} & {
        job["jobDefinition"] for job in scoped.runs.jobs(second, "plan")
    }
    for runs, run, asked in ((strict.runs, first, ("default", 0)), (scoped.runs, second, ("nightly7", 7))):
        for verb in ("plan", "migrate", "merge"):
            (job,) = runs.jobs(run, verb)
            assert (job["shareIdentifier"], job["schedulingPriority"]) == asked


def test_the_outputs_start_a_run_as_they_are(scoped: Strict) -> None:
    """What is pasted into the console, and the line for a shell, ask for the same: the stack's folders."""
    outputs = scoped.stack.outputs
    words = shlex.split(outputs["StartExecutionCommand"])
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert (words[:3], given["--state-machine-arn"]) == (
        ["aws", "stepfunctions", "start-execution"], scoped.stack.state_machine_arn,
    )  # fmt: skip
    assert json.loads(given["--input"]) == json.loads(outputs["RunInput"]) == {
        "source": f"s3://{scoped.stack.source_bucket}/in/",
        "destination": f"s3://{scoped.stack.result_bucket}/out/results/",
    }  # fmt: skip


def test_code_from_outside_is_off_where_the_parameter_does_not_name_it(scoped: Strict) -> None:
    """Whatever the workload's name is: Prepare Run refuses the run before it looks at the zip."""
    code = f"s3://{scoped.stack.result_bucket}/out/_millrace/code/{'0' * 64}.zip"
    run = started(
        scoped,
        f"s3://{scoped.stack.source_bucket}/in/code/",
        f"s3://{scoped.stack.result_bucket}/out/code/",
        workload="acme.mine:lines",
        code=code,
    )
    status, error, cause = scoped.end(run)
    assert (status, error) == ("FAILED", "InvalidRunRequest")
    assert "has neither code nor *" in cause


@pytest.mark.parametrize("workload", ["copy", "command", "os:getcwd", "evil.acme.x"])
def test_a_workload_that_the_stack_leaves_out_is_refused(scoped: Strict, workload: str) -> None:
    """By Prepare Run, with what may run, before any job; word-count, which may, is run by the other tests."""
    name = new_name()
    options = {"command": ["true"]} if workload == "command" else {}
    run = started(
        scoped,
        f"s3://{scoped.stack.source_bucket}/in/{name}/",
        f"s3://{scoped.stack.result_bucket}/out/{name}/",
        workload=workload,
        options=options,
    )
    status, error, cause = scoped.end(run)
    assert (status, error) == ("FAILED", "InvalidRunRequest")
    assert "word-* or acme.*" in cause
    assert scoped.runs.jobs(run, "plan") == []


def test_uploads_to_each_source_are_worked_within_its_folder(scoped: Strict) -> None:
    """UploadKeys counts from the source's folder on, the outputs go below the result's; no right beyond is needed.

    Without a window each upload has a run of its own, at once. Equal keys of two buckets do not meet.
    """
    earlier = _executions(scoped)
    letters, scans, books = BUCKETS
    for bucket, key in (
        (letters, "new/a.txt"), (letters, "in/old/a.txt"), (letters, "in/new/a.txt"), (letters, "in/new/b.txt"),
        (scans, "in/new/a.txt"), (scans, "2026/11/new/a.txt"), (books, "old/a.txt"), (books, "new/in/new/a.txt"),
    ):  # fmt: skip
        scoped.s3.put_object(Bucket=bucket, Key=key, Body=b"one two")
    executions = until(
        "the runs of the uploads", lambda: found if len(found := _executions(scoped) - earlier) == 4 else None
    )
    worked = []
    for execution in executions:
        described = scoped.aws.step_functions.describe_execution(executionArn=execution)
        asked = json.loads(described["input"])
        assert asked["queue"] == "urgent"
        bucket = S3Uri.parse(asked["source"]).bucket
        folder = RunFolder.of(S3Uri(scoped.stack.result_bucket, f"out/uploads/{bucket}/"), asked["run_id"])
        output = scoped.runs.wait(Run(execution, folder))
        assert output["counts"]["succeeded"] == 1
        worked += [(bucket, key) for key in asked["keys"]]
    assert sorted(worked) == [
        (books, "new/in/new/a.txt"), (letters, "in/new/a.txt"), (letters, "in/new/b.txt"), (scans, "2026/11/new/a.txt"),
    ]  # fmt: skip
    for bucket, key in worked:
        assert scoped.runs.read(S3Uri(scoped.stack.result_bucket, f"out/uploads/{bucket}/{key}.words.txt"))
    assert _executions(scoped) == earlier | executions


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("s3://{own_source}/other/", "s3://{own_result}/out/"),
        ("s3://{own_source}/", "s3://{own_result}/out/"),
        ("s3://{other_source}/in/", "s3://{own_result}/out/"),
        ("s3://scoped-scans/2026/1/", "s3://{own_result}/out/"),
        ("s3://scoped-scans/in/", "s3://{own_result}/out/"),
        ("s3://{own_source}/in/", "s3://{own_result}/elsewhere/"),
        ("s3://{own_source}/in/", "s3://{other_result}/out/"),
    ],
    ids=[
        "another folder",
        "the whole bucket",
        "another bucket",
        "above the second's folder",
        "the first's folder there",
        "a result outside",
        "another stack's results",
    ],
)
def test_an_address_outside_is_denied(strict: Strict, scoped: Strict, source: str, destination: str) -> None:
    """A run that reads or writes outside the stack's folders fails at its first state, before any job."""
    buckets = {
        "own_source": scoped.stack.source_bucket, "own_result": scoped.stack.result_bucket,
        "other_source": strict.stack.source_bucket, "other_result": strict.stack.result_bucket,
    }  # fmt: skip
    run = started(scoped, source.format(**buckets), destination.format(**buckets))
    status, error, cause = scoped.end(run)
    assert (status, error in {"InvalidRunRequest", "AccessDeniedError"}) == ("FAILED", True), error
    assert not any(scoped.runs.jobs(run, verb) for verb in ("plan", "migrate", "migrate-and-merge", "merge"))
    if "/out/" in destination and "own_result" in destination:
        assert "reads s3://scoped-letters/in/ or s3://scoped-scans/2026/11/ or s3://scoped-books/" in cause


@pytest.mark.parametrize("place", ["scoped-letters/in/", "scoped-scans/2026/11/", "scoped-books/"])
@pytest.mark.parametrize("workload", ["word-count"])
def test_each_source_is_read_by_every_job(scoped: Strict, place: str, workload: str) -> None:
    """With a plan job, an array of two and a merge job, and with one job that does it all, under the stack's roles."""
    for way in ({"plan": "job", "max_items": 1, "pace": {"seconds_per_item": 60}}, {}):
        name = new_name()
        source, destination = f"s3://{place}{name}/", f"s3://{scoped.stack.result_bucket}/out/{name}/"
        run = started(scoped, source, destination, ("a.txt", "b.txt"), workload=workload, **way)
        assert scoped.runs.wait(run)["counts"]["succeeded"] == 2


def test_doctor_looks_at_each_source(scoped: Strict) -> None:
    """Of another account's bucket it prints what the owner's policy needs, with the names of this stack's roles."""
    target = Target(scoped.aws, scoped.stack.name)
    found = [check_source(target, address) for address in scoped.stack.sources]
    assert [check.outcome for check in found] == ["ok"] * 3
    needed = statements(roles(target), S3Uri.parse(scoped.stack.sources[1]))
    mine = {scoped.aws.client("iam").get_role(RoleName=scoped.physical(name))["Role"]["Arn"] for name in LISTS + WORKS}
    assert {arn for each in needed for arn in each["Principal"]["AWS"]} == mine
    lists, reads = needed
    assert lists["Condition"] == {"StringLike": {"s3:prefix": "2026/11/*"}}
    assert (lists["Resource"], reads["Resource"]) == (
        "arn:aws:s3:::scoped-scans",
        "arn:aws:s3:::scoped-scans/2026/11/*",
    )


def test_a_job_of_its_own_is_denied_too(strict: Strict, scoped: Strict) -> None:
    """It is the job's role that denies the other bucket, not only the check before it."""
    _, folder = strict.prepared(a="one")
    ended = scoped.job(scoped.physical("PlanJobDefinition"), "plan", "--request", str(folder.request))
    assert (ended[0] != 0, ended[2]) == (True, "AccessDeniedError")


def test_ec2_has_its_environments(scoped: Strict) -> None:
    """Standard: Spot Instances first, On-Demand behind; urgent: On-Demand; allocation that allows updates in place."""
    found = {}
    for output in ("JobQueueArn", "UrgentJobQueueArn"):
        (queue,) = scoped.aws.batch.describe_job_queues(jobQueues=[scoped.stack.outputs[output]])["jobQueues"]
        names = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]
        described: Any = scoped.aws.batch.describe_compute_environments(computeEnvironments=names)
        by_arn = {each["computeEnvironmentArn"]: each["computeResources"] for each in described["computeEnvironments"]}
        found[output] = [(by_arn[name]["type"], by_arn[name]["allocationStrategy"]) for name in names]
        assert {action["reason"].partition(":")[0] for action in queue["jobStateTimeLimitActions"]} == {
            "CAPACITY", "MISCONFIGURATION",
        }  # fmt: skip
    on_demand = ("EC2", "BEST_FIT_PROGRESSIVE")
    assert found == {
        "JobQueueArn": [("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED"), on_demand],
        "UrgentJobQueueArn": [on_demand],
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"JobSize": "1x1"}, "JobSize"),
        ({"Compute": "EC2", "JobSize": "0.5x2"}, "On EC2 JobSize has a whole number of vCPUs"),
        ({"JobSize": "32x60"}, "MaxvCpus is less than a job's 32 vCPUs"),
        ({"JobSize": "2x4", "MaxvCpus": "1"}, "MaxvCpus is less than a job's 2 vCPUs"),
        ({"Compute": "EC2", "JobStorage": "25"}, "On EC2 JobStorage is 30 or more"),
        ({"Network": "PRIVATE:subnet-0a1b"}, "Network.* PUBLIC or PRIVATE, alone or as"),
        ({"WorkloadEnvironment": "API_URL=x"}, "WorkloadEnvironment.* a JSON object of texts"),
        ({"WorkloadEnvironment": '{"LIMIT": 5}'}, "WorkloadEnvironment.* a JSON object of texts"),
        ({"WorkloadEnvironment": '{"AWS_REGION": "x"}'}, "WorkloadEnvironment.* not reserved"),
        ({"WorkloadEnvironment": '{"MILLRACE_IMAGE": "x"}'}, "WorkloadEnvironment.* not reserved"),
        ({"WorkloadSecrets": "TOKEN=my-token"}, "WorkloadSecrets.* one to five of NAME=ARN"),
        ({"WorkloadSecrets": f"AWS_TOKEN={A_SECRET}"}, "WorkloadSecrets.* no reserved name"),
        (
            {"WorkloadSecrets": ",".join(f"T{number}={A_SECRET}" for number in range(6))},
            "WorkloadSecrets.* one to five",
        ),
        ({"SourceBucketNames": "one,two/in"}, "SourceBucketNames.* BUCKET/FOLDER/"),
        ({"SourceBucketNames": "a1b,b2c,c3d,d4e,e5f,f6g"}, "SourceBucketNames.* one to five"),
        (
            {"SourceBucketNames": "same", "ResultBucketName": "same", "UploadRequest": '{"workload": "copy"}'},
            "the two buckets must differ",
        ),
        ({"WorkloadPolicyArn": "my-policy"}, "WorkloadPolicyArn.* the ARN of a managed policy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    strict: Strict, parameters: dict[str, str], message: str
) -> None:
    """CloudFormation checks the template's rules before the first resource."""
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    with pytest.raises(ClientError, match=message):
        strict.aws.cloudformation.create_change_set(
            StackName=strict.stack.name,
            ChangeSetName=new_name(),
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=given,  # type: ignore[arg-type]
        )


def test_a_deleted_stack_keeps_the_data(strict: Strict, scoped: Strict) -> None:
    """`sam delete` takes the machinery and leaves the buckets with what is in them; the other stack works on."""
    for bucket in (scoped.stack.source_bucket, scoped.stack.result_bucket):
        scoped.s3.put_object(Bucket=bucket, Key="in/kept", Body=b"data")
    objects = scoped.s3.list_objects_v2(Bucket=scoped.stack.result_bucket)["KeyCount"]
    sam_delete(strict.endpoint_url, NAME)
    assert scoped.s3.list_objects_v2(Bucket=scoped.stack.result_bucket)["KeyCount"] == objects
    assert scoped.s3.list_objects_v2(Bucket=scoped.stack.source_bucket)["KeyCount"]
    until("the queue's end", lambda: not _queues(scoped))
    left = scoped.aws.cloudformation.describe_stacks()["Stacks"]
    assert [each["StackName"] for each in left if each["StackName"].startswith(NAME)] == [], "nested ones go with it"
    name = new_name()
    run = started(strict, f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/")
    strict.runs.wait(run)


def _executions(strict: Strict) -> set[str]:
    found = strict.aws.step_functions.list_executions(stateMachineArn=strict.stack.state_machine_arn)["executions"]
    return {each["executionArn"] for each in found}


def _queues(strict: Strict) -> list[Any]:
    arns = [strict.stack.outputs["JobQueueArn"], strict.stack.outputs["UrgentJobQueueArn"]]
    return list(json.loads(json.dumps(strict.aws.batch.describe_job_queues(jobQueues=arns)["jobQueues"], default=str)))
