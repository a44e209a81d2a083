"""The pages that change something: the form that starts a run, and what can be done about one, each asked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from console.find.run_lookup import FoundRun
from console.find.target import Target
from console.operations.estimating import EstimatedRun, estimate_of
from console.operations.starting import begin_request
from console.ui.actions import TITLES, described, perform
from console.ui.guard import Access
from console.ui.request_form import FIRST, command_of, option_fields, read_form, request_fields
from console.watch.progress import RunProgress
from millrace.errors import InvalidRunRequest, MillraceError
from millrace.request.chained import STARTED_BY
from millrace.request.labels import checked_tags
from millrace.request.run_request import RunRequest
from millrace.workload.registry import is_own_workload, workload_records

Look = Callable[[str], tuple[FoundRun, RunProgress]]


class ChangePages:
    """The pages that change something; each is a form with the token of this start.

    Args:
        target: Whose runs.
        access: Who asks.
        look: Finds a run by its execution's name, and looks at it.
        counts: Its items and failed items.
    """

    def __init__(
        self, target: Target, access: Access, look: Look, counts: Callable[[FoundRun, RunProgress], dict[str, int]]
    ) -> None:
        self._target = target
        self._access = access
        self._look = look
        self._counts = counts

    def form(self) -> str:
        """The form that starts a run; empty, or as another run was asked for."""
        given = dict(request.args.items())
        stack = self._target.stack
        if not given.get("source"):
            given["source"] = stack.sources[0]
        if not given.get("destination"):
            given["destination"] = f"s3://{stack.result_bucket}/"
        return self._form(given)

    def start(self) -> Response | str | tuple[str, int]:
        """Estimate the run that the form asks for, or start it."""
        given = {name: value for name, value in request.form.items() if name not in ("token", "do")}
        try:
            asked = read_form(given)
            RunRequest.parse(asked, queues=(asked.get("queue", "standard"),))
            if request.form.get("do") == "start":
                code = {"code": None, "code_python": None, "code_platform": None}
                begun = begin_request(self._target, self._signed(asked), None, code, None)
                return redirect(url_for("run", name=begun.execution_arn.rpartition(":")[2]), 303)
            notes: list[str] = []
            fields = {name: value for name, value in asked.items() if name != "destination"}
            estimated = estimate_of(self._target, fields, asked["destination"], notes.append, _quiet)
        except InvalidRunRequest as error:
            return self._form(given, error=str(error)), 400
        except MillraceError as error:
            return self._form(given, error=str(error)), 502
        return self._form(given, asked=asked, estimated=estimated, notes=notes)

    def _form(
        self,
        given: Mapping[str, str],
        *,
        asked: dict[str, Any] | None = None,
        estimated: EstimatedRun | None = None,
        notes: list[str] | None = None,
        error: str = "",
    ) -> str:
        workload = given.get("workload") or RunRequest.workload
        fields = {field.name: field for field in request_fields(given)}
        return render_template(
            "start.html",
            workload=workload,
            workloads=list(workload_records().values()),
            own=is_own_workload(workload),
            given=given,
            sources=[*self._target.stack.sources, *(f"s3://{name}/" for name in self._target.stack.public_buckets)],
            first=[fields[name] for name in FIRST],
            options=option_fields(workload, given),
            rest=[field for name, field in fields.items() if name not in FIRST],
            estimated=estimated,
            notes=notes or [],
            error=error,
            command="" if asked is None else command_of(asked, self._target.flags),
        )

    def _signed(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The request with a tag that says who started it, where that is known and may stand in a tag."""
        tags = {STARTED_BY: self._access.user(), **asked.get("tags", {})}
        try:
            return {**asked, "tags": checked_tags(tags)} if tags[STARTED_BY] else asked
        except InvalidRunRequest:
            return asked

    def ask(self, name: str, action: str) -> str:
        """What an action will do, and the button that does it."""
        found, progress = self._look(name)
        planned = described(self._target, found, progress, self._counts(found, progress), action)
        if planned is None:
            abort(404, "there is no such action")
        return render_template("confirm.html", name=name, found=found, progress=progress, action=planned)

    def do(self, name: str, action: str) -> Response:
        """Do it, and show the run by the execution that is at work on it now."""
        if action not in TITLES:
            abort(404, "there is no such action")
        found, _ = self._look(name)
        resumed = perform(self._target, found, action, request.form)
        return redirect(url_for("run", name=resumed.execution_arn.rpartition(":")[2]), 303)


class _Quiet:
    """Says nothing of how far a listing is: the page comes when it is done."""

    def update(self, status: str) -> None:
        """Say nothing."""


@contextmanager
def _quiet() -> Iterator[_Quiet]:
    yield _Quiet()
