"""The real stack on an embedded AWS, with the second engine beside it: its tasks are the stack's functions and jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from console.find.aws import Aws
from tests.second_engine import engine
from tests.workflow import conftest as workflow
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Runs

_numbers, _proxy, stack, s3 = workflow._numbers, workflow._proxy, workflow.stack, workflow.s3
source, destination = workflow.source, workflow.destination


@dataclass(frozen=True)
class Elsewhere(Aws):
    """The embedded AWS, but for Step Functions."""

    states_url: str = ""

    def client(self, service: str) -> Any:
        """A client of the engine, or of the embedded AWS."""
        return engine.client(self.states_url) if service == "stepfunctions" else super().client(service)


@pytest.fixture(scope="session")
def engine_url(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The engine's address."""
    with engine.running(tmp_path_factory.mktemp("second_engine"), tasks=stack.endpoint_url) as url:
        yield url


@pytest.fixture(scope="session")
def runs(stack: LocalStack, s3: Any, engine_url: str) -> Runs:
    """Runs whose states the second engine walks through: the deployed definition, as it is."""
    deployed: Any = stack.aws.step_functions.describe_state_machine(stateMachineArn=stack.stack.state_machine_arn)
    made = engine.client(engine_url).create_state_machine(
        name=deployed["name"], definition=json.dumps(json.loads(deployed["definition"])), roleArn=deployed["roleArn"]
    )
    assert made["stateMachineArn"] == stack.stack.state_machine_arn
    aws = Elsewhere(stack.aws.region, stack.aws.endpoint_url, states_url=engine_url)
    return Runs(aws, s3, made["stateMachineArn"], stack.stack.job_queue_arn)
