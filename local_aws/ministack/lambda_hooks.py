# ruff: noqa: SLF001 - to touch private names is what this file is for
"""Lambda functions: an exception is reported by its class name.

ministack reports every exception of a Python handler as Runtime.HandlerError, so that a state machine's ErrorEquals on
the function's own exceptions would never match here, and always on AWS.
"""

import threading
from typing import Any

from local_aws.ministack.hooks import Ministack, MinistackChangedError

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
