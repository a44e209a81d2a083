"""A stack's several sources, as the command sees them: what it offers, what doctor says, what an upgrade asks for."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console.deploy.former_parameters import check_parameters, former_source, main
from console.doctor.sources import LISTS, READS, WORKS, check_source, roles, statements
from console.find.stack import Stack
from console.find.target import Target
from console.run_order import refuse_foreign_buckets
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri, source_addresses
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import fast

ACCOUNT = "123456789012"
OUTPUTS = {
    "StateMachineArn": f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:m", "SourceBucketName": "letters",
    "SourceLocations": "letters,scans/2026/", "ResultBucketName": "results",
}  # fmt: skip
ARNS = {name: f"arn:aws:iam::{ACCOUNT}:role/words-{name}" for name in LISTS + WORKS}


def refused(code: str, operation: str) -> ClientError:
    """AWS's no."""
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Account:
    """An AWS with a stack and an S3 in memory, some of whose buckets are another account's."""

    endpoint_url = None

    def __init__(self, *buckets: str, foreign: tuple[str, ...] = ()) -> None:
        self.store = InMemoryS3Client(*buckets)
        self.s3 = S3(self.store.stub, fast())
        self.foreign = foreign
        self.parameters: dict[str, str] = {}
        self.outputs = OUTPUTS
        self.cloudformation = self

    def client(self, _service: str) -> Account:
        """S3, of which HeadBucket alone is asked here."""
        return self

    def head_bucket(self, *, Bucket: str, ExpectedBucketOwner: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """403 where the owner is another one."""
        assert ExpectedBucketOwner == ACCOUNT
        if Bucket in self.foreign:
            raise refused("403", "HeadBucket")
        return {}

    def get_paginator(self, _operation: str) -> Any:
        """ListStackResources: the roles are in a nested stack, but for that of the function."""
        nested = [{"LogicalResourceId": name, "PhysicalResourceId": f"words-{name}", "ResourceType": "AWS::IAM::Role"}
                  for name in (*LISTS[:1], *WORKS, "MergeJobRole")]  # fmt: skip
        top = [
            {
                "LogicalResourceId": LISTS[1],
                "PhysicalResourceId": f"words-{LISTS[1]}",
                "ResourceType": "AWS::IAM::Role",
            },
            {"LogicalResourceId": "JobRoles", "PhysicalResourceId": "n", "ResourceType": "AWS::CloudFormation::Stack"},
        ]
        pages = {"words": top, "n": nested}
        return SimpleNamespace(paginate=lambda **asked: [{"StackResourceSummaries": pages[asked["StackName"]]}])

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """The stack `words`, and no other."""
        if StackName != "words":
            raise refused(f"Stack with id {StackName} does not exist", "DescribeStacks")
        described = {
            "StackStatus": "CREATE_COMPLETE",
            "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()],
        }
        return {"Stacks": [described]}

    def target(self) -> Target:
        """The stack as a target."""
        aws: Any = self
        return Target(aws, "words")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        ("letters", ("s3://letters/",)),
        ("letters/in/2026/", ("s3://letters/in/2026/",)),
        ("letters/in,scans,-,-,-", ("s3://letters/in/", "s3://scans/")),
        ("one, two/a/", ("s3://one/", "s3://two/a/")),
    ],
)
def test_sources_are_addresses(text: str, addresses: tuple[str, ...]) -> None:
    """As the parameter has them, as the templates pass them on with hyphens in empty places, or none."""
    assert source_addresses(text) == addresses


def test_a_stack_names_all_its_sources() -> None:
    """One of an earlier version has the bucket's name alone."""
    assert Stack("s", OUTPUTS).sources == ("s3://letters/", "s3://scans/2026/")
    earlier = {name: value for name, value in OUTPUTS.items() if name != "SourceLocations"}
    assert Stack("s", earlier).sources == ("s3://letters/",)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("s3://letters/in/", True),
        ("s3://scans/2026/", True),
        ("s3://scans/2026/11/", True),
        ("s3://results/a/", True),
        ("s3://open/a/", True),
        ("s3://scans/", False),
        ("s3://scans/2025/", False),
        ("s3://letters2/", False),
    ],
)
def test_the_command_knows_what_a_stack_reads(source: str, allowed: bool) -> None:  # noqa: FBT001 - expected
    """Folders of any source, results of earlier runs and public data; the refusal names the sources."""
    request = {"source": source, "destination": "s3://results/out/"}
    sources, public = ("s3://letters/", "s3://scans/2026/"), frozenset({"open"})
    if allowed:
        refuse_foreign_buckets(request, sources, "results", public)
        return
    with pytest.raises(
        InvalidRunRequest, match="a folder of s3://letters/ or s3://scans/2026/, which this stack reads"
    ):
        refuse_foreign_buckets(request, sources, "results", public)


def test_an_own_source_is_well() -> None:
    """Nothing is to be done."""
    check = check_source(Account("letters").target(), "s3://letters/")
    assert (check.outcome, check.message, check.todo) == ("ok", "s3://letters/ can be listed", "")


def test_a_source_that_is_gone_needs_no_policy() -> None:
    """Its name is wrong, or it was deleted."""
    check = check_source(Account("letters").target(), "s3://scans/2026/")
    assert check.outcome == "fail"
    assert "scans" in check.message
    assert "Principal" not in check.todo


def policy_of(todo: str) -> list[dict[str, Any]]:
    """The statements that are printed, as JSON that can be pasted."""
    return list(json.loads(todo[todo.index("[\n") :]))


@pytest.mark.parametrize("listed", [True, False])
def test_another_accounts_source_has_its_policy_printed(listed: bool) -> None:  # noqa: FBT001 - a case
    """Whether it can be listed or not; which statements its owner adds, for this stack's roles."""
    account = Account("letters", "scans", foreign=("scans",))
    if not listed:
        account.store.denied |= {("scans", ""), ("scans", "2026/")}
    check = check_source(account.target(), "s3://scans/2026/")
    assert check.outcome == ("ok" if listed else "fail")
    assert policy_of(check.todo) == statements(ARNS, S3Uri.parse("s3://scans/2026/"))
    assert roles(account.target()) == ARNS


def test_the_policy_gives_each_role_what_it_needs() -> None:
    """Listing within the folder to those that list; without a folder the jobs that work items list as well."""
    lists, reads = statements(ARNS, S3Uri.parse("s3://scans/2026/"))
    assert lists["Principal"]["AWS"] == [ARNS[name] for name in LISTS]
    assert lists["Condition"] == {"StringLike": {"s3:prefix": "2026/*"}}
    assert (lists["Action"], lists["Resource"]) == ("s3:ListBucket", "arn:aws:s3:::scans")
    assert reads["Principal"]["AWS"] == [ARNS[name] for name in ("PlanJobRole", *WORKS)]
    assert (reads["Action"], reads["Resource"]) == (list(READS), "arn:aws:s3:::scans/2026/*")
    lists, reads = statements(ARNS, S3Uri.parse("s3://scans/"))
    assert lists["Principal"]["AWS"] == [ARNS[name] for name in LISTS + WORKS]
    assert "Condition" not in lists
    assert reads["Resource"] == "arn:aws:s3:::scans/*"


@pytest.mark.parametrize(
    ("parameters", "source"),
    [
        ({}, ""),
        ({"SourceBucketName": "", "SourcePrefix": ""}, ""),
        ({"SourceBucketName": "my-letters", "SourcePrefix": ""}, "my-letters"),
        ({"SourceBucketName": "my-letters", "SourcePrefix": "in/"}, "my-letters/in/"),
        ({"SourceBucketName": "", "SourcePrefix": "in/"}, "letters/in/"),
        ({"SourceBucketNames": "my-letters/in/"}, ""),
    ],
)
def test_former_parameters_are_one_now(parameters: dict[str, str], source: str) -> None:
    """Bucket and folder; where the stack made the bucket, its name is in the output."""
    assert former_source(parameters, OUTPUTS) == source


def test_an_upgrade_keeps_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    """A parameter that is gone is no error to sam: this deployment is refused, with the word that it takes now."""
    account: Any = Account()
    check_parameters([], "words", account)
    account.parameters = {"SourceBucketName": "my-letters", "SourcePrefix": "in/"}
    with pytest.raises(InvalidRunRequest, match="SourceBucketNames=my-letters/in/, to keep"):
        check_parameters(["MaxvCpus"], "words", account)
    check_parameters(["MaxvCpus", "SourceBucketNames"], "words", account)
    assert main("words", ['MaxvCpus=4 UploadRequest="{\\"workload\\": \\"a\\"}"'], account) == 1
    assert "SourceBucketNames=my-letters/in/" in capsys.readouterr().err
    assert main("words", ["SourceBucketNames=my-letters/in/ MaxvCpus=4"], account) == 0


@pytest.mark.parametrize("name", ["SourceBucketName", "SourcePrefix"])
def test_a_former_parameter_is_refused(name: str) -> None:
    """Also for a stack that is not there yet, where sam would leave it out without a word."""
    account: Any = Account()
    with pytest.raises(InvalidRunRequest, match="is SourceBucketNames=my-letters/in/ now"):
        check_parameters([name], "new", account)
    check_parameters(["SourceBucketNames"], "new", account)
