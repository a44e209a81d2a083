"""What the run cost, as cost.json has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.readable import dollars_text, duration_text, plural, time_text
from millrace.report_page.charts import bar_list
from millrace.report_page.markup import Html, fact_list, paragraph, section, table, text

PARTS = {
    "compute": "Compute",
    "public_ipv4": "Public IPv4 addresses",
    "s3_requests": "S3 requests",
    "step_functions": "Step Functions",
    "lambda": "Lambda",
}
"""What the parts are called; another one's name is shown as it is."""


def cost_part(cost: Mapping[str, Any]) -> Html:
    """What it came to beside what was to be expected, and what it is made of.

    Args:
        cost: What `millrace.cost.run_cost.cost_of` makes.
    """
    facts = [("Cost, about", dollars_text(cost["dollars"]))]
    if cost["estimated_dollars"] is not None:
        facts.append(("To be expected", dollars_text(cost["estimated_dollars"])))
    usage = cost["usage"]
    facts += [
        ("Attempts", f"{usage['attempts']:,}"),
        ("vCPU time paid for", duration_text(usage["vcpu_seconds"])),
    ]
    parts = [(text(PARTS.get(name, name)), each, dollars_text(each)) for name, each in cost["parts"].items()]
    stages = [
        (
            text(name.capitalize()),
            text(f"{stage['attempts']:,}"),
            text(duration_text(stage["seconds"])),
            text(duration_text(stage["billed_seconds"])),
            text(dollars_text(stage["dollars"])),
        )
        for name, stage in cost["stages"].items()
    ]
    so_far = "" if cost["complete"] else "Not all of its jobs have ended, or Batch has forgotten some. "
    on = ", ".join(f"{plural(count, 'attempt')} on {name}" for name, count in cost["compute"].items())
    prices = f"Prices of {cost['prices']['region']}, {cost['prices']['date']}"
    said = f"{so_far}{on}. {prices}; as of {time_text(cost['at'])}."
    return section(
        "cost",
        "Cost",
        fact_list([(title, text(value)) for title, value in facts]),
        bar_list("What it is made of", parts, "Dollars"),
        table(
            "Compute by stage; each attempt is paid for as a minute at least",
            ("Stage", "Attempts", "Took", "Paid for", "Dollars"),
            stages,
            numeric=(1, 2, 3, 4),
        ),
        paragraph(text(said)),
    )
