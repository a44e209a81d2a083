"""Following a run to its end, and saying what came of it: what `run`, `watch` and `resume` have in common."""

from __future__ import annotations

from collections.abc import Sequence

from console.commands.status import print_run
from console.errors import RunFailedError, RunInterrupted
from console.find.empty_source import check_not_empty
from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.terminal import Terminal
from console.transfer.results import failure_examples, read_result, result_files
from console.watch.display import print_several, several_shown
from console.watch.explanation import explain
from console.watch.progress import RunProgress
from console.watch.run_document import run_document
from console.watch.summary import next_commands, print_summary
from console.watch.watching import watch_several, watch_to_the_end
from millrace.errors import TooManyFailuresError
from millrace.text import visible


def follow(
    target: Target, found: FoundRun, terminal: Terminal, *, as_json: bool, allow_empty: bool = True
) -> RunProgress:
    """Watch a run to its end and print its outcome.

    Args:
        target: Where it runs.
        found: The run, with its execution.
        terminal: Where to say what: progress on standard error, the outcome on standard output.
        as_json: Print the run's JSON document instead of the outcome.
        allow_empty: Whether a run that worked no item is as good as any.

    Raises:
        RunFailedError: The run failed; what there is to show has been shown.
        EmptySourceError: It worked no item.
        RunInterrupted: Ctrl-C; the run continues.
    """
    progress, failure = watch_to_the_end(
        target.aws,
        found.execution_arn,
        found.run_id,
        terminal,
        watch_again=target.command("watch", found.run_id),
        cancel=target.command("cancel", found.run_id),
    )
    if as_json:
        terminal.json(run_document(found, progress, failure))
    else:
        _print_outcome(target, found, progress, failure, terminal)
    if failure is not None:
        raise failure
    result = read_result(target.aws, found.run.folder)
    if result is not None:
        check_not_empty(target.aws, found, result, terminal, allowed=allow_empty, public=lambda: target.public_buckets)
    return progress


def follow_several(target: Target, runs: Sequence[FoundRun], terminal: Terminal, *, as_json: bool) -> None:
    """Watch several runs until the last one has ended, a line each.

    Args:
        target: Where they run.
        runs: The runs, each with its execution.
        terminal: As for `follow`.
        as_json: Print a list of the runs' JSON documents at the end.

    Raises:
        RunFailedError: A run failed: the first of them that did, in their order.
        RunInterrupted: Ctrl-C; the runs continue.
    """
    names = [found.run_id for found in runs]
    try:
        with several_shown(terminal.notes) as show:
            seen = watch_several(target.aws, [found.execution_arn for found in runs], lambda all_: show(names, all_))
    except KeyboardInterrupt:
        terminal.note(f"\nThe {len(runs)} runs continue in the background.")
        terminal.note(f"  watch them  {target.command('watch', *names)}")
        raise RunInterrupted("interrupted; the runs continue", operation="watch the runs", target=names[0]) from None
    failures = [None if each.status == "SUCCEEDED" else explain(target.aws, each.execution) for each in seen]
    if as_json:
        terminal.json([run_document(*each) for each in zip(runs, seen, failures, strict=True)])
    else:
        print_several(terminal.out, names, seen)
    for failure in failures:
        if failure is not None:
            raise failure


def _print_outcome(
    target: Target, found: FoundRun, progress: RunProgress, failure: RunFailedError | None, terminal: Terminal
) -> None:
    has_result = failure is None or failure.exit_code == TooManyFailuresError.exit_code
    result = read_result(target.aws, found.run.folder) if has_result else None
    if result is None:
        print_run(terminal, found, progress)
    else:
        print_summary(terminal, result, failure_examples(target.aws, found.run.folder, result))
        if reused := _reused(progress):
            terminal.print(f"\n{reused}")
        terminal.print("")
        for name, uri in result_files(result, found.run.folder).items():
            terminal.print(f"{name.ljust(15)} {visible(uri)}")
    for line in next_commands(found, failure, target, result) if failure is not None else []:
        terminal.note(line)


def _reused(progress: RunProgress) -> str:
    """How much of the work was there before; empty where nothing was."""
    committed = progress.work.committed if progress.work else None
    if committed is None or not committed.reused:
        return ""
    items = committed.counts.items - committed.fresh.items
    return f"Reused: {committed.reused:,} of {committed.shards:,} shards ({items:,} items) were done before"
