# ruff: noqa: SLF001 - to touch private names is what this file is for
"""The fourth part of ministack_hooks: permissions that AWS asks a role for, and ministack nobody.

CreateStateMachine and UpdateStateMachine ask the state machine's role for the managed rule behind `.sync`, and an
EventBridge rule starts a state machine under the role of its target.
"""

import json
import logging
from typing import Any

from local_aws.ministack_hooks import Ministack
from local_aws.scope import Scope

_RULE = "rule/StepFunctionsGetEventsForBatchJobsRule"
_RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
"""Step Functions developer guide, "IAM policies for AWS Batch"."""
_LOG = logging.getLogger("local_aws.events")


def enforce_roles(ministack: Ministack) -> None:
    """Put the checks in; without `--enforce-iam` they let everything pass."""
    if ministack.enforces_iam:
        _ask_for_the_managed_rule(ministack)
        _ask_the_target_role(ministack)


def _ask_for_the_managed_rule(ministack: Ministack) -> None:
    states: Any = ministack.step_functions
    handle = states.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        target = headers.get("x-amz-target", "").rpartition(".")[2]
        if target in {"CreateStateMachine", "UpdateStateMachine"}:
            request = json.loads(body or b"{}")
            role = request.get("roleArn")
            if role and "batch:submitJob.sync" in request.get("definition", "") and not _may_rule(ministack, role):
                message = f"'{role}' is not authorized to create managed-rule."
                return states.error_response_json("AccessDeniedException", message, 400)
        return await handle(method, path, headers, body, query)

    states.handle_request = handle_request


def _may_rule(ministack: Ministack, role_arn: str) -> bool:
    scope: Scope = ministack.scope()
    return all(ministack.role_allows(role_arn, action, scope.arn("events", _RULE)) for action in _RULE_ACTIONS)


def _ask_the_target_role(ministack: Ministack) -> None:
    events: Any = ministack.events
    invoke = events._invoke_target

    def invoke_target(target: dict[str, Any], *arguments: Any, **settings: Any) -> Any:
        arn, role = target.get("Arn", ""), target.get("RoleArn", "")
        if arn.startswith("arn:aws:states:") and not (
            role and ministack.role_allows(role, "states:StartExecution", arn)
        ):
            _LOG.warning("%s: its target's role %s is not authorized to perform: states:StartExecution", arn, role)
            return None
        return invoke(target, *arguments, **settings)

    events._invoke_target = invoke_target
