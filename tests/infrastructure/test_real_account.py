"""What `make test-aws` makes sure of before it makes anything: the account, the price, the questions, the cleaning."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from botocore.session import get_session
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from tests.aws import cleaning, expenses
from tests.aws.__main__ import whole
from tests.aws.static import ROOT, questions
from tests.aws.target import MOST_JOB_SECONDS, MOST_VCPUS, TAG, Target, TargetError
from tests.conformance.recorded import FOLDER, compared

NAMED = {"MILLRACE_AWS_ACCOUNT": "210987654321", "MILLRACE_AWS_REGION": "eu-west-3"}
MOST_TEMPLATE_BYTES = 51_200
"""What ValidateTemplate takes without a bucket (CloudFormation quotas)."""
PLACE = "eu-west-3:210987654321"


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target whose clients could sign, and are answered by a stub alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Target.read({**NAMED, "MILLRACE_AWS_RUN": "run-1"})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"MILLRACE_AWS_ACCOUNT": ""}, "MILLRACE_AWS_ACCOUNT must be"),
        ({"MILLRACE_AWS_ACCOUNT": "12345"}, "MILLRACE_AWS_ACCOUNT must be"),
        ({"MILLRACE_AWS_REGION": ""}, "MILLRACE_AWS_REGION must name"),
        ({"MILLRACE_AWS_ENDPOINT_URL": "https://elsewhere.example"}, "for the embedded AWS alone"),
    ],
)
def test_an_account_and_a_region_must_be_named(changed: dict[str, str], says: str) -> None:
    """Nothing is taken from the user's configuration: what pays is said by whoever pays."""
    with pytest.raises(TargetError, match=says):
        Target.read({**NAMED, **changed})


def test_another_callers_account_is_refused(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of another account than the named one end the tests before anything is made."""
    client = target.session.client("sts")
    answers = Stubber(client)
    answers.add_response("get_caller_identity", {"Account": "999999999999"})
    answers.activate()
    monkeypatch.setattr(target.session, "client", lambda *_, **__: client)
    with pytest.raises(TargetError, match="of account 999999999999, not of 210987654321: nothing was made"):
        target.check()


def test_what_is_made_is_tagged_capped_and_noted(target: Target) -> None:
    """Whatever a test asks for: the tag, eight vCPUs at most, a job's time; and the ARN is kept for the end."""
    batch, states = target.client("batch"), target.client("stepfunctions")
    sent: list[dict[str, Any]] = []
    with Stubber(batch) as answers, Stubber(states) as more:
        for client in (batch, states):
            client.meta.events.register_last("before-parameter-build", lambda params, **_: sent.append(params))
        answers.add_response(
            "create_compute_environment", {"computeEnvironmentArn": f"arn:aws:batch:{PLACE}:compute-environment/a"}
        )
        answers.add_response(
            "register_job_definition",
            {"jobDefinitionName": "a", "jobDefinitionArn": f"arn:aws:batch:{PLACE}:job-definition/a:1", "revision": 1},
        )
        more.add_response(
            "create_state_machine",
            {"stateMachineArn": f"arn:aws:states:{PLACE}:stateMachine:a", "creationDate": "2026-01-01T00:00:00Z"},
        )
        resources = {"type": "FARGATE", "maxvCpus": 256, "subnets": ["s"], "securityGroupIds": ["g"]}
        batch.create_compute_environment(computeEnvironmentName="a", type="MANAGED", computeResources=resources)
        batch.register_job_definition(jobDefinitionName="a", type="container", tags={"mine": "kept"})
        states.create_state_machine(name="a", definition="{}", roleArn="arn:aws:iam::210987654321:role/a")

    environment, definition, machine = sent
    assert environment["computeResources"]["maxvCpus"] == MOST_VCPUS
    assert environment["tags"] == {TAG: "run-1"}
    assert definition["tags"] == {"mine": "kept", TAG: "run-1"}
    assert definition["timeout"] == {"attemptDurationSeconds": MOST_JOB_SECONDS}
    assert machine["tags"] == [{"key": TAG, "value": "run-1"}]
    assert [arn.partition(f"{PLACE}:")[2] for arn in target.made] == [
        "compute-environment/a",
        "job-definition/a:1",
        "stateMachine:a",
    ]


def test_what_has_the_tag_is_deleted_in_an_order_that_works(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks first, queues before their environments; what cannot be deleted is named, what is gone already is not."""
    arns = [
        f"arn:aws:batch:{PLACE}:compute-environment/a",
        "arn:aws:s3:::bucket",
        f"arn:aws:batch:{PLACE}:job-queue/a",
        f"arn:aws:cloudformation:{PLACE}:stack/a/b",
    ]
    order: list[str] = []

    def remove(_target: Target, arn: str) -> None:
        order.append(arn)
        if "bucket" in arn:
            raise TimeoutError("not empty")

    replaced = tuple((kind, remove) for kind, _ in cleaning._DELETES)
    monkeypatch.setattr(cleaning, "_DELETES", replaced)
    left = cleaning.delete(target, [*arns, *arns], lambda _: None)
    kinds = [arn.split(":")[2] + arn.split(":")[5][:3] for arn in order]
    assert kinds == ["cloudformationsta", "batchjob", "batchcom", "s3buc"]
    assert left == ["arn:aws:s3:::bucket"]


def test_leftovers_are_found_by_the_tag(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test-aws-clean` asks for the tag's key, whichever run made a thing."""
    client = target.session.client("resourcegroupstaggingapi")
    answers = Stubber(client)
    found = {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:s3:::bucket"}], "PaginationToken": ""}
    answers.add_response("get_resources", found, {"TagFilters": [{"Key": TAG}]})
    answers.activate()
    monkeypatch.setattr(target.session, "client", lambda *_, **__: client)
    answers.add_response("get_resources", found, {"TagFilters": [{"Key": TAG, "Values": ["run-1"]}]})
    assert cleaning.tagged(target) == ["arn:aws:s3:::bucket"]
    assert cleaning.tagged(target, target.run) == ["arn:aws:s3:::bucket"]


def test_a_kind_that_nothing_deletes_is_named() -> None:
    """What has the tag and should have gone with its stack is not passed over in silence; jobs of the past are."""
    topic = f"arn:aws:sns:{PLACE}:topic"
    assert cleaning.unknown([topic, topic, f"arn:aws:batch:{PLACE}:job/1", f"arn:aws:sqs:{PLACE}:queue"]) == [topic]


@pytest.mark.parametrize(
    ("codes", "parts", "code"),
    [([0, 0], False, 0), ([0, 1], False, 1), ([0, 5], False, 1), ([0, 5], True, 0), ([5, 5], True, 1), ([2], True, 1)],
)
def test_a_stage_without_a_part_that_was_asked_for_is_no_failure(codes: list[int], *, parts: bool, code: int) -> None:
    """ONLY=reuse passes over the stages that have no such test; a name that no test has is a failure."""
    assert whole(codes, parts=parts) == code


def test_the_plan_costs_less_than_a_dollar() -> None:
    """By the repository's own prices; the dry run prints every line and the sum, and needs no account."""
    assert 0.05 < expenses.planned() < 1
    command = [sys.executable, "-m", "tests.aws", "--plan"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"${expenses.planned():6.4f}  in all" in told
    assert all(line.what in told for line in expenses.PLAN)


def test_what_was_spent_is_reckoned_from_attempts() -> None:
    """An attempt that ran for 100 s of 0.25 vCPU and 0.5 GB is paid for 120 s; one that never started is not."""
    needs = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]
    attempts = [{"startedAt": 1, "stoppedAt": 100_001}, {"stoppedAt": 5}]
    job = {"container": {"resourceRequirements": needs}, "attempts": attempts}
    assert expenses.spent([job]) == pytest.approx(120 / 3600 * (0.25 * 0.04048 + 0.5 * 0.004445))


def test_every_question_of_stage_0_fits_its_service() -> None:
    """Each call's arguments are those of botocore's model; every state is there, every Task with each of its mocks."""
    asked = list(questions("210987654321", "eu-west-3"))
    for question in asked:
        model = get_session().get_service_model(question.service)
        operation = "".join(word.capitalize() for word in question.operation.split("_"))
        shape: Any = model.operation_model(operation).input_shape
        report = ParamValidator().validate(question.arguments, shape)
        assert not report.has_errors(), f"{question.name}: {report.generate_report()}"
        assert len(question.arguments.get("TemplateBody", "").encode()) <= MOST_TEMPLATE_BYTES, question.name
    states = json.loads((ROOT / "statemachine/migration.asl.json").read_text("utf-8"))["States"]
    judged = {question.arguments["stateName"] for question in asked if question.operation == "test_state"}
    assert judged == set(states)
    mocks = [question for question in asked if "mock" in question.arguments]
    assert all(question.arguments["mock"]["fieldValidationMode"] == "STRICT" for question in mocks)
    assert {question.expected for question in mocks} == {"SUCCEEDED", "FAILED", "RETRIABLE"}


EMBEDDED_ALONE = re.compile(
    r"\.control\(|sys\.executable|server: embedded_aws|tmp_path|arn:aws:iam::123456789012:role/any"
)


def test_what_no_account_has_is_marked() -> None:
    """A conformance test that injects a fault, runs a program of this machine or names its own server has the mark."""
    for path in sorted((ROOT / "tests/conformance").glob("test_*.py")):
        text = path.read_text("utf-8")
        if "pytestmark = pytest.mark.embedded(" in text or "pytest.mark.embedded(" in text.partition("\ndef ")[0]:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                source = ast.get_source_segment(text, node) or ""
                marks = [ast.unparse(each) for each in node.decorator_list]
                marked = any(mark.startswith("pytest.mark.embedded(") for mark in marks)
                assert marked or not EMBEDDED_ALONE.search(source), f"{path.name}: {node.name}"


KNOWN_ON_AWS: dict[str, tuple[list[str], str]] = {}
"""What a real run was answered otherwise than the rehearsal, by recording, and what that could hide."""


def rehearsed(*stages: str) -> None:
    """Run stages on the embedded AWS as if it were the account: nothing fails, nothing is left."""
    command = [sys.executable, "-m", "tests.aws", "--rehearse", "--stages", *stages, "--quiet"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    assert ended.stdout.count("not deleted: nothing") == len(stages)


@pytest.mark.long
def test_a_rehearsal_passes() -> None:
    """The open questions and stage 1; what they were answered differs from a real run in what is known alone."""
    rehearsed("questions", "1")
    told = ROOT / "build/test-aws-rehearsal/recordings"
    assert list(told.glob("*.json"))
    found = compared(FOLDER / "real", told)
    found = {name: lines for name, lines in found.items() if not name.startswith(("test_0", "test_2"))}
    assert found == {name: lines for name, (lines, _) in KNOWN_ON_AWS.items()}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_rehearsal_of_the_product_passes() -> None:
    """Stage 2: the product from `make deploy` to `sam delete`."""
    rehearsed("2")
