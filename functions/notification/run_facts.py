"""What is known of a run that ended, from its folder and from Batch: as much as is there, nothing of it required."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.events import RunEnded, json_object
from millrace.cost.run_cost import run_cost, write_cost
from millrace.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    DamagedFileError,
    InvalidRunRequest,
    ObjectNotFoundError,
    StorageError,
)
from millrace.layout import RunFolder, S3Uri
from millrace.records.files import read_result
from millrace.records.folders import newest_folder
from millrace.s3.verbs import S3

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

Answer = TypeVar("Answer")

SHOWN_ERRORS = 3
"""How many error codes a message shows, the most frequent first."""

SEARCHED_BYTES = 16 * 2**20
"""How much of failures.jsonl is searched for examples."""


@dataclass(frozen=True, slots=True)
class FailureExample:
    """One error code, how many items have it, and one of them; the key is empty where none was found.

    Its message stays in the run folder: it may quote the object, or what a command said of it.
    """

    error_code: str
    count: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run beyond its execution.

    Attributes:
        workload: The workload's name.
        planned: items, bytes and shards of the plan; None where the run ended before it was made.
        committed: How many shards have their commit; None where there is no plan.
        result: result.json, where the run came as far as to write it; empty where it did not.
        failures: The most frequent error codes.
    """

    workload: str | None = None
    planned: Mapping[str, int] | None = None
    committed: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[FailureExample, ...] = ()


def read_run_facts(ended: RunEnded, s3: S3) -> RunFacts:
    """Look into the folder of a run.

    Args:
        ended: The run's end.
        s3: The client to read with. What it may not read, and what is not there, is simply not known.

    Raises:
        StorageError: S3 is broken or busy: trying again helps.
    """
    base = ended.folder
    if base is None:
        return RunFacts()
    request = _object(s3, base.request).get("request")
    workload = request.get("workload") if isinstance(request, dict) else None
    # What an execution that ended early was at work on is the newest retry, where the run has any.
    folder = _known(lambda: newest_folder(base, s3)) or base
    plan = _object(s3, folder.plan)
    planned = {to: plan[name] for to, name in (("items", "items"), ("bytes", "total_bytes"), ("shards", "shards"))
               if isinstance(plan.get(name), int)}  # fmt: skip
    if ended.status == "SUCCEEDED" or _merge_failed(ended):
        # An earlier end of the same run may have left a result: only these two ends wrote the one that is there.
        # A result that does not match its plan is not reported; the execution's output is Step Functions' own.
        result = _known(lambda: read_result(folder, s3)) or dict(ended.output)
        committed = planned.get("shards")
    else:
        result, committed = {}, _committed(s3, folder) if planned else None
    failures = result.get("failures")
    return RunFacts(
        workload=workload or plan.get("workload"),
        planned=planned or None,
        committed=committed,
        result=result,
        failures=_examples(s3, _rows_uri(result, folder), failures) if isinstance(failures, dict) else (),
    )


def _rows_uri(result: Mapping[str, Any], folder: RunFolder) -> S3Uri:
    """Where the failed items' rows are: result.json says it."""
    try:
        return S3Uri.parse(result.get("failure_rows"))
    except InvalidRunRequest:
        return folder.file("failures.jsonl")


def _merge_failed(ended: RunEnded) -> bool:
    """Whether the job that ended the execution is its merge job: it fails after it has written its report."""
    return str(json_object(ended.cause).get("JobName", "")).endswith("-merge")


def _object(s3: S3, uri: S3Uri) -> dict[str, Any]:
    """A JSON object of the run folder; empty where there is none that can be read."""
    return json_object(_known(lambda: s3.read(uri).decode(errors="replace")))


def _committed(s3: S3, folder: RunFolder) -> int | None:
    uri = folder.file("shards/")
    return _known(lambda: sum(1 for _ in s3.list(uri.bucket, uri.key)))


def _examples(s3: S3, rows: S3Uri, failures: Mapping[str, int]) -> tuple[FailureExample, ...]:
    shown = sorted(failures.items(), key=lambda each: (-each[1], each[0]))[:SHOWN_ERRORS]
    found: dict[str, str] = {}

    def search() -> None:
        for row in _rows(s3, rows):
            found.setdefault(str(row.get("error_code")), str(row.get("key", "")))
            if all(name in found for name, _ in shown):
                return

    if shown:
        _known(search)
    return tuple(FailureExample(code, count, found.get(code, "")) for code, count in shown)


def _rows(s3: S3, uri: S3Uri) -> Iterator[dict[str, Any]]:
    rest, read = b"", 0
    with s3.open(uri) as chunks:
        for chunk in chunks:
            read += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield json_object(line.decode(errors="replace"))
            if read > SEARCHED_BYTES:
                return


def _known(ask: Callable[[], Answer]) -> Answer | None:
    """The answer; None where there is nothing, nothing that this role may see, or nothing that S3 could hold.

    A run whose destination makes keys too long for S3 was refused, and its end is reported all the same.
    """
    try:
        return ask()
    except (ObjectNotFoundError, BucketNotFoundError, AccessDeniedError, DamagedFileError):
        return None
    except StorageError as error:
        if not error.of_item:  # for good, as where a key is too long for S3: nothing can be there
            raise
        return None


@dataclass(frozen=True, slots=True)
class RunCosts:
    """Works out what runs cost, while Batch still knows their jobs, and keeps it in the run folder.

    Attributes:
        batch: A boto3 Batch client.
        queues: The ARNs of the stack's queues.
    """

    batch: BatchClient
    queues: tuple[str, ...]

    def of_run(self, ended: RunEnded, s3: S3) -> dict[str, Any] | None:
        """What the run has cost; None where nothing is known of its jobs.

        A notification without the cost is better than a late one: Batch that is busy or refuses is no error.

        Raises:
            StorageError: S3 is broken or busy: trying again helps.
        """
        if ended.folder is None or not self.queues:
            return None
        try:
            cost = run_cost(self.batch, self.queues, ended.folder, s3)
        except (ClientError, BotoCoreError):
            return None
        except StorageError as error:
            if not error.of_item:
                raise
            return None  # the folder's name is too long for S3: the run was refused, and cost nothing
        if not cost["usage"]["attempts"]:
            return None
        with suppress(StorageError):  # the notification has it all the same
            write_cost(ended.folder, s3, cost)
        return cost
