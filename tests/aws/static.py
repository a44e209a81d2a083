"""What AWS can judge without making anything: the definition, each state with its mocks, templates, policies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.security.policies import policy_documents
from checks.sources import Sources

ROOT = Path(__file__).parents[2]
MOCKS = ROOT / "tests/statemachine/MockConfigFile.json"
NETWORK = Path(__file__).with_name("network.yaml")
PLACE = re.compile(r"\$\{(\w+)\}")
REQUEST = {"source": "s3://letters/in/", "destination": "s3://results/out/"}


@dataclass(frozen=True)
class Question:
    """One call that makes nothing.

    Attributes:
        name: What is judged.
        service: The service's name, as boto3 has it.
        operation: The client's method.
        arguments: Its arguments.
        expected: What the answer's `status` must be; empty where there is none.
    """

    name: str
    service: str
    operation: str
    arguments: dict[str, Any]
    expected: str = ""


def definition(account: str, region: str) -> dict[str, Any]:
    """The state machine's definition, with ARNs of this account in its placeholders."""

    def arn(found: re.Match[str]) -> str:
        kind = "lambda:{}:function:{}" if "Function" in found[1] else "batch:{}:job-definition/{}:1"
        return "arn:aws:" + kind.format(f"{region}:{account}", found[1])

    text = (ROOT / "statemachine/migration.asl.json").read_text("utf-8")
    machine: dict[str, Any] = json.loads(PLACE.sub(arn, text))
    return machine


def questions(account: str, region: str) -> Iterator[Question]:
    """Every question of stage 0."""
    machine = definition(account, region)
    yield Question(
        "the definition", "stepfunctions", "validate_state_machine_definition", {"definition": json.dumps(machine)}
    )
    yield from _states(machine, account, region)
    own = [ROOT / "template.yaml", *sorted(ROOT.glob("stacks/*.yaml")), *sorted(ROOT.glob("image/*.yaml")), NETWORK]
    for path in own:
        body = {"TemplateBody": path.read_text("utf-8")}
        yield Question(str(path.relative_to(ROOT)), "cloudformation", "validate_template", body)
    for name, document in policy_documents(Sources(ROOT).expanded):
        given = {"policyDocument": json.dumps(document), "policyType": "IDENTITY_POLICY"}
        yield Question(f"policy {name}", "accessanalyzer", "validate_policy", given)


def _states(machine: dict[str, Any], account: str, region: str) -> Iterator[Question]:
    """TestState of each Task with each of its mocks, checked strictly against its service's model; of others alone."""
    mocks = json.loads(MOCKS.read_text("utf-8"))
    mocked: dict[str, set[str]] = {}
    for case in mocks["StateMachines"]["Migration"]["TestCases"].values():
        for state, response in case.items():
            mocked.setdefault(state, set()).add(response)
    data = _data(mocks)
    execution = f"arn:aws:states:{region}:{account}:execution:Migration:run-1"
    context = {"Execution": {"Id": execution, "Input": REQUEST, "Name": "run-1", "RedriveCount": 0,
                             "StartTime": "2026-01-01T00:00:00Z"}}  # fmt: skip
    given = {"definition": json.dumps(machine), "context": json.dumps(context), "input": json.dumps(data)}
    for name, state in machine["States"].items():
        arguments = {**given, "stateName": name}
        if state["Type"] != "Task":
            yield Question(f"state {name}", "stepfunctions", "test_state", arguments, "SUCCEEDED")
        for response in sorted(mocked.get(name, ())):
            for attempt, answer in mocks["MockedResponses"][response].items():
                mock, expected = _mock(state, answer)
                told = f"state {name}, {response} {attempt}"
                yield Question(told, "stepfunctions", "test_state", {**arguments, "mock": mock}, expected)


def _data(mocks: dict[str, Any]) -> dict[str, Any]:
    """What the states read: a run that was prepared and planned."""
    payload = {
        name: mocks["MockedResponses"][name]["0"]["Return"]["Payload"] for name in ("RunPrepared", "PlanOf3Shards")
    }
    run = {**payload["RunPrepared"], "wait_seconds": 60}
    plan = {"pass": 0, "shards_left": 0, "redrives": 0, "jobs": [], **payload["PlanOf3Shards"]}
    return {"run": run, "plan": plan, "jobs": {"migrate": {"job_id": ""}}}


def _mock(state: dict[str, Any], answer: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if "Return" in answer:
        return {"result": json.dumps(answer["Return"]), "fieldValidationMode": "STRICT"}, "SUCCEEDED"
    error = {"error": answer["Throw"]["Error"], "cause": answer["Throw"].get("Cause", "")}
    retried = {name for rule in state.get("Retry", ()) for name in rule["ErrorEquals"]}
    return {"errorOutput": error, "fieldValidationMode": "STRICT"}, "RETRIABLE" if error[
        "error"
    ] in retried else "FAILED"
