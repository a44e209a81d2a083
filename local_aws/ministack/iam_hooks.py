# ruff: noqa: SLF001 - to touch private names is what this file is for
"""IAM: permissions that AWS requires and ministack does not check.

CreateStateMachine and UpdateStateMachine ask the state machine's role for the managed rule behind `.sync`, and an
EventBridge rule starts a state machine under the role of its target. Lambda hands what a function failed on to the
function's destination under the function's role. S3 does not say that a key is missing to callers that may
not list the bucket, and asks for the right to tags where a copy has some.
"""

import json
import logging
from typing import Any
from urllib.parse import unquote

from local_aws.ministack.hooks import Ministack
from local_aws.scope import Scope

_RULE = "rule/StepFunctionsGetEventsForBatchJobsRule"
_RULE_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")
"""Step Functions developer guide, "IAM policies for AWS Batch"."""
_NOT_FOUND = 404
_LOG = logging.getLogger("local_aws.batch.events")


def enforce_roles(ministack: Ministack) -> None:
    """Put the checks in; without `--enforce-iam` they let everything pass."""
    if ministack.enforces_iam:
        _ask_for_the_managed_rule(ministack)
        _ask_the_target_role(ministack)
        _ask_the_function_role(ministack)
        _hide_missing_keys(ministack)
        _ask_for_tags(ministack)


def refuse_missing_policies(ministack: Ministack) -> None:
    """Let CloudFormation attach no managed policy that is not there, or is another account's, as IAM does not.

    ministack knows only some of AWS's own policies, so any of those passes.
    """
    iam: Any = ministack.iam
    attach = iam.attach_managed_policy

    def attach_managed_policy(entity: dict[str, Any], policy_arn: str) -> None:
        if ":iam::aws:" not in policy_arn and not iam.policy_known(policy_arn):
            raise ValueError(f"Policy {policy_arn} does not exist or is not attachable.")
        attach(entity, policy_arn)

    iam.attach_managed_policy = attach_managed_policy


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


def _ask_the_function_role(ministack: Ministack) -> None:
    functions: Any = ministack.lambda_service
    route = functions._route_async_failure

    def route_failure(target_arn: str, name: str, event: Any, result: Any) -> None:
        role = functions._functions.get(name, {}).get("config", {}).get("Role", "")
        if ":sqs:" in target_arn and not (role and ministack.role_allows(role, "sqs:SendMessage", target_arn)):
            _LOG.warning("%s is lost: its role %s is not authorized to perform: sqs:SendMessage", target_arn, role)
            return
        route(target_arn, name, event, result)

    functions._route_async_failure = route_failure


def _hide_missing_keys(ministack: Ministack) -> None:
    """Answer 403 for a key that is not there to a caller who may not list the bucket (API: GetObject, HeadObject)."""
    storage: Any = ministack.storage
    handle = storage.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        answer = await handle(method, path, headers, body, query, *rest, **named)
        bucket, _, key = path.lstrip("/").partition("/")
        if answer[0] == _NOT_FOUND and method in {"GET", "HEAD"} and bucket and key:
            denied = ministack.denial("s3", "s3:ListBucket", headers, query, f"arn:aws:s3:::{bucket}")
            return denied or answer
        return answer

    storage.handle_request = handle_request


def _ask_for_tags(ministack: Ministack) -> None:
    """A copy that takes its source's tags needs the right to read and to write them (S3 user guide, CopyObject)."""
    storage: Any = ministack.storage
    handle = storage.handle_request

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        place, _, version = headers.get("x-amz-copy-source", "").partition("?")
        source = unquote(place).lstrip("/")
        keeps_tags = headers.get("x-amz-tagging-directive", "COPY") == "COPY"
        asked = []
        if method == "PUT" and source and keeps_tags and "partNumber" not in query:
            read = "s3:GetObjectVersionTagging" if version else "s3:GetObjectTagging"
            asked = [(read, source), ("s3:PutObjectTagging", path.lstrip("/"))]
        for action, thing in asked:
            denied = ministack.denial("s3", action, headers, query, f"arn:aws:s3:::{thing}")
            if denied:
                return denied
        return await handle(method, path, headers, body, query, *rest, **named)

    storage.handle_request = handle_request
