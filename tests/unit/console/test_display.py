"""What people see: plain lines and a live table of a run, tables of results, and sizes and durations in words."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from console.terminal import Terminal
from console.watch.display import shown
from console.watch.progress import RunProgress
from console.watch.shard_counts import Committed, Work
from console.watch.steps import STATES, Children, Step
from console.watch.summary import print_summary
from millrace.records.outcome import Counts
from millrace.text import bytes_text, duration_text, plural

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_read_well(value: float, words: str) -> None:
    """A duration has the unit that a person would use, and never 60 of one."""
    assert duration_text(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (34_512, "34.5 kB"), (999_999, "1.0 MB"), (10**18, "1,000.0 PB")],
)
def test_sizes_read_well(value: int, words: str) -> None:
    """A size has one decimal and its unit; a kB is 1,000 bytes."""
    assert bytes_text(value) == words


def test_one_of_many() -> None:
    """One file, two files, and thousands with a comma."""
    assert [plural(count, "file") for count in (0, 1, 2, 2000)] == ["0 files", "1 file", "2 files", "2,000 files"]


def moments() -> list[RunProgress]:
    """A run of three shards of which one fails: before it, in migrate, and failed."""
    waiting = tuple(Step(name) for name in STATES)
    done = tuple(Step(step.name, "succeeded", START, START + timedelta(seconds=1)) for step in waiting[:3])
    migrate = Step("Migrate", "running", START, None, Children(2, running=2))
    failed = Step("Migrate", "failed", START, START + timedelta(seconds=9), Children(2, succeeded=1, failed=1))
    execution: Any = {}
    planned = {"shards": 3, "items": 30}
    one, two = Work(Committed(1, Counts(10, 10))), Work(Committed(2, Counts(20, 20)))
    return [
        RunProgress("RUNNING", (replace(waiting[0], status="running", started=START), *waiting[1:]), execution),
        RunProgress("RUNNING", (*done, migrate, *waiting[4:]), execution, planned=planned, work=one),
        RunProgress("RUNNING", (*done, migrate, *waiting[4:]), execution, planned=planned, work=one),
        RunProgress("FAILED", (*done, failed, *waiting[4:]), execution, planned=planned, work=two),
    ]


def test_plain_lines_tell_each_thing_once() -> None:
    """Without a terminal each step is told when it begins and when it ends, without escape sequences."""
    file = io.StringIO()
    with shown(Console(file=file, force_terminal=False)) as show:
        for moment in moments():
            show(moment)
    assert file.getvalue().splitlines() == [
        "Prepare Run ...",
        "Prepare Run: done after 1.0 s",
        "Plan: done after 1.0 s",
        "Read Plan: done after 1.0 s",
        "Migrate ...",
        "Migrate: 1 of 3 shards done, 2 children running; 10 of 30 items committed",
        "Migrate: failed, 2 of 3 shards done, 1 child failed, after 9.0 s",
    ]


def test_the_live_table_ends_with_the_last_moment() -> None:
    """On a terminal the last picture stays: marks for done and failed, the shards counted."""
    file = io.StringIO()
    with shown(Console(file=file, force_terminal=True, width=100)) as show:
        for moment in moments():
            show(moment)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    last = plain[plain.rindex("Prepare Run") :]
    assert "✗ Migrate" in last
    assert "2 of 3 shards done, 1 child failed" in last


def summary(result: dict[str, Any], examples: dict[str, Any]) -> str:
    """What is printed of a result."""
    file = io.StringIO()
    print_summary(Terminal(out=Console(file=file, width=100, markup=False, emoji=False)), result, examples)
    return file.getvalue()


COUNTS = {"items": 3, "succeeded": 2, "failed": 1, "bytes": 1234, "shards": 1}


def test_numbers_under_a_name_are_a_line() -> None:
    """Quantiles are shown, with as many digits as they mean; what holds more than numbers is left to the file."""
    part = {
        "requests": 2400,
        "seconds": {"count": 2400, "p50": 0.19783333333, "p999": 12345678.9},
        "top": {"a": {"b": 1}},
    }
    lines = summary({"counts": COUNTS, "result": part}, {}).splitlines()
    assert "Seconds: count 2,400, p50 0.197833, p999 12,345,679" in lines
    assert "Requests 2,400" in lines
    assert not any("Top" in line for line in lines)


def test_what_was_reused_is_a_line() -> None:
    """Of a run with reuse alone."""
    counts = {"items": 2005, "bytes": 1, "shards": 5, "succeeded": 2005, "failed": 0}
    reuse = {"base": "run-0", "kept": 1980, "changed": 5, "new": 20, "removed": 3, "kept_shards": 4}
    told = summary({"counts": counts, "reuse": reuse}, {})
    assert "Reuse: 1,980 items of run-0 kept in 4 shards; 5 changed, 20 new, 3 gone\n" in told
    assert "Reuse" not in summary({"counts": counts}, {})


def test_what_is_copied_from_a_table_is_folded_last() -> None:
    """In a terminal of 80 columns the id of a resumed run stays in one piece: the time is folded instead."""
    file = io.StringIO()
    name = "20261121T153228Z-f8841b92-resume-7b53b236"
    row = (name, "SUCCEEDED", "2026-11-21 15:32:28", "12 min 3 s")
    Terminal(out=Console(file=file, width=80)).table(("run", "status", "started", "took"), [row], whole=("run",))
    assert f"\n{name}   SUCCEEDED   2026-11-21" in file.getvalue()
    assert max(map(len, file.getvalue().splitlines())) <= 80


def test_a_workloads_part_is_a_table() -> None:
    """Rows become a table of the first twenty, single values a line; words that look like markup stay words."""
    top = [{"word": f"[red]w{number}", "count": 1000 - number} for number in range(30)]
    text = summary({"counts": COUNTS, "result": {"top": top, "distinct_words": 3049}, "failures": {}}, {})
    assert "Top words: the first 20 of 30" in text
    assert re.search(r"\[red\]w0\s+1,000\n", text)
    assert "w20" not in text
    assert "Distinct words 3,049" in text
    assert "3 items (1.2 kB) in 1 shard: 2 succeeded, 1 failed" in text


def test_failures_are_told_by_code_with_an_example() -> None:
    """The most frequent code first, each with one key; a hostile key is shown, not obeyed."""
    examples = {"NOT_TEXT": {"key": "a\x1b[2J:smile:", "message": "not UTF-8"}}
    text = summary({"counts": COUNTS, "result": None, "failures": {"DAMAGED": 1, "NOT_TEXT": 7}}, examples)
    assert re.search(r"NOT_TEXT\s+7\s+a\\x1b\[2J:smile:: not UTF-8", text)
    assert text.index("NOT_TEXT") < text.index("DAMAGED")
    assert "\x1b" not in text
