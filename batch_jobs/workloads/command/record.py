"""The record of the workload `command`."""

from __future__ import annotations

from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.s3.header_values import check_content_type
from millrace.workload import Option, WorkloadRecord, check_item_suffixes


def _check_suffixes(field: str, suffixes: Any) -> None:
    check_item_suffixes(field, suffixes)
    if not all(suffixes):
        raise InvalidRunRequest(field, suffixes, "suffixes, none of them empty")


RECORD = WorkloadRecord(
    name="command",
    title="any program in the image, run once for each object",
    class_path="batch_jobs.workloads.command.workload:Command",
    options=(
        Option(
            "command", (), "the program and its arguments, with {input}, {output}, {key}, {name} and {stem}", minimum=1
        ),
        Option(
            "output_suffixes",
            (".out",),
            "What is put behind a key: {output}, {output2}, … or the standard output.",
            rule=_check_suffixes,
        ),
        Option(
            "content_type",
            "application/octet-stream",
            "The Content-Type of the outputs.",
            pattern=".+",
            form="a content type: text/plain",
            rule=check_content_type,
        ),
        Option("time_limit_seconds", 300, "How long the command may take for one item.", minimum=1, maximum=86_400),
        Option("parallel", 0, "How many commands run at once; 0: as many as there are cores.", minimum=0, maximum=256),
        Option("success_exit_codes", ("0",), "Exit codes that mean success: 0 or 0-1."),
        Option("retry_exit_codes", ("75",), "Exit codes that mean: try again in another attempt of the job."),
        Option("bad_item_exit_codes", ("1-255",), "Exit codes that mean a bad item; any other ends the job."),
        Option("environment", (), "Names of the job's environment variables that the command gets, or NAME=VALUE."),
    ),
    item_suffixes=lambda options: tuple(options["output_suffixes"]),
)
