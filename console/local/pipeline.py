"""One run on this machine, from a folder of files to a folder of results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.checkout import Checkout
from console.embedded_aws import exports
from console.find.aws import Aws
from console.find.empty_source import check_not_empty
from console.find.executions import Run, find_running, start
from console.find.run_lookup import FoundRun
from console.find.stack import Stack
from console.find.target import Target
from console.local.folders import remember, remembered
from console.local.own_endpoints import ObjectsTogether
from console.local.source_folder import serve
from console.local.stack import bring_up, bring_up_to_date
from console.run_order import RunOrder, refuse_foreign_buckets
from console.terminal import Terminal, timed
from console.transfer.results import failure_examples, fetch, read_result
from console.transfer.written import WrittenFiles
from console.watch.summary import next_commands, print_summary
from console.watch.watching import watch_to_the_end
from millrace.errors import TooManyFailuresError
from millrace.layout import S3Uri
from millrace.text import bytes_text, plural, visible

Again = Callable[..., str]
"""The same command line with other values of some options: `again(run_id="…")`."""

Send = Callable[[Aws, Stack], dict[str, Any]]


@dataclass(frozen=True)
class LocalRun:
    """A run on the embedded AWS.

    Attributes:
        target: Where it runs.
        found: The run.
    """

    target: Target
    found: FoundRun

    @property
    def run(self) -> Run:
        """The run, by its execution."""
        return self.found.run


NAMED = 5
"""How many files that were not written, or not read, are named one by one."""


def run_locally(
    order: RunOrder,
    checkout: Checkout,
    port: int | None,
    terminal: Terminal,
    *,
    as_json: bool,
    allow_empty: bool,
    again: Again,
    send: Send = lambda _aws, _stack: {},
) -> None:
    """Do everything that `millrace local run` does.

    Args:
        order: What the user asked for, checked.
        checkout: Whose embedded AWS.
        port: The port for a new embedded AWS; None for the usual one, or a free one.
        terminal: Where to say what.
        as_json: Print result.json alone on standard output.
        allow_empty: Whether a run that worked no item is as good as any.
        again: Gives the command line that comes back to a run.
        send: Uploads what the run needs beside its source; gives the fields of the execution input that name it.

    Raises:
        EmptySourceError: The run worked no item.
        RunFailedError: The run failed; what it left has been shown and fetched all the same.
        RunInterrupted: Ctrl-C while it was watched.
    """
    started = start_locally(order, checkout, port, terminal, send)
    run, aws = started.run, started.target.aws
    target = started.target
    _, failure = watch_to_the_end(
        aws,
        run.execution_arn,
        run.run_id,
        terminal,
        watch_again=again(run_id=run.run_id),
        cancel=target.command("cancel", run.run_id),
    )
    # A run with too many failures has a complete report. Any other failure left nothing to show.
    result = (
        read_result(aws, run.folder) if failure is None or failure.exit_code == TooManyFailuresError.exit_code else None
    )
    destination, directory = order.destination_uri(target.stack.result_bucket), order.destination.directory
    fetched = (
        ""
        if result is None or directory is None
        else _fetch(
            aws, run, result, destination=destination, directory=directory, checkout=checkout, terminal=terminal
        )
    )
    if result is not None and as_json:
        terminal.out.file.write(json.dumps(result, ensure_ascii=False, indent=2) + "\n")
    elif result is not None:
        print_summary(terminal, result, failure_examples(aws, run.folder, result))
    _say_where(terminal, started, fetched, checkout, to_notes=as_json or result is None)
    found = started.found
    if failure is not None:
        for line in next_commands(found, failure, target, result):
            terminal.note(line)
        raise failure
    if result is not None:
        check_not_empty(aws, found, result, terminal, allowed=allow_empty, directory=order.source.directory)


def start_locally(order: RunOrder, checkout: Checkout, port: int | None, terminal: Terminal, send: Send) -> LocalRun:
    """Start a run on the embedded AWS of a checkout, which is started and deployed to where that is due.

    Args:
        order: What the user asked for, checked.
        checkout: Whose embedded AWS.
        port: The port for a new embedded AWS; None for the usual one, or a free one.
        terminal: Where to say what.
        send: Uploads what the run needs beside its source; gives the fields of the execution input that name it.
    """
    server = bring_up(checkout, port, terminal)
    stack = bring_up_to_date(checkout, server, terminal)
    aws = Aws.embedded(server.endpoint_url)
    request = order.request(stack.source_bucket, stack.result_bucket)
    refuse_foreign_buckets(request, stack.sources, stack.result_bucket, stack.public_buckets)
    run = _running(aws, stack, order)
    if run is not None:
        terminal.note(f"The run {run.run_id} is running; watching it.")
    else:
        _serve(server.endpoint_url, order, stack, terminal)
        request |= send(aws, stack)
        run = start(aws, stack.state_machine_arn, request)
        terminal.note(f"{'Resuming run' if 'run_id' in order.rest else 'Run'} {run.run_id}")
    if order.destination.directory is not None:
        remember(checkout.state, run.run_id, order.destination.directory)
    found = FoundRun(run.run_id, run.execution_arn, request, run.folder)
    return LocalRun(Target(aws, stack.name, _flags(checkout), checkout.state), found)


def fill_folder(target: Target, found: FoundRun, terminal: Terminal) -> None:
    """Bring the results of a resumed run into the folder that `millrace local run` was to bring them into."""
    if target.state is None or (directory := remembered(target.state, found.run_id)) is None:
        return
    result = read_result(target.aws, found.run.folder)
    if result is None:
        return
    said = _fetch(
        target.aws,
        found.run,
        result,
        destination=S3Uri.parse_folder(found.request["destination"], "destination"),
        directory=directory,
        checkout=Checkout.here(target.state),
        terminal=terminal,
    )
    terminal.note(f"Files  {said}")


def _running(aws: Aws, stack: Stack, order: RunOrder) -> Run | None:
    run_id = order.rest.get("run_id")
    if run_id is None:
        return None
    return find_running(aws, stack.state_machine_arn, order.destination_uri(stack.result_bucket), run_id)


def _serve(endpoint_url: str, order: RunOrder, stack: Stack, terminal: Terminal) -> None:
    directory = order.source.directory
    if directory is None:
        return
    folder = order.source.uri(stack.source_bucket)
    with timed() as took:
        done = serve(endpoint_url, directory, folder)
    gone = f", {done.deleted:,} deleted" if done.deleted else ""
    terminal.note(
        f"{order.source.given}: {plural(done.files, 'file')} ({bytes_text(done.total_bytes)}) in {folder}; "
        f"{done.changed:,} new or changed{gone} ({took()})."
    )
    if done.left_out:
        paths = sorted(visible(str(path.relative_to(directory))) for path in done.left_out)
        terminal.warn(f"left out, being neither files nor links to files of this folder: {_some(paths)}")


def _flags(checkout: Checkout) -> str:
    """What leads the other verbs to this embedded AWS."""
    return "--local" if _is_usual(checkout) else shlex.join([f"--state-dir={checkout.state}"])


def _is_usual(checkout: Checkout) -> bool:
    return checkout.state == Checkout.here().state


def _fetch(
    aws: Aws,
    run: Run,
    result: dict[str, Any],
    *,
    destination: S3Uri,
    directory: Path,
    checkout: Checkout,
    terminal: Terminal,
) -> str:
    """Bring the results into the destination folder; what there is to say of it."""
    directory.mkdir(parents=True, exist_ok=True)
    was_empty = not any(directory.iterdir())
    with terminal.counting("Fetching the results") as moved:
        done = fetch(
            aws,
            run.folder,
            result,
            destination=destination,
            directory=directory,
            moved=moved,
            written=WrittenFiles(checkout.written(directory)),
            reader=lambda uris: ObjectsTogether(aws, uris).open,
        )
    if done.taken:
        terminal.warn(
            f"the run's own files are in {_as_given(directory / done.own)}: an item's output, or a file that no run "
            f"wrote, has the name {' and '.join(done.taken)}"
        )
    if done.refused:
        keys = [f"{visible(str(uri))} ({visible(reason)})" for uri, reason in done.refused]
        terminal.warn(f"{plural(len(keys), 'object')} cannot be a file here and stayed in S3: {_some(keys)}")
    also = "" if was_empty else "; the folder was not empty; only files of earlier runs were replaced"
    return f"{_as_given(directory)} ({plural(done.files, 'file')}, {bytes_text(done.total_bytes)}{also})"


def _say_where(terminal: Terminal, started: LocalRun, fetched: str, checkout: Checkout, *, to_notes: bool) -> None:
    say: Any = terminal.note if to_notes else terminal.print
    folder = str(started.run.folder.root)
    down = "millrace local down" if _is_usual(checkout) else f"millrace local down {_flags(checkout)}"
    say("")
    if fetched:
        say(f"Files        {fetched}")
    say(f"Run folder   {visible(folder)}")
    say(f"Look around  export {exports(str(started.target.aws.endpoint_url))}")
    say(f"             aws s3 ls {shlex.quote(visible(folder))}")
    say(f"Stop         {down}  (everything in the embedded AWS is gone then)")


def _as_given(directory: Path) -> str:
    """The folder as a person would name it from here."""
    here = Path.cwd()
    return str(directory.relative_to(here)) if directory.is_relative_to(here) else str(directory)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
