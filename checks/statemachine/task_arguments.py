"""The Parameters of every Task that calls an AWS API, against botocore's model of that API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError, Shape

from checks.faults import Fault
from checks.sources import Sources
from checks.statemachine.api_shapes import pascal_case, shape_faults
from checks.statemachine.batch_limits import submission_faults

INTEGRATION = re.compile(
    r"arn:aws:states:::(?:aws-sdk:)?(?P<service>\w+):(?P<action>\w+)(?:\.sync(?::2)?|\.waitForTaskToken)?"
)
OTHER_NAMES = {"states": "stepfunctions", "sfn": "stepfunctions"}
"""Services that Step Functions calls otherwise than botocore does."""


def check(sources: Sources) -> Iterator[Fault]:
    """What the API would refuse, and what it would take no notice of; no public linter looks at either."""
    for machine in sources.machines:
        for name, state in machine.tasks():
            integration = INTEGRATION.fullmatch(state.get("Resource", ""))
            where = machine.where(name)
            if integration is None:
                yield Fault(
                    where, f"{state.get('Resource')!r} is no service integration: arn:aws:states:::SERVICE:ACTION"
                )
                continue
            parameters = state.get("Parameters", {})
            yield from _argument_faults(parameters, integration["service"], integration["action"], where)
            if integration["service"] == "batch" and integration["action"] == "submitJob":
                yield from submission_faults(parameters, f"{where}/Parameters")


def _argument_faults(parameters: dict[str, Any], service: str, action: str, where: str) -> Iterator[Fault]:
    try:
        shape = _input_shape(service, action)
    except (UnknownServiceError, OperationNotFoundError) as error:
        yield Fault(where, f"there is no API {service}:{action}: {error}")
        return
    if shape is not None:
        yield from shape_faults(parameters, shape, f"{where}/Parameters")


@cache
def _input_shape(service: str, action: str) -> Shape | None:
    model = botocore.session.get_session().get_service_model(OTHER_NAMES.get(service, service))
    return model.operation_model(pascal_case(action)).input_shape
