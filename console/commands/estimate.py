"""`millrace estimate`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import click

from console.commands.request_options import request_fields, request_options
from console.errors import StackNotFoundError
from console.find.reuse_forecast import Forecast, forecast
from console.find.source_size import SourceSize, measure
from console.find.stack import job_size
from console.find.target import Target
from console.terminal import Terminal, seconds
from console.verbs import json_option, target_options
from millrace.cost.estimation import Estimate, Jobs, estimate
from millrace.cost.known_pace import KnownPace, known_pace
from millrace.cost.prices import prices
from millrace.errors import InvalidRunRequest
from millrace.layout import S3Uri
from millrace.planning.item_store import ItemStore
from millrace.planning.small_source import MOST_OBJECTS, may_be_planned
from millrace.records.plan import Item
from millrace.request.run_request import RunRequest
from millrace.source.filters import ItemFilter
from millrace.source.manifest.objects import manifest_items
from millrace.text import bytes_text, dollars_text, plural, reuse_text


@click.command("estimate", short_help="Estimate the time and cost of a run before starting it.")
@click.argument("source", metavar="SOURCE")
@request_options
@click.option("--destination", metavar="S3-URI", help="Where the run would go: what ran there shows the pace.")
@json_option
@target_options
def estimate_run(
    target: Target,
    source: str,
    destination: str | None,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    """Estimate what a run over SOURCE (s3://bucket/prefix/) would work, how long it takes, and what it costs.

    Lists the source, and cuts it into shards as the plan job does; nothing is started. With --reuse and --destination
    it also says what would be kept of the earlier run, and what is left to work. Time and dollars come from a dated
    table of prices (docs/cost.md) and from measured paces; they may be off by a factor of two either way.

    Exit codes: 0 estimated, 1 something broke, 2 a bad request.
    """
    terminal = Terminal()
    # No destination is written to; any that is none of the source's will do for the check.
    unwritten = destination or "s3://no-destination/estimate/"
    request = RunRequest.parse({**request_fields(given), "source": source, "destination": unwritten})
    folder = S3Uri.parse(request.source)
    if request.reuse is not None and destination is None:
        raise InvalidRunRequest("--reuse", request.reuse, "an option beside --destination, where the earlier run is")
    known = known_pace(request, target.aws.s3 if destination else None)
    items = ItemStore() if request.reuse is not None else None
    with terminal.notes.status("Listing the source") as shown:
        found = measure(
            lambda chosen: _items(target, request, folder, chosen),
            request,
            known.pace,
            lambda listed: shown.update(f"Listing the source: {listed:,} objects"),
            items,
        )
        reused: Forecast | None = None
        if items is not None:
            shown.update(f"Comparing {found.items:,} items with the earlier run")
            reused = forecast(request, items, known.pace, target.aws.s3)
    jobs = _jobs(target, terminal)
    planned = may_be_planned(request) and found.listed <= MOST_OBJECTS and not found.read_to_be_cut
    shards = reused.shards if reused else found.shards
    made = estimate(shards, found.listed, jobs, known.pace, measured=known.measured, planned=planned)
    foreseen = None if reused is None else _foreseen(reused, found, made, jobs, known)
    found = replace(found, shards=shards)
    if as_json:
        terminal.json({**_document(request, found, made, jobs, known), "reuse": foreseen})
        return
    _print(terminal, request, found, made, jobs, known)
    if foreseen is not None:
        terminal.print(
            f"With reuse: {reuse_text(foreseen)}; about {dollars_text(foreseen['saved_dollars'])} saved. That is if "
            "the deployed code is the earlier run's.",
            style="bold",
        )


def _foreseen(reused: Forecast, found: SourceSize, made: Estimate, jobs: Jobs, known: KnownPace) -> dict[str, Any]:
    """What the plan would say of reuse, and how much more a run over everything would cost."""
    whole = estimate(found.shards, found.listed, jobs, known.pace, measured=known.measured)
    numbers = asdict(reused.reuse)
    shown = {name: numbers[name] for name in numbers if not name.endswith("_digest")}
    return {**shown, "saved_dollars": max(0.0, whole.total_dollars - made.total_dollars)}


def _items(target: Target, request: RunRequest, folder: S3Uri, chosen: ItemFilter) -> Iterable[Item]:
    if request.manifest is not None:
        return manifest_items(S3Uri.parse(request.manifest), folder, chosen, target.aws.s3)
    return chosen.items(target.aws.s3.list(folder.bucket, folder.key))


def _jobs(target: Target, terminal: Terminal) -> Jobs:
    """How the stack runs jobs; as the template's defaults have it where there is no stack yet."""
    try:
        given = target.stack.parameters
    except StackNotFoundError as error:
        terminal.note(f"{error.message}; using the template's defaults")
        return Jobs(compute="FARGATE_SPOT")
    usual = Jobs()
    vcpus, memory_mib = job_size(given)
    return Jobs(
        vcpus=vcpus,
        memory_mib=memory_mib,
        max_vcpus=float(given.get("MaxvCpus", usual.max_vcpus)),
        architecture="ARM64" if given.get("Compute", "").endswith("_ARM64") else usual.architecture,
        public_ip=given.get("Network", "PUBLIC").startswith("PUBLIC"),
        compute=given.get("Compute", usual.compute).removesuffix("_ARM64"),
    )


def _print(  # noqa: PLR0917 - each is a part of what is shown
    terminal: Terminal, request: RunRequest, found: SourceSize, made: Estimate, jobs: Jobs, known: KnownPace
) -> None:
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
            f"Children    {made.children:,} of {jobs.vcpus:g} vCPU, {jobs.memory_mib:,} MiB, {jobs.compute}; "
            f"{jobs.at_once:,} run at once"
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
        f"An estimate: prices of {table['date']} ({table['note']}), the pace of {known.origin} ({_pace(known)}); "
        "it may be off by a factor of two either way. Without storage, logs, KMS, transfer between regions, retries "
        "and DynamoDB writes."
    )
    if _waits_for_vcpus(made):
        terminal.note(
            f"{made.due:,} children would have a minute of work each: MaxvCpus={made.due * jobs.vcpus:g}, and that "
            "Fargate quota, would start them all."
        )


def _pace(known: KnownPace) -> str:
    pace = known.pace
    return f"{pace.seconds_per_item:.3g} s an item and {bytes_text(round(pace.bytes_per_second))}/s"


def _waits_for_vcpus(made: Estimate) -> bool:
    """Whether the stack's vCPUs decide how long the run takes."""
    return made.due > made.children and made.seconds["migrate"] > made.total_seconds / 2


def _document(request: RunRequest, found: SourceSize, made: Estimate, jobs: Jobs, known: KnownPace) -> dict[str, Any]:
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
        "children": made.children,
        "jobs_at_once": jobs.at_once,
        "seconds": {**made.seconds, "total": made.total_seconds},
        "dollars": {**made.dollars, "total": made.total_dollars},
        "assumed": {"jobs": asdict(jobs), "pace": asdict(known.pace), "pace_of": known.origin},
        "prices": {"date": table["date"], "region": table["region"]},
    }
