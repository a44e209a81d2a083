"""What failed, grouped by error code."""

from __future__ import annotations

from millrace.records.figures import RunFigures
from millrace.report.page.blocks import Bars, Block, Details, Name, Paragraph, Searched, Section, Table
from millrace.text import plural

OPENED = 3
"""How many groups, the largest first, are open from the start."""


MESSAGE = 300
"""How much of a message the table of all failures shows, in characters."""


def has_more(figures: RunFigures) -> bool:
    """Whether more items failed than are shown as examples: the page has a table of them, with a search."""
    return sum(figures.codes.values()) > sum(map(len, figures.examples.values()))


def failures(figures: RunFigures) -> Section:
    """Each error code with its number, a bar, and a few of its items."""
    groups = sorted(figures.codes.items(), key=lambda group: (-group[1], group[0]))
    bars = [(str(code), count, f"{count:,}") for code, count in groups]
    blocks: list[Block] = [Bars("Failed items by error code", bars, "Items", "failed")]
    for index, (code, count) in enumerate(groups):
        examples = figures.examples[code]
        rows = [(Name(item.key), item.message, str(item.shard)) for item in examples]
        caption = f"{code}: the first {len(examples)} of {count:,}" if count > len(examples) else f"{code}: all"
        table = Table(caption, ("Key", "Message", "Shard"), rows, numeric=(2,))
        blocks.append(Details(f"{code}, {plural(count, 'item')}", [table], opened=index < OPENED))
    if has_more(figures):
        every, shown = sum(figures.codes.values()), len(figures.failed)
        caption = f"All {every:,} failed items" if shown == every else f"The first {shown:,} of {every:,} failed items"
        found = [(Name(item.key), item.code, Name(item.message, MESSAGE), str(item.shard)) for item in figures.failed]
        table = Table(caption, ("Key", "Code", "Message", "Shard"), found, numeric=(3,))
        blocks.append(Details(f"{caption}, to be searched", [Searched(table)]))
    blocks.append(Paragraph("report.csv has a row for every item, failures.jsonl one for every failed item."))
    return Section("failures", "Failures", blocks)
