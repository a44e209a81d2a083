"""The page: outcome and counts, then its parts, in a document that loads nothing and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from millrace.records.figures import RunFigures
from millrace.records.plan import Plan
from millrace.report.page.blocks import Block, Cell, Facts, Links, Name, Paragraph, Section, Table
from millrace.report.page.cost import cost_part
from millrace.report.page.distribution import distribution
from millrace.report.page.failures import failures, has_more
from millrace.report.page.outputs import outputs
from millrace.report.page.rendering import rendered
from millrace.report.page.timing import kept_shards, throughput, timeline
from millrace.report.page.workload_part import ReadFile, workload_part
from millrace.request.labels import tags_text
from millrace.request.tolerance import Tolerance
from millrace.text import bytes_text, dollars_text, duration_text, plural, reuse_text, time_text

OUTCOMES = {
    "SUCCEEDED": ("good", "Succeeded: every item was worked"),
    "SUCCEEDED_WITH_FAILURES": ("warn", "Succeeded, with failures that the run tolerates"),
    "FAILED": ("bad", "Failed: more items failed than the run tolerates"),
    "RUNNING": ("warn", "Running: this page shows the progress at the time it was made"),
    "ABORTED": ("bad", "Cancelled before completion: this page shows what was done"),
    "TIMED_OUT": ("bad", "Timed out before completion: this page shows what was done"),
    "BROKEN": ("bad", "Failed before completion: this page shows what was done"),
    "INCOMPLETE": ("bad", "Not complete: this page shows what was done"),
}
"""By the status of result.json; those behind FAILED are of runs without one."""

BESIDE = ("report.csv", "failures.jsonl", "result.json")
"""What merge writes beside the page, after the workload's files."""

WHY_CHARACTERS = 2000
"""How much of the error that ended a run is shown."""


def report_page(
    plan: Plan,
    document: Mapping[str, Any],
    figures: RunFigures,
    read: ReadFile,
    *,
    beside: Sequence[str] | None = None,
    cost: Mapping[str, Any] | None = None,
) -> bytes:
    """report.html, the same bytes for the same commits.

    Args:
        plan: The run's plan.
        document: What result.json says; of a run that has none, what `millrace.report.run_page.unmerged` makes up.
        figures: What the commits add up to.
        read: Reads the run's merged files, for the workload's part.
        beside: The files that are beside this page, to be linked; None: all that merge writes.
        cost: What cost.json says; None where it is not known: while merge works.
    """
    style, outcome = OUTCOMES[document["status"]]
    parts = [_overview(document, figures, beside, cost)]
    if figures.codes:
        parts.append(failures(figures))
    if figures.output_count:
        parts.append(outputs(figures, plan.destination, document.get("page") or "", linked=beside is None))
    if cost is not None:
        parts.append(cost_part(cost))
    if document.get("result"):
        parts.append(workload_part(plan.workload, document["result"], read))
    if figures.shards:
        parts += [timeline(figures), distribution(figures)]
    if figures.finished > figures.started:
        parts.insert(-1, throughput(figures))
    parts.append(_request(plan, document))
    title = f"Run {plan.run_id}: {outcome.partition(':')[0].partition(',')[0].lower()}"
    page = rendered(
        "report.html",
        title=title,
        plan=plan,
        outcome=outcome,
        outcome_style=style,
        sections=parts,
        searches=has_more(figures),
    )
    return page.encode()


def _overview(
    document: Mapping[str, Any], figures: RunFigures, beside: Sequence[str] | None, cost: Mapping[str, Any] | None
) -> Section:
    counts: Mapping[str, int] = document["counts"]
    worked = sum(shard.seconds for shard in figures.shards)
    facts = [
        ("Items", f"{counts['items']:,}"),
        ("Succeeded", f"{counts['succeeded']:,}"),
        ("Failed", f"{counts['failed']:,}"),
        *([("Not run", f"{counts['not_run']:,}")] if "not_run" in counts else []),
        ("Read", bytes_text(counts["bytes"])),
        ("Shards", _shards(counts)),
        *_reuse_facts(document.get("reuse")),
        ("First to last shard", duration_text(figures.finished - figures.started)),
        ("Shards together", duration_text(worked)),
        *([("Cost, about", dollars_text(cost["dollars"]))] if cost is not None else []),
    ]
    blocks: list[Block] = [Facts(facts)]
    if document.get("why"):
        blocks.insert(0, Paragraph(Name(document["why"], WHY_CHARACTERS)))
    if reused := reuse_text(document.get("reuse")):
        blocks.append(Paragraph(f"Reuse: {reused}."))
    retry = document.get("retry")
    if retry:
        worked_again = f"Retry {retry['number']} worked {plural(retry['items'], 'failed item')} again"
        blocks.append(Paragraph(f"{worked_again}: {retry['succeeded']:,} succeeded, {retry['failed']:,} failed."))
    elif kept := kept_shards(figures):
        blocks.append(Paragraph(kept))
    if cost is None and beside is None:
        blocks.append(
            Paragraph("cost.json in the run folder has what the run cost, once it has ended; millrace report shows it.")
        )
    names = [*document["files"], *BESIDE] if beside is None else beside
    if names:
        blocks.append(Links("Files beside this page:", names))
    elsewhere = {each: uri for each, uri in document["files"].items() if each not in names}
    if elsewhere:
        blocks.append(Table("Other files", ("File", "Where"), [(name, Name(uri)) for name, uri in elsewhere.items()]))
    return Section("overview", "Overview", blocks)


def _reuse_facts(reuse: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """How many items were taken over of an earlier run, and why the others were not."""
    if not reuse:
        return []
    titles = {"kept": "Kept", "changed": "Changed", "new": "New", "removed": "Gone"}
    return [(title, f"{reuse[name]:,}") for name, title in titles.items() if isinstance(reuse.get(name), int)]


def _shards(counts: Mapping[str, int]) -> str:
    return f"{counts['committed']:,} of {counts['shards']:,}" if "committed" in counts else f"{counts['shards']:,}"


def _request(plan: Plan, document: Mapping[str, Any]) -> Section:
    tolerance = str(Tolerance(plan.tolerated_failure_percent, plan.tolerated_failure_count)).rstrip(",")
    rows: list[tuple[str, Cell]] = [
        *([("Name", Name(plan.name))] if plan.name else []),
        *([("Tags", Name(tags_text(plan.tags), 1000))] if plan.tags else []),
        ("Workload", Name(plan.workload)),
        ("Source", Name(plan.source)),
        ("Destination", Name(plan.destination)),
        ("Tolerated failures", tolerance),
        ("Planned", time_text(plan.planned_at)),
        ("Last shard finished", time_text(document["finished_at"]) if document["finished_at"] else "-"),
        ("Code version", plan.code_version),
    ]
    rows += [(f"Option {option}", _option(value)) for option, value in plan.options.items()]
    rows += [("Include", Name(pattern)) for pattern in plan.include]
    rows += [("Exclude", Name(pattern)) for pattern in plan.exclude]
    rows += [(f"Skipped: {reason.replace('_', ' ')}", f"{count:,}") for reason, count in plan.skipped.items() if count]
    return Section("request", "Request", [Table("What was asked for", ("Field", "Value"), rows)])


def _option(value: Any) -> Name:
    return Name(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 1000)
