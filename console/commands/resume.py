"""`millrace resume`."""

from __future__ import annotations

from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from console.commands.to_the_end import follow
from console.errors import RunFailedError, RunStateError
from console.find.run_filter import RunFilter
from console.find.run_lookup import LATEST, FoundRun, find_run, running_executions
from console.find.target import Target
from console.local.pipeline import fill_folder
from console.operations.resuming import FailedRun, failed_runs, failed_too_often, redriven, restarted
from console.terminal import Terminal
from console.transfer.results import check_result, read_result
from console.verbs import filter_options, json_option, run_argument, target_options
from millrace.errors import DamagedFileError, MillraceError, TooManyFailuresError
from millrace.text import plural, visible


@click.command(short_help="Resume a run: only what is missing is worked.")
@run_argument
@click.option("--retry-failed", is_flag=True, help="Rerun the failed items and merge again.")
@click.option("--tolerated-failure-percent", type=float, metavar="P", help="Accept this many failures instead.")
@click.option("--tolerated-failure-count", type=int, metavar="N", help="The same, as a number of items.")
@click.option("--redrive", is_flag=True, help="Redrive the execution instead of starting a new one; see docs/cli.md.")
@click.option("--no-watch", is_flag=True, help="Do not watch it.")
@click.option("--all-failed", is_flag=True, help="Resume every run whose last execution failed; says first which.")
@click.option("--yes", is_flag=True, help="With --all-failed: do not ask.")
@filter_options
@json_option
@target_options
def resume(
    given: str,
    target: Target,
    asked: RunFilter,
    tolerated_failure_percent: float | None,
    tolerated_failure_count: int | None,
    *,
    retry_failed: bool,
    redrive: bool,
    no_watch: bool,
    all_failed: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Resume a run that failed or was cancelled: only what has no commit is worked.

    Starts a new execution with the run's own request, so that changes to the stack apply: more memory, a
    longer time limit, permissions. --redrive continues the old execution at the state that failed, as it
    was defined when it started, and needs no plan job.

    RUN is a run id or the beginning of one, an ARN, a run folder's URI, or - for the latest run (also without RUN).
    --all-failed resumes every failed run that matches --since, --workload, --name and --tag; it lists them, asks, and
    does not watch them.

    Exit codes: 0 the run succeeded (or had already), 1 something broke, 2 nothing to resume or bad input, 3 more
    failures than tolerated, 130 Ctrl-C (the run continues).
    """
    terminal = Terminal()
    changes: dict[str, Any] = {"retry_failed": True} if retry_failed else {}
    accepted = {"percent": tolerated_failure_percent, "count": tolerated_failure_count}
    changes |= {f"tolerated_failure_{name}": value for name, value in accepted.items() if value is not None}
    if redrive and changes:
        raise click.UsageError(
            "--redrive resumes the execution with its own input; it takes none of the other options."
        )
    if all_failed:
        if given != LATEST:
            raise click.UsageError("--all-failed takes no RUN.")
        _resume_all(target, asked, changes, terminal, redrive=redrive, yes=yes, as_json=as_json)
        return
    if asked != RunFilter() or yes:
        raise click.UsageError("--since, --workload, --name, --tag and --yes go with --all-failed.")
    found = find_run(target.aws, target.stack.state_machine_arn, given)
    _resume_one(target, found, changes, terminal, redrive=redrive, no_watch=no_watch, as_json=as_json)


def _resume_one(
    target: Target,
    found: FoundRun,
    changes: dict[str, Any],
    terminal: Terminal,
    *,
    redrive: bool,
    no_watch: bool,
    as_json: bool,
) -> None:
    at_work = running_executions(target.aws, target.stack.state_machine_arn, found.run.folder)
    if at_work and changes:
        raise RunStateError("it is running; wait for it, or cancel it first", operation="resume", target=found.run_id)
    if at_work:
        terminal.note(f"The run {found.run_id} is already running.")
        resumed = find_run(target.aws, target.stack.state_machine_arn, at_work[0])
    else:
        if _is_complete(target, found, terminal, changes):
            fill_folder(target, found, terminal)
            if as_json:
                _print_complete(target, found, terminal, short=no_watch)
            return
        resumed = redriven(target, found) if redrive else restarted(target, found, changes)
        terminal.note(f"{'Redriving' if redrive else 'Resuming'} run {found.run_id}")
    if no_watch:
        terminal.json(
            {"run_id": resumed.run_id, "execution_arn": resumed.execution_arn}
        ) if as_json else terminal.print(resumed.run_id)
        return
    try:
        follow(target, resumed, terminal, as_json=as_json)
    except RunFailedError as failure:
        if failure.exit_code == TooManyFailuresError.exit_code:
            fill_folder(target, resumed, terminal)
        raise
    fill_folder(target, resumed, terminal)


def _is_complete(target: Target, found: FoundRun, terminal: Terminal, changes: dict[str, Any]) -> bool:
    """Whether there is nothing to do; an error where only another request would change the outcome."""
    try:
        result = read_result(target.aws, found.run.folder)
        if result is None or changes:
            return False
        if result["status"] != "FAILED":
            check_result(target.aws, found.run.folder, result)
    except DamagedFileError as error:
        terminal.note(f"The result does not match the run and is rebuilt: {error}")
        return False
    status = found.execution.get("status", "SUCCEEDED" if result["status"] != "FAILED" else "FAILED")
    if status == "FAILED" and found.execution and failed_too_often(target, found):
        # Every shard is committed, and merge would say the same again.
        raise RunStateError(
            f"nothing is missing: all shards are done, and {plural(result['counts']['failed'], 'item')} failed. "
            "Rerun those with --retry-failed, or accept them with --tolerated-failure-percent",
            operation="resume",
            target=found.run_id,
        )
    if status != "SUCCEEDED":
        return False
    terminal.note(f"The run {found.run_id} is complete; there is nothing to do.")
    if result["counts"]["failed"]:
        again = target.command("resume", found.run_id, "--retry-failed")
        terminal.note(f"{plural(result['counts']['failed'], 'item')} failed; rerun them: {again}")
    return True


def _print_complete(target: Target, found: FoundRun, terminal: Terminal, *, short: bool) -> None:
    """Print the document of a run that nothing was done for: as if it had just been watched to its end."""
    if short or not found.execution:
        terminal.json({"run_id": found.run_id, "execution_arn": found.execution_arn or None})
    else:
        follow(target, found, terminal, as_json=True)


def _resume_all(
    target: Target,
    asked: RunFilter,
    changes: dict[str, Any],
    terminal: Terminal,
    *,
    redrive: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show which runs will be resumed, ask, and resume them, the oldest first."""
    failed = failed_runs(target, asked, with_changes=bool(changes))
    resumable = [each for each in failed if not each.why_not]
    if failed:
        terminal.notes.print(_table_of(failed), soft_wrap=True)
    if not resumable:
        terminal.note("No run that failed can be resumed." if failed else "No run has failed.")
    elif not yes:
        does = "Redrive" if redrive else "Resume"
        click.confirm(f"{does} {plural(len(resumable), 'run')}?", abort=True, err=True)
    document: list[dict[str, str | None]] = []
    for each in reversed(resumable):
        try:
            resumed = redriven(target, each.found) if redrive else restarted(target, each.found, changes)
        except MillraceError as error:  # the others are resumed all the same
            document.append({"run_id": each.found.run_id, "execution_arn": None, "error": str(error)})
            terminal.warn(str(error))
            continue
        document.append({"run_id": resumed.run_id, "execution_arn": resumed.execution_arn, "error": None})
        if not as_json:
            terminal.print(resumed.run_id)
    if as_json:
        terminal.json(document)
    elif document:
        terminal.note(f"Watch them: {target.command('watch', *(each.found.run_id for each in reversed(resumable)))}")


def _table_of(failed: list[FailedRun]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("run", "name", "status", "source", "what will be done"):
        table.add_column(column, overflow="fold")
    for each in failed:
        facts = (each.found.run_id, each.facts.name, each.status, each.facts.source, each.why_not or "it is resumed")
        table.add_row(*(Text(visible(fact)) for fact in facts))
    return table
