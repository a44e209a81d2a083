"""LocalStack's Step Functions as a server on 127.0.0.1, whose tasks go to another endpoint: the embedded AWS.

It runs in an environment of its own, outside the tests' process: `engine.py` starts it. All that it changes in
LocalStack is in `redirect`; each change is either about where a task goes or about how long a test waits. It reads:

STATE_DIR               a folder for what it writes
TASK_ENDPOINT_URL       where its tasks go: Lambda and Batch
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY  what requests there are signed with
WAIT_SCALE              multiplies Wait states and the pauses of Retry
GATEWAY_LISTEN          its own address, by LocalStack's name
SFN_MOCK_CONFIG         a MockConfigFile.json, or nothing
"""

from __future__ import annotations

import os
import pkgutil
import sys
import time
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.config import Config
from localstack import constants

constants.DEFAULT_AWS_ACCOUNT_ID = "123456789012"
constants.DEFAULT_VOLUME_DIR = os.environ["STATE_DIR"]

SCALE = float(os.environ["WAIT_SCALE"])
TASKS = "localstack.services.stepfunctions.asl.component.state"
TASK = f"{TASKS}.state_execution.state_task"
NAMES = "localstack.services.stepfunctions.asl.component.common.error_name"
UNKNOWN_TO_IT = {"ShareIdentifier", "SchedulingPriorityOverride"}
"""Arguments of SubmitJob that Step Functions takes and this interpreter would refuse."""


def task_client(service: str, region: str, state_credentials: Any) -> Any:  # noqa: ARG001 - one caller for all tasks
    """A client for a task, in place of one that stays inside LocalStack."""
    return botocore.session.get_session().create_client(
        service,
        region,
        endpoint_url=os.environ["TASK_ENDPOINT_URL"],
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=900, proxies={}),
    )


def error_name(name: str | None) -> Any:
    """A mocked error, which may be one of Step Functions' own: States.TaskFailed, States.Timeout."""
    kind, module = (
        ("StatesErrorName", "states") if (name or "").startswith("States.") else ("CustomErrorName", "custom")
    )
    made = getattr(import_module(f"{NAMES}.{module}_error_name"), kind)
    return made.from_name(name) if module == "states" else made(name)


def redirect() -> None:
    """Send the tasks where they should go, and let no test wait longer than it must."""
    boto_client = import_module("localstack.services.stepfunctions.asl.utils.boto_client")
    for found in pkgutil.walk_packages(import_module(TASKS).__path__, f"{TASKS}."):
        import_module(found.name)
    before = boto_client.boto_client_for
    users = [module for module in list(sys.modules.values()) if getattr(module, "boto_client_for", None) is before]
    for module in users:
        module.boto_client_for = task_client  # type: ignore[attr-defined]  # a name that the module imported
    batch: Any = import_module(f"{TASK}.service.state_task_service_batch")
    batch._SUPPORTED_API_PARAM_BINDINGS["submitjob"] |= UNKNOWN_TO_IT
    mocks: Any = import_module(f"{TASK}.local_mock_eval_utils")
    mocks.CustomErrorName = error_name
    polling: Any = import_module(f"{TASK}.service.state_task_service_callback")
    polling._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.1  # between two looks at a job
    retrier: Any = import_module("localstack.services.stepfunctions.asl.component.common.retry.retrier_decl")
    retrier.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * SCALE))
    waiting: Any = import_module(f"{TASKS}.state_wait.wait_function.wait_function").WaitFunction
    wait = waiting._wait_interval
    waiting._wait_interval = lambda self, env, wait_seconds: wait(self, env, wait_seconds * SCALE)
    # What it would tell EventBridge nobody here listens to: the embedded AWS tells of its own executions.
    execution: Any = import_module("localstack.services.stepfunctions.backend.execution").Execution
    execution.publish_execution_status_change_event = lambda self: None  # noqa: ARG005 - its only argument


if __name__ == "__main__":
    redirect()
    import_module("localstack.runtime.main").main()
