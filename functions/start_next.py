"""Start Next: when a run has succeeded whose request says `then`, start the run that follows.

EventBridge calls it with every execution of the state machine that succeeded, at least once. The next run's id is made
of the result that it follows, and Step Functions takes a name once: whatever comes twice starts one run. What fails is
tried again by Lambda, then goes to the dead-letter queue with the reason.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from millrace.aws.events import RunEnded, read_event
from millrace.errors import DamagedFileError
from millrace.request.chained import next_request
from millrace.settings import aws_region

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
tracer = Tracer()
config = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)
states = cast(
    "SFNClient", botocore.session.get_session().create_client("stepfunctions", region_name=aws_region(), config=config)
)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """The Lambda's entry point: `start_next` with this function's client."""
    change = read_event(event)
    if not isinstance(change, RunEnded):
        raise DamagedFileError("it is no end of a run", operation="start the next run", target=type(change).__name__)
    started = start_next(change, states)
    if started is not None:
        logger.info("the next run is started", extra={"run_id": change.run_id, "next": started})


def start_next(ended: RunEnded, states: SFNClient) -> str | None:
    """Start the run that follows one that has succeeded, unless it was started.

    Args:
        ended: The end of a run. Its input and output are asked for: the event leaves out what is large.
        states: A boto3 Step Functions client.

    Returns:
        The next run's id; None where nothing follows: nothing was asked for, or the run was skipped.

    Raises:
        ClientError: Step Functions did not take it.
    """
    found = states.describe_execution(executionArn=ended.execution_arn)
    output = json.loads(found.get("output") or "{}")
    result = output.get("result") if found["status"] == "SUCCEEDED" and isinstance(output, dict) else None
    if not isinstance(result, str):
        return None
    request = next_request(json.loads(found["input"]), ended.run_id, result)
    if request is None:
        return None
    run_id: str = request["run_id"]
    text = json.dumps(request, ensure_ascii=False)
    try:
        states.start_execution(stateMachineArn=found["stateMachineArn"], name=run_id, input=text)
    except states.exceptions.ExecutionAlreadyExists:
        logger.info("the next run was started before", extra={"run_id": ended.run_id, "next": run_id})
    return run_id
