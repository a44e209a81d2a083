"""Whether a run that later runs would reuse is about to expire: a lifecycle rule deletes its run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from console.doctor.check import Check
from console.find.run_lookup import executions_of
from console.find.target import Target
from console.operations.schedules import schedules
from millrace.aws.events import json_object
from millrace.errors import InvalidRunRequest
from millrace.layout import RunFolder, S3Uri
from millrace.records.latest import LatestRun, read_latest

NAME = "reuse"

LOOKED_AT = 20
"""Of so many of the last executions the inputs are looked at for runs that reuse."""

SOON = timedelta(days=3)
"""doctor warns of a base that expires within this time, which a daily run needs to succeed again."""


def bases(target: Target, now: datetime | None = None) -> Check:
    """Whether the last successful run, of the schedule and of what was started lately with `reuse`, stays long enough.

    Args:
        target: What is looked at.
        now: The time; None for the clock's.
    """
    at = now or datetime.now(UTC)
    requests = {(each["source"], each["destination"]): each for each in _requests(target)}
    if not requests:
        return Check(NAME, "ok", "no schedule and no recent run reuses an earlier one")
    found, soon = [], []
    for source, destination in requests:
        uri = S3Uri.parse_folder(destination)
        runs = read_latest(uri, target.aws.s3)
        run = next((run for run in runs if run.source == source and not run.over_keys), None)
        if run is None:
            continue
        found.append(run.run_id)
        days = _days(target, RunFolder.of(uri, run.run_id))
        expires = None if days is None else _expires(run, days)
        if expires is not None and expires - at <= SOON:
            soon.append(f"run {run.run_id} of {source} expires on {expires:%Y-%m-%d}, {days} days after it")
    if soon:
        return Check(
            NAME,
            "warn",
            f"{'; '.join(soon)}: without a successful run until then, the next one works everything",
            "start a run with --reuse latest, or give the bucket's lifecycle rule more days",
        )
    if not found:
        return Check(NAME, "ok", "no run that could be reused has succeeded yet: the next one works everything")
    return Check(NAME, "ok", f"{', '.join(found[:3])}{' …' if len(found) > 3 else ''}: no base is about to expire")


def _requests(target: Target) -> Iterator[dict[str, Any]]:
    """The requests that reuse: the schedules', and those of the last executions, as far as they are requests."""
    scheduled = (each.request for each in schedules(target))
    for request in (*scheduled, *map(json_object, _started(target))):
        try:
            if request.get("reuse"):
                places = {name: str(S3Uri.parse_folder(request.get(name))) for name in ("source", "destination")}
                yield {**request, **places}
        except InvalidRunRequest:
            continue  # Prepare Run refuses it


def _started(target: Target) -> Iterator[str]:
    for each in islice(executions_of(target.aws, target.stack.state_machine_arn), LOOKED_AT):
        yield target.aws.step_functions.describe_execution(executionArn=each["executionArn"]).get("input", "")


def _days(target: Target, folder: RunFolder) -> int | None:
    """After how many days the first rule of the bucket's lifecycle deletes a run's folder; None where none does."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `millrace --help` must not wait for it

    try:
        found = target.aws.client("s3").get_bucket_lifecycle_configuration(Bucket=folder.root.bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return None
        raise
    rules: list[Mapping[str, Any]] = list(found.get("Rules", []))
    days = [rule["Expiration"]["Days"] for rule in rules if _deletes(rule, folder)]
    return min(days, default=None)


def _deletes(rule: Mapping[str, Any], folder: RunFolder) -> bool:
    """Whether a rule deletes the folder's files; one that goes by tags or sizes as well is not known to."""
    wanted = rule.get("Filter") or {}
    if rule.get("Status") != "Enabled" or "Days" not in rule.get("Expiration", {}) or set(wanted) - {"Prefix"}:
        return False
    prefix = wanted.get("Prefix", rule.get("Prefix", ""))
    return folder.root.key.startswith(prefix) or str(prefix).startswith(folder.root.key)


def _expires(run: LatestRun, days: int) -> datetime:
    """When its first files are deleted: so many days after they were written."""
    return datetime.fromisoformat(run.started_at) + timedelta(days=days)
