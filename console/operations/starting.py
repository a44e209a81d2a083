"""Starting a run: its request is checked with Prepare Run's own rules, its code is sent, its execution is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.find.executions import new_name, start
from console.find.run_lookup import FoundRun, find_run
from console.find.target import Target
from console.operations.request_options import read_input, request_fields, send_code
from console.run_order import refuse_foreign_buckets
from console.terminal import Terminal
from millrace.errors import InvalidRunRequest
from millrace.layout import checked_run_id
from millrace.request.run_request import RunRequest


def begin(target: Target, input_file: Path | None, given_id: str | None, given: dict[str, Any]) -> FoundRun:
    """Check a request with Prepare Run's own rules, then start it.

    Args:
        target: Where.
        input_file: The execution input, or None.
        given_id: The run's id, or None for a new one.
        given: The command's options: they go before the input's fields.

    Raises:
        CodePackageError: `--code` cannot be packed.
        InvalidRunRequest: The request is wrong, or the id is taken; nothing was started.
    """
    request = read_input(input_file)
    request |= {place: _uri(place, given[place]) for place in ("source", "destination") if given[place] is not None}
    named = given["workload"] or request.get("workload")
    return begin_request(target, request_fields(given, request), given_id, given, named)


def begin_request(
    target: Target, request: dict[str, Any], given_id: str | None, code: Mapping[str, Any], workload: str | None
) -> FoundRun:
    """Check a whole request, send its code, and start it.

    Args:
        target: Where.
        request: The execution input, without `code`.
        given_id: The run's id, or None for a new one.
        code: The options `code`, `code_python` and `code_platform`.
        workload: The workload in `code`, where the user named it.

    Raises:
        CodePackageError: The code cannot be packed.
        InvalidRunRequest: The request is wrong, or the id is taken; nothing was started.
    """
    RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    if target.is_local:
        refuse_foreign_buckets(request, target.stack.source_bucket, target.stack.result_bucket)
    if code["code"]:
        refuse_foreign_buckets(request, None, target.stack.result_bucket)
        request |= send_code(code, target.aws, target.stack, Terminal(), workload)
        RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    taken = new_name if given_id is None else _once(checked_run_id(given_id))
    run = start(target.aws, target.stack.state_machine_arn, request, name=taken)
    return find_run(target.aws, target.stack.state_machine_arn, run.execution_arn)


def _uri(field: str, text: str) -> str:
    if text.startswith("s3:"):
        return text
    raise InvalidRunRequest(
        field, text, "s3://bucket/prefix/; a folder of this machine is for `millrace local run`, or for `aws s3 sync`"
    )


def _once(given_id: str) -> Any:
    given: list[str] = []

    def give() -> str:
        if given:
            raise InvalidRunRequest("id", given_id, "an id that no earlier run has")
        given.append(given_id)
        return given_id

    return give
