"""The options for the fields of the execution input, the same for every verb that starts a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from console.find.aws import Aws
from console.find.stack import Stack
from console.packing.dependencies import IMAGE_PYTHON, JobMachine
from console.packing.package import pack, upload, workload_of
from console.run_order import workload_options
from console.terminal import Terminal, timed
from console.verbs import with_options
from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json
from millrace.layout import S3Uri
from millrace.text import visible

Function = TypeVar("Function", bound=Callable[..., Any])

SHARD = ("target_bytes", "max_items", "max_shards")

_OPTIONS = (
    click.option("--workload", metavar="W", help="The program to run. [default: word-count]"),
    click.option(
        "--code",
        metavar="PATH[:NAME]",
        help="Send a workload of your own with the run: jobs.py, jobs.py:count, a folder, or a packed zip.",
    ),
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
        "--tolerated-failure-count", type=int, metavar="N", help="The same as a number; the larger counts. [default: 0]"
    ),
    click.option(
        "--seconds-per-item",
        type=float,
        metavar="S",
        help="Seconds that an object takes a child. [default: as measured]",
    ),
    click.option(
        "--mb-per-second", type=float, metavar="N", help="MB that a child processes per second. [default: as measured]"
    ),
    click.option(
        "--reuse",
        metavar="latest|ID",
        help="Work only what is new or changed since the last run like this one, or since this run.",
    ),
    click.option("--reuse-required", is_flag=True, help="End the run before any work if nothing can be reused."),
    click.option("--verify-outputs", is_flag=True, help="Work an object again if one of its outputs is gone."),
    click.option("--mirror", is_flag=True, help="Delete the outputs of objects that are gone from the source."),
    click.option(
        "--mirror-limit-percent",
        type=int,
        metavar="P",
        help="Delete nothing if more of the objects than this are gone. [default: 10]",
    ),
    click.option(
        "--requester-pays",
        is_flag=True,
        help="Pay for the requests and the transfer of reading the source, as its owner demands.",
    ),
    click.option("--name", metavar="NAME", help="What you call the run, to find it again."),
    click.option("--tag", "tags", multiple=True, metavar="K=V", help="A tag to find the run by. [several times]"),
    click.option(
        "--then",
        "then_file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
        metavar="FILE",
        help="The request, as JSON, of a run that starts when this one has succeeded.",
    ),
)

_CODE_MACHINE = (
    click.option(
        "--code-python", metavar="VERSION", help="The Python that --code's packages are for. [default: the jobs']"
    ),
    click.option(
        "--code-platform",
        type=click.Choice(["x86_64", "aarch64"]),
        help="The machine that they are for. [default: the jobs']",
    ),
)

_PLACES = (
    click.option("--source", metavar="S3-URI", help="The objects to process: s3://bucket/prefix/"),
    click.option("--destination", metavar="S3-URI", help="Where outputs and results go."),
)

_INPUT = click.option(
    "--input",
    "input_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="The execution input as JSON, - for standard input; the other options override it.",
)
_ID = click.option("--id", "given_id", metavar="ID", help="The run's id. [default: the time and eight digits]")


def _overlap(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--overlap",
        type=click.Choice(["run", "skip", "queue"]),
        help=f"What to do while another run of the same source is at work. [default: {default}]",
    )


def request_options(function: Function) -> Function:
    """The options, for `request_fields`."""
    return with_options(function, (*_OPTIONS, *_CODE_MACHINE))


def code_machine_options(function: Function) -> Function:
    """`--code-python` and `--code-platform`."""
    return with_options(function, _CODE_MACHINE)


allow_empty_option = click.option("--allow-empty", is_flag=True, help="Exit 0 even if the run found no items.")
"""`--allow-empty`, for the verbs that start a run and watch it."""


def start_options(function: Function) -> Function:
    """All options of a run's start: source and destination, the request, `--input FILE` and `--id`.

    The file is the whole execution input, as `aws stepfunctions start-execution --input` takes it.
    """
    return with_options(function, (*_PLACES, *_OPTIONS, *_CODE_MACHINE, _INPUT, _ID, _overlap("run")))


def schedule_options(function: Function) -> Function:
    """The same for a schedule: each of its runs has an id of its own, and skips while the last one is at work."""
    return with_options(function, (*_PLACES, *_OPTIONS, *_CODE_MACHINE, _INPUT, _overlap("skip")))


def request_fields(given: dict[str, Any], base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The fields of the execution input that the options stand for; what the user did not give is left to its default.

    `--code` gives the workload's name; `send_code` packs and uploads it.

    Args:
        given: The command's options by name, None or empty where the user gave none.
        base: The fields that are there already, from `--input`.

    Raises:
        CodePackageError: `--code` names no workload, or several.
        InvalidRunRequest: A workload's option cannot be read.
    """
    fields = dict(base or {})
    workload = given["workload"] or fields.get("workload", "word-count")
    if given.get("code"):
        workload = workload_of(given["code"], given["workload"] or fields.get("workload"))
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
        "reuse": given.get("reuse"),
        **{name: given.get(name) or None for name in ("reuse_required", "verify_outputs", "mirror", "requester_pays")},
        "mirror_limit_percent": given.get("mirror_limit_percent"),
        "overlap": given.get("overlap"),
        "name": given.get("name"),
        "then": read_input(given.get("then_file")) or None,
        "tags": {**(fields.get("tags") or {}), **_tags(given.get("tags") or ())},
    }
    return fields | {name: value for name, value in asked.items() if value not in (None, [], {})}


def send_code(
    given: Mapping[str, Any], aws: Aws, stack: Stack, terminal: Terminal, workload: str | None = None
) -> dict[str, Any]:
    """Pack what `--code` names for the stack's jobs, and upload it unless it is there.

    Args:
        given: The command's options by name.
        aws: Where the stack is.
        stack: Whose jobs will run it.
        terminal: Gets a line about it.
        workload: What `--workload`, or else `--input`, says.

    Returns:
        The field `code` of the execution input; nothing where there is no `--code`.

    Raises:
        CodePackageError: It cannot be packed, or is too large.
        ToolMissingError: It needs packages, and uv is not installed.
        StorageError: It cannot be uploaded.
    """
    if not given.get("code"):
        return {}
    is_local = aws.endpoint_url is not None
    arm = stack.parameters.get("Compute", "").endswith("_ARM64")
    usual = JobMachine.this() if is_local else JobMachine(IMAGE_PYTHON, "aarch64" if arm else "x86_64")
    with timed() as took:
        made = pack(given["code"], workload, usual.chosen(given["code_python"], given["code_platform"]))
        uri, new = upload(made, aws.s3, S3Uri(stack.result_bucket, stack.parameters.get("ResultPrefix", "")))
    if made.results:
        terminal.warn(
            f"{visible(', '.join(made.results))} in the code's folder holds results of a run, which are sent along and "
            "make another zip each time; give the code a folder of its own, or name them in a .gitignore"
        )
    terminal.note(f"Code {made.described}: {'uploaded' if new else 'is there already'} ({took()})")
    return {"code": uri}


def _pace(given: dict[str, Any]) -> dict[str, float]:
    megabytes = given.get("mb_per_second")
    asked = {
        "seconds_per_item": given.get("seconds_per_item"),
        "bytes_per_second": None if megabytes is None else megabytes * 1e6,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _tags(given: Sequence[str]) -> dict[str, str]:
    """Tags from the words of `--tag`, each `KEY=VALUE`, or a key alone."""
    return dict(words.partition("=")[::2] for words in given)


def read_input(path: Path | None) -> dict[str, Any]:
    """The object that `--input` names; empty where the user gave none.

    Raises:
        InvalidRunRequest: It is not a JSON object.
    """
    if path is None:
        return {}
    with click.open_file(str(path), "rb") as file:
        text = file.read()
    try:
        found = read_json(text)  # of bytes: PowerShell writes UTF-16, and UTF-8 with a mark
    except ValueError as error:
        raise InvalidRunRequest("input", str(path), f"a file with a JSON object; {error}") from None
    if not isinstance(found, dict):
        raise InvalidRunRequest("input", str(path), "a file with a JSON object")
    return found
