"""With IAM enforced: jobs run under their own roles, and requests are checked."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console import embedded_aws
from tests.conformance.account import Account, unique
from tests.conformance.conftest import OPTIONS
from tests.conformance.test_step_functions import task

pytestmark = pytest.mark.embedded("it needs a server of its own that enforces IAM")

BUCKET = "allowed"
PUT = """
import boto3, sys
boto3.client("s3").put_object(Bucket=sys.argv[1], Key="k", Body=b"x")
print(boto3.client("sts").get_caller_identity()["Arn"])
"""


REGION = [{"name": "AWS_DEFAULT_REGION", "value": "us-east-1"}]
"""What no agent of an EC2 instance tells a job."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, server: embedded_aws.EmbeddedAws) -> Iterator[Account]:
    """An account on a server that enforces IAM."""
    assert server.pid
    options = (*OPTIONS, "--enforce-iam")
    with embedded_aws.running(0, state_dir=tmp_path_factory.mktemp("strict"), options=options) as running:
        account = Account(running.endpoint_url)
        for bucket in (BUCKET, "forbidden"):
            account.client("s3").create_bucket(Bucket=bucket)
        yield account


WATCH_THE_JOB = (
    {"Effect": "Allow", "Action": "batch:DescribeJobs", "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
        "Resource": "arn:aws:events:*:*:rule/StepFunctionsGetEventsForBatchJobsRule",
    },
)
"""What `.sync` needs besides SubmitJob (Step Functions, "IAM policies for AWS Batch")."""


def role(account: Account, service: str, *statements: dict[str, Any]) -> str:
    """A new role that a service may assume; returns its ARN."""
    iam, name = account.client("iam"), unique("role")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    if statements:
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return arn


@pytest.mark.parametrize(("bucket", "status"), [(BUCKET, "SUCCEEDED"), ("forbidden", "FAILED")])
def test_a_job_can_do_what_its_role_allows(strict: Account, bucket: str, status: str) -> None:
    """A job writes where its role may write, and nowhere else."""
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    arn = role(strict, "ecs-tasks.amazonaws.com", allowed)
    job = strict.ended(
        strict.submit(
            strict.queue(),
            strict.definition(sys.executable, "-c", PUT, bucket, container={"jobRoleArn": arn, "environment": REGION}),
        )
    )

    assert job["status"] == status, strict.output(job["jobId"])
    expected = f"assumed-role/{arn.rpartition('/')[2]}/" if status == "SUCCEEDED" else "AccessDenied"
    assert expected in strict.output(job["jobId"])[-1]


def test_a_role_must_trust_tasks(strict: Account) -> None:
    """A role that ECS tasks can't assume fails the start, in the words of ECS."""
    arn = role(strict, "lambda.amazonaws.com")
    job = strict.ended(strict.submit(strict.queue(), strict.shell("true", container={"jobRoleArn": arn})))

    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith(f"ECS was unable to assume the role '{arn}'")


def test_a_job_without_role_has_no_credentials(strict: Account) -> None:
    """Without jobRoleArn there is nothing to sign requests with."""
    job = strict.ended(strict.submit(strict.queue(), strict.shell('test -z "$AWS_ACCESS_KEY_ID"')))

    assert job["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("scoped", "status"), [(True, "SUCCEEDED"), (False, "FAILED")])
def test_a_state_machine_needs_its_role(strict: Account, *, scoped: bool, status: str) -> None:
    """The role of a state machine must allow SubmitJob on queue and definition, and what .sync needs."""
    queue, definition = strict.queue(), strict.shell("true")
    (described,) = strict.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    resources = [described["jobQueueArn"], definition] if scoped else [described["jobQueueArn"]]
    submit = {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": resources}
    arn = strict.states.create_state_machine(
        name=unique("machine"),
        roleArn=role(strict, "states.amazonaws.com", submit, *WATCH_THE_JOB),
        definition=json.dumps({"StartAt": "Run", "States": {"Run": task(queue, definition)}}),
    )["stateMachineArn"]
    execution = strict.execution(strict.start(arn))

    assert execution["status"] == status
    if not scoped:
        assert execution["error"] == "Batch.AWSBatchException"
        assert f"batch:SubmitJob on resource: {definition}" in execution["cause"]


def test_a_state_machine_needs_the_managed_rule(strict: Account) -> None:
    """Without the permissions for the rule behind `.sync`, the state machine is not even made."""
    queue, definition = strict.queue(), strict.shell("true")
    with pytest.raises(strict.states.exceptions.ClientError, match="is not authorized to create managed-rule"):
        strict.states.create_state_machine(
            name=unique("machine"),
            roleArn=role(strict, "states.amazonaws.com", WATCH_THE_JOB[0]),
            definition=json.dumps({"StartAt": "Run", "States": {"Run": task(queue, definition)}}),
        )


@pytest.mark.parametrize(("may_list", "code"), [(True, "NoSuchKey"), (False, "AccessDenied")])
def test_a_missing_key_is_hidden_from_who_may_not_list(strict: Account, *, may_list: bool, code: str) -> None:
    """S3 answers 404 to a caller who may list the bucket, and 403 to one who may not."""
    iam, name = strict.client("iam"), unique("user")
    iam.create_user(UserName=name)
    statements = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}]
    if may_list:
        statements.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"})
    policy = {"Version": "2012-10-17", "Statement": statements}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    s3 = Account(strict.endpoint_url, key["AccessKeyId"], key["SecretAccessKey"]).client("s3")
    with pytest.raises(s3.exceptions.ClientError, match=code):
        s3.get_object(Bucket=BUCKET, Key="missing")


def test_requests_are_scoped_to_a_queue(strict: Account) -> None:
    """A caller who may submit to one queue is refused at another."""
    queue, other, definition = strict.queue(), strict.queue(), strict.shell("true")
    (described,) = strict.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    iam, name = strict.client("iam"), unique("user")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": described["jobQueueArn"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    batch = Account(strict.endpoint_url, key["AccessKeyId"], key["SecretAccessKey"]).batch

    assert batch.submit_job(jobName="j", jobQueue=queue, jobDefinition=definition)["jobId"]
    with pytest.raises(batch.exceptions.ClientError, match="AccessDenied"):
        batch.submit_job(jobName="j", jobQueue=other, jobDefinition=definition)


def caller(account: Account, *statements: dict[str, Any]) -> Account:
    """A user who may do what these statements allow."""
    iam, name = account.client("iam"), unique("user")
    iam.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Account(account.endpoint_url, key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="module")
def encrypted(strict: Account) -> dict[str, str]:
    """A bucket and a topic that CloudFormation made, with the key that it gave them."""
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}}
    rules = [{"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}}},
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketEncryption": {"ServerSideEncryptionConfiguration": rules}},
        },
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
    }
    outputs: dict[str, Any] = {name: {"Value": {"Ref": name}} for name in ("Bucket", "Topic")}
    outputs["Key"] = {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}
    formation, name = strict.client("cloudformation"), unique("stack")
    formation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, "Outputs": outputs}))
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_cloudformation_keeps_the_encryption(strict: Account, encrypted: dict[str, str]) -> None:
    """A bucket and a topic have the key that the template asks for."""
    found = strict.client("s3").get_bucket_encryption(Bucket=encrypted["Bucket"])["ServerSideEncryptionConfiguration"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": encrypted["Key"]}
    assert found["Rules"] == [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
    topic = strict.client("sns").get_topic_attributes(TopicArn=encrypted["Topic"])["Attributes"]
    assert topic["KmsMasterKeyId"] == encrypted["Key"]


@pytest.mark.parametrize(
    ("actions", "service", "refused"),
    [
        (["kms:GenerateDataKey", "kms:Decrypt"], "s3", ["publish"]),
        (["kms:GenerateDataKey", "kms:Decrypt"], "sns", ["put", "get", "copy", "part"]),
        (["kms:GenerateDataKey"], "s3", ["get", "copy", "part", "publish"]),
        (["kms:Decrypt"], "s3", ["put", "copy", "part", "publish"]),
    ],
    ids=["through S3", "through SNS", "no Decrypt", "no GenerateDataKey"],
)
def test_a_key_is_asked_for(
    strict: Account, encrypted: dict[str, str], actions: list[str], service: str, refused: list[str]
) -> None:
    """Who writes, reads, copies, uploads in parts or publishes needs the right to the key, through that service."""
    all_else = {"Effect": "Allow", "Action": ["s3:*", "sns:*"], "Resource": "*"}
    key: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": encrypted["Key"]}
    key["Condition"] = {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}}
    who, bucket = caller(strict, all_else, key), encrypted["Bucket"]
    s3, sns = who.client("s3"), who.client("sns")
    strict.client("s3").put_object(Bucket=bucket, Key="there", Body=b"x")

    def part() -> None:
        upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")

    tries: dict[str, Callable[[], object]] = {
        "put": lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x"),
        "get": lambda: s3.get_object(Bucket=bucket, Key="there"),
        "copy": lambda: s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "there"}),
        "part": part,
        "publish": lambda: sns.publish(TopicArn=encrypted["Topic"], Message="x"),
    }
    found = []
    for name, attempt in tries.items():
        try:
            attempt()
        except ClientError as error:
            assert error.response["Error"]["Code"] in {"AccessDenied", "AuthorizationError"}  # noqa: PT017
            found.append(name)
    assert found == refused
