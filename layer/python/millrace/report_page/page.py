"""The page: outcome and counts, then its parts, in a document that loads nothing and runs nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from millrace.plan import Plan
from millrace.readable import bytes_text, duration_text, plural, time_text
from millrace.report_page.failures import failures
from millrace.report_page.figures import RunFigures
from millrace.report_page.markup import Html, joined, name, paragraph, section, table, text
from millrace.report_page.style import STYLE
from millrace.report_page.timing import distribution, throughput, timeline
from millrace.report_page.workload_part import ReadFile, fact_list, workload_part
from millrace.tolerance import Tolerance

OUTCOMES = {
    "SUCCEEDED": ("good", "Succeeded: every item was worked"),
    "SUCCEEDED_WITH_FAILURES": ("warn", "Succeeded, with failures that the run tolerates"),
    "FAILED": ("bad", "Failed: more items failed than the run tolerates"),
}

_POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing is loaded, nothing runs, whatever a key or a message holds."""


def report_page(plan: Plan, document: Mapping[str, Any], figures: RunFigures, read: ReadFile) -> bytes:
    """report.html, the same bytes for the same commits.

    Args:
        plan: The run's plan.
        document: What result.json says.
        figures: What the commits add up to.
        read: Reads the run's merged files, for the workload's part.
    """
    kind, outcome = OUTCOMES[document["status"]]
    parts = [_overview(document, figures)]
    if figures.codes:
        parts.append(failures(figures))
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


def _overview(document: Mapping[str, Any], figures: RunFigures) -> Html:
    counts: Mapping[str, int] = document["counts"]
    worked = sum(shard.seconds for shard in figures.shards)
    facts = [
        ("Items", f"{counts['items']:,}"),
        ("Succeeded", f"{counts['succeeded']:,}"),
        ("Failed", f"{counts['failed']:,}"),
        ("Read", bytes_text(counts["bytes"])),
        ("Shards", f"{counts['shards']:,}"),
        ("From first to last shard", duration_text(figures.finished - figures.started)),
        ("Time of all shards together", duration_text(worked)),
    ]
    parts = [fact_list([(title, text(value)) for title, value in facts])]
    retry = document.get("retry")
    if retry:
        said = f"Retry {retry['number']} worked {plural(retry['items'], 'failed item')} again: "
        parts.append(paragraph(text(f"{said}{retry['succeeded']:,} succeeded, {retry['failed']:,} failed.")))
    return section("overview", "Overview", *parts, _files(document))


def _files(document: Mapping[str, Any]) -> Html:
    """Links to the files beside this one: relative, so that they work wherever the folder lies."""
    names = [*document["files"], "report.csv", "failures.jsonl", "result.json"]
    links = (Html(f'<a href="./{quote(each, safe="")}">{text(each)}</a>') for each in names)
    return paragraph(text("Files beside this page:"), joined(links, ", "))


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
        ("Last shard finished", text(time_text(document["finished_at"]))),
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
