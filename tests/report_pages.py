"""Runs whose report pages are looked at: figures made up, and what a browser, or a parser, finds on a page."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from millrace.errors import ErrorCode
from millrace.records.commit import Commit
from millrace.records.figures import RunFigures, ShardFigure
from millrace.records.outcome import Counts, Outcome
from millrace.records.plan import Item, Plan
from millrace.report.page.document import report_page

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "&lt;script&gt;&#60;",
    "javascript:alert(1)",
    "\u202egpj.exe",
    "a\nb\x00c\x1b[31m\x85\u2028",
    "x" * 900,
    "ключ/鍵/مفتاح.txt",
)
"""Keys and words that would do something, if they could."""

START = datetime(2026, 11, 21, 9, 54, 7, tzinfo=UTC)


def plan_of(shards: int, items: int, **given: Any) -> Plan:
    """A plan."""
    fields: dict[str, Any] = {
        "run_id": "letters-2026",
        "source": "s3://letters/in/",
        "destination": "s3://results/out/",
        "workload": "word-count",
        "options": {"top": 100, "stop_words": ["and", "the"]},
        "include": ["*.txt"],
        "exclude": [],
        "shards": shards,
        "items": items,
        "total_bytes": items * 1000,
        "skipped": {"folder_markers": 2},
        "tolerated_failure_percent": 5.0,
        "code_version": "1.2.3",
        "digest": "sha256:" + "ab" * 32,
        "planned_at": START.isoformat().replace("+00:00", "Z"),
    }
    return Plan(**{**fields, **given})


def commits_of(shards: int, keys: tuple[str, ...] = ("in/a", "in/b"), seed: int = 3) -> list[Commit]:
    """So many commits of a run on 40 workers; of each shard's items the first one fails in every seventh shard."""
    chance = random.Random(seed)
    codes = list(ErrorCode)
    free = [START] * 40
    made = []
    for index in range(shards):
        worker = min(range(40), key=lambda each: free[each])
        seconds = chance.lognormvariate(1.0, 0.4) * (12 if index % 97 == 50 else 1)
        start, free[worker] = free[worker], free[worker] + timedelta(seconds=seconds)
        outcomes = []
        for number, key in enumerate(keys):
            item = Item(key, chance.randint(1, 10**7), '"etag"')
            code = codes[chance.randrange(4)]
            fails = number == 0 and index % 7 == 0
            outcomes.append(
                Outcome.failed(item, code, f"it is {key}")
                if fails
                else Outcome.succeeded(item, (f"s3://results/out/{key}.txt",))
            )
        made.append(
            Commit(
                shard=index,
                plan_digest="sha256:" + "ab" * 32,
                code_version="1.2.3",
                items_digest="sha256:",
                partial=None,
                counts=Counts.of(outcomes),
                outcomes=tuple(outcomes),
                job={
                    "id": f"job-{'a' if index < shards // 3 else 'b'}:{index}",
                    "attempt": 2 if index % 31 == 5 else 1,
                },
                started_at=start.isoformat().replace("+00:00", "Z"),
                finished_at=free[worker].isoformat().replace("+00:00", "Z"),
            )
        )
    return made


def figures_of(commits: list[Commit]) -> RunFigures:
    """What they add up to."""
    figures = RunFigures()
    for commit in commits:
        figures.shards.append(ShardFigure.of(commit, 0))
        figures.add_outcomes(commit.shard, commit.outcomes)
    return figures


def page_of(
    commits: list[Commit],
    result: dict[str, Any] | None = None,
    *,
    cost: dict[str, Any] | None = None,
    reuse: dict[str, Any] | None = None,
    **plan: Any,
) -> str:
    """The page of a run with these commits."""
    counts = sum((commit.counts for commit in commits), Counts())
    workload: str = plan.get("workload", "word-count")
    document = {
        "status": "SUCCEEDED_WITH_FAILURES" if counts.failed else "SUCCEEDED",
        "counts": {
            "items": counts.items,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "bytes": counts.bytes,
            "shards": len(commits),
        },
        "files": {"words.csv": "s3://results/out/words.csv"},
        "result": {"top": [{"word": "mill", "count": 9}], "total_words": 9} if result is None else result,
        "finished_at": max((commit.finished_at for commit in commits), default=START.isoformat()),
        "reuse": reuse,
    }
    made = plan_of(len(commits), counts.items, **{**plan, "workload": workload})
    return report_page(made, document, figures_of(commits), lambda _name: None, cost=cost).decode()


class Found(HTMLParser):
    """What a parser finds on a page.

    Attributes:
        tags: How many there are of each element.
        ids: Every id.
        open: The elements that have not ended.
        addresses: Everything that could be loaded or followed.
        handlers: Attributes that would run something.
        words: All text, as a reader sees it.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and that it is open."""
        if tag not in {"meta", "img", "input"}:
            self.open.append(tag)
        self.note(tag, attrs)

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.tags[tag] += 1
        for attribute, value in attrs:
            if attribute == "id":
                self.ids.append(value or "")
            elif attribute in {"href", "src", "action", "data", "poster", "srcset", "xlink:href"}:
                self.addresses.append(value or "")
            elif attribute.startswith("on") or attribute == "style":
                self.handlers.append(attribute)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an empty element."""
        self.note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """An end belongs to the last element that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.words += data
