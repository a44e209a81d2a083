"""The run that is reused, the base: found by name or as the latest one, and refused in plain words where it is no base.

What a run computes follows from its source, workload, options and code, and from each object's bytes. So a base has
the first four in common with the run that reuses it, and its items are compared one by one (`comparison`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from millrace.errors import DamagedFileError, NothingToReuseError, RunIdentityError
from millrace.layout import RESERVED_FOLDER, RunFolder, S3Uri
from millrace.records.code import what_differs
from millrace.records.files import plan_if_there, read_result
from millrace.records.folders import read_request
from millrace.records.generations import Generation, read_generations
from millrace.records.latest import LatestRun, options_digest, read_latest
from millrace.records.plan import Plan
from millrace.request.run_request import LATEST, RunRequest
from millrace.reuse.writers import replaced_by
from millrace.s3.verbs import S3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A run whose shards may be taken over.

    Attributes:
        run_id: Its id.
        generations: Its plan, and those of the reruns of its failed items up to the one that its result is of.
    """

    run_id: str
    generations: list[Generation]

    @property
    def retry(self) -> int:
        """Which rerun of failed items its result is of; 0 for its first try."""
        return self.generations[-1].plan.retry


@dataclass(frozen=True, slots=True)
class NoBase:
    """Nothing can be reused; why, in plain English: a sentence without its full stop."""

    why_not: str


class _NotReusableError(Exception):
    """A run cannot be reused; the message says why."""


def find_base(
    request: RunRequest, s3: S3, *, run_id: str, code_version: str | None, writes_outputs: bool = True
) -> Base | NoBase:
    """The run that a request asks to reuse.

    Args:
        request: The checked request; it has a `reuse`.
        s3: Where the destination is read.
        run_id: The id of the run that reuses; it cannot be its own base.
        code_version: The code that works the run, as plans name it; None where that is not known: any will do.
        writes_outputs: Whether the workload's items have outputs of their own, which a later run may have replaced.

    Raises:
        StorageError: The destination cannot be read.
    """
    runs = read_latest(S3Uri.parse(request.destination), s3)
    try:
        wanted = request.reuse or ""
        if wanted == LATEST:
            wanted = _latest(request, runs, run_id, code_version)
        base = _read_base(request, wanted, s3, run_id, code_version)
        if writes_outputs:
            _check_outputs(base, s3)
    except _NotReusableError as error:
        return NoBase(str(error))
    return base


def require_base(found: Base | NoBase, request: RunRequest) -> None:
    """See that a run that requires reuse has a base.

    Raises:
        NothingToReuseError: It has none.
    """
    if isinstance(found, NoBase) and request.reuse_required:
        raise NothingToReuseError(
            f"{found.why_not}. Start the run without reuse_required, and every item is worked",
            operation="find the run to reuse",
            target=f"{request.destination}{RESERVED_FOLDER}",
        )


def _latest(request: RunRequest, runs: Iterable[LatestRun], run_id: str, code_version: str | None) -> str:
    """The id of the last successful run like this one."""
    others = [run for run in runs if run.run_id != run_id and not run.over_keys]
    if not others:
        raise _NotReusableError(f"no run into {request.destination} has succeeded yet")
    digest = options_digest(request.options)
    why = ""
    # From what most runs have in common to what few have: the last filter that leaves nothing says why.
    for left, filtered_out in (
        (
            [run for run in others if run.workload == request.workload],
            f"no run of {request.workload} into {request.destination} has succeeded yet",
        ),
        (
            [run for run in others if (run.workload, run.source) == (request.workload, request.source)],
            f"the successful runs of {request.workload} into {request.destination} were of other sources",
        ),
        (
            alike := [
                run
                for run in others
                if (run.workload, run.source, run.options_digest) == (request.workload, request.source, digest)
            ],
            f"the successful runs of {request.workload} over this source had other options",
        ),
    ):
        if not left:
            why = filtered_out
            break
    if why:
        raise _NotReusableError(why)
    same_code = [run for run in alike if code_version in {None, run.code_version}]
    if not same_code:
        raise _NotReusableError(_other_code(alike[0].run_id, alike[0].code_version, code_version or ""))
    return same_code[0].run_id


def _read_base(request: RunRequest, run_id: str, s3: S3, mine: str, code_version: str | None) -> Base:
    if run_id == mine:
        raise _NotReusableError(f"run {run_id} cannot reuse itself")
    folder = RunFolder.of(S3Uri.parse(request.destination), run_id)
    try:
        plan = plan_if_there(folder, s3)
        if plan is None:
            raise _NotReusableError(_without_plan(folder, request, s3))
        _check_plan(plan, request, run_id, code_version)
        result = read_result(folder, s3)
        if result is None:
            raise _NotReusableError(f"run {run_id} has no result: it is still running, was stopped, or failed")
        if result["status"] == "FAILED":
            raise _NotReusableError(f"run {run_id} failed: more of its items failed than it tolerates")
        number = int((result.get("retry") or {}).get("number", 0))
        last = folder.of_retry(number)
        last_plan = plan_if_there(last, s3) if number else plan
        if last_plan is None:
            raise _NotReusableError(f"run {run_id} has expired: the plan of its rerun {number} is gone")
        return Base(run_id, read_generations(last, last_plan, s3))
    except (DamagedFileError, RunIdentityError, TypeError, ValueError) as error:
        log.warning("the run cannot be reused", extra={"fields": {"run_id": run_id, "why": str(error)}})
        raise _NotReusableError(
            f"run {run_id} is of another version of Millrace, or its files are damaged: {error}"
        ) from error


def _without_plan(folder: RunFolder, request: RunRequest, s3: S3) -> str:
    if read_request(folder, s3) is None:
        return (
            f"there is no run {folder.run_id} in {request.destination}: its run folder has expired, "
            "or it was a run into another destination"
        )
    return f"run {folder.run_id} has no plan: it has not begun, it failed, or its run folder has expired"


def _check_plan(plan: Plan, request: RunRequest, run_id: str, code_version: str | None) -> None:
    """See that the run computed the same as this one will."""
    if plan.run_id != run_id or plan.destination != request.destination:
        raise _NotReusableError(f"run {run_id} was a run into another destination, {plan.destination}")
    if plan.source != request.source:
        raise _NotReusableError(f"run {run_id} had another source, {plan.source}")
    if plan.workload != request.workload:
        raise _NotReusableError(f"run {run_id} had another workload, {plan.workload}")
    differing = sorted(
        name for name in {**plan.options, **request.options} if plan.options.get(name) != request.options.get(name)
    )
    if differing:
        raise _NotReusableError(f"run {run_id} had other options: {', '.join(differing)}")
    if code_version not in {None, plan.code_version}:
        raise _NotReusableError(_other_code(run_id, plan.code_version, code_version or ""))


def _other_code(run_id: str, was: str, now: str) -> str:
    return f"run {run_id} was worked by other code: {what_differs(was, now)}"


def _check_outputs(base: Base, s3: S3) -> None:
    """See that no run of other options, or by other code, has replaced the base's outputs since."""
    other = replaced_by(base.generations[0].plan, s3)
    if other:
        raise _NotReusableError(
            f"{other} has written outputs of the same items since run {base.run_id} did, with other options or code"
        )
