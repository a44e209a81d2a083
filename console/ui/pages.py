"""The pages of `millrace ui`: they show what `list`, `status`, `logs` and `report` print.

They are made here whole; while there is news to come, a stream of events sends the parts that changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, render_template, request, url_for
from markupsafe import Markup

from console.errors import RunFailedError
from console.find.aws import workers
from console.find.run_filter import RunFacts
from console.find.run_lookup import FoundRun, described_run, next_run
from console.find.target import Target
from console.transfer.results import read_result, result_files
from console.ui.actions import possible
from console.ui.changes import ChangePages
from console.ui.failures import FailurePage, Failures
from console.ui.guard import REPORT_POLICY, Access, guard
from console.ui.live import Changes, parts_of, stream
from console.ui.logs import LogFeed
from console.ui.progress_cache import ProgressCache, Watched
from console.ui.reports import Reports
from console.ui.run_list import RunList, filter_of
from console.ui.state_graph import draw
from console.ui.timeline import KINDS, Claim, children_of, rates, timeline
from console.watch.display import count_of, items_done, took
from console.watch.explanation import explain
from console.watch.progress import RunProgress
from console.watch.summary import REQUEST_FIELDS, next_commands
from console.watch.watching import LISTING_SHARE
from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import CommitHead
from millrace.records.files import listed_shards
from millrace.request.labels import labels_of, tags_text
from millrace.s3.reader import ObjectReader
from millrace.text import bytes_text, dollars_text, duration_text, reuse_text, visible

FOLDER = Path(__file__).parent

CLAIMS = 64
"""How many claims of shards at work are read at most for a look."""


def ui_pages(target: Target, access: Access) -> Flask:
    """The application.

    Args:
        target: Whose runs.
        access: Who may use it, and for what.
    """
    app = Flask("console", root_path=str(FOLDER), template_folder=".", static_folder=".", static_url_path="/ui")
    guard(app, access)
    where = target.aws.endpoint_url or f"AWS, {target.aws.region or 'the region of your configuration'}"
    app.jinja_env.globals.update(
        count_of=count_of, items_done=items_done, duration_text=duration_text, took=took, bytes_text=bytes_text,
        dollars_text=dollars_text, tags_text=tags_text, KINDS=KINDS, where=f"{target.stack_name} on {where}",
        token=access.token, can_change=not access.read_only, events=None,
    )  # fmt: skip
    app.jinja_env.filters["shown"] = lambda value: visible(str(value))
    pages = UiPages(app, target)
    app.add_url_rule("/", view_func=pages.runs)
    app.add_url_rule("/events", view_func=pages.runs_events)
    app.add_url_rule("/runs/<name>", view_func=pages.run)
    app.add_url_rule("/runs/<name>/events", view_func=pages.run_events)
    app.add_url_rule("/runs/<name>/failures", view_func=pages.failures)
    app.add_url_rule("/runs/<name>/logs", view_func=pages.logs)
    app.add_url_rule("/runs/<name>/logs/events", view_func=pages.log_events)
    app.add_url_rule("/runs/<name>/files/report.html", view_func=pages.report)
    app.add_url_rule("/runs/<name>/files/<path:file>", view_func=pages.result_file)
    if not access.read_only:
        changes = ChangePages(target, access, pages.look, pages.counts)
        app.add_url_rule("/start", view_func=changes.form)
        app.add_url_rule("/start", view_func=changes.start, methods=["POST"], endpoint="begin")
        app.add_url_rule("/runs/<name>/do/<action>", view_func=changes.ask)
        app.add_url_rule("/runs/<name>/do/<action>", view_func=changes.do, methods=["POST"], endpoint="do")
    return app


class UiPages:
    """The pages that show.

    Args:
        app: The application.
        target: Whose runs.
    """

    def __init__(self, app: Flask, target: Target) -> None:
        self._app = app
        self._target = target
        self._aws = target.aws
        self._progress = ProgressCache(target.aws, target.stack.job_queue_arns)
        self._list = RunList(target)
        self._failures = Failures(target.aws)
        self._reports = Reports(target.aws, target.stack.job_queue_arns)
        # One client of each service for all threads: boto3 makes none in two threads at once.
        for service in ("s3", "step_functions", "batch", "logs"):
            getattr(target.aws, service)

    def runs(self) -> str:
        """The list of runs."""
        given = self._listed()
        query = urlencode({**given["fields"], "page": given["listed"].page})
        return render_template("runs.html", **given, events=f"{url_for('runs_events')}?{query}")

    def runs_events(self) -> Response:
        """What changes in the list."""
        return stream(Changes(lambda: (parts_of(self._app, "runs.html", self._listed()), False)), self._progress.every)

    def _listed(self) -> dict[str, Any]:
        asked, fields = filter_of(request.args.items(), datetime.now(UTC))
        number = request.args.get("page", "1")
        listed = self._list.page(asked, int(number) if number.isdecimal() and len(number) < 9 else 1)
        ways = {
            word: f"{url_for('runs')}?{urlencode({**fields, 'page': to})}"
            for word, to in (("Newer", listed.page - 1), ("Older", listed.page + 1))
            if 1 <= to <= listed.pages
        }
        return {"listed": listed, "fields": fields, "ways": ways, "workloads": self._list.workloads()}

    def run(self, name: str) -> str:
        """One run: its steps, its children, its failures, its states, its files."""
        given = self._shown(name, with_cost=False)
        return render_template("run.html", **given, events=url_for("run_events", name=name))

    def run_events(self, name: str) -> Response:
        """What changes on a run's page."""

        def render() -> tuple[dict[str, str], bool]:
            given = self._shown(name, with_cost=True)
            return parts_of(self._app, "run.html", given), given["final"]

        return stream(Changes(render), self._progress.every)

    def _shown(self, name: str, *, with_cost: bool) -> dict[str, Any]:
        found, progress = self.look(name)
        arn = found.execution_arn
        watched = self._progress.watched(arn)
        failure = explain(self._aws, progress.execution) if progress.status not in ("RUNNING", "SUCCEEDED") else None
        result = self._result(found, progress)
        cost = self._progress.cost(arn, found.folder, progress) if with_cost else self._progress.known_cost(arn)
        lit = {state: step.status for state, step in progress.states.items()}
        called, tags = labels_of(found.request)
        follows = next_run(self._aws, replace(found, execution=progress.execution))
        children, heads = self._children(found, progress)
        counts = self._counts(result, progress)
        return {
            "name": name,
            "found": found,
            "facts": RunFacts.of(found),
            "progress": progress,
            "failure": failure,
            "ways": _ways(found, failure, self._target, result),
            "request_facts": [
                *([("Name", called)] if called else []),
                *([("Tags", tags_text(tags))] if tags else []),
                *([("Then", str(follows))] if follows else []),
                *[(each.capitalize(), found.request[each]) for each in REQUEST_FIELDS if found.request.get(each)],
            ],
            "children": children,
            "timeline": Markup(timeline(children)),  # noqa: S704 - timeline escapes what it shows
            "rates": Markup(rates(heads)),  # noqa: S704 - as above
            "codes": self._codes(found, result),
            "counts": counts,
            "cost": cost,
            "reuse": reuse_text(progress.reuse),
            "files": {} if result is None else result_files(result, found.run.folder),
            "graph": Markup(draw(watched.machine, lit, style="")),  # noqa: S704 - state_graph escapes the states' names
            "actions": possible(found, progress, counts.get("failed", 0), failure),
            "commands": self._commands(found, progress),
            "final": progress.ended and watched.watcher.complete and (with_cost or cost is not None),
        }

    def look(self, name: str) -> tuple[FoundRun, RunProgress]:
        """A run by the name of its execution, and how it stands."""
        machine = self._target.stack.state_machine_arn
        found = described_run(self._aws, f"{machine.replace(':stateMachine:', ':execution:')}:{name}")
        return found, self._progress.of(found.execution_arn)

    def counts(self, found: FoundRun, progress: RunProgress) -> dict[str, int]:
        """The items and failed items of a run, as far as they are known: by its result, else by its commits."""
        return self._counts(self._result(found, progress), progress)

    @staticmethod
    def _counts(result: Mapping[str, Any] | None, progress: RunProgress) -> dict[str, int]:
        if result is not None:
            return dict(result["counts"])
        if progress.work is None:
            return {}
        counts = progress.work.committed.counts
        return {"items": counts.items, "failed": counts.failed}

    def _children(self, found: FoundRun, progress: RunProgress) -> tuple[list[Any], list[Any]]:
        watched = self._progress.watched(found.execution_arn)
        every = [head for head in self._heads(watched) if head.worked_in is None]
        folder = watched.watcher.folder
        heads = [head for head in every if head.finished_at >= progress.since] or every
        now = progress.execution.get("stopDate") or datetime.now(UTC)
        claims = [] if folder is None or progress.ended else self._claims(watched, folder, progress)
        arrays = {head.job_id.partition(":")[0] for head in heads if ":" in head.job_id}
        sizes = self._progress.sizes(found.execution_arn, arrays)
        return children_of(heads, claims, sizes, now), heads

    def _claims(self, watched: Watched, folder: RunFolder, progress: RunProgress) -> list[Claim]:
        """Who is at which shard now, of those that are not committed; asked for as often as the commits are."""
        with watched.lock:
            done, began = watched.watcher.committed, time.monotonic()
            if began >= watched.next_claims:
                watched.claims = self._read_claims(folder, done, progress)
                watched.next_claims = time.monotonic() + LISTING_SHARE * (time.monotonic() - began)
            return [claim for claim in watched.claims if claim.shard not in done]

    def _read_claims(self, folder: RunFolder, done: set[int], progress: RunProgress) -> list[Claim]:
        open_ = sorted(set(range(progress.planned["shards"] if progress.planned else 0)) - done)
        if len(open_) > CLAIMS:
            left, claimed = set(open_), listed_shards(folder.claim, range(open_[0], open_[-1] + 1), self._aws.s3)
            open_ = list(islice((shard for shard in claimed if shard in left), CLAIMS))
        with workers() as pool:
            found = pool.map(lambda shard: self._claim(folder, shard), open_)
            return [claim for claim in found if claim is not None]

    def _claim(self, folder: RunFolder, shard: int) -> Claim | None:
        try:
            given = read_json(self._aws.s3.read(folder.claim(shard)))
            return Claim(shard, str(given["job"]), datetime.fromisoformat(given["at"]), int(given.get("attempt") or 1))
        except (ObjectNotFoundError, ValueError, KeyError, TypeError):
            return None  # nobody is at it, or it was given back

    def failures(self, name: str) -> str:
        """The failed items, to be searched; beside them the log of a shard's attempts."""
        found, progress = self.look(name)
        number, shard = request.args.get("page", "1"), request.args.get("shard", "")
        words = request.args.get("q", "").split()
        page = self._failure_page(found, self._result(found, progress), words, _whole(number) or 1)
        lines = None
        if _whole(shard) is not None:
            lines = list(LogFeed(self._target, found, _whole(shard)).new_lines(progress))
        return render_template(
            "failures.html", name=name, found=found, progress=progress, page=page, q=request.args.get("q", ""),
            shard=shard, lines=lines,
        )  # fmt: skip

    def _failure_page(
        self, found: FoundRun, result: Mapping[str, Any] | None, words: list[str], number: int
    ) -> FailurePage:
        watched = self._progress.watched(found.execution_arn)
        heads, folder = self._heads(watched), watched.watcher.folder
        if folder is None and found.folder is None:
            return FailurePage([], 1, 1, 0, 0, {})
        page = self._failures.page(folder or found.run.folder, result, heads, words, number)
        return replace(page, complete=page.complete and (result is not None or watched.watcher.complete))

    @staticmethod
    def _heads(watched: Watched) -> list[CommitHead]:
        """The commits of a run that were read so far."""
        with watched.lock:
            return list(watched.watcher.heads)

    def _codes(self, found: FoundRun, result: Mapping[str, Any] | None) -> dict[str, int]:
        """How many items failed, by code."""
        if result is not None:
            return dict(sorted(result["failures"].items(), key=lambda each: (-each[1], each[0])))
        return self._failure_page(found, None, [], 1).codes

    def logs(self, name: str) -> str:
        """The logs of the jobs that matter, or of a shard's, followed while the run is at work."""
        found, progress = self.look(name)
        query = {each: request.args[each] for each in ("shard", "failed") if request.args.get(each)}
        return render_template(
            "logs.html", name=name, found=found, progress=progress, shard=request.args.get("shard", ""),
            failed=bool(request.args.get("failed")), log=f"{url_for('log_events', name=name)}?{urlencode(query)}",
        )  # fmt: skip

    def log_events(self, name: str) -> Response:
        """New lines of the logs."""
        found, _ = self.look(name)
        failed, watched = bool(request.args.get("failed")), self._progress.watched(found.execution_arn)
        shard = _whole(request.args.get("shard", ""))
        feed = LogFeed(self._target, found, shard, failed, lambda: self._heads(watched))
        ended = False

        def news() -> tuple[str, Any] | None:
            nonlocal ended
            if ended:
                return "end", None
            progress = self._progress.of(found.execution_arn)
            # Which jobs have failed items is known when every commit was read.
            ended = progress.ended and (not failed or watched.watcher.complete)
            lines = [[line.job, line.level, line.text] for line in feed.new_lines(progress)]
            return ("lines", lines) if lines else None

        return stream(news, self._progress.every)

    def report(self, name: str) -> Response:
        """report.html, as `millrace report` makes it."""
        found, progress = self.look(name)
        result = self._result(found, progress)
        page = self._reports.page(found, [] if result is None else list(result_files(result, found.run.folder)))
        if page is None:
            again = {"Refresh": "1"}
            return Response(render_template("waiting.html", name=name, progress=progress), 202, again)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return Response(page, headers=headers, content_type="text/html; charset=utf-8")

    def result_file(self, name: str, file: str) -> Response:
        """One of the files of a merged run."""
        found, progress = self.look(name)
        result = self._result(found, progress)
        uri = None if result is None else result_files(result, found.run.folder).get(file)
        if uri is None:
            abort(404, "the run has no such file")
        opened = self._aws.s3.open(S3Uri.parse(uri))
        # A run's files are untrusted: they are downloaded, and never shown as pages of this server.
        headers = {"Content-Disposition": "attachment"}
        return Response(_all_of(opened), headers=headers, content_type="application/octet-stream")

    def _result(self, found: FoundRun, progress: RunProgress) -> dict[str, Any] | None:
        """result.json of a run that has ended; None where there is none, or may come another."""
        if found.folder is None or not progress.ended or progress.skipped:
            return None
        folder = self._progress.watched(found.execution_arn).watcher.folder or found.folder
        try:
            return read_result(self._aws, folder)
        except (DamagedFileError, ObjectNotFoundError):
            return None  # it is not known to be the run's

    def _commands(self, found: FoundRun, progress: RunProgress) -> list[str]:
        verbs = ("status", "logs", "report", *(() if progress.ended else ("watch", "cancel")))
        return [self._target.command(verb, found.run_id) for verb in verbs]


def _ways(
    found: FoundRun, failure: RunFailedError | None, target: Target, result: Mapping[str, Any] | None
) -> list[str]:
    return [] if failure is None else next_commands(found, failure, target, result)


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _all_of(opened: ObjectReader) -> Iterator[bytes]:
    with opened as chunks:
        yield from chunks
