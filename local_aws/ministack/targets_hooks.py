# ruff: noqa: SLF001 - to touch private names is what this file is for
"""EventBridge targets: what happens to an event that cannot be delivered to a rule's Lambda function, or its queue.

By itself ministack calls the function once, without a check of permissions, and drops the event when that fails; and
it puts an event into any queue. On AWS the call is asynchronous: Lambda tries again and hands a failure to the
function's destination; and an event that cannot be delivered at all (no function or queue, no permission) goes to the
target's dead-letter queue (EventBridge user guide, "Using dead-letter queues").
"""

import fnmatch
import json
import logging
import threading
from typing import Any

from local_aws.ministack.hooks import Ministack

_LOG = logging.getLogger("local_aws.batch.events")

_PRINCIPAL = "events.amazonaws.com"


def deliver_to_targets(ministack: Ministack) -> None:
    """Let rules call Lambda functions, and fill queues, as EventBridge does."""
    events, functions, queues = ministack.events, ministack.lambda_service, ministack.queues
    invoke_target, dispatch_to_queue = events._invoke_target, events._dispatch_to_sqs
    called = threading.local()  # ministack hands on the target's ARN alone

    def invoke(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        called.target, called.rule = target, rule
        invoke_target(target, event, rule, view)

    def to_function(arn: str, payload: str) -> None:
        target, rule = called.target, called.rule
        function, config, _ = functions._get_func_record_for_ref(arn)
        if not function or not config:
            bury(target, rule, payload, "RESOURCE_NOT_FOUND", f"Function {arn} does not exist")
        elif not any(_allows(statement, rule["Arn"]) for statement in function["policy"]["Statement"]):
            bury(target, rule, payload, "NO_PERMISSIONS", f"{rule['Arn']} may not invoke {arn}")
        else:
            record = functions._execution_record_for_config(function, config)
            functions.invoke_async_with_retry(record, json.loads(payload))

    def to_queue(spec: Any, payload: str, parameters: Any = None) -> None:
        target, rule, arn = called.target, called.rule, str(spec)
        if queues._queue_by_arn(arn) is None:
            bury(target, rule, payload, "RESOURCE_NOT_FOUND", f"Queue {arn} does not exist")
        elif not queues.queue_policy_allows(arn, _PRINCIPAL, rule["Arn"], rule["Arn"].split(":")[4]):
            bury(target, rule, payload, "NO_PERMISSIONS", f"{rule['Arn']} may not send to {arn}")
        else:
            dispatch_to_queue(spec, payload, parameters)

    def bury(target: dict[str, Any], rule: dict[str, Any], payload: str, code: str, message: str) -> None:
        arn = (target.get("DeadLetterConfig") or {}).get("Arn", "")
        queue = queues._queue_by_arn(arn) if arn else None
        account = rule["Arn"].split(":")[4]
        if queue is None or not queues.queue_policy_allows(arn, _PRINCIPAL, rule["Arn"], account):
            _LOG.warning("event of %s dropped: %s", rule["Arn"], message)
            return
        texts = {"RULE_ARN": rule["Arn"], "TARGET_ARN": target["Arn"], "ERROR_CODE": code, "ERROR_MESSAGE": message}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        request = {"QueueUrl": queue["url"], "MessageBody": payload, "MessageAttributes": attributes}
        queues._act_send_message(request, {})

    events._invoke_target = invoke
    events._dispatch_to_lambda = to_function
    events._dispatch_to_sqs = to_queue


def _allows(statement: dict[str, Any], rule_arn: str) -> bool:
    """Whether a statement of a function's policy lets this rule call it."""
    if statement.get("Effect") != "Allow" or (statement.get("Principal") or {}).get("Service") != _PRINCIPAL:
        return False
    source = ((statement.get("Condition") or {}).get("ArnLike") or {}).get("AWS:SourceArn")
    return source is None or fnmatch.fnmatchcase(rule_arn, source)
