"""The stack on an embedded AWS that enforces IAM, and the parts of a run that each of its roles is for."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from console.checkout import ROOT
from console.find.aws import Aws
from console.find.executions import new_name
from console.find.stack import Stack
from millrace.aws.job_failures import log_tail
from millrace.layout import RunFolder, S3Uri
from tests.workflow.permissions import Permission, without, without_denials
from tests.workflow.runs import Run, Runs, until
from tests.workflow.sam import physical

TABLES = [f"permitted-{number}" for number in range(5)]
PARAMETERS = {
    "ScheduleExpression": "rate(1000 days)", "UploadRequest": '{"workload": "word-count"}',
    "UploadKeys": "uploads-alone/*",
    "PublicBucketNames": "public-data-elsewhere",
    "ManifestLocation": "manifests-elsewhere/lists/", "TableNames": ",".join(TABLES),
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
    "WorkloadEnvironment": json.dumps({"GREETING": 'good "morning", all'}),
    "WorkloadSecrets": ",".join(
        f"{name}=arn:aws:{kind}"
        for name, kind in {
            "API_TOKEN": "secretsmanager:us-east-1:123456789012:secret:api-token",
            "DB_PASSWORD": "secretsmanager:us-east-1:123456789012:secret:team/db:password::",
            "FROM_SSM": "ssm:us-east-1:123456789012:parameter/team/plain",
            "ALSO_FROM_SSM": "ssm:us-east-1:123456789012:parameter/top",
            "ELSEWHERE": "secretsmanager:eu-west-1:123456789012:secret:elsewhere",
        }.items()
    ),
    "WorkloadPolicyArn": "arn:aws:iam::123456789012:policy/list-the-buckets",
}  # fmt: skip
"""What brings roles and statements in: a schedule that never comes, uploads that only their own test makes, manifests
and public data elsewhere, tables, what workloads get, and a key, of which only the name counts here."""
SECRETS = {
    "API_TOKEN": "token-of-the-api", "DB_PASSWORD": 'pass"word of\nthe database', "FROM_SSM": "value of a parameter",
    "ALSO_FROM_SSM": "another parameter's value", "ELSEWHERE": "kept in another region",
}  # fmt: skip
"""What the secrets of `PARAMETERS` are."""
PYTHON = str(ROOT / ".venv/bin/python")
BROKEN_UPLOAD = """
import io, sys
from millrace.layout import S3Uri
from millrace.s3.verbs import connect
class Breaks(io.BytesIO):
    reads = 0
    def read(self, *given):
        self.reads += 1
        if self.reads == 2:
            raise OSError("the disk broke")
        return super().read(*given)
connect().put(S3Uri.parse(sys.argv[1]), Breaks(bytes(9 << 20)))
"""


ATTEMPTS = """
import base64, json, sys, zlib
import boto3
from botocore.exceptions import ClientError
client = boto3.client("s3")
done = []
for verb, bucket, key, more in json.loads(zlib.decompress(base64.b64decode(sys.argv[1]))):
    try:
        getattr(client, verb)(Bucket=bucket, Key=key, **more)
        done.append(True)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        done.append(False)
print(json.dumps(done))
"""
"""Tries requests on S3, and says which were allowed."""


def keep_secrets(aws: Aws) -> None:
    """Make the secrets, the parameters and the policy that `PARAMETERS` names."""
    regions = ("us-east-1", "eu-west-1")
    secrets = {region: replace(aws, region=region).client("secretsmanager") for region in regions}
    secrets["us-east-1"].create_secret(Name="api-token", SecretString=SECRETS["API_TOKEN"])
    database = json.dumps({"user": "reader", "password": SECRETS["DB_PASSWORD"]})
    secrets["us-east-1"].create_secret(Name="team/db", SecretString=database)
    secrets["eu-west-1"].create_secret(Name="elsewhere", SecretString=SECRETS["ELSEWHERE"])
    parameters = aws.client("ssm")
    parameters.put_parameter(Name="/team/plain", Value=SECRETS["FROM_SSM"], Type="String")
    parameters.put_parameter(Name="/top", Value=SECRETS["ALSO_FROM_SSM"], Type="SecureString")
    allowed = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    aws.client("iam").create_policy(PolicyName="list-the-buckets", PolicyDocument=document)


@dataclass(frozen=True)
class Strict:
    """The stack on an embedded AWS that enforces IAM.

    Attributes:
        stack: Its outputs.
        aws: Clients of the account's administrator.
        endpoint_url: The embedded AWS.
    """

    stack: Stack
    aws: Aws
    endpoint_url: str

    @cached_property
    def s3(self) -> Any:
        """A boto3 S3 client."""
        return self.aws.client("s3")

    @cached_property
    def runs(self) -> Runs:
        """The runs of the stack."""
        return Runs(self.aws, self.s3, self.stack.state_machine_arn, self.stack.job_queue_arn)

    def physical(self, logical_id: str) -> str:
        """The name or ARN of a resource of the stack."""
        return physical(self.aws.cloudformation, self.stack.name, logical_id)

    def taken_away(self, permission: Permission) -> AbstractContextManager[None]:
        """The role's policy without one permission, for the length of the block."""
        return self._changed(permission.role, permission.policy, lambda document: without(document, permission))

    def undenied(self, role: str) -> AbstractContextManager[None]:
        """The role's policy without its denials, for the length of the block."""
        return self._changed(role, 0, without_denials)

    @contextmanager
    def _changed(self, role_id: str, policy: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
        iam, role = self.aws.client("iam"), self.physical(role_id)
        if role.startswith("arn:"):
            known = iam.get_policy(PolicyArn=role)["Policy"]["DefaultVersionId"]
            document = iam.get_policy_version(PolicyArn=role, VersionId=known)["PolicyVersion"]["Document"]
            document = json.loads(document) if isinstance(document, str) else document
            text = json.dumps(change(document))
            changed = iam.create_policy_version(PolicyArn=role, PolicyDocument=text, SetAsDefault=True)
            try:
                yield
            finally:
                iam.create_policy_version(PolicyArn=role, PolicyDocument=json.dumps(document), SetAsDefault=True)
                for version in (known, changed["PolicyVersion"]["VersionId"]):
                    iam.delete_policy_version(PolicyArn=role, VersionId=version)
            return
        name = iam.list_role_policies(RoleName=role)["PolicyNames"][policy]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        document = json.loads(document) if isinstance(document, str) else document
        cut = change(document)
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(cut))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    # What a role's part of a run comes to: equal every time, as long as the role may do what it needs.

    def end(self, run: Run) -> tuple[Any, ...]:
        """How an execution ends: its status, error and cause."""

        def described() -> Any:
            found = self.aws.step_functions.describe_execution(executionArn=run.execution)
            return None if found["status"] == "RUNNING" else found

        found = until(f"the end of {run.execution}", described)
        return found["status"], found.get("error"), found.get("cause", "")

    def job(self, definition: str, *command: str) -> tuple[Any, ...]:
        """Run a job once: its exit code, why it did not start, the error that it ended with, whether it logged."""
        submitted = self.submit(definition, *command)
        ended: Any = until(f"the end of {submitted}", lambda: self.job_end(submitted))
        container = ended["container"]
        lines = log_tail(self.aws.logs, ended) if "exitCode" in container else []
        error = json.loads(lines[-1]).get("error") if lines and lines[-1].startswith("{") else None
        return container.get("exitCode"), container.get("reason"), error, bool(lines)

    def submit(self, definition: str, *command: str) -> str:
        """Submit a job with one attempt; returns its id."""
        submitted = self.aws.batch.submit_job(
            jobName="permission",
            jobQueue=self.stack.job_queue_arn,
            jobDefinition=definition,
            shareIdentifier="default",
            containerOverrides={"command": list(command)},
            retryStrategy={"attempts": 1},
        )
        return str(submitted["jobId"])

    def job_end(self, job_id: str) -> Any:
        """The job, once it has ended; else None."""
        (job,) = self.runs.describe([job_id])
        return job if job["status"] in {"SUCCEEDED", "FAILED"} else None

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Call a function: the kind of its error, or None."""
        answer = self.aws.client("lambda").invoke(
            FunctionName=self.physical(function), Payload=json.dumps(event).encode()
        )
        payload = json.load(answer["Payload"])
        return payload["errorType"] if "FunctionError" in answer else None

    def prepared(self, **texts: str) -> tuple[str, RunFolder]:
        """A fresh source with these texts, and the folder of a run over it whose request is written."""
        name = new_name()
        source, destination = (
            f"s3://{self.stack.source_bucket}/{name}/", f"s3://{self.stack.result_bucket}/{name}/",
        )  # fmt: skip
        self.runs.put(source, {key: text.encode() for key, text in texts.items()})
        event = {"source": source, "destination": destination, "plan": "job"}
        prepared = {"input": event, "execution_arn": f"arn:{name}", "execution_name": name, "started_at": "now"}
        assert self.invoke("PrepareRunFunction", prepared) is None
        return source, RunFolder.of(S3Uri.parse_folder(destination), name)

    def planned(self, **texts: str) -> tuple[str, RunFolder]:
        """As prepared, with the plan."""
        source, folder = self.prepared(**texts)
        assert self.job(self.physical("PlanJobDefinition"), "plan", "--request", str(folder.request))[0] == 0
        return source, folder

    def probe(self, definition: str) -> str:
        """A job definition like this one, role and all, whose jobs run any command."""
        (found,) = self.aws.batch.describe_job_definitions(jobDefinitions=[self.physical(definition)])["jobDefinitions"]
        probe = self.aws.batch.register_job_definition(
            jobDefinitionName="probe",
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={**found["containerProperties"], "image": "command", "command": ["true"]},
        )
        return str(probe["jobDefinitionArn"])

    def allowed(self, definition: str, requests: list[tuple[str, str, dict[str, Any]]]) -> list[bool]:
        """Which requests on the result bucket a job may make under its role: verb, key, other parameters."""
        given = json.dumps([(verb, self.stack.result_bucket, key, more) for verb, key, more in requests])
        short = base64.b64encode(zlib.compress(given.encode())).decode()  # ECS takes 8,192 bytes
        job_id = self.submit(self.probe(definition), PYTHON, "-c", ATTEMPTS, short)
        ended: Any = until(f"the end of {job_id}", lambda: self.job_end(job_id))
        lines = log_tail(self.aws.logs, ended)
        assert ended["container"].get("exitCode") == 0, (ended["statusReason"], lines)
        found: list[bool] = json.loads(lines[-1])
        return found

    @cached_property
    def unworked(self) -> RunFolder:
        """The folder of a run that is planned and stays so."""
        return self.planned(a="one two")[1]

    def broken_upload(self, definition: str, uri: S3Uri) -> int:
        """The unfinished uploads that an upload leaves which breaks off, by the jobs' code and under their role."""
        assert self.job(self.probe(definition), PYTHON, "-c", BROKEN_UPLOAD, str(uri))[0] == 1
        return len(self.s3.list_multipart_uploads(Bucket=uri.bucket, Prefix=uri.key).get("Uploads", []))
