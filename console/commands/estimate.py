"""`millrace estimate`."""

from __future__ import annotations

from typing import Any

import click

from console.find.target import Target
from console.operations.estimating import EstimatedRun, estimate_of
from console.operations.request_options import request_fields, request_options
from console.terminal import Terminal
from console.verbs import json_option, target_options
from millrace.cost.course import Course
from millrace.cost.known_pace import KnownPace
from millrace.cost.prices import prices
from millrace.cost.requester_pays import source_bill_text
from millrace.text import bytes_text, dollars_text, duration_text, plural, reuse_text


@click.command("estimate", short_help="Estimate the time and cost of a run before starting it.")
@click.argument("source", metavar="SOURCE")
@request_options
@click.option("--destination", metavar="S3-URI", help="Where the run would write; earlier runs there give the pace.")
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
    """Estimate what a run over SOURCE (s3://bucket/prefix/) would process, how long it takes, and what it costs.

    Lists the source, and cuts it into shards as the plan job does; nothing is started. With --reuse and --destination
    it also says what would be kept of the earlier run, and what is left to work. Time and dollars come from a dated
    table of prices (docs/cost.md) and from measured paces; they may be off by a factor of two either way.

    Exit codes: 0 estimated, 1 something broke, 2 a bad request.
    """
    terminal = Terminal()
    made = estimate_of(
        target,
        {**request_fields(given), "source": source},
        destination,
        terminal.note,
        lambda: terminal.notes.status("Listing the source"),
    )
    if as_json:
        terminal.json(made.document())
        return
    _print(terminal, made)
    if made.reuse is not None:
        terminal.print(
            f"With reuse: {reuse_text(made.reuse)}; about {dollars_text(made.reuse['saved_dollars'])} saved. "
            "That is if the deployed code is the earlier run's.",
            style="bold",
        )


def _print(terminal: Terminal, estimated: EstimatedRun) -> None:
    request, found, made, course, jobs, known = (
        estimated.request, estimated.found, estimated.made, estimated.made.course, estimated.jobs, estimated.known,
    )  # fmt: skip
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
            f"Children    {course.children:,} of {course.each.vcpus:g} vCPU, {course.each.memory_mib:,} MiB, "
            f"{jobs.compute}; {jobs.at_once:,} run at once"
        )
    terminal.print("")
    terminal.print(f"Time        about {duration_text(course.total_seconds)}", style="bold")
    terminal.table(
        ("part", "time"), [(name, duration_text(value)) for name, value in course.seconds.items()], right=("time",)
    )
    terminal.print("")
    terminal.print(f"Cost        about {dollars_text(made.total_dollars)}", style="bold")
    terminal.table(
        ("part", "dollars"),
        [(name.replace("_", " "), dollars_text(value)) for name, value in made.dollars.items()],
        right=("dollars",),
    )
    bill = estimated.source_bill()
    if bill is not None:
        terminal.print(source_bill_text(bill))
    terminal.print("")
    terminal.print(
        f"An estimate: prices of {table['date']} ({table['note']}), the pace of {known.origin} ({_pace(known)}); "
        "it may be off by a factor of two either way. Without storage, logs, KMS, transfer between regions, retries "
        "and DynamoDB writes."
    )
    if _waits_for_vcpus(course):
        terminal.note(
            f"{course.due:,} children would have a minute of work each: MaxvCpus={course.due * jobs.vcpus:g}, and that "
            "Fargate quota, would start them all."
        )


def _pace(known: KnownPace) -> str:
    pace = known.pace
    return f"{pace.seconds_per_item:.3g} s an item and {bytes_text(round(pace.bytes_per_second))}/s"


def _waits_for_vcpus(course: Course) -> bool:
    """Whether the stack's vCPUs decide how long the run takes."""
    return course.due > course.children and course.seconds["migrate"] > course.total_seconds / 2
