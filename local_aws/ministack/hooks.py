# ruff: noqa: SLF001 - to touch private names is what this file is for
"""Every touch of ministack's internals (with the other files of hooks), and nothing else.

ministack is a young package, and the names used here are its private ones: its version is pinned, check_ministack()
names whatever has moved, and no other file of this package imports it.
"""

import importlib
import importlib.metadata
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from local_aws.executors.container_secrets import SecretRefusedError
from local_aws.executors.executor import TaskStartError
from local_aws.kept_events import KeptEvents
from local_aws.scope import Scope

EXPECTED_VERSION = "1.5.33"
PRIVATE_NAMES = {
    "ministack.app": ("app", "AUTH", "_get_module", "_enforce_data_plane"),
    "ministack.core.responses": (
        "request_scope", "get_account_id", "get_region", "error_response_json", "set_request_account_id",
        "set_request_region",
    ),
    "ministack.core.iam_actions": ("extract_resource_arn", "s3_service_context"),
    "ministack.core.iam_evaluator": (
        "EvalContext", "ResolvedCredential", "_gather_role_policies", "_service_principal_matches", "evaluate",
        "pin_request_origin", "resolve_credential",
    ),
    "ministack.core.router": ("detect_service", "extract_access_key_id", "extract_region"),
    "ministack.core.lambda_runtime": ("Worker", "_PYTHON_WORKER_SCRIPT"),
    "ministack.services.batch": ("handle_request", "reset", "get_state"),
    "ministack.services.cloudformation.provisioners": (
        "_RESOURCE_HANDLERS", "_REPLACING_PROPERTIES", "_S3_BUCKET_CONFIGURATIONS", "_physical_name",
        "_update_resource",
    ),
    "ministack.services.cloudformation": ("_stacks",),
    "ministack.services.cloudformation.changesets": ("_evaluate_conditions", "_resolve_template"),
    "ministack.services.cloudformation.engine": ("_apply_transforms", "_evaluate_conditions", "_parse_template"),
    "ministack.services.cloudformation.handlers": ("_evaluate_conditions", "_resolve_template"),
    "ministack.services.cloudformation.stacks": ("_evaluate_conditions",),
    "ministack.services.cloudwatch_logs": (
        "_log_groups", "_create_log_group", "_create_log_stream", "_put_log_events",
    ),
    "ministack.services.eventbridge": (
        "_rules", "_put_events", "_put_targets", "_parse_rate_seconds", "_SCHEDULER_TICK_INTERVAL", "_invoke_target",
        "_cron_next_fire", "_dispatch_to_lambda", "_dispatch_to_sqs", "_parse_cron_fields",
    ),
    "ministack.services.iam": ("_roles", "attach_managed_policy", "policy_known"),
    "ministack.services.lambda_svc": (
        "_create_esm", "_esms", "_execute_function_warm", "_execution_record_for_config", "_functions",
        "_get_func_record_for_ref", "_update_esm",
        "_route_async_failure", "invoke_async_with_retry",
    ),
    "ministack.services.scheduler": (
        "_SCHEDULE_TICK_INTERVAL", "_create_schedule", "_error", "_schedules", "_tick_schedules", "_update_schedule",
    ),
    "ministack.services.secretsmanager": ("_get_secret_value",),
    "ministack.services.sns": (
        "_deliver_to_http", "_deliver_to_sqs", "_fanout", "_http_post_sync", "_topic_by_arn_any_scope",
        "handle_request",
    ),
    "ministack.services.sqs": (
        "_act_send_message", "_collect_msgs", "_dlq_sweep", "_expire_retained", "_get_q", "_queue_by_arn",
        "_queues_lock", "_receive_messages_for_esm", "queue_policy_allows",
    ),
    "ministack.services.ssm": ("_get_parameters",),
    "ministack.services.stepfunctions": (
        "_ExecutionError", "_add_event", "_apply_input_path", "_apply_parameters", "_apply_output_path",
        "_describe_execution",
        "_list_executions",
        "_get_execution_history",
        "_emit_execution_status_event", "_error_matches", "_eval_intrinsic_arg", "_evaluate_intrinsic",
        "_evaluate_rule", "_execute_choice", "_execute_map", "_execute_parallel", "_execute_pass", "_execute_task",
        "_execute_wait", "_executions", "_fail_state_error",
        "_get_mock_response", "_finalize_response", "_invoke_resource",
        "_invoke_resource_with_timeout", "_parse_jsonpath_tokens", "_resolve_params_obj", "_resolve_path",
        "_run_execution", "_start_execution", "_state_machines", "_stop_execution", "handle_request",
    ),
    "ministack.services.s3": (
        "_ACCESS_POINT_ALIAS_SUFFIX", "_OBJECT_LAMBDA_ALIAS_SUFFIX", "_bucket_default_sse_headers",
        "_bucket_encryption", "_bucket_request_payment_config", "_buckets", "_collect_list_entries",
        "_delete_bucket_encryption", "_error", "_foreign_bucket_allows", "_get_bucket_request_payment", "_get_object",
        "_head_object", "_list_objects_v2", "_object_legal_hold", "_object_retention", "_object_tags",
        "_parse_bucket_key", "_put_bucket_encryption", "_put_object", "_qp", "_read_body", "_request_access_key",
        "_url_encode", "bucket_policy_for_arn", "bucket_region", "format_head_response", "fromstring",
        "handle_request", "is_standard_object_request", "iso_to_rfc7231", "new_uuid", "url_unquote",
    ),
    "ministack.services.sts": ("register_session", "_gen_secret", "_gen_session_access_key", "_gen_session_token"),
}  # fmt: skip

Response = tuple[int, dict[str, str], bytes]
BatchRequest = Callable[[str, str, bytes, dict[str, list[str]], Scope], tuple[int, str, dict[str, Any]]]


class MinistackChangedError(Exception):
    """Raised when the installed ministack is not the one these hooks were written for."""


def check_ministack() -> None:
    """Make sure that ministack is what these hooks expect.

    Raises:
        MinistackChangedError: its version differs, or a name is gone; the text says which.
    """
    version = importlib.metadata.version("ministack")
    if version != EXPECTED_VERSION:
        msg = f"ministack {version} is installed; local_aws/ministack/hooks.py is written for {EXPECTED_VERSION}"
        raise MinistackChangedError(msg)
    for module_name, names in PRIVATE_NAMES.items():
        module = importlib.import_module(module_name)
        for name in names:
            if not hasattr(module, name):
                msg = f"ministack {version} has no {module_name}.{name}, which local_aws/ministack/hooks.py needs"
                raise MinistackChangedError(msg)


class Ministack:
    """ministack, loaded: the services that Batch uses, and the places where ours go in."""

    def __init__(self) -> None:
        """Import it; its settings must be in the environment by now."""
        check_ministack()
        self._administrator = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self._app: Any = importlib.import_module("ministack.app")
        self._responses: Any = importlib.import_module("ministack.core.responses")
        self._logs: Any = importlib.import_module("ministack.services.cloudwatch_logs")
        self.events: Any = importlib.import_module("ministack.services.eventbridge")
        self.schedules: Any = importlib.import_module("ministack.services.scheduler")
        self._sts: Any = importlib.import_module("ministack.services.sts")
        self.iam: Any = importlib.import_module("ministack.services.iam")
        self._secrets: Any = importlib.import_module("ministack.services.secretsmanager")
        self._parameters: Any = importlib.import_module("ministack.services.ssm")
        self._evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
        self.actions: Any = importlib.import_module("ministack.core.iam_actions")
        self._router: Any = importlib.import_module("ministack.core.router")
        self._batch: Any = importlib.import_module("ministack.services.batch")
        self.cloudformation: Any = importlib.import_module("ministack.services.cloudformation")
        self.templates: Any = importlib.import_module("ministack.services.cloudformation.engine")
        self.deploying: Any = importlib.import_module("ministack.services.cloudformation.stacks")
        self.resolving: list[Any] = [
            importlib.import_module(f"ministack.services.cloudformation.{name}") for name in ("changesets", "handlers")
        ]
        self.provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
        self.storage: Any = importlib.import_module("ministack.services.s3")
        self.lambda_runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
        self.lambda_service: Any = importlib.import_module("ministack.services.lambda_svc")
        self.queues: Any = importlib.import_module("ministack.services.sqs")
        self.topics: Any = importlib.import_module("ministack.services.sns")
        self.step_functions: Any = importlib.import_module("ministack.services.stepfunctions")
        self.kept_events = KeptEvents()
        self._signed_for = lru_cache(64)(self._read_scope)

    @property
    def application(self) -> Callable[..., Awaitable[None]]:
        """The ASGI application that answers all AWS requests."""
        application: Callable[..., Awaitable[None]] = self._app.app
        return application

    def scope(self) -> Scope:
        """The account and region of the request that is being served."""
        return Scope(self._responses.get_account_id(), self._responses.get_region())

    def in_scope(self, scope: Scope) -> AbstractContextManager[None]:
        """Work in an account and region; background threads have none of their own."""
        context: AbstractContextManager[None] = self._responses.request_scope(scope.account, scope.region)
        return context

    def take_scope(self, headers: dict[str, str]) -> None:
        """Serve a request in the account and region that its header is signed for; its task's context keeps them."""
        authorization = headers.get("authorization", "")
        said, _, value = authorization.rpartition("Signature=")
        # All but the signature is the same from request to request, where that comes last.
        access_key, region = self._signed_for(authorization if "," in value else said)
        # The account itself is taken as a key that names it; whose another key is may change.
        administrator = access_key == self._administrator[0]
        self._responses.set_request_account_id(os.environ["MINISTACK_ACCOUNT_ID"] if administrator else access_key)
        self._responses.set_request_region(region)

    def _read_scope(self, authorization: str) -> tuple[str, str]:
        """The access key and the region in an Authorization header."""
        headers = {"authorization": authorization}
        return self._router.extract_access_key_id(headers), self._router.extract_region(headers)

    # Batch and CloudFormation go in

    def serve_batch(self, answer: BatchRequest, reset: Callable[[], None]) -> None:
        """Answer all Batch requests with `answer`; ministack's own Batch is a stub."""

        async def handle_request(
            method: str, path: str, _headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> Response:
            status, code, content = answer(method, path, body, query, self.scope())
            if code:
                response: Response = self._responses.error_response_json(code, content["message"], status)
                return response
            return status, {"Content-Type": "application/json"}, json.dumps(content).encode()

        self._batch.handle_request = handle_request
        self._batch.reset = reset
        self._batch.get_state = dict

    def name_resources(
        self,
        batch_resource: Callable[[str, bytes, Scope], str],
        log_stream: Callable[[str, bytes, Scope], str | None],
    ) -> None:
        """Give the IAM checks the resource that a request is about.

        By itself ministack takes a Batch request to be about `*`, and one on a log stream about its group.
        """
        ministacks = self.actions.extract_resource_arn

        def extract_resource_arn(  # noqa: PLR0917 - called by position
            service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
        ) -> str:
            if service == "batch":
                return batch_resource(path, body, Scope(account, region))
            target = headers.get("x-amz-target", "") if service == "logs" else ""
            stream = log_stream(target.rpartition(".")[2], body, Scope(account, region)) if target else None
            if stream is not None:
                return stream
            arn: str = ministacks(service, method, path, headers, body, query, region, account)
            return arn

        self.actions.extract_resource_arn = extract_resource_arn

    def add_cloudformation_type(self, name: str, handlers: dict[str, Any], replacing: tuple[str, ...]) -> None:
        """Let CloudFormation create, update and delete a resource type; a change of `replacing` makes a new one."""
        self.provisioners._RESOURCE_HANDLERS[name] = handlers
        self.provisioners._REPLACING_PROPERTIES[name] = replacing

    def generated_name(self, stack_name: str, logical_id: str) -> str:
        """The name that CloudFormation gives to a resource without one (new again after a replacement)."""
        name: str = self.provisioners._physical_name(stack_name, logical_id)
        return name

    # CloudWatch Logs

    def create_group(self, scope: Scope, group: str) -> None:
        """Create a log group unless it is there."""
        with self.in_scope(scope):
            self._logs._create_log_group({"logGroupName": group})

    def create_stream(self, scope: Scope, group: str, stream: str) -> bool:
        """Create a log stream; False: its group does not exist."""
        with self.in_scope(scope):
            if group not in self._logs._log_groups:
                return False
            self._logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
            return True

    def put(self, scope: Scope, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append events (milliseconds since 1970, message) to a log stream; lost when the group was deleted."""
        entries = [{"timestamp": time, "message": message} for time, message in events]
        with self.in_scope(scope):
            self._logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": entries})

    # EventBridge

    def event_patterns(self, scope: Scope) -> Iterable[str]:
        """The event patterns of the enabled rules on the default bus."""
        return [
            rule["EventPattern"]
            for rule in self.events._rules.values_scoped(scope.account, scope.region)
            if rule.get("EventPattern") and rule.get("State") == "ENABLED"
        ]

    def put_event(self, scope: Scope, *, source: str, detail_type: str, detail: dict[str, Any], resource: str) -> None:
        """Put an event of an AWS service on the default bus."""
        entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": [resource]}
        self.kept_events.keep(lambda: self._put_entry(scope, entry))
        self._put_entry(scope, entry)

    def over_tls(self) -> None:
        """Let what this thread does for AWS's services count as sent over TLS, which policies may ask for."""
        self._evaluator.pin_request_origin("127.0.0.1", True)  # noqa: FBT003 - called by position

    def _put_entry(self, scope: Scope, entry: dict[str, Any]) -> None:
        self.over_tls()
        try:
            with self.in_scope(scope):
                self.events._put_events({"Entries": [entry]}, allow_aws_source=True)
        except Exception:
            # A target that can't be called must not end the thread that publishes for all.
            logging.getLogger("local_aws.batch.events").exception("event of %s lost", entry["Resources"])

    def scale_schedules(self, scale: float) -> None:
        """Multiply the intervals of rate(...), and the time between two looks at the scheduled rules."""
        seconds_of = self.events._parse_rate_seconds

        def parse_rate_seconds(expression: str) -> float | None:
            seconds = seconds_of(expression)
            return None if seconds is None else seconds * scale

        self.events._parse_rate_seconds = parse_rate_seconds
        self.events._SCHEDULER_TICK_INTERVAL *= scale

    # IAM

    def task_credentials(self, scope: Scope, role_arn: str | None, session_name: str) -> dict[str, str]:
        """Credential variables of a task: of its role where IAM is enforced, else the administrator's.

        Raises:
            TaskStartError: the role is missing or ECS tasks can't assume it.
        """
        if not self._app.AUTH:
            return {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        if role_arn is None:
            return {}
        role_name = role_arn.rpartition("/")[2]
        if not self.role_trusts(scope, role_arn, "ecs-tasks.amazonaws.com"):
            msg = (
                f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that "
                "the role being passed has the proper trust relationship and permissions and that your IAM user has "
                "permissions to pass this role."
            )
            raise TaskStartError(msg)
        key, secret, token = (
            self._sts._gen_session_access_key(), self._sts._gen_secret(), self._sts._gen_session_token(),
        )  # fmt: skip
        self._sts.register_session(key, {
            "Arn": f"arn:aws:sts::{scope.account}:assumed-role/{role_name}/{session_name}",
            "UserId": f"{self._role(scope, role_name)['RoleId']}:{session_name}",
            "SecretAccessKey": secret, "SessionToken": token,
            "AccountId": scope.account, "PrincipalType": "AssumedRole",
        })  # fmt: skip
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    def secret_string(self, scope: Scope, arn: str, stage: str, version: str) -> str:
        """The text of a secret in Secrets Manager.

        Raises:
            SecretRefusedError: there is none, or it has no text.
        """
        asked = (
            {"SecretId": arn} | ({"VersionStage": stage} if stage else {}) | ({"VersionId": version} if version else {})
        )
        with self.in_scope(scope):
            status, _, body = self._secrets._get_secret_value(asked)
        answer = json.loads(body)
        if status != 200:
            raise SecretRefusedError(f"{answer['__type']}: {answer['message']}")
        if "SecretString" not in answer:
            raise SecretRefusedError("InvalidParameter: the secret has no text, and a variable can hold no bytes")
        return str(answer["SecretString"])

    def parameter_value(self, scope: Scope, name: str) -> str | None:
        """A parameter of SSM, decrypted; None where there is none of that name or ARN."""
        with self.in_scope(scope):
            _, _, body = self._parameters._get_parameters({"Names": [name], "WithDecryption": True})
        found = json.loads(body)["Parameters"]
        return str(found[0]["Value"]) if found else None

    def secret_of(self, access_key: str, token: str) -> str | None:
        """The secret of an access key with this session token: of the administrator, a user or a role."""
        if not access_key:
            return None
        if access_key == self._administrator[0] and not token:
            return self._administrator[1]
        with self.in_scope(self.scope()):
            found = self._evaluator.resolve_credential(access_key, session_token=token)
        return found.secret_access_key if isinstance(found, self._evaluator.ResolvedCredential) else None

    def service_of(self, method: str, path: str, headers: dict[str, str], query: dict[str, list[str]]) -> str:
        """The service that a request would go to."""
        service: str = self._router.detect_service(method, path, headers, query)
        return service

    @property
    def enforces_iam(self) -> bool:
        """Whether requests are checked against policies."""
        return bool(self._app.AUTH)

    def denial(  # noqa: PLR0917 - as ministack has them
        self,
        service: str,
        action: str,
        headers: dict[str, str],
        query: dict[str, Any],
        resource_arn: str,
        context: dict[str, Any] | None = None,
    ) -> Response | None:
        """The answer to a caller who may not do an action; None for one who may."""
        answer: Response | None = self._app._enforce_data_plane(
            service, action, headers, query, "", resource_arn=resource_arn, service_context=context
        )
        return answer

    def role_allows(self, role_arn: str, action: str, resource_arn: str) -> bool:
        """Whether a role's policies allow an action: ministack checks requests, not what its services do for a role."""
        account = role_arn.split(":")[4]
        context = self._evaluator.EvalContext(
            principal_arn=role_arn, principal_type="AssumedRole", principal_account=account,
            action=action, resource_arn=resource_arn, region=self.scope().region,
        )  # fmt: skip
        policies = self._evaluator._gather_role_policies(role_arn.rpartition("/")[2], account)
        return bool(self._evaluator.evaluate(context, policies).decision == "Allow")

    def role_trusts(self, scope: Scope, role_arn: str, service: str) -> bool:
        """Whether a role is there and its trust policy names a service; AssumeRole itself asks about the caller."""
        document = self._role(scope, role_arn.rpartition("/")[2]).get("AssumeRolePolicyDocument", "{}")
        if isinstance(document, str):
            document = json.loads(document)
        statements = document.get("Statement", [])
        matches = self._evaluator._service_principal_matches
        return any(
            statement.get("Effect") == "Allow" and matches(statement.get("Principal"), service)
            for statement in ([statements] if isinstance(statements, dict) else statements)
        )

    def _role(self, scope: Scope, name: str) -> dict[str, Any]:
        with self.in_scope(scope):
            role: dict[str, Any] = self.iam._roles.get(name) or {}
        return role
