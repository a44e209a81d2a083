"""The pages of `millrace local ui`: they show what `list`, `status` and `report` print, and change nothing.

They are made here whole; the script only asks for the same page again and puts what is new in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from flask import Flask, Response, abort, render_template
from markupsafe import Markup

from console.file_names import shown
from console.find.run_lookup import FoundRun, executions_of, find_run
from console.find.target import Target
from console.terminal import seconds
from console.transfer.report_files import page_of
from console.transfer.results import read_result, result_files
from console.ui.guard import REPORT_POLICY, guard
from console.ui.progress_cache import ProgressCache
from console.ui.state_graph import draw
from console.watch.display import count_of, items_done, took
from console.watch.explanation import explain
from console.watch.summary import REQUEST_FIELDS, next_commands
from millrace.errors import DamagedFileError
from millrace.layout import S3Uri
from millrace.report.run_report import write_report
from millrace.s3.reader import ObjectReader

LISTED = 50
"""How many runs the first page lists."""

WELL = ("RUNNING", "SUCCEEDED")
FOLDER = Path(__file__).parent


def ui_pages(target: Target, port: int) -> Flask:
    """The application.

    Args:
        target: Whose runs.
        port: The port of 127.0.0.1 that it answers at.
    """
    app = Flask("console", root_path=str(FOLDER), template_folder=".", static_folder=".", static_url_path="/ui")
    guard(app, port)
    where = target.aws.endpoint_url or f"AWS, {target.aws.region or 'the region of your configuration'}"
    app.jinja_env.globals.update(count_of=count_of, items_done=items_done, seconds=seconds, took=took, every=None)
    app.jinja_env.globals["where"] = f"{target.stack_name} on {where}"
    app.jinja_env.filters["shown"] = lambda value: shown(str(value))
    pages = UiPages(target)
    app.add_url_rule("/", view_func=pages.runs)
    app.add_url_rule("/runs/<name>", view_func=pages.run)
    app.add_url_rule("/runs/<name>/report.html", view_func=pages.report)
    app.add_url_rule("/runs/<name>/<path:file>", view_func=pages.result_file)
    return app


class UiPages:
    """The pages; one is made at a time.

    Args:
        target: Whose runs.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws = target.aws
        self._progress = ProgressCache(target.aws)

    def runs(self) -> str:
        """The list of runs."""
        with self._progress.lock:
            found = list(islice(executions_of(self._aws, self._target.stack.state_machine_arn), LISTED))
        return render_template("runs.html", runs=found, every=self._progress.every)

    def run(self, name: str) -> str:
        """One run: its steps, its states, its files."""
        with self._progress.lock:
            found = self._found(name)
            progress = self._progress.of(found.execution_arn)
            failure = (
                explain(self._aws, progress.execution) if progress.status not in ("RUNNING", "SUCCEEDED") else None
            )
            lit = {state: step.status for state, step in progress.states.items()}
            graph = draw(self._progress.machine(found.execution_arn), lit, style="")
            files = self._files(found, progress.status)
        return render_template(
            "run.html",
            found=found,
            progress=progress,
            failure=failure,
            ways=next_commands(found, failure, self._target) if failure else [],
            facts=[(each.capitalize(), found.request[each]) for each in REQUEST_FIELDS if found.request.get(each)],
            files=files,
            graph=Markup(graph),  # noqa: S704 - state_graph escapes the states' names
            every=None if progress.ended else self._progress.every,
        )

    def report(self, name: str) -> Response:
        """report.html, as `millrace report` makes it."""
        with self._progress.lock, TemporaryFile() as rows, TemporaryFile() as failed:
            found = self._found(name)
            written = write_report(found.run.folder, self._aws.s3, cast("BinaryIO", rows), cast("BinaryIO", failed))
            beside = list(self._files(found, found.execution["status"]))
            page = page_of(self._aws, found, written, beside, self._target.stack.job_queue_arns)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return Response(page, headers=headers, content_type="text/html; charset=utf-8")

    def result_file(self, name: str, file: str) -> Response:
        """One of the files of a merged run."""
        with self._progress.lock:
            found = self._found(name)
            uri = self._files(found, found.execution["status"]).get(file)
            if uri is None:
                abort(404, "the run has no such file")
            opened = self._aws.s3.open(S3Uri.parse(uri))
        # A run's files are untrusted: they are downloaded, and never shown as pages of this server.
        headers = {"Content-Disposition": "attachment"}
        return Response(_all_of(opened), headers=headers, content_type="application/octet-stream")

    def _found(self, name: str) -> FoundRun:
        """The execution of this name; its ARN is as Step Functions forms it."""
        machine = self._target.stack.state_machine_arn
        return find_run(self._aws, machine, f"{machine.replace(':stateMachine:', ':execution:')}:{name}")

    def _files(self, found: FoundRun, status: str) -> dict[str, str]:
        """The files of a merged run, by name; none while there may come others."""
        if found.folder is None or status == "RUNNING":
            return {}
        try:
            result = read_result(self._aws, found.folder)
        except DamagedFileError:
            return {}  # they are not known to be the run's
        return {} if result is None else result_files(result, found.folder)


def _all_of(opened: ObjectReader) -> Iterator[bytes]:
    with opened as chunks:
        yield from chunks
