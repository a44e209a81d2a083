"""What came of a run, for people: the workload's part as tables, counts, failures with an example of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from console.errors import RunFailedError
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.terminal import Terminal
from millrace.errors import TooManyFailuresError, may_be_of_code
from millrace.request.tolerance import Tolerance
from millrace.text import bytes_text, plural, reuse_text, visible

REQUEST_FIELDS = ("workload", "source", "destination")
"""What a summary shows of the request."""


TITLES = {"top": "Top words"}
"""What a part of a result is called where its name alone does not say it."""

SHOWN_ROWS = 20
"""How many rows of a table are shown; the files have them all."""


def print_summary(terminal: Terminal, result: Mapping[str, Any], examples: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what result.json says.

    Args:
        terminal: Where to.
        result: result.json.
        examples: One failed item for each error code, a row of failures.jsonl.
    """
    part: Mapping[str, Any] = result.get("result") or {}
    for name, value in part.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            _print_rows(terminal, name, value)
    counts: Mapping[str, int] = result["counts"]
    terminal.print("")
    for name, value in part.items():
        if isinstance(value, dict) and 0 < len(value) <= SHOWN_ROWS and all(map(_is_number, value.values())):
            numbers = ", ".join(f"{_label(each)} {_number(number)}" for each, number in value.items())
            terminal.print(f"{_title(name, 1)}: {numbers}")
    facts = [f"{_label(name)} {_value(value)}" for name, value in part.items() if not isinstance(value, list | dict)]
    if facts:
        said = ", ".join(facts)
        terminal.print(said[0].upper() + said[1:])  # names of tables keep their capitals
    terminal.print(
        f"{plural(counts['items'], 'item')} ({bytes_text(counts['bytes'])}) in {plural(counts['shards'], 'shard')}: "
        f"{counts['succeeded']:,} succeeded, {counts['failed']:,} failed",
        style="bold" if not counts["failed"] else "bold yellow",
    )
    if reused := reuse_text(result.get("reuse")):
        terminal.print(f"Reuse: {reused}")
    if result.get("failures"):
        _print_failures(terminal, result["failures"], examples)


def _print_rows(terminal: Terminal, name: str, rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        numeric = isinstance(rows[0][column], int | float)
        table.add_column(_label(column), justify="right" if numeric else "left")
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*(Text(_value(row.get(column, ""))) for column in columns))
    terminal.print(f"\n{_title(name, len(rows))}", style="bold")
    terminal.out.print(table)


def _print_failures(terminal: Terminal, failures: Mapping[str, int], examples: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("error")
    table.add_column("items", justify="right")
    table.add_column("for example", overflow="fold")
    for code, count in sorted(failures.items(), key=lambda each: (-each[1], each[0])):
        row = examples.get(code)
        text = f"{visible(str(row['key']))}: {visible(str(row.get('message', '')))}" if row else ""
        table.add_row(Text(code), f"{count:,}", Text(text))
    terminal.print("\nFailed items", style="bold")
    terminal.out.print(table)


def _title(name: str, rows: int) -> str:
    title = TITLES.get(name, _label(name).capitalize())
    return title if rows <= SHOWN_ROWS else f"{title}: the first {SHOWN_ROWS} of {rows:,}"


def _label(name: str) -> str:
    return visible(name).replace("_", " ")


def _number(number: float) -> str:
    """Six digits say what a quantile knows."""
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:,.6g}" if abs(number) < 1_000_000 else f"{number:,.0f}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else visible(str(value))


def next_commands(
    found: FoundRun, failure: RunFailedError, target: Target, result: Mapping[str, Any] | None = None
) -> list[str]:
    """The command lines that help after a failed run.

    Args:
        found: The run.
        failure: Why it failed.
        target: Where it is.
        result: Its result.json, where it has one: how many items failed.
    """
    if found.folder is None or failure.state == "Prepare Run":
        return []
    # A run that ended before it had a plan has no rows.
    rows = [] if failure.state == "Plan" else [f"Rows    {target.command('report', found.run_id)}"]
    if failure.exit_code == TooManyFailuresError.exit_code:
        failed, items = ((result or {}).get("counts", {}).get(name, 0) for name in ("failed", "items"))
        # What failed once mostly fails again: first the line that certainly succeeds.
        percent = ("--tolerated-failure-percent", Tolerance.accepting(failed, items) if failed else "100")
        return [
            *rows,
            f"Accept  {target.command('resume', found.run_id, *percent)}",
            f"Retry   {target.command('resume', found.run_id, '--retry-failed')}",
        ]
    anew = "a run keeps its request and its code: put them right, and start a new run"
    if failure.is_for_good:
        ways = [f"Anew    {anew}"]
    else:
        ways = [f"On      {target.command('resume', found.run_id)}"]
        if may_be_of_code(failure.error):
            ways.append("Anew    if the request or the code is at fault: a run keeps both, so start a new one")
    return [
        *([] if failure.error == "Aborted" else [f"Logs    {target.command('logs', found.run_id, '--failed')}"]),
        *rows,
        *ways,
    ]
