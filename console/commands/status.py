"""`millrace status`."""

from __future__ import annotations

from dataclasses import asdict, replace

import click
from rich.text import Text

from console.errors import RunFailedError
from console.find.run_lookup import FoundRun, find_run, next_run, with_execution
from console.find.target import Target
from console.terminal import Terminal
from console.transfer.results import read_result
from console.verbs import json_option, run_argument, target_options
from console.watch.display import STATUS_STYLES, items_done, print_steps
from console.watch.explanation import explain
from console.watch.progress import RunProgress
from console.watch.run_costs import cost_lines, cost_until_now
from console.watch.run_document import run_document
from console.watch.summary import REQUEST_FIELDS, next_commands
from console.watch.watching import COMMITS_OF_A_STATUS, Watcher
from millrace.errors import TooManyFailuresError
from millrace.request.labels import labels_of, tags_text
from millrace.text import duration_text, reuse_text, visible

SHOWN_KEYS = 100
"""How many of the keys that a request names are shown."""


@click.command
@run_argument
@json_option
@target_options
def status(given: str, target: Target, *, as_json: bool) -> None:
    """Show a run's status, and why it failed.

    RUN is a run id or the beginning of one, an ARN, or - for the latest run (also without RUN).

    Exit codes: 0 shown (whatever the run's status is), 1 something broke, 2 no such run.
    """
    terminal = Terminal()
    found = with_execution(find_run(target.aws, target.stack.state_machine_arn, given), target)
    progress = Watcher(target.aws, found.execution_arn).look(most=COMMITS_OF_A_STATUS)
    failure = None
    if progress.status not in ("RUNNING", "SUCCEEDED"):
        failure = explain(target.aws, progress.execution)
    follows = next_run(target.aws, replace(found, execution=progress.execution))
    queues, ended = target.stack.job_queue_arns, progress.execution.get("stopDate")
    cost = cost_until_now(target.aws, queues, found.folder, ended)
    if as_json:
        document = run_document(found, progress, failure)
        terminal.json({**document, "then": None if follows is None else asdict(follows), "cost": cost})
        return
    print_run(terminal, found, progress)
    if follows is not None:
        terminal.print(f"\nThen  {visible(str(follows))}")
    if cost is not None:
        terminal.print("\n" + "\n".join(cost_lines(cost)))
    print_outcome(terminal, found, failure, target)


def print_run(terminal: Terminal, found: FoundRun, progress: RunProgress) -> None:
    """Print how a run stands."""
    execution = progress.execution
    name = execution["executionArn"].rpartition(":")[2]
    redriven = execution.get("redriveCount", 0)
    facts: list[tuple[str, str | Text]] = [
        ("Run", found.run_id),
        ("Status", _status(progress)),
        ("Started", f"{execution['startDate'].astimezone():%Y-%m-%d %H:%M:%S %Z}"),
    ]
    if name != found.run_id:
        facts.append(("Execution", name))
    if redriven:
        facts.append(("Redriven", f"{redriven} time{'s' if redriven > 1 else ''}"))
    ended = execution.get("stopDate")
    if ended:
        facts.append(("Took", duration_text((ended - execution["startDate"]).total_seconds())))
    called, tags = labels_of(found.request)
    facts += [("Name", visible(called))] if called else []
    facts += [("Tags", visible(tags_text(tags)))] if tags else []
    facts += [
        (name.capitalize(), visible(str(found.request[name]))) for name in REQUEST_FIELDS if found.request.get(name)
    ]
    if found.folder is not None:
        facts.append(("Run folder", visible(str(found.folder.root))))
    if reused := reuse_text(progress.reuse):
        facts.append(("Reuse", visible(reused)))
    facts += [("" if number else "Keys", visible(key)) for number, key in enumerate(keys_of(found)[:SHOWN_KEYS])]
    if len(keys_of(found)) > SHOWN_KEYS:
        facts.append(("", f"and {len(keys_of(found)) - SHOWN_KEYS:,} more; --json has them all"))
    for label, value in facts:
        terminal.out.print(Text(f"{label:<12}").append(value), soft_wrap=True)
    terminal.print("")
    print_steps(terminal.out, progress)
    if progress.ended and (done := items_done(progress)):
        terminal.print(f"\n{done}")


def _status(progress: RunProgress) -> Text:
    if progress.skipped:
        return Text(f"SKIPPED: {visible(progress.overlap)}", "yellow")
    return Text(progress.status, STATUS_STYLES.get(progress.status, "red"))


def keys_of(found: FoundRun) -> list[str]:
    """The keys that the run's request names: those of the uploads that started it, say."""
    keys = found.request.get("keys")
    return [str(key) for key in keys] if isinstance(keys, list) else []


def print_outcome(terminal: Terminal, found: FoundRun, failure: RunFailedError | None, target: Target) -> None:
    """Say why a run failed, and what to do about it."""
    if failure is None:
        return
    terminal.out.print(Text("\nWhy   ").append(str(failure), "red"), soft_wrap=True)
    too_many = failure.exit_code == TooManyFailuresError.exit_code and found.folder is not None
    result = read_result(target.aws, found.run.folder) if too_many else None
    for line in next_commands(found, failure, target, result):
        terminal.print(line)
