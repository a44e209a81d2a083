"""Which folder an execution that names an earlier run works in: the run's own, its newest retry's, or a new one's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from millrace.errors import DamagedFileError, InvalidRunRequest, ObjectNotFoundError
from millrace.json_text import check_plain, read_json
from millrace.layout import MAX_RETRIES, RunFolder, S3Uri
from millrace.records.files import plan_if_there
from millrace.s3.verbs import S3

EXECUTION = ("execution_arn", "started_at")
"""What distinguishes two executions: a name may be used again after 90 days (Step Functions, StartExecution)."""


def read_request(folder: RunFolder, s3: S3) -> dict[str, Any] | None:
    """run.json, or None where there is none.

    Raises:
        DamagedFileError: It is not a JSON object with a request.
    """
    try:
        document = read_json(s3.read(folder.request))
        check_plain(document, "run.json")
    except ObjectNotFoundError:
        return None
    except (ValueError, InvalidRunRequest) as error:
        raise _damaged(folder, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("request"), dict):
        raise _damaged(folder, "it holds no request")
    return document


def newest_folder(folder: RunFolder, s3: S3) -> RunFolder:
    """The folder of the run's newest retry, or of the run where it has none."""
    newest = folder.base
    for number in range(1, MAX_RETRIES + 1):
        if read_request(folder.of_retry(number), s3) is None:
            break
        newest = folder.of_retry(number)
    return newest


def retry_folder(folder: RunFolder, document: Mapping[str, Any], s3: S3) -> RunFolder:
    """The folder of the retry that an execution asks for. A retry that has not ended is resumed.

    Args:
        folder: The run's folder.
        document: What the retry's run.json is to say of the execution.
        s3: Where to look and write.

    Raises:
        InvalidRunRequest: The run itself has not come to its end, or has had all the retries that it may have.
    """
    newest = newest_folder(folder, s3)
    if newest.retry:
        there = read_request(newest, s3) or {}
        if not is_there(newest.file("result.json"), s3) or _same_execution(there, document):
            return newest
    elif not is_there(newest.file("result.json"), s3):
        _require_commits(newest, s3)
    if newest.retry == MAX_RETRIES:
        raise InvalidRunRequest("retry_failed", value=True, allowed=f"at most {MAX_RETRIES} times a run")
    added = folder.of_retry(newest.retry + 1)
    # Another execution that asks for the same at the same time may be first; then both use its retry.
    body = json.dumps({"retry": added.retry, **document}, ensure_ascii=False, indent=2).encode() + b"\n"
    s3.put_if_absent(added.request, body, content_type="application/json")
    return added


def is_there(uri: S3Uri, s3: S3) -> bool:
    """Whether there is such an object."""
    try:
        s3.head(uri)
    except ObjectNotFoundError:
        return False
    return True


def _require_commits(folder: RunFolder, s3: S3) -> None:
    plan = plan_if_there(folder, s3)
    if plan is None:
        raise InvalidRunRequest(
            "retry_failed", value=True, allowed="a run that has its plan; resume this one by run_id alone first"
        )
    place = folder.file("shards/")
    there = {found.key for found in s3.list(place.bucket, place.key)}
    missing = sum(folder.commit(index).key not in there for index in range(plan.shards))
    if missing:
        raise InvalidRunRequest(
            "retry_failed",
            value=True,
            allowed=f"a run whose shards are all done, and of this one's {plan.shards} shards {missing} are not; "
            "resume it by run_id alone first",
        )


def _same_execution(there: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    return all(there.get(name) == document.get(name) for name in EXECUTION)


def _damaged(folder: RunFolder, why: str) -> DamagedFileError:
    return DamagedFileError(
        f"this is not a run request: {why}", operation="read the request", target=str(folder.request)
    )
