# ruff: noqa: SLF001 - to touch private names is what this file is for
"""Lambda functions: exceptions by their class names, batches of a queue's messages, code that is unpacked once.

ministack reports every exception of a Python handler as Runtime.HandlerError, so that a state machine's ErrorEquals on
the function's own exceptions would never match here, and always on AWS. It hands over a queue's messages at once, ten
at most and whatever the function's role may do: BatchSize, MaximumBatchingWindowInSeconds and the role count here
(Lambda developer guide, "Using Lambda with Amazon SQS").
"""

import hashlib
import json
import logging
import os
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local_aws.executors.function_processes import FunctionProcesses
from local_aws.ministack.hooks import Ministack, MinistackChangedError

_LOG = logging.getLogger("local_aws.batch.events")
_TAKES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""What the function's role needs on the queue: the guide's "Configuring permissions"."""
_MAX_BATCH = 10_000
_MAX_BATCH_WITHOUT_WINDOW = 10
_MAX_WINDOW_SECONDS = 300
_MAX_PAYLOAD_BYTES = 6 * 2**20
"""Of what a function is called with; a batch ends before it."""
_ENVELOPE_BYTES = 1_000
"""What a message has about its body in the batch, roughly."""

_REPORTED = '"error": str(e), "trace": traceback.format_exc()'
_REPORTED_WITH_TYPE = f'{_REPORTED}, "error_type": type(e).__name__, "stack": traceback.format_tb(e.__traceback__)'


def name_lambda_errors(ministack: Ministack) -> None:
    """Make the worker process report the class, and carry it into the function's error.

    Raises:
        MinistackChangedError: the worker's program is not the one expected.
    """
    runtime, service = ministack.lambda_runtime, ministack.lambda_service
    if _REPORTED not in runtime._PYTHON_WORKER_SCRIPT:
        raise MinistackChangedError(
            "ministack's Lambda worker does not report errors as ministack_lambda_hooks.py expects"
        )
    runtime._PYTHON_WORKER_SCRIPT = runtime._PYTHON_WORKER_SCRIPT.replace(_REPORTED, _REPORTED_WITH_TYPE)
    invoke, execute = runtime.Worker.invoke, service._execute_function_warm
    last = threading.local()  # the worker is invoked in the thread that executes the function

    def invoke_and_remember(worker: Any, *arguments: Any, **settings: Any) -> Any:
        last.result = invoke(worker, *arguments, **settings)
        return last.result

    def execute_warm(function: Any, event: Any, request_id: str) -> Any:
        last.result = {}
        result = execute(function, event, request_id)
        if result.get("error") and last.result.get("error_type"):
            result["body"]["errorType"] = last.result["error_type"]
            result["body"]["stackTrace"] = last.result["stack"]
        return result

    runtime.Worker.invoke = invoke_and_remember
    service._execute_function_warm = execute_warm


def unpack_code_once(ministack: Ministack) -> None:
    """Let functions of the same code share one folder of it, as one start of each compiles all of it.

    ministack unpacks function and layers anew for each worker. As on Lambda, a function has no business to write there.
    """
    unpacked: dict[str, Path] = {}
    lock = threading.Lock()

    class Shared(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
            digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
            with lock:
                if digest not in unpacked:
                    folder = Path(tempfile.mkdtemp(prefix="function-code-"))
                    super().extractall(folder, members, pwd)
                    unpacked[digest] = folder
            os.rmdir(path)  # noqa: PTH106 - just made, and empty
            os.symlink(unpacked[digest], path)  # noqa: PTH211 - as above

    ministack.lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": Shared})


def copy_workers(ministack: Ministack) -> None:
    """Start the workers of functions as copies of one that has loaded their code.

    It does so in the background once the first function of that code is there: Lambda, too, starts some before they
    are called.
    """
    processes = FunctionProcesses()
    runtime, service = ministack.lambda_runtime, ministack.lambda_service
    runtime.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": processes.start})
    handlers = ministack.provisioners._RESOURCE_HANDLERS
    create = handlers["AWS::Lambda::Function"]["create"]
    begun: set[str] = set()

    def start_first(name: str) -> None:
        function = service._functions[name]
        worker, _ = runtime.acquire_worker(name, function["config"], function["code_zip"])
        try:
            runtime.ensure_spawned(worker)
        except RuntimeError as error:  # who calls it will be told
            _LOG.info("%s does not start yet: %s", name, error)
        finally:
            runtime.release_worker(worker)

    def created(*given: Any) -> Any:
        made = create(*given)
        config = service._functions[made[0]]["config"]
        code = f"{config.get('CodeSha256')} {config.get('Layers')}"
        if config.get("Layers") and code not in begun:
            begun.add(code)
            # ministack keeps account and Region in the context.
            threading.Thread(target=copy_context().run, args=(start_first, made[0]), daemon=True).start()
        return made

    handlers["AWS::Lambda::Function"] = {**handlers["AWS::Lambda::Function"], "create": created}


def gather_batches(ministack: Ministack, wait_scale: float) -> None:
    """Hand a queue's messages to functions in batches, as an event source mapping says.

    Args:
        ministack: Where.
        wait_scale: What windows are multiplied by.
    """
    queues, mappings = ministack.queues, ministack.lambda_service._esms

    def receive(queue_url: str, _most: int) -> list[dict[str, Any]]:
        with queues._queues_lock:
            queue = queues._get_q(queue_url)
            arn = queue["attributes"]["QueueArn"]
            mapping = next((each for each in mappings.values() if each["EventSourceArn"] == arn), None)
            queues._expire_retained(queue)
            queues._dlq_sweep(queue)
            if mapping is None or not _may_take(ministack, mapping["FunctionName"], arn):
                return []
            now = time.time()
            waiting = [message for message in queue["messages"] if message["visible_at"] <= now]
            size, window = int(mapping["BatchSize"]), int(mapping["MaximumBatchingWindowInSeconds"]) * wait_scale
            # A message is gathered from when it can be seen on: after it was sent, or came back.
            first = min((message["visible_at"] for message in waiting), default=now)
            if not waiting or (len(waiting) < size and now < first + window):
                return []
            visible = int(queue["attributes"].get("VisibilityTimeout", "30"))
            batch: list[dict[str, Any]] = queues._collect_msgs(queue, _fitting(waiting, size), visible)
            return batch

    queues._receive_messages_for_esm = receive
    _refuse_wrong_mappings(ministack)


def _fitting(messages: list[dict[str, Any]], most: int) -> int:
    """How many of these messages a function can be called with."""
    left = _MAX_PAYLOAD_BYTES
    for number, message in enumerate(messages[:most]):
        left -= len(json.dumps(message["body"])) + _ENVELOPE_BYTES
        if left < 0:
            return max(number, 1)
    return most


def _may_take(ministack: Ministack, function: str, queue_arn: str) -> bool:
    if not ministack.enforces_iam:
        return True
    role = ministack.lambda_service._functions.get(function, {}).get("config", {}).get("Role", "")
    missing = [action for action in _TAKES if not (role and ministack.role_allows(role, action, queue_arn))]
    if missing:
        _LOG.warning("%s is not polled: the role %s is not authorized to perform: %s", queue_arn, role, missing[0])
    return not missing


def _refuse_wrong_mappings(ministack: Ministack) -> None:
    """Let CreateEventSourceMapping, UpdateEventSourceMapping and CloudFormation refuse what Lambda refuses."""
    functions, handlers = ministack.lambda_service, ministack.provisioners._RESOURCE_HANDLERS
    create, update = functions._create_esm, functions._update_esm
    of_template = handlers["AWS::Lambda::EventSourceMapping"]

    def refusal(asked: dict[str, Any], known: dict[str, Any]) -> str:
        settings = {**known, **asked}
        arn = str(settings.get("EventSourceArn", ""))
        if ":sqs:" not in arn:
            return ""
        name = str(settings.get("FunctionName", "")).rpartition(":")[2]
        timeout = functions._functions.get(name, {}).get("config", {}).get("Timeout", 3)
        return mapping_fault(settings, ministack.queues._queue_by_arn(arn), int(timeout))

    def answer(asked: dict[str, Any], known: dict[str, Any], go_on: Callable[[], Any]) -> Any:
        fault = refusal(asked, known)
        return functions.error_response_json("InvalidParameterValueException", fault, 400) if fault else go_on()

    def provisioned(verb: str) -> Callable[..., Any]:
        def handle(*given: Any) -> Any:
            fault = refusal(given[-2], {})
            if fault:
                raise ValueError(fault)
            return of_template[verb](*given)

        return handle

    functions._create_esm = lambda data: answer(data, {}, lambda: create(data))
    functions._update_esm = lambda mapping, data: answer(
        data, functions._esms.get(mapping) or {}, lambda: update(mapping, data)
    )
    handlers["AWS::Lambda::EventSourceMapping"] = {
        **of_template, "create": provisioned("create"), "update": provisioned("update"),
    }  # fmt: skip


def mapping_fault(settings: dict[str, Any], queue: dict[str, Any] | None, timeout: int) -> str:
    """Why Lambda refuses to map a queue to a function so; empty where it does not.

    Args:
        settings: The mapping.
        queue: The queue; None where there is none.
        timeout: The function's time limit in seconds.
    """
    size, window = int(settings.get("BatchSize", 10)), int(settings.get("MaximumBatchingWindowInSeconds", 0))
    if queue is None:
        return "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue."
    if not 1 <= size <= _MAX_BATCH or not 0 <= window <= _MAX_WINDOW_SECONDS:
        return f"BatchSize {size} or MaximumBatchingWindowInSeconds {window} is out of range."
    if size > _MAX_BATCH_WITHOUT_WINDOW and window < 1:
        return (
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
            f"{_MAX_BATCH_WITHOUT_WINDOW}"
        )
    visible = int(queue["attributes"].get("VisibilityTimeout", "30"))
    if visible < timeout:
        return f"Queue visibility timeout: {visible} seconds is less than Function timeout: {timeout} seconds"
    return ""
