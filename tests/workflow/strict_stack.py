"""The stack on an embedded AWS that enforces IAM, and the parts of a run that each of its roles is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from console.aws import Aws
from console.checkout import ROOT
from console.executions import new_name
from console.explanation import log_tail
from console.stack import Stack
from millrace.layout import RunFolder, S3Uri
from tests.workflow.permissions import Permission, without
from tests.workflow.runs import Run, Runs, until

TABLES = [f"permitted-{number}" for number in range(5)]
PARAMETERS = {
    "ScheduleExpression": "rate(1000 days)", "UploadWorkload": "word-count", "UploadPrefix": "uploads-alone/",
    "ManifestLocation": "manifests-elsewhere/lists/", "TableNames": ",".join(TABLES),
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f",
}  # fmt: skip
"""What brings roles and statements in: a schedule that never comes, uploads that only their own test makes, manifests
elsewhere, tables, and a key, of which only the name counts here."""
PYTHON = str(ROOT / ".venv/bin/python")
BROKEN_UPLOAD = """
import io, sys
from millrace.layout import S3Uri
from millrace.s3 import connect
class Breaks(io.BytesIO):
    reads = 0
    def read(self, *given):
        self.reads += 1
        if self.reads == 2:
            raise OSError("the disk broke")
        return super().read(*given)
connect().put(S3Uri.parse(sys.argv[1]), Breaks(bytes(9 << 20)))
"""


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
        answer = self.aws.cloudformation.describe_stack_resource(
            StackName=self.stack.name, LogicalResourceId=logical_id
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    @contextmanager
    def taken_away(self, permission: Permission) -> Iterator[None]:
        """The role's policy without one permission, for the length of the block."""
        iam, role = self.aws.client("iam"), self.physical(permission.role)
        name = iam.list_role_policies(RoleName=role)["PolicyNames"][permission.policy]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        document = json.loads(document) if isinstance(document, str) else document
        cut = without(document, permission)
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
        submitted = self.aws.batch.submit_job(
            jobName="permission",
            jobQueue=self.stack.job_queue_arn,
            jobDefinition=definition,
            shareIdentifier="default",
            containerOverrides={"command": list(command)},
            retryStrategy={"attempts": 1},
        )["jobId"]
        ended: Any = until(f"the end of {submitted}", lambda: self.job_end(submitted))
        container = ended["container"]
        lines = log_tail(self.aws, ended) if "exitCode" in container else []
        error = json.loads(lines[-1]).get("error") if lines and lines[-1].startswith("{") else None
        return container.get("exitCode"), container.get("reason"), error, bool(lines)

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
        event = {"source": source, "destination": destination}
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

    @cached_property
    def unworked(self) -> RunFolder:
        """The folder of a run that is planned and stays so."""
        return self.planned(a="one two")[1]

    def broken_upload(self, definition: str, uri: S3Uri) -> int:
        """The unfinished uploads that an upload leaves which breaks off, by the jobs' code and under their role."""
        assert self.job(self.probe(definition), PYTHON, "-c", BROKEN_UPLOAD, str(uri))[0] == 1
        return len(self.s3.list_multipart_uploads(Bucket=uri.bucket, Prefix=uri.key).get("Uploads", []))
