"""Start Uploads: start a run over the objects that were uploaded, from a batch of S3's events in a queue.

Lambda gathers the events for the length of a window and hands over up to 1,000. Each bucket has runs of its own. An
event that comes twice is dropped, and so is one that a later event of the same key supersedes. A run is named after the
events that it is over, so that a batch that comes again starts nothing again. What could not be started goes back to
the queue; what never can goes to the dead-letter queue, and so does what has gone back too often. The message there
says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import botocore.session
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from millrace.errors import DamagedFileError, InvalidRunRequest, MillraceError, shortened
from millrace.json_text import read_json
from millrace.layout import RESERVED_NAME, S3Uri
from millrace.queue_rules import queue_by_rule
from millrace.request.named_keys import MAX_KEYS
from millrace.settings import UploadSettings, aws_region, undelivered_queue_url
from millrace.text import visible

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

logger = Logger()
tracer = Tracer()
metrics = Metrics()
config = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=2, read_timeout=4)
_session = botocore.session.get_session()
_states: Any = _session.create_client("stepfunctions", region_name=aws_region(), config=config)
_queues: Any = _session.create_client("sqs", region_name=aws_region(), config=config)
states: SFNClient = _states
queues: SQSClient = _queues

MOST_RECEIVES = 10
"""How often a message is tried. The template's RedrivePolicy has the same number, for a function that could not."""

MOST_INPUT_BYTES = 200_000
"""Of one run's request. An execution's input holds 262,144 bytes, and so does what Prepare Run is called with, which
has the input in it; and the event on the end of a run leaves a longer input out."""


@dataclass(slots=True)
class Upload:
    """An object that was uploaded.

    Attributes:
        bucket: Where it was put.
        key: Its whole key.
        sequencer: Orders two events of a key, in hexadecimal digits.
        records: The messages on it.
    """

    bucket: str
    key: str
    sequencer: str
    records: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        runs: How many runs there are for it, those among them that an earlier delivery of the batch started.
        uploads: How many objects they are over.
        undone: The messages that nothing was started for, and why; True where trying again can help.
    """

    runs: int = 0
    uploads: int = 0
    undone: list[tuple[Mapping[str, Any], str, bool]] = field(default_factory=list)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The Lambda's entry point: start the runs, bury what is beyond help, name the messages that are to come again."""
    records = event["Records"]
    try:
        settings = UploadSettings.from_environment()
        outcome = start_uploads(records, settings, states)
    except InvalidRunRequest as error:
        outcome = Outcome(undone=[(record, str(error), True) for record in records])
    again = wanted_again(outcome, queues)
    for name, count in (
        ("UploadRuns", outcome.runs),
        ("Uploads", outcome.uploads),
        ("UploadsUndone", len(outcome.undone)),
    ):
        metrics.add_metric(name, MetricUnit.Count, count)
    logger.info("uploads started", extra={"messages": len(records), "runs": outcome.runs, "again": len(again)})
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in again]}


def start_uploads(records: Iterable[Mapping[str, Any]], settings: UploadSettings, states: SFNClient) -> Outcome:
    """Start the runs of a batch.

    Args:
        records: SQS's messages, as Lambda hands them over.
        settings: What the runs have in common, and the rules that choose their queues.
        states: A Step Functions client.
    """
    outcome, newest = Outcome(), dict[tuple[str, str], Upload]()
    buckets = _buckets(settings)
    for record in records:
        try:
            upload = read_upload(record["body"], buckets)
        except MillraceError as error:
            outcome.undone.append((record, str(error), False))
            continue
        if upload is None:
            continue
        known = newest.setdefault((upload.bucket, upload.key), upload)
        known.records.append(record)
        known.sequencer = later(known.sequencer, upload.sequencer)
    for request, uploads in requests(list(newest.values()), settings):
        why = _start(request, settings, states)
        if why is None:
            outcome.runs += 1
            outcome.uploads += len(uploads)
        else:
            outcome.undone += [(record, why, True) for upload in uploads for record in upload.records]
    return outcome


def wanted_again(outcome: Outcome, queues: SQSClient) -> list[Mapping[str, Any]]:
    """The messages that have to come again; the others that nothing was started for go to the dead-letter queue.

    Args:
        outcome: What became of a batch.
        queues: An SQS client.
    """
    return [record for record, why, may_help in outcome.undone if not _bury(record, why, queues, may_help=may_help)]


def read_upload(body: str, buckets: Sequence[str]) -> Upload | None:
    """The object that a message is about; None for one that starts nothing: a folder marker, a run's own file.

    Args:
        body: The message.
        buckets: Whose uploads start runs.

    Raises:
        DamagedFileError: It is not S3's event of an object that was put into one of the buckets.
        InvalidRunRequest: No object can have that key.
    """
    try:
        event = read_json(body)
        detail = event["detail"]
        found, bucket = (event["source"], event["detail-type"]), detail["bucket"]["name"]
        key, size = detail["object"]["key"], detail["object"].get("size")
        sequencer = detail["object"].get("sequencer", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_upload(f"this is not S3's event of an uploaded object: {error!r}") from error
    if found != ("aws.s3", "Object Created") or bucket not in buckets:
        wanted, what = " or ".join(f"s3://{name}/" for name in buckets), shortened(json.dumps([*found, bucket]))
        raise _no_upload(f"this is an event of {what}, not of an object that was put into {wanted}")
    if not isinstance(key, str) or not key or not isinstance(sequencer, str):
        raise _no_upload("its object has no key, or its key or sequencer is no text")
    S3Uri.parse(str(S3Uri(bucket, key)), "detail.object.key")
    if (key.endswith("/") and not size) or RESERVED_NAME in key.split("/"):
        return None
    return Upload(bucket, key, sequencer)


def later(one: str, other: str) -> str:
    """The later of two sequencers of a key: compared at one length, zeros behind (S3 user guide, event messages)."""
    length = max(len(one), len(other))
    return max(one, other, key=lambda sequencer: sequencer.upper().ljust(length, "0"))


def requests(uploads: Sequence[Upload], settings: UploadSettings) -> Iterable[tuple[dict[str, Any], list[Upload]]]:
    """The requests of the runs that are over these objects, with the objects of each.

    It is one request for each bucket, but for a queue of their own of some, and where the keys are too many or too long
    for one. With several buckets each has a folder of its own in the destination: two may have the same keys.
    """
    alike: dict[tuple[str, str | None], list[Upload]] = {}
    for upload in sorted(uploads, key=lambda upload: (upload.bucket, upload.key)):
        queue = None
        if "queue" not in settings.request:
            queue = queue_by_rule(settings.queue_rules, [f"s3://{upload.bucket}/{upload.key}"])
        alike.setdefault((upload.bucket, queue), []).append(upload)
    several = len(_buckets(settings)) > 1
    for (bucket, queue), members in alike.items():
        common = {**settings.request, "source": f"s3://{bucket}/"}
        if several:
            common["destination"] += f"{bucket}/"
        if queue is not None:
            common["queue"] = queue
        for part in _parts(members, MOST_INPUT_BYTES - _bytes({**common, **_named([])})):
            yield {**common, **_named(part), "keys": [upload.key for upload in part]}, part


def _parts(uploads: Iterable[Upload], most_bytes: int) -> Iterable[list[Upload]]:
    part: list[Upload] = []
    left = most_bytes
    for upload in uploads:
        length = _bytes(upload.key) + 2
        if part and (length > left or len(part) == MAX_KEYS):
            yield part
            part, left = [], most_bytes
        part.append(upload)
        left -= length
    if part:
        yield part


def _named(uploads: Iterable[Upload]) -> dict[str, Any]:
    """The run's id, from the events that it is over; `once` lets an execution that asks for it again join the run."""
    events = json.dumps([(upload.bucket, upload.key, upload.sequencer) for upload in uploads])
    return {"run_id": f"upload-{hashlib.sha256(events.encode()).hexdigest()[:32]}", "once": True}


def _bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _start(request: Mapping[str, Any], settings: UploadSettings, states: SFNClient) -> str | None:
    """Start the run, unless it was started; why it could not be, or None."""
    text = json.dumps(request, ensure_ascii=False)
    try:
        states.start_execution(stateMachineArn=settings.state_machine_arn, name=request["run_id"], input=text)
    except states.exceptions.ExecutionAlreadyExists:
        logger.info("the run was started before", extra={"run_id": request["run_id"]})
    except (ClientError, BotoCoreError) as error:
        logger.warning("the run was not started", extra={"run_id": request["run_id"], "reason": str(error)})
        return str(error)
    return None


def _bury(record: Mapping[str, Any], why: str, queues: SQSClient, *, may_help: bool) -> bool:
    """Put a message that nothing was started for into the dead-letter queue, with the reason, if it is its last time.

    Returns:
        Whether it is there, and may leave the queue of uploads.
    """
    tries = int(record["attributes"]["ApproximateReceiveCount"])
    extra = {"message_id": record["messageId"], "reason": why, "tries": tries}
    if may_help and tries < MOST_RECEIVES:
        logger.warning("an upload goes back to the queue", extra=extra)
        return False
    attributes = {"ERROR_CODE": "UPLOAD_NOT_STARTED" if may_help else "NO_UPLOAD", "ERROR_MESSAGE": visible(why, 1000)}
    try:
        queues.send_message(
            QueueUrl=undelivered_queue_url(),
            MessageBody=record["body"],
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("the dead-letter queue takes no message", extra={**extra, "error": str(error)})
        return False
    logger.error("an upload goes to the dead-letter queue", extra=extra)
    return True


def _buckets(settings: UploadSettings) -> Sequence[str]:
    """The buckets whose uploads start runs.

    Raises:
        InvalidRunRequest: The source of the request is no folder in S3.
    """
    return settings.buckets or (S3Uri.parse_folder(settings.request["source"], "UPLOAD_REQUEST").bucket,)


def _no_upload(message: str) -> DamagedFileError:
    return DamagedFileError(message, operation="start the run of an upload", target="message")
