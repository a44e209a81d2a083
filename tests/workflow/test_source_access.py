"""Runs over a bucket of somebody else's: public data without credentials, and data that requesters pay for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from console.find.aws import Aws
from millrace.layout import S3Uri
from tests.conformance.account import unique
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Run, Runs
from tests.workflow.sam import physical
from tests.workflow.strict_stack import Strict
from tests.workflow.texts import totals

OURS, THEIRS = "123456789012", "999988887777"
TEXTS = {"in/a.txt": b"one two two", "in/b.txt": b"two three"}
COUNTED = {"one": 1, "two": 3, "three": 1}
VARIABLE = "MILLRACE_PUBLIC_BUCKETS"
EVERYONE: dict[str, Any] = {"Principal": "*"}
NOBODY_KNOWN: dict[str, Any] = {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalType": "Anonymous"}}}
"""Who has no credentials, and nobody who shows some: what is read for this was not signed."""
US: dict[str, Any] = {"Principal": {"AWS": f"arn:aws:iam::{OURS}:root"}}


@contextmanager
def their_bucket(runs: Runs, *statements: dict[str, Any], payer: str = "BucketOwner") -> Iterator[str]:
    """A bucket of another account with texts, whose policy has these statements."""
    bucket, s3 = unique("theirs"), runs.s3
    s3.create_bucket(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    for key, body in TEXTS.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = [{"Effect": "Allow", "Resource": resources, **statement} for statement in statements]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": policy}))
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": payer})
    runs.control("bucket-owner", {"bucket": bucket, "account": THEIRS})
    try:
        yield bucket
    finally:
        runs.control("bucket-owner", {"bucket": bucket, "account": OURS})


@contextmanager
def knowing(aws: Aws, stack: str, state_machine: str, bucket: str) -> Iterator[None]:
    """Let a stack's Prepare Run and jobs know a public bucket, as the parameter PublicBucketNames does."""
    functions, states = aws.client("lambda"), aws.step_functions
    name = physical(aws.cloudformation, stack, "PrepareRunFunction")
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    definition = states.describe_state_machine(stateMachineArn=state_machine)["definition"]
    changed = json.loads(definition)
    for state in changed["States"].values():
        if "batch:submitJob" in state.get("Resource", ""):
            state["Parameters"]["ContainerOverrides"]["Environment"] = [{"Name": VARIABLE, "Value": bucket}]
    try:
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**before, VARIABLE: bucket}}
        )
        states.update_state_machine(stateMachineArn=state_machine, definition=json.dumps(changed))
        yield
    finally:
        states.update_state_machine(stateMachineArn=state_machine, definition=definition)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})


def words(runs: Runs, run: Run) -> dict[str, int]:
    """The result of a run of word-count."""
    return totals(runs.file(run, "words.csv"))


@pytest.mark.parametrize("plan", ["auto", "job"])
def test_public_data_is_read_without_credentials(stack: LocalStack, runs: Runs, destination: str, plan: str) -> None:
    """The policy lets in who shows no credentials, and nobody else: Prepare Run and every job read unsigned."""
    reads = {"Action": ["s3:ListBucket", "s3:GetObject"], **NOBODY_KNOWN}
    with their_bucket(runs, reads) as bucket:
        source = f"s3://{bucket}/in/"
        refused = runs.wait(runs.start(source, destination, plan=plan), "FAILED")
        assert "refuses it" in refused["cause"]
        with knowing(stack.aws, stack.stack.name, runs.state_machine, bucket):
            run = runs.start(source, destination, plan=plan, max_items=1)
            assert runs.wait(run)["counts"]["succeeded"] == len(TEXTS)
            assert words(runs, run) == COUNTED
            into = runs.wait(runs.start(f"s3://{stack.stack.source_bucket}/none/", f"s3://{bucket}/out/"), "FAILED")
            assert "destination is" in into["cause"]


def test_public_data_is_copied(stack: LocalStack, runs: Runs, destination: str) -> None:
    """It is listed and looked at without credentials; the copy is signed, and reads for the account that makes it."""
    looks = {"Action": ["s3:ListBucket", "s3:GetObject"], **NOBODY_KNOWN}
    copies = {"Action": ["s3:GetObject", "s3:GetObjectTagging"], **US}
    with (
        their_bucket(runs, looks, copies) as bucket,
        knowing(stack.aws, stack.stack.name, runs.state_machine, bucket),
    ):
        runs.wait(runs.start(f"s3://{bucket}/in/", destination, workload="copy"))
    assert copied(runs, destination) == list(TEXTS.values())


def copied(runs: Runs, destination: str) -> list[bytes | None]:
    """The copies."""
    folder = S3Uri.parse_folder(destination)
    return [runs.read(folder.join(key.removeprefix("in/"))) for key in TEXTS]


CHECKS: dict[str, Callable[[Runs, Run, str], bool]] = {
    "word-count": lambda runs, run, _destination: words(runs, run) == COUNTED,
    "copy": lambda runs, _run, destination: copied(runs, destination) == list(TEXTS.values()),
}


@pytest.mark.parametrize("plan", ["auto", "job"])
@pytest.mark.parametrize("workload", CHECKS)
def test_requesters_pay(runs: Runs, destination: str, workload: str, plan: str) -> None:
    """With the field every read says so; without it Prepare Run is refused, and names the field."""
    reads = {"Action": ["s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging"], **US}
    with their_bucket(runs, reads, payer="Requester") as bucket:
        given: dict[str, Any] = {"workload": workload, "plan": plan, "max_items": 1}
        refused = runs.wait(runs.start(f"s3://{bucket}/in/", destination, **given), "FAILED")
        assert '"requester_pays": true' in json.loads(refused["cause"])["errorMessage"]
        run = runs.start(f"s3://{bucket}/in/", destination, requester_pays=True, **given)
        assert runs.wait(run)["counts"]["succeeded"] == len(TEXTS)
    assert CHECKS[workload](runs, run, destination)


def test_an_estimate_and_the_cost_say_who_pays(
    runs: Runs, destination: str, command: Callable[..., tuple[int, str, str]]
) -> None:
    """`millrace estimate` lists on this account's bill; `status` of the run says the same of what was read."""
    reads = {"Action": ["s3:ListBucket", "s3:GetObject"], **US}
    with their_bucket(runs, reads, payer="Requester") as bucket:
        source = f"s3://{bucket}/in/"
        code, _, said = command("estimate", source)
        assert code == 2
        assert "--requester-pays" in said
        code, out, _ = command("estimate", source, "--requester-pays")
        assert code == 0
        assert "Requester pays: this account is billed for 2 reads and 1 listing" in out
        run = runs.start(source, destination, requester_pays=True)
        runs.wait(run)
    assert "2 reads and 1 listing" in command("status", run.run_id)[1]


@pytest.mark.long
@pytest.mark.parametrize("plan", ["auto", "job"])
def test_public_data_needs_no_rights_of_a_role(strict: Strict, plan: str) -> None:
    """With IAM enforced: no role of the stack has a right on the bucket, and signed it may not be read."""
    runs, name = strict.runs, unique("run")
    reads = {"Action": ["s3:ListBucket", "s3:GetObject"], **EVERYONE}
    with their_bucket(runs, reads) as bucket:
        given = (f"s3://{bucket}/in/", f"s3://{strict.stack.result_bucket}/{name}/")
        assert strict.end(runs.start(*given, plan=plan))[0] == "FAILED"
        with knowing(strict.aws, strict.stack.name, strict.stack.state_machine_arn, bucket):
            run = runs.start(*given, plan=plan)
            runs.wait(run)
            assert words(runs, run) == COUNTED
