"""Prepare Run: check the input, fill in defaults, name the run folder, write run.json, plan most sources.

A wrong input fails here within a second, before any job, with `InvalidRunRequest` naming the field, the value and
what is allowed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from millrace.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidRunRequest,
    ListingError,
    MillraceError,
    ObjectNotFoundError,
    RunIdentityError,
    StoppedError,
    StorageError,
    shortened,
)
from millrace.json_text import check_plain
from millrace.layout import RunFolder, S3Uri, check_destination, checked_run_id
from millrace.planning.making import PlanMaker
from millrace.planning.small_source import plan_small_source
from millrace.queue_rules import queue_by_rule
from millrace.records.at_work import Turn, take_turn, turn_uri, wait_seconds
from millrace.records.code import code_text
from millrace.records.folders import EXECUTION, newest_folder, read_request, retry_folder
from millrace.request.code_package import MAX_PACKED_BYTES, check_code_allowed
from millrace.request.run_request import RunRequest
from millrace.request.source_access import check_public, refusal, source_s3
from millrace.reuse.keeping import Keeping
from millrace.reuse.taken import name_removed
from millrace.s3.verbs import S3, connect
from millrace.settings import FunctionSettings, aws_region
from millrace.workload.registry import check_allowed, is_own_workload

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
tracer = Tracer()
metrics = Metrics()
settings = FunctionSettings.from_environment()
CONNECTIONS = 16
"""How many requests are under way at once while a run is planned here."""

PLANNING_SECONDS = 45.0
"""What takes longer is left to the plan job, which needs as long to start; the function's time limit is 120."""

s3 = connect(connections=CONNECTIONS)

RESUMABLE = (
    *("overlap", "run_id", "retry_failed", "once", "plan", "queue", "share", "priority", "pace"),
    *("tolerated_failure_percent", "tolerated_failure_count", "reuse", "reuse_required", "verify_outputs"),
    *("name", "tags", "then"),
)
"""What a resumed run may ask for anew; all else decides what the run computes."""

OF_A_RERUN = ("requester_pays",)
"""What a rerun alone may ask for anew: it has a plan of its own, and a resumed run's jobs go by the plan that is there.
It decides nothing of what the run computes."""


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The Lambda's entry point: `prepare_run` with this function's clients and settings."""
    run = prepare_run(event, s3, settings, lambda execution_arn: Executions(_states()).are_at_work(execution_arn))
    if run["overlap"]:
        metrics.add_metric("RunsSkipped" if run["overlap"] == "skip" else "RunsQueued", MetricUnit.Count, 1)
        logger.info(run["message"], extra={"run_id": run["run_id"], "at_work": run["at_work"]})
        return run
    metrics.add_metric("RunsPrepared", MetricUnit.Count, 1)
    logger.info("run prepared", extra={"run_id": run["run_id"], "request": run["request"]})
    return run


@dataclass(frozen=True, slots=True)
class Executions:
    """The executions of the state machine, as far as a start has to know of them.

    Attributes:
        client: A boto3 Step Functions client.
    """

    client: SFNClient

    def are_at_work(self, execution_arn: str) -> bool:
        """Whether an execution is at work; one that Step Functions does not know is not.

        Raises:
            MillraceError: Step Functions did not say.
        """
        try:
            return self.client.describe_execution(executionArn=execution_arn)["status"] == "RUNNING"
        except (ClientError, BotoCoreError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            if code in ("ExecutionDoesNotExist", "InvalidArn", "ValidationException"):
                return False
            raise MillraceError(
                f'Step Functions did not say whether it is at work: {error}; "overlap": "run" starts without asking',
                operation="look at the execution",
                target=execution_arn,
            ) from error


@cache
def _states() -> SFNClient:
    """The Step Functions client, made by the first request that asks: the others do not wait for it."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=20)
    client: Any = botocore.session.get_session().create_client("stepfunctions", region_name=aws_region(), config=config)
    return cast("SFNClient", client)


def _nothing_is_at_work(_execution_arn: str) -> bool:
    return False


def prepare_run(
    event: dict[str, Any],
    s3: S3,
    settings: FunctionSettings,
    is_at_work: Callable[[str], bool] = _nothing_is_at_work,
) -> dict[str, Any]:
    """Check a run request and write it down.

    Args:
        event: `input`, the execution's input; `execution_arn`, `execution_name` and `started_at` of the execution.
        s3: The client to look at the buckets and write run.json with.
        settings: The queues by name, and the version of the code.
        is_at_work: Whether the execution of an ARN is at work; asked only where the request minds.

    Returns:
        What the state machine keeps as `$.run`: run_id, overlap (empty), planned (whether there is a plan), request
        and plan (URIs), merge_job (whether a job of its own merges what an array has worked), job_name (at most 90
        characters), queue (ARN), share, priority, tolerated_failure_percent and tolerated_failure_count (as text).
        Where another run is at work and the request minds, `_overlapping` instead.

    Raises:
        InvalidRunRequest: The input is wrong, the workload may not run here, a bucket is missing or denied, the run id
            is taken or unknown, or the run whose failed items are to be retried has not come to its end.
        RunIdentityError: The run to resume was started with another request, or by another code version.
        MillraceError: Step Functions did not say whether another run is at work.
    """
    check_plain(event["input"], "input")
    request = _parse(event["input"], settings)
    run_id = request.run_id or _id_of_a_new_run(event["execution_name"])
    destination = S3Uri.parse(request.destination)
    check_destination(destination, run_id, own_workload=is_own_workload(request.workload))
    folder = RunFolder.of(destination, run_id)
    # Where single objects are named, the stack may be allowed the folder of these alone.
    first = request.source + (request.keys[0] if request.keys else "")
    _require_bucket("source", first, source_s3(s3, request), _why_refused(request, settings))
    _require_bucket("destination", request.destination, s3)
    _require_code(request.code, s3)
    for link in request.following():
        _require_link(link, s3, settings)
    if request.overlap != "run":
        mine = Turn(run_id, event["execution_arn"], event["started_at"])
        other = take_turn(turn_uri(destination, request.source, request.workload), mine, is_at_work, s3)
        if other is not None:
            return _overlapping(request, mine, other)
    document = {
        "run_id": run_id,
        **{name: event[name] for name in EXECUTION},
        "code_version": settings.code_version,
        "request": replace(request, run_id=None, retry_failed=False, once=False).to_json(),
    }
    if request.run_id is None:
        _write_request(folder, document, s3)
    elif request.retry_failed or not (request.once and _put_request(folder, document, s3)):
        _compare_request(folder, request, s3, settings)
        folder = retry_folder(folder, document, s3) if request.retry_failed else newest_folder(folder, s3)
    return {
        "run_id": run_id,
        "overlap": "",
        "planned": _planned(request, folder, s3, settings),
        "request": str(folder.request),
        "plan": str(folder.plan),
        "merge_job": request.plan == "job",
        "job_name": f"{run_id}-retry-{folder.retry:03d}" if folder.retry else run_id,
        "queue": settings.queues[request.queue],
        "share": request.share,
        "priority": request.priority,
        # As text: they become words of the merge job's command.
        "tolerated_failure_percent": str(request.tolerated_failure_percent),
        "tolerated_failure_count": str(request.tolerated_failure_count),
    }


def _overlapping(request: RunRequest, mine: Turn, other: Turn) -> dict[str, Any]:
    """What is known of a start that does not run now: nothing was written, and no job is started.

    Returns:
        overlap ("skip" or "queue"), status ("SKIPPED" or "QUEUED"), run_id, source, destination, workload, at_work
        (run_id, execution_arn and started_at of the run at work), message, and wait_seconds until the next look.
    """
    skipped = request.overlap == "skip"
    instead = "so this one was skipped" if skipped else "so this one waits for it"
    return {
        "overlap": request.overlap,
        "status": "SKIPPED" if skipped else "QUEUED",
        "run_id": mine.run_id,
        **{name: getattr(request, name) for name in ("source", "destination", "workload")},
        "at_work": asdict(other),
        "message": f"Run {other.run_id} is still at work on {request.source}, {instead}",
        "wait_seconds": wait_seconds(mine.started_at, datetime.now(UTC)),
    }


def _planned(request: RunRequest, folder: RunFolder, s3: S3, settings: FunctionSettings) -> bool:
    """Plan the run here, where that takes seconds; whether it has its plan now.

    Raises:
        RunIdentityError: There is a plan, and it is for something else.
    """
    if not settings.jobs_code:
        return False
    last_moment = time.monotonic() + PLANNING_SECONDS

    def check() -> None:
        if time.monotonic() > last_moment:
            raise StoppedError("the plan job takes over")

    maker = PlanMaker(
        s3,
        code_text(settings.code_version, settings.jobs_code, settings.image),
        timestamp=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"),
        check=check,
        concurrency=CONNECTIONS,
    )
    try:
        plan = plan_small_source(request, folder, maker, Keeping.of)
        if plan is None:
            return False
        name_removed(plan, folder, s3)
    except (StorageError, ListingError, OSError) as error:  # OSError: a listing that /tmp has no room for
        logger.info("left to the plan job", extra={"reason": str(error)})  # it has more tries, time and room
        return False
    return True


def _parse(given: Any, settings: FunctionSettings) -> RunRequest:
    """Check the request, and that its workload may run here; where it names no queue, the first rule that fits does."""
    request = RunRequest.parse(given, queues=tuple(settings.queues))
    check_public(request, settings.public_buckets)
    check_allowed(request.workload, settings.allowed_workloads)
    settings.check_workload_secrets()
    check_code_allowed(request.code, settings.allowed_workloads)
    if "queue" in given:
        return request
    uris = [request.source] if request.keys is None else [f"{request.source}{key}" for key in request.keys]
    return replace(request, queue=queue_by_rule(settings.queue_rules, uris) or request.queue)


def _id_of_a_new_run(execution_name: str) -> str:
    try:
        return checked_run_id(execution_name)
    except InvalidRunRequest as error:
        raise InvalidRunRequest("the execution's name", execution_name, error.allowed) from None


def _require_bucket(field: str, folder: str, s3: S3, reason: str = "") -> None:
    """Look at one key: a bucket that is missing or denied is found now, not by a job in ten minutes.

    Args:
        field: The request's field, for the error.
        folder: The folder.
        s3: Where it is.
        reason: A sentence on what may be behind it if S3 refuses.
    """
    uri = S3Uri.parse(folder)
    try:
        next(iter(s3.list(uri.bucket, uri.key)), None)
    except BucketNotFoundError:
        raise InvalidRunRequest(
            field, folder, f"a folder of a bucket that exists; there is no bucket {uri.bucket}"
        ) from None
    except AccessDeniedError:
        raise InvalidRunRequest(
            field,
            folder,
            f"a folder of a bucket that this stack may list; bucket {uri.bucket} refuses it"
            + (f". {reason}" if reason else ""),
        ) from None


def _why_refused(request: RunRequest, settings: FunctionSettings) -> str:
    """What may be behind S3's refusal to list the source, in sentences; empty where nothing is known."""
    reason = refusal(request, settings.public_buckets)
    if not settings.sources or S3Uri.parse(request.source).bucket in settings.public_buckets:
        return reason
    if request.source.startswith(settings.sources):
        mine = (
            "It is among the stack's sources, so its own policy refuses the stack: millrace doctor says what it needs"
        )
    else:
        mine = f"The stack reads {' or '.join(settings.sources)}, and what runs wrote into its result bucket"
    return ". ".join(filter(None, (mine, reason)))


def _require_link(link: RunRequest, s3: S3, settings: FunctionSettings) -> None:
    """See that a run that follows could start: what is wrong is found before the first one works for hours."""
    try:
        RunRequest.parse(link.to_json(), queues=tuple(settings.queues))
        check_public(link, settings.public_buckets)
        check_allowed(link.workload, settings.allowed_workloads)
        check_code_allowed(link.code, settings.allowed_workloads)
        _require_bucket("source", link.source, source_s3(s3, link), _why_refused(link, settings))
        _require_bucket("destination", link.destination, s3)
        _require_code(link.code, s3)
    except InvalidRunRequest as error:
        raise InvalidRunRequest(f"then.{error.field}", error.value, error.allowed) from None


def _require_code(code: str | None, s3: S3) -> None:
    """Look at the zip of the run's code: the jobs check what is in it."""
    if code is None:
        return
    try:
        size = s3.head(S3Uri.parse(code, "code")).size
    except (ObjectNotFoundError, AccessDeniedError) as error:
        allowed = "a zip that is there and that this stack may read; pack and upload it: millrace run --code FOLDER"
        raise InvalidRunRequest("code", code, f"{allowed} ({error.message})") from None
    if size > MAX_PACKED_BYTES:
        raise InvalidRunRequest("code", code, f"a zip of at most {MAX_PACKED_BYTES:,} bytes; it has {size:,}")


def _write_request(folder: RunFolder, document: dict[str, Any], s3: S3) -> None:
    if _put_request(folder, document, s3):
        return
    found = read_request(folder, s3) or {}
    if any(found.get(name) != document[name] for name in EXECUTION):
        # The very same execution finds its own file when Step Functions calls a second time.
        raise InvalidRunRequest(
            "the execution's name",
            folder.run_id,
            f"a name that no earlier run had: {folder.root} is taken; "
            f'to resume that run, put "run_id": "{folder.run_id}" into the input',
        )


def _put_request(folder: RunFolder, document: dict[str, Any], s3: S3) -> bool:
    """Write run.json, unless there is one; whether it was written."""
    body = json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
    return s3.put_if_absent(folder.request, body, content_type="application/json")


def _compare_request(folder: RunFolder, request: RunRequest, s3: S3, settings: FunctionSettings) -> None:
    found = read_request(folder, s3)
    if found is None:
        raise InvalidRunRequest(
            "run_id", folder.run_id, f"the id of an earlier run to {request.destination}; {folder.request} is not there"
        )
    earlier = {**found["request"], "code version": found.get("code_version")}
    asked = {**request.to_json(), "code version": settings.code_version}
    free = (*RESUMABLE, *OF_A_RERUN) if request.retry_failed else RESUMABLE
    differing = [name for name in asked if name not in free and asked[name] != earlier.get(name)]
    if differing:
        was = "; ".join(
            f"{name} was {shortened(json.dumps(earlier.get(name)))}, is {shortened(json.dumps(asked[name]))}"
            for name in differing
        )
        raise RunIdentityError(
            f"this run was started with another request: {was}. Start a new run for this one.",
            operation="resume the run",
            target=str(folder.root),
        )
