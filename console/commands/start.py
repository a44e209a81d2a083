"""`millrace start`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from console.commands.request_options import read_input, request_fields, send_code, start_options
from console.find.executions import new_name
from console.find.executions import start as start_execution
from console.find.run_lookup import FoundRun, find_run
from console.find.target import Target
from console.run_order import refuse_foreign_buckets
from console.terminal import Terminal
from console.verbs import json_option, target_options
from millrace.errors import InvalidRunRequest
from millrace.layout import checked_run_id
from millrace.request.run_request import RunRequest


@click.command
@start_options
@json_option
@target_options
def start(target: Target, input_file: Path | None, name: str | None, *, as_json: bool, **given: Any) -> None:
    """Start a run and do not wait for it; print its id.

    \b
    Examples:
      millrace start --source s3://letters/in/ --destination s3://results/out/ --include '*.txt'
      millrace start --input examples/movies.json --local

    Exit codes: 0 started, 1 something broke, 2 a bad request.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    found = begin(target, input_file, name, given)
    if as_json:
        folder = str(found.run.folder.root)
        Terminal().json({"run_id": found.run_id, "execution_arn": found.execution_arn, "run_folder": folder})
        return
    Terminal().print(found.run_id)
    Terminal().note(f"Watch it: {target.command('watch', found.run_id)}")


def begin(target: Target, input_file: Path | None, name: str | None, given: dict[str, Any]) -> FoundRun:
    """Check a request with Prepare Run's own rules, then start it.

    Args:
        target: Where.
        input_file: The execution input, or None.
        name: The run's id, or None for a new one.
        given: The command's options: they go before the input's fields.

    Raises:
        CodePackageError: `--code` cannot be packed.
        InvalidRunRequest: The request is wrong, or the name is taken; nothing was started.
    """
    request = read_input(input_file)
    request |= {place: _uri(place, given[place]) for place in ("source", "destination") if given[place] is not None}
    named = given["workload"] or request.get("workload")
    return begin_request(target, request_fields(given, request), name, given, named)


def begin_request(
    target: Target, request: dict[str, Any], name: str | None, code: Mapping[str, Any], workload: str | None
) -> FoundRun:
    """Check a whole request, send its code, and start it.

    Args:
        target: Where.
        request: The execution input, without `code`.
        name: The run's id, or None for a new one.
        code: The options `code`, `code_python` and `code_platform`.
        workload: The workload in `code`, where the user named it.

    Raises:
        CodePackageError: The code cannot be packed.
        InvalidRunRequest: The request is wrong, or the name is taken; nothing was started.
    """
    RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    if target.is_local:
        refuse_foreign_buckets(request, target.stack.source_bucket, target.stack.result_bucket)
    if code["code"]:
        refuse_foreign_buckets(request, None, target.stack.result_bucket)
        request |= send_code(code, target.aws, target.stack, Terminal(), workload)
        RunRequest.parse(request, queues=(request.get("queue", "standard"),))
    taken = new_name if name is None else _once(checked_run_id(name))
    run = start_execution(target.aws, target.stack.state_machine_arn, request, name=taken)
    return find_run(target.aws, target.stack.state_machine_arn, run.execution_arn)


def _uri(field: str, text: str) -> str:
    if text.startswith("s3:"):
        return text
    raise InvalidRunRequest(
        field, text, "s3://bucket/prefix/; a folder of this machine is for `millrace local run`, or for `aws s3 sync`"
    )


def _once(name: str) -> Any:
    given: list[str] = []

    def give() -> str:
        if given:
            raise InvalidRunRequest("name", name, "a name that no earlier run has")
        given.append(name)
        return name

    return give
