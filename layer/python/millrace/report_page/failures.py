"""What failed, grouped by error code."""

from __future__ import annotations

from millrace.readable import plural
from millrace.report_page.charts import bar_list
from millrace.report_page.figures import RunFigures
from millrace.report_page.markup import Html, details, name, paragraph, section, table, text

OPENED = 3
"""How many groups, the largest first, are open from the start."""


def failures(figures: RunFigures) -> Html:
    """Each error code with its number, a bar, and a few of its items."""
    groups = sorted(figures.codes.items(), key=lambda group: (-group[1], group[0]))
    bars = [(text(code), count, f"{count:,}") for code, count in groups]
    parts = [bar_list("Failed items by error code", bars, "Items", "failed")]
    for index, (code, count) in enumerate(groups):
        examples = figures.examples[code]
        rows = [(name(item.key), text(item.message), text(item.shard)) for item in examples]
        caption = f"{code}: the first {len(examples)} of {count:,}" if count > len(examples) else f"{code}: all"
        parts.append(
            details(
                text(f"{code}, {plural(count, 'item')}"),
                table(caption, ("Key", "Message", "Shard"), rows, numeric=(2,)),
                opened=index < OPENED,
            )
        )
    parts.append(paragraph(text("report.csv has a row for every item, failures.jsonl one for every failed item.")))
    return section("failures", "Failures", *parts)
