# ruff: noqa: SLF001 - to touch private names is what this file is for
"""Step Functions: the parts of ministack's engine that we use and replace.

Each replacement is there for a behaviour of AWS that ministack lacks, named at its place and held by a test in
tests/conformance.
"""

import contextvars
import copy
import json
from collections.abc import Callable
from typing import Any

from local_aws.ministack.hooks import Ministack
from local_aws.ministack.iam_resources import needed_permissions
from local_aws.stepfunctions import redrive
from local_aws.stepfunctions.batch_tasks import RESOURCE, SubmitJobTask, sdk_metadata
from local_aws.stepfunctions.executions import Execution, Executions, StatesError, current_walk
from local_aws.stepfunctions.history import as_recorded
from local_aws.stepfunctions.json_paths import MISSING, Paths

_MAX_EVENT_PAYLOAD = 248 * 1024  # status events leave out a longer input or output ("EventBridge for Step Functions")
_UNCATCHABLE = {"States.Runtime", "States.DataLimitExceeded"}
"""States.ALL and States.TaskFailed do not catch these (Step Functions, "Handling errors")."""
_task: contextvars.ContextVar[tuple[dict[str, Any], Any] | None] = contextvars.ContextVar("states_task", default=None)
"""The Task state that runs, and its parameters."""
_INTEGRATION = "arn:aws:states:::"
_INVOKE = f"{_INTEGRATION}lambda:invoke"
_context: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("states_context", default=None)


class StatesEngine:
    """ministack's Step Functions as local_aws.stepfunctions.executions.Engine."""

    error: type[StatesError]

    def __init__(self, ministack: Ministack) -> None:
        """Wrap the loaded module."""
        self._ministack = ministack
        self._states: Any = ministack.step_functions
        self.error = self._states._ExecutionError
        states = self._states
        self._plain = {
            "Pass": states._execute_pass, "Choice": states._execute_choice, "Wait": states._execute_wait,
        }  # fmt: skip
        self._with_history = {"Parallel": states._execute_parallel, "Map": states._execute_map}
        self._paths = Paths(
            parse=states._parse_jsonpath_tokens,
            project=states._resolve_path,
            intrinsic=states._evaluate_intrinsic,
            context=_context.get,
            error=self.error,
        )

    def execution(self, arn: str) -> Execution | None:
        """The record of an execution."""
        record: Execution | None = self._states._executions.get(arn)
        return record

    def definition(self, state_machine_arn: str) -> str | None:
        """The state machine's definition as JSON text."""
        machine = self._states._state_machines.get(state_machine_arn)
        return None if machine is None else machine["definition"]

    def now(self) -> str:
        """The time as ministack writes it."""
        now: str = self._states.now_iso()
        return now

    def add_event(self, execution: Execution, kind: str, details: dict[str, Any]) -> None:
        """Write into the history."""
        self._states._add_event(execution, kind, details)

    def run_state(self, state: dict[str, Any], data: Any, execution: Execution, context: dict[str, Any]) -> Any:
        """Run a state; returns its output and the next state's name (None: the end)."""
        states, kind = self._states, state["Type"]
        _context.set(context)
        if kind == "Task":
            return states._execute_task(state, data, execution, context)
        if kind in self._plain:
            return self._plain[kind](state, data, context)
        if kind in self._with_history:
            return self._with_history[kind](state, data, execution, context)
        if kind == "Succeed":
            data = states._apply_input_path(state, data, context)
            return states._apply_output_path(state, data, context), None
        if kind == "Fail":
            raise self.error(*states._fail_state_error(state, data, context))
        raise self.error("States.Runtime", f"Unknown state type: {kind}")

    def publish_status(self, execution: Execution) -> None:
        """Put "Step Functions Execution Status Change" on the bus; ministack's lacks time-outs and redrives."""
        if execution.get("sync"):  # express workflows have no such events
            return
        self._ministack.put_event(
            self._ministack.scope(),
            source="aws.states",
            detail_type="Step Functions Execution Status Change",
            detail=self._status_detail(execution),
            resource=execution["executionArn"],
        )

    def _status_detail(self, execution: Execution) -> dict[str, Any]:
        succeeded = execution["status"] == "SUCCEEDED"
        detail = {name: execution[name] for name in ("executionArn", "stateMachineArn", "name", "status")} | {
            "startDate": redrive.milliseconds(execution["startDate"]),
            "stopDate": redrive.milliseconds(execution.get("stopDate")),
            "input": execution["input"],
            "inputDetails": {"included": True},
            "output": execution.get("output") if succeeded else None,
            "outputDetails": {"included": True} if succeeded else None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "error": execution.get("error"),
            "cause": execution.get("cause"),
            "redriveStatusReason": None,
            **redrive.description(execution),
        }
        detail["redriveDate"] = redrive.milliseconds(execution.get("redriveDate"))
        for name in ("input", "output"):
            if detail[name] is not None and len(json.dumps(detail[name])) > _MAX_EVENT_PAYLOAD:
                detail[name], detail[f"{name}Details"] = None, {"included": False}
        return detail

    # Replacements

    def install(self, executions: Executions, task: SubmitJobTask) -> None:
        """Put our walk, our Batch task and the strict paths in."""
        self._states._run_execution = executions.run
        self._states._emit_execution_status_event = self.publish_status
        self._install_task(task)
        self._install_history()
        self._install_paths()
        self._install_api(executions)

    def _install_task(self, task: SubmitJobTask) -> None:
        states = self._states
        invoke, invoke_in_time = states._invoke_resource, states._invoke_resource_with_timeout
        mock_of = states._get_mock_response
        # ministack looks for a mock once a task, so that a mocked error would meet every retry: here, once an attempt.
        states._get_mock_response = lambda *_: None

        def run(resource: str, arguments: Any, timeout: float | None, otherwise: Callable[[], Any]) -> Any:
            walk = current_walk.get()
            if walk is not None and not walk.live():
                raise walk.over()  # a retry after StopExecution must not call anything any more
            mock = None if walk is None else self._next_mock(walk.execution, mock_of)
            if mock is not None and "Throw" in mock:
                raise self.error(mock["Throw"].get("Error", ""), mock["Throw"].get("Cause", ""))
            if mock is not None:
                return mock.get("Return", {})
            if walk is not None and self._ministack.enforces_iam:
                self._check_role(walk.execution["stateMachineArn"], resource, arguments)
            if walk is not None and resource in {RESOURCE, f"{RESOURCE}.sync"}:
                return task.run(resource, arguments, timeout, walk, self._permissions_of(walk.execution))
            result = otherwise()
            if resource == _INVOKE and isinstance(result, dict):
                return {"ExecutedVersion": "$LATEST", **result, **sdk_metadata("application/json")}
            return result

        states._invoke_resource = lambda resource, arguments: run(
            resource, arguments, None, lambda: invoke(resource, arguments)
        )
        states._invoke_resource_with_timeout = lambda resource, arguments, timeout: run(
            resource, arguments, timeout, lambda: invoke_in_time(resource, arguments, timeout)
        )

    def _next_mock(self, execution: Execution, mock_of: Callable[..., Any]) -> dict[str, Any] | None:
        """What the mock file says about this attempt of the current state (None: nothing, so it runs)."""
        context = _context.get()
        if not execution.get("testCase") or context is None:
            return None
        state, attempts = context["State"]["Name"], execution.setdefault("mockAttempts", {})
        attempt = attempts.get(state, 0)
        mock: dict[str, Any] | None = mock_of(context["StateMachine"]["Name"], execution["testCase"], state, attempt)
        attempts[state] = attempt + 1
        return mock

    def _check_role(self, state_machine_arn: str, resource: str, arguments: Any) -> None:
        """Ask the state machine's role, as AWS does; ministack calls its services without asking."""
        role_arn = self._states._state_machines[state_machine_arn]["roleArn"]
        for needed in needed_permissions(resource, arguments, self._ministack.scope()):
            if not self._ministack.role_allows(role_arn, needed.action, needed.resource_arn):
                raise self.error(needed.error, needed.denial(role_arn))

    def _permissions_of(self, execution: Execution) -> Callable[[str, str], bool]:
        """Whether the role of an execution's state machine may do an action to a resource, when it is asked."""
        machine = self._states._state_machines.get(execution["stateMachineArn"])
        role_arn = None if machine is None else machine["roleArn"]

        def allowed(action: str, resource_arn: str) -> bool:
            if role_arn is None or not self._ministack.enforces_iam:
                return True
            return self._ministack.role_allows(role_arn, action, resource_arn)

        return allowed

    def _install_history(self) -> None:
        states, add_event = self._states, self._states._add_event

        def add(execution: Execution, kind: str, details: dict[str, Any] | None = None) -> Any:
            walk = current_walk.get()
            if walk is not None and not walk.live() and not kind.startswith("Execution"):
                raise walk.over()
            return self._add_as_recorded(add_event, execution, kind, details)

        def parameters(state: dict[str, Any], data: Any, context: Any) -> Any:
            found = apply_parameters(state, data, context)
            _task.set((state, found))
            return found

        apply_parameters = states._apply_parameters

        def execution_history(data: dict[str, Any]) -> Any:
            status, headers, body = history(data)
            if status != 200:
                return status, headers, body
            found = json.loads(body)
            return states.json_response({**found, "events": as_recorded(found["events"])})

        history = states._get_execution_history
        states._add_event, states._apply_parameters = add, parameters
        states._get_execution_history = execution_history

    def _add_as_recorded(
        self, add_event: Callable[..., Any], execution: Execution, kind: str, details: dict[str, Any] | None
    ) -> Any:
        """Write an event with the fields, and beside the events, that AWS writes."""
        name = f"{kind[:1].lower()}{kind[1:]}EventDetails"
        values = (details or {}).get(name)
        resource = values.get("resource", "") if isinstance(values, dict) else ""
        if not isinstance(values, dict) or not resource.startswith(_INTEGRATION):
            return add_event(execution, kind, details)
        # AWS writes batch and submitJob.sync, not the ARN.
        service, _, action = resource.removeprefix(_INTEGRATION).partition(":")
        values = {**values, "resourceType": service, "resource": action}
        if kind == "TaskFailed" and values.get("error") == "States.Timeout" and not values.get("cause"):
            details = {name: values[name] for name in ("error", "resourceType", "resource")}
            return add_event(execution, "TaskTimedOut", {"taskTimedOutEventDetails": details})
        task = _task.get()
        if kind != "TaskScheduled" or task is None:
            return add_event(execution, kind, {name: values})
        state, parameters = task
        values |= {"region": self._ministack.scope().region, "parameters": json.dumps(parameters)}
        if isinstance(state.get("TimeoutSeconds"), int):
            values["timeoutInSeconds"] = state["TimeoutSeconds"]
        add_event(execution, kind, {name: values})
        started = {"resourceType": service, "resource": action}
        return add_event(execution, "TaskStarted", {"taskStartedEventDetails": started})

    def _install_paths(self) -> None:
        states, paths = self._states, self._paths
        matches, evaluate_rule, argument = states._error_matches, states._evaluate_rule, states._eval_intrinsic_arg

        def rule_holds(rule: dict[str, Any], data: Any, context: Any = None) -> bool:
            if "Variable" in rule:
                found = paths.find(rule["Variable"], data, context)
                if "IsPresent" in rule:
                    return bool(rule["IsPresent"]) is (found is not MISSING)
                if found is MISSING:
                    cause = "The choice state's condition path references an invalid value."
                    raise self.error("States.Runtime", f"Invalid path '{rule['Variable']}': {cause}")
            return bool(evaluate_rule(rule, data, context))

        def path_field(name: str) -> Callable[..., Any]:
            def apply(state: dict[str, Any], data: Any, context: Any = None) -> Any:
                path = state.get(name, "$")
                return {} if path is None else paths.resolve(path, data, context)

            return apply

        def intrinsic_argument(node: Any, data: Any, context: Any) -> Any:
            return paths.resolve(node[1], data, context) if node[0] == "path" else argument(node, data, context)

        states._evaluate_rule = rule_holds
        states._apply_input_path = path_field("InputPath")
        states._apply_output_path = path_field("OutputPath")
        states._resolve_params_obj = paths.fill
        states._eval_intrinsic_arg = intrinsic_argument
        states._error_matches = lambda wanted, error: (
            error in wanted if error in _UNCATCHABLE else matches(wanted, error)
        )

    def _install_api(self, executions: Executions) -> None:
        states = self._states
        start, stop, describe = states._start_execution, states._stop_execution, states._describe_execution
        handle = states.handle_request
        redrives = redrive.Redrives(self, executions)

        def start_execution(data: dict[str, Any]) -> Any:
            running = self._same_running(data)
            if running is None:
                return start(data)
            return states.json_response({"executionArn": running["executionArn"], "startDate": running["startDate"]})

        def stop_execution(data: dict[str, Any]) -> Any:
            with executions.lock:
                response = stop(data)
            executions.stopped()
            return response

        def describe_execution(data: dict[str, Any]) -> Any:
            status, headers, body = describe(data)
            execution = self.execution(data.get("executionArn", ""))
            if execution is None or status != 200:
                return status, headers, body
            return states.json_response(json.loads(body) | redrive.description(execution))

        async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
            if not headers.get("x-amz-target", "").endswith(".RedriveExecution"):
                return await handle(method, path, headers, body, query)
            status, content = redrives.request(json.loads(body or b"{}"))
            if status != 200:
                return states.error_response_json(content["code"], content["message"], status)
            context = contextvars.copy_context()
            redrives.start(content["executionArn"], context)
            return states._finalize_response(states.json_response({"redriveDate": content["redriveDate"]}))

        states._start_execution, states._stop_execution = start_execution, stop_execution
        states._describe_execution, states.handle_request = describe_execution, handle_request
        self._install_list()

    def _install_list(self) -> None:
        """ListExecutions says how often each was redriven."""
        states, list_all = self._states, self._states._list_executions

        def list_executions(data: dict[str, Any]) -> Any:
            status, headers, body = list_all(data)
            if status != 200:
                return status, headers, body
            answer = json.loads(body)
            for each in answer["executions"]:
                each["redriveCount"] = (self.execution(each["executionArn"]) or {}).get("redriveCount", 0)
            return states.json_response(answer)

        states._list_executions = list_executions

    def _same_running(self, data: dict[str, Any]) -> Execution | None:
        """StartExecution with the name and the input of a running execution starts nothing (API: StartExecution)."""
        arn = str(data.get("stateMachineArn", "")).partition("#")[0].replace(":stateMachine:", ":execution:")
        execution = self.execution(f"{arn}:{data.get('name')}")
        same = execution is not None and execution["input"] == data.get("input", "{}")
        return copy.copy(execution) if same and execution and execution["status"] == "RUNNING" else None
