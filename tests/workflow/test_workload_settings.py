"""Settings, secrets and a policy of workloads: they reach the jobs that work items, and show up nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from console.find.executions import new_name
from console.find.stack import LOCAL_STACK
from console.find.target import Target
from millrace.aws.job_failures import log_lines, streams_of
from tests.workflow.runs import Run, until
from tests.workflow.strict_stack import PARAMETERS, SECRETS, Strict
from tests.workflow.test_code import sent

pytestmark = pytest.mark.long

GREETING = json.loads(PARAMETERS["WorkloadEnvironment"])["GREETING"]
TELLING = f"""
import hashlib, logging, os, subprocess, sys
import boto3
from millrace import ErrorCode, ItemError, workload

NAMES = {sorted(SECRETS)!r}

@workload()
def told(item, body):
    for name in NAMES:
        print("the print of", name, os.environ[name])
        print(f"on stderr: {{os.environ[name]}}", file=sys.stderr)
        logging.getLogger("millrace.theirs").warning("logged: %s", os.environ[name])
    boto3.client("s3").list_buckets()
    text = body.text()
    if text == "item error":
        raise ItemError(ErrorCode.DAMAGED, "not at " + os.environ["API_TOKEN"])
    if text == "another error":
        raise RuntimeError("https://example.com/?token=" + os.environ["FROM_SSM"].replace(" ", "%20"))
    if text == "three":
        yield {{"name": "GREETING", "digest": os.environ["GREETING"]}}
        for name in NAMES:
            yield {{"name": name, "digest": hashlib.sha256(os.environ[name].encode()).hexdigest()}}
"""


def told(strict: Strict, folder: Path, children: int) -> Run:
    """A run, by one job or by several, of a workload that reads its settings and secrets, and tells them."""
    (folder / "telling.py").write_text(TELLING)
    name = new_name()
    source = f"s3://{strict.stack.source_bucket}/{name}/"
    strict.runs.put(source, {"a": b"item error", "b": b"another error", "c": b"three"})
    run = sent(
        Target(strict.aws, LOCAL_STACK), source, f"s3://{strict.stack.result_bucket}/{name}/", folder / "telling.py",
        max_items=1, seconds_per_item=60 if children > 1 else 0.01,
        tolerated_failure_count=2,
    )  # fmt: skip
    strict.runs.wait(run)
    return run


def everything_logged(strict: Strict, job: dict[str, Any]) -> list[str]:
    """All that a job wrote."""
    return [line for stream in streams_of(job) for line in log_lines(strict.aws.logs, job, stream, 1000)]


@contextmanager
def may_read(strict: Strict, arn: str) -> Iterator[None]:
    """For the length of the block, the execution role may read a secret or a parameter."""
    iam, role = strict.aws.client("iam"), strict.physical("JobExecutionRole")
    actions = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": ":".join(arn.split(":")[:7])}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="more")


@pytest.mark.parametrize("children", [1, 3])
def test_they_reach_the_workload_and_nothing_else_shows_them(strict: Strict, tmp_path: Path, children: int) -> None:
    """The function sees each value, may what the policy says, and prints the secrets; logs, reports, histories, jobs
    and definitions have none of them, nor the settings.
    """
    run = told(strict, tmp_path, children)
    lines = strict.runs.file(run, "rows.csv").decode().replace('""', '"').splitlines()[1:]
    rows = dict(line[1:-1].split('","', 1) for line in lines)
    assert rows.pop("GREETING") == GREETING
    assert rows == {name: sha256(value.encode()).hexdigest() for name, value in SECRETS.items()}

    verb = "migrate" if children > 1 else "migrate-and-merge"
    jobs = [job for each in ("plan", verb, "merge") for job in strict.runs.jobs(run, each)]
    written = "\n".join(line for job in jobs for line in everything_logged(strict, job))
    if verb == "migrate-and-merge":
        assert written.count("the print of API_TOKEN ***") == written.count("logged: ***") // len(SECRETS) == 3
    report = strict.runs.file(run, "failures.jsonl").decode()
    assert "not at ***" in report
    assert "https://example.com/?token=***" in report
    history = strict.aws.client("stepfunctions").get_execution_history(executionArn=run.execution, maxResults=1000)
    definitions = strict.aws.batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    shown = json.dumps([history, jobs, definitions, written, report], default=str)
    for value in (*SECRETS.values(), GREETING):
        for form in (value, json.dumps(value)[1:-1], json.dumps(json.dumps(value)[1:-1])[1:-1]):
            assert form not in shown


def test_only_the_jobs_that_work_items_get_them(strict: Strict) -> None:
    """Plan and merge have neither secrets nor the workload's policy; the names of all are in the other definitions."""
    found = {
        verb: strict.aws.batch.describe_job_definitions(jobDefinitions=[strict.physical(f"{verb}JobDefinition")])[
            "jobDefinitions"
        ][0]["containerProperties"]
        for verb in ("Plan", "Migrate", "MigrateAndMerge", "Merge")
    }
    named = {verb: {each["name"] for each in container.get("secrets", [])} for verb, container in found.items()}
    everything = {"MILLRACE_WORKLOAD_ENVIRONMENT", *SECRETS}
    assert named == {"Plan": set(), "Migrate": everything, "MigrateAndMerge": everything, "Merge": set()}
    iam = strict.aws.client("iam")
    attached: dict[str, list[Any]] = {
        verb: [
            policy["PolicyArn"]
            for policy in iam.list_attached_role_policies(RoleName=strict.physical(f"{verb}JobRole"))[
                "AttachedPolicies"
            ]
        ]
        for verb in found
    }
    listing, policy = strict.physical("ListSourcesPolicy"), PARAMETERS["WorkloadPolicyArn"]
    assert attached == {"Plan": [listing], "Migrate": [policy], "MigrateAndMerge": [policy], "Merge": []}


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:nobody-AbCdEf",
            "from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        ),
        (
            "arn:aws:ssm:us-east-1:123456789012:parameter/nobody",
            "retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /nobody",
        ),
        (
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:team/db:nothing::",
            "did not contain json key nothing",
        ),
    ],
)
def test_a_job_whose_secret_is_missing_does_not_start(strict: Strict, secret: str, words: str) -> None:
    """ECS says which one it could not fetch; the job's reason has its words."""
    (found,) = strict.aws.batch.describe_job_definitions(jobDefinitions=[strict.physical("MigrateJobDefinition")])[
        "jobDefinitions"
    ]
    container: Any = {
        **found["containerProperties"], "image": "command", "command": ["true"],
        "secrets": [{"name": "GONE", "valueFrom": secret}],
    }  # fmt: skip
    definition = strict.aws.batch.register_job_definition(
        jobDefinitionName=new_name(), type="container", platformCapabilities=["FARGATE"], containerProperties=container
    )["jobDefinitionArn"]
    with may_read(strict, secret):
        submitted = strict.submit(definition, "true")
        job: Any = until(f"the end of {submitted}", lambda: strict.job_end(submitted))
    assert words in job["statusReason"]


def test_secrets_of_another_account_are_refused(strict: Strict) -> None:
    """Prepare Run knows the stack's account: a run is refused before any job is started."""
    name = strict.physical("PrepareRunFunction")
    functions = strict.aws.client("lambda")
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    foreign = "API_TOKEN=arn:aws:secretsmanager:us-east-1:999999999999:secret:api-token"
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**variables, "MILLRACE_WORKLOAD_SECRETS": foreign}}
    )
    try:
        source = f"s3://{strict.stack.source_bucket}/{new_name()}/"
        strict.runs.put(source, {"a": b"one"})
        run = strict.runs.start(source, f"s3://{strict.stack.result_bucket}/{new_name()}/")
        status, error, cause = strict.end(run)
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    assert (status, error) == ("FAILED", "InvalidRunRequest")
    assert "WorkloadSecrets" in cause
    assert "the stack's own account, 123456789012" in cause
