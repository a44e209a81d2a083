"""The options for the fields of the execution input, the same for every verb that starts a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from console.run_order import workload_options
from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json

Function = TypeVar("Function", bound=Callable[..., Any])

SHARD = ("target_bytes", "max_items", "max_shards")

_OPTIONS = (
    click.option("--workload", metavar="W", help="The program to run. [default: word-count]"),
    click.option(
        "--option", "options", multiple=True, metavar="K=V", help="An option of the workload. [several times]"
    ),
    click.option(
        "--manifest",
        metavar="URI",
        help="Process what this file or S3 Inventory report names, instead of listing the source.",
    ),
    click.option("--include", multiple=True, metavar="P", help="Process only what matches: '*.txt'. [several times]"),
    click.option("--exclude", multiple=True, metavar="P", help="Exclude what matches. [several times]"),
    click.option(
        "--target-bytes", type=int, metavar="N", help="Close a shard at this many bytes. [default: 268435456]"
    ),
    click.option("--max-items", type=int, metavar="N", help="Close a shard at this many items. [default: 1000]"),
    click.option("--max-shards", type=int, metavar="N", help="At most this many shards. [default: 100000]"),
    click.option(
        "--tolerated-failure-percent",
        type=float,
        metavar="P",
        help="Fail when more items failed than this. [default: 0]",
    ),
    click.option(
        "--tolerated-failure-count", type=int, metavar="N", help="Or as a number; the larger one counts. [default: 0]"
    ),
    click.option(
        "--seconds-per-item", type=float, metavar="S", help="What one object takes a child. [default: as measured]"
    ),
    click.option(
        "--mb-per-second", type=float, metavar="N", help="MB that a child works in a second. [default: as measured]"
    ),
)

_PLACES = (
    click.option("--source", metavar="S3-URI", help="The objects to process: s3://bucket/prefix/"),
    click.option("--destination", metavar="S3-URI", help="Where outputs and results go."),
)

_WHOLE = (
    click.option(
        "--input",
        "input_file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="The execution input as JSON, - for standard input; the other options override it.",
    ),
    click.option("--name", metavar="NAME", help="The run's id. [default: the time and eight digits]"),
)


def _with(options: Sequence[Callable[[Any], Any]], function: Function) -> Function:
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    made: Function = decorated
    return made


def request_options(function: Function) -> Function:
    """The options, for `request_fields`."""
    return _with(_OPTIONS, function)


allow_empty_option = click.option("--allow-empty", is_flag=True, help="Exit 0 even if the run found no items.")
"""`--allow-empty`, for the verbs that start a run and watch it."""


def start_options(function: Function) -> Function:
    """All options of a run's start: source and destination, the request, `--input FILE` and `--name`.

    The file is the whole execution input, as `aws stepfunctions start-execution --input` takes it.
    """
    return _with((*_PLACES, *_OPTIONS, *_WHOLE), function)


def request_fields(given: dict[str, Any], base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The fields of the execution input that the options stand for; what the user did not give is left to its default.

    Args:
        given: The command's options by name, None or empty where the user gave none.
        base: The fields that are there already, from `--input`.

    Raises:
        InvalidRunRequest: A workload's option cannot be read.
    """
    fields = dict(base or {})
    workload = given["workload"] or fields.get("workload", "word-count")
    pace = _pace(given)
    shard = {name: given[name] for name in SHARD if given[name] is not None}
    asked = {
        "workload": workload,
        "options": {**fields.get("options", {}), **workload_options(workload, given["options"])},
        "manifest": given["manifest"],
        "include": list(given["include"]),
        "exclude": list(given["exclude"]),
        "shard": {**fields.get("shard", {}), **shard},
        "pace": {**(fields.get("pace") or {}), **pace} if pace else None,
        "tolerated_failure_percent": given["tolerated_failure_percent"],
        "tolerated_failure_count": given["tolerated_failure_count"],
        "run_id": given.get("run_id"),
    }
    return fields | {name: value for name, value in asked.items() if value not in (None, [], {})}


def _pace(given: dict[str, Any]) -> dict[str, float]:
    megabytes = given.get("mb_per_second")
    asked = {
        "seconds_per_item": given.get("seconds_per_item"),
        "bytes_per_second": None if megabytes is None else megabytes * 1e6,
    }
    return {name: value for name, value in asked.items() if value is not None}


def read_input(path: Path | None) -> dict[str, Any]:
    """The object that `--input` names; empty where the user gave none.

    Raises:
        InvalidRunRequest: It is not a JSON object.
    """
    if path is None:
        return {}
    with click.open_file(str(path), encoding="utf-8") as file:
        text = file.read()
    try:
        found = read_json(text)
    except ValueError as error:
        raise InvalidRunRequest("input", str(path), f"a file with a JSON object; {error}") from None
    if not isinstance(found, dict):
        raise InvalidRunRequest("input", str(path), "a file with a JSON object")
    return found
