"""RUN_SLOW on the embedded AWS: a run at work is told of once, with its reason and the commands."""

from __future__ import annotations

import json
from typing import Any

from tests.workflow.inbox import Inbox
from tests.workflow.runs import Runs, until
from tests.workflow.sam import physical


def test_a_slow_run_is_told_of_once(stack: Any, runs: Runs, source: str, destination: str) -> None:
    """The function is asked twice, as its rule does, with all that is at work for slow: one event, one message."""
    bus, topic = Inbox.make(stack.aws), Inbox.make(stack.aws)
    bus.listen({"source": ["millrace"]}, stack.stack.outputs["EventBusName"])
    topic.subscribe(stack.stack.outputs["NotificationTopicArn"])
    runs.put(source, {"a": b"one two"})
    asleep: dict[str, Any] = {"workload": "command", "options": {"command": ["sleep", "300"]}}
    run = runs.start(source, destination, **asleep, pace={"seconds_per_item": 1})
    function = physical(stack.aws.cloudformation, stack.stack.name, "NotifyFunction")
    look = {"detail-type": "Millrace Look At Runs", "detail": {"least_seconds": 0, "times": 0}}

    def looked() -> None:
        answer = stack.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(look).encode())
        assert "FunctionError" not in answer, answer["Payload"].read()

    def told() -> Any:
        looked()
        found = [each["detail"] for each in bus.read() if each["detail"].get("event") == "RUN_SLOW"]
        return [each for each in found if each["execution_arn"] == run.execution]

    (detail,) = until("the event", told)
    looked()
    stack.aws.step_functions.stop_execution(executionArn=run.execution)
    assert (detail["shards"], detail["shards_committed"], detail["job_id"]) == (1, 0, None)
    assert detail["commands"]["cancel"].startswith(f"millrace cancel {detail['run_id']} --stack ")
    for inbox in (bus, topic):
        assert [each["event"] for each in inbox.about(detail["run_id"], 1)].count("RUN_SLOW") == 1
