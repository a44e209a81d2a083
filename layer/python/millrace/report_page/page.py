"""The page: outcome and counts, then its parts, in a document that loads nothing and runs nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from millrace.plan import Plan
from millrace.readable import bytes_text, dollars_text, duration_text, plural, time_text
from millrace.report_page.cost import cost_part
from millrace.report_page.distribution import distribution
from millrace.report_page.failures import failures
from millrace.report_page.figures import RunFigures
from millrace.report_page.markup import Html, fact_list, joined, name, paragraph, section, table, text
from millrace.report_page.style import STYLE
from millrace.report_page.timing import kept_shards, throughput, timeline
from millrace.report_page.workload_part import ReadFile, workload_part
from millrace.tolerance import Tolerance

OUTCOMES = {
    "SUCCEEDED": ("good", "Succeeded: every item was worked"),
    "SUCCEEDED_WITH_FAILURES": ("warn", "Succeeded, with failures that the run tolerates"),
    "FAILED": ("bad", "Failed: more items failed than the run tolerates"),
    "RUNNING": ("warn", "At work: this page shows how far the run was when it was made"),
    "ABORTED": ("bad", "Stopped before its end: this page shows what was done"),
    "TIMED_OUT": ("bad", "Out of time before its end: this page shows what was done"),
    "BROKEN": ("bad", "Broke before its end: this page shows what was done"),
    "INCOMPLETE": ("bad", "Not complete: this page shows what was done"),
}
"""By the status of result.json; those behind FAILED are of runs without one."""

BESIDE = ("report.csv", "failures.jsonl", "result.json")
"""What merge writes beside the page, after the workload's files."""

WHY_CHARACTERS = 2000
"""How much of the error that ended a run is shown."""

_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing is loaded, nothing runs, whatever a key or a message holds."""


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
        document: What result.json says; of a run that has none, what `millrace.run_page.unmerged` makes up.
        figures: What the commits add up to.
        read: Reads the run's merged files, for the workload's part.
        beside: The files that lie beside this page, to be linked; None: all that merge writes.
        cost: What cost.json says; None where it is not known: while merge works.
    """
    kind, outcome = OUTCOMES[document["status"]]
    parts = [_overview(document, figures, beside, cost)]
    if figures.codes:
        parts.append(failures(figures))
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
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<h1>Run {name(plan.run_id)}</h1>
<p class="outcome {kind}">{text(outcome)}</p>
</header>
<main id="content">
{joined(parts)}
</main>
<footer>Written by Millrace {text(plan.code_version)} from the commits of plan {text(plan.digest)}.</footer>
</body>
</html>
""".encode()


def _overview(
    document: Mapping[str, Any], figures: RunFigures, beside: Sequence[str] | None, cost: Mapping[str, Any] | None
) -> Html:
    counts: Mapping[str, int] = document["counts"]
    worked = sum(shard.seconds for shard in figures.shards)
    facts = [
        ("Items", f"{counts['items']:,}"),
        ("Succeeded", f"{counts['succeeded']:,}"),
        ("Failed", f"{counts['failed']:,}"),
        *([("Not run", f"{counts['not_run']:,}")] if "not_run" in counts else []),
        ("Read", bytes_text(counts["bytes"])),
        ("Shards", _shards(counts)),
        ("First to last shard", duration_text(figures.finished - figures.started)),
        ("Shards together", duration_text(worked)),
        *([("Cost, about", dollars_text(cost["dollars"]))] if cost is not None else []),
    ]
    parts = [fact_list([(title, text(value)) for title, value in facts])]
    if document.get("why"):
        parts.insert(0, paragraph(name(document["why"], WHY_CHARACTERS)))
    retry = document.get("retry")
    if retry:
        said = f"Retry {retry['number']} worked {plural(retry['items'], 'failed item')} again: "
        parts.append(paragraph(text(f"{said}{retry['succeeded']:,} succeeded, {retry['failed']:,} failed.")))
    elif kept := kept_shards(figures):
        parts.append(paragraph(text(kept)))
    if cost is None and beside is None:
        said = "What the run cost stands in cost.json in the run folder, once it has ended; millrace report shows it."
        parts.append(paragraph(text(said)))
    names = [*document["files"], *BESIDE] if beside is None else beside
    if names:
        parts.append(paragraph(text("Files beside this page:"), joined(map(_link, names), ", ")))
    elsewhere = {each: uri for each, uri in document["files"].items() if each not in names}
    if elsewhere:
        parts.append(table("Other files", ("File", "Where"), [(text(a), name(b)) for a, b in elsewhere.items()]))
    return section("overview", "Overview", *parts)


def _link(beside: str) -> Html:
    """A relative link, which works wherever the folder lies."""
    return Html(f'<a href="./{quote(beside, safe="")}">{text(beside)}</a>')


def _shards(counts: Mapping[str, int]) -> str:
    return f"{counts['committed']:,} of {counts['shards']:,}" if "committed" in counts else f"{counts['shards']:,}"


def _request(plan: Plan, document: Mapping[str, Any]) -> Html:
    rows: list[tuple[str, Html]] = [
        ("Workload", name(plan.workload)),
        ("Source", name(plan.source)),
        ("Destination", name(plan.destination)),
        (
            "Tolerated failures",
            text(str(Tolerance(plan.tolerated_failure_percent, plan.tolerated_failure_count)).rstrip(",")),
        ),
        ("Planned", text(time_text(plan.planned_at))),
        ("Last shard finished", text(time_text(document["finished_at"]) if document["finished_at"] else "-")),
        ("Code version", text(plan.code_version)),
    ]
    rows += [(f"Option {option}", _option(value)) for option, value in plan.options.items()]
    rows += [("Include", name(pattern)) for pattern in plan.include] + [
        ("Exclude", name(each)) for each in plan.exclude
    ]
    rows += [
        (f"Skipped: {reason.replace('_', ' ')}", text(f"{count:,}")) for reason, count in plan.skipped.items() if count
    ]
    return section(
        "request", "Request", table("What was asked for", ("Field", "Value"), [(text(a), b) for a, b in rows])
    )


def _option(value: Any) -> Html:
    return name(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 1000)
