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
from millrace.request.source_access import check_public


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
    request, named = asked_request(input_file, given)
    return begin_request(target, request, given_id, given, named)


def asked_request(input_file: Path | None, given: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The execution input that a command's options and its file stand for, and the workload that the user named.

    Args:
        input_file: The execution input, or None.
        given: The command's options: they go before the input's fields.

    Raises:
        CodePackageError: `--code` names no workload, or several.
        InvalidRunRequest: The file has no JSON object, or an option cannot be read.
    """
    request = read_input(input_file)
    request |= {place: _uri(place, given[place]) for place in ("source", "destination") if given[place] is not None}
    return request_fields(given, request), given["workload"] or request.get("workload")


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
    request = checked_request(target, request, code, workload)
    taken = new_name if given_id is None else _once(checked_run_id(given_id))
    run = start(target.aws, target.stack.state_machine_arn, request, name=taken)
    return find_run(target.aws, target.stack.state_machine_arn, run.execution_arn)


def checked_request(
    target: Target, request: dict[str, Any], code: Mapping[str, Any], workload: str | None
) -> dict[str, Any]:
    """Check a whole request by Prepare Run's own rules, and send its code; what is returned names the code.

    Args:
        target: Where.
        request: The execution input, without `code`.
        code: The options `code`, `code_python` and `code_platform`.
        workload: The workload in `code`, where the user named it.

    Raises:
        CodePackageError: The code cannot be packed.
        InvalidRunRequest: The request is wrong.
    """
    checked = RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    public = target.stack.public_buckets
    for link in (checked, *checked.following()):
        check_public(link, public)
    if target.is_local:
        refuse_foreign_buckets(request, target.stack.sources, target.stack.result_bucket, public)
    if code["code"]:
        refuse_foreign_buckets(request, None, target.stack.result_bucket)
        request = request | send_code(code, target.aws, target.stack, Terminal(), workload)
        RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    return request


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
