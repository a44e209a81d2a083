"""`millrace estimate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click

from console.commands.request_options import request_fields, request_options
from console.errors import StackNotFoundError
from console.find.source_size import SourceSize, measure
from console.find.stack import job_size
from console.find.target import Target
from console.terminal import Terminal, seconds
from console.verbs import json_option, target_options
from millrace.cost.estimation import Estimate, Jobs, estimate, pace_of
from millrace.cost.prices import prices
from millrace.layout import S3Uri
from millrace.request.run_request import RunRequest
from millrace.run.plan import Item
from millrace.source.filters import ItemFilter
from millrace.source.manifest.objects import manifest_items
from millrace.text import bytes_text, dollars_text, plural
from millrace.workload import Pace


@click.command("estimate", short_help="Say what a run would take and cost, before it is started.")
@click.argument("source", metavar="SOURCE")
@request_options
@click.option("--seconds-per-item", type=click.FloatRange(0), metavar="S", help="What one object takes, on one vCPU.")
@click.option(
    "--mb-per-second", type=click.FloatRange(0, min_open=True), metavar="N", help="MB that one vCPU works in a second."
)
@json_option
@target_options
def estimate_run(
    target: Target,
    source: str,
    seconds_per_item: float | None,
    mb_per_second: float | None,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    """Say what a run over SOURCE (s3://bucket/prefix/) would work, how long it might take, and what it might cost.

    Lists the source, and cuts it into shards as the plan job does; nothing is started. Time and dollars are an
    estimate from a dated table of prices (docs/cost.md) and measured paces: a factor of two either way is to be
    expected.

    Exit codes: 0 told, 1 something broke, 2 a bad request.
    """
    terminal = Terminal()
    # No destination is written to; any that is none of the source's will do for the check.
    request = RunRequest.parse(
        {**request_fields(given), "source": source, "destination": "s3://no-destination/estimate/"}
    )
    folder = S3Uri.parse(request.source)
    with terminal.notes.status("Listing the source") as shown:
        found = measure(
            lambda chosen: _items(target, request, folder, chosen),
            request,
            lambda listed: shown.update(f"Listing the source: {listed:,} objects"),
        )
    jobs = _jobs(target, terminal)
    pace = pace_of(request.workload, seconds_per_item, None if mb_per_second is None else mb_per_second * 1e6)
    made = estimate(found.shards, found.listed, jobs, pace)
    if as_json:
        terminal.json(_document(request, found, made, jobs, pace))
        return
    _print(terminal, request, found, made, jobs)


def _items(target: Target, request: RunRequest, folder: S3Uri, chosen: ItemFilter) -> Iterable[Item]:
    if request.manifest is not None:
        return manifest_items(S3Uri.parse(request.manifest), folder, chosen, target.aws.s3)
    return chosen.items(target.aws.s3.list(folder.bucket, folder.key))


def _jobs(target: Target, terminal: Terminal) -> Jobs:
    """How the stack runs jobs; as the template's defaults have it where there is no stack yet."""
    try:
        given = target.stack.parameters
    except StackNotFoundError as error:
        terminal.note(f"{error.message}; the template's defaults are taken")
        return Jobs(compute="FARGATE_SPOT")
    usual = Jobs()
    vcpus, memory_mib = job_size(given)
    return Jobs(
        vcpus=vcpus,
        memory_mib=memory_mib,
        max_vcpus=float(given.get("MaxvCpus", usual.max_vcpus)),
        architecture="ARM64" if given.get("Compute", "").endswith("_ARM64") else usual.architecture,
        public_ip=given.get("Network", "PUBLIC") == "PUBLIC",
        compute=given.get("Compute", usual.compute).removesuffix("_ARM64"),
    )


def _print(terminal: Terminal, request: RunRequest, found: SourceSize, made: Estimate, jobs: Jobs) -> None:
    table = prices()
    left_out = sum(found.skipped.values())
    terminal.print(f"Source      {request.source} ({plural(found.listed, 'object')})", style="bold")
    more = f"; {left_out:,} objects are none" if left_out else ""
    terminal.print(f"Items       {found.items:,} ({bytes_text(found.bytes)}){more}")
    if found.archived:
        terminal.warn(f"{plural(found.archived, 'object')} in an archive class: each will fail as ARCHIVED")
    if found.shards:
        largest = max(found.shards, key=lambda shard: shard.bytes)
        each = f"the largest {plural(largest.items, 'item')}, {bytes_text(largest.bytes)}"
        terminal.print(f"Shards      {len(found.shards):,}; {each}")
        terminal.print(
            f"At once     {plural(made.jobs_at_once, 'job')} of {jobs.vcpus:g} vCPU, {jobs.memory_mib:,} MiB, "
            f"{jobs.compute}"
        )
    terminal.print("")
    terminal.print(f"Time        about {seconds(made.total_seconds)}", style="bold")
    terminal.table(("part", "time"), [(name, seconds(value)) for name, value in made.seconds.items()], right=("time",))
    terminal.print("")
    terminal.print(f"Cost        about {dollars_text(made.total_dollars)}", style="bold")
    terminal.table(
        ("part", "dollars"),
        [(name.replace("_", " "), dollars_text(value)) for name, value in made.dollars.items()],
        right=("dollars",),
    )
    terminal.print("")
    terminal.print(
        f"An estimate: prices of {table['date']} ({table['note']}), paces measured elsewhere; a factor of two either "
        "way is to be expected. Without storage, logs, KMS, transfer between regions, retries and DynamoDB writes."
    )
    if _waits_for_vcpus(made, jobs, found):
        terminal.note(
            f"All shards at once would need MaxvCpus={len(found.shards) * jobs.vcpus:g} (and that Fargate quota)."
        )


def _waits_for_vcpus(made: Estimate, jobs: Jobs, found: SourceSize) -> bool:
    """Whether the stack's vCPUs, and not the largest shard, decide how long the run takes."""
    return len(found.shards) > jobs.at_once and made.seconds["migrate"] > made.total_seconds / 2


def _document(request: RunRequest, found: SourceSize, made: Estimate, jobs: Jobs, pace: Pace) -> dict[str, Any]:
    table = prices()
    largest = max(found.shards, key=lambda shard: shard.bytes, default=None)
    return {
        "source": request.source,
        "workload": request.workload,
        "objects": found.listed,
        "items": found.items,
        "bytes": found.bytes,
        "largest_object_bytes": found.largest,
        "archived": found.archived,
        "skipped": found.skipped,
        "shards": len(found.shards),
        "largest_shard": None if largest is None else asdict(largest),
        "jobs_at_once": made.jobs_at_once,
        "seconds": {**made.seconds, "total": made.total_seconds},
        "dollars": {**made.dollars, "total": made.total_dollars},
        "assumed": {"jobs": asdict(jobs), "pace": asdict(pace)},
        "prices": {"date": table["date"], "region": table["region"]},
    }
