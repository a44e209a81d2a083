"""What the run cost, as cost.json has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.cost.requester_pays import source_bill_text
from millrace.report.page.blocks import Bars, Facts, Paragraph, Section, Table
from millrace.text import dollars_text, duration_text, plural, time_text

PARTS = {
    "compute": "Compute",
    "public_ipv4": "Public IPv4 addresses",
    "s3_requests": "S3 requests",
    "step_functions": "Step Functions",
    "lambda": "Lambda",
}
"""What the parts are called; another one's name is shown as it is."""


def cost_part(cost: Mapping[str, Any]) -> Section:
    """The cost beside its estimate, and what it is made of.

    Args:
        cost: What `millrace.cost.run_cost.cost_of` makes.
    """
    facts = [("Cost, about", dollars_text(cost["dollars"]))]
    if cost["estimated_dollars"] is not None:
        facts.append(("Estimated", dollars_text(cost["estimated_dollars"])))
    if cost.get("saved_dollars") is not None:
        facts.append(("Saved by reuse, about", dollars_text(cost["saved_dollars"])))
    usage = cost["usage"]
    facts += [
        ("Attempts", f"{usage['attempts']:,}"),
        ("vCPU time paid for", duration_text(usage["vcpu_seconds"])),
    ]
    parts = [(PARTS.get(name, name), each, dollars_text(each)) for name, each in cost["parts"].items()]
    stages = [
        (
            name.capitalize(),
            f"{stage['attempts']:,}",
            duration_text(stage["seconds"]),
            duration_text(stage["billed_seconds"]),
            dollars_text(stage["dollars"]),
        )
        for name, stage in cost["stages"].items()
    ]
    incomplete = "" if cost["complete"] else "Some of its jobs are still running, or Batch has forgotten them. "
    on = ", ".join(f"{plural(count, 'attempt')} on {name}" for name, count in cost["compute"].items())
    prices = f"Prices of {cost['prices']['region']}, {cost['prices']['date']}"
    return Section(
        "cost",
        "Cost",
        [
            Facts(facts),
            Bars("What it is made of", parts, "Dollars"),
            Table(
                "Compute by stage; each attempt is billed for at least a minute",
                ("Stage", "Attempts", "Took", "Paid for", "Dollars"),
                stages,
                numeric=(1, 2, 3, 4),
            ),
            *([Paragraph(source_bill_text(cost["requester_pays"]))] if "requester_pays" in cost else []),
            Paragraph(f"{incomplete}{on}. {prices}; as of {time_text(cost['at'])}."),
        ],
    )
