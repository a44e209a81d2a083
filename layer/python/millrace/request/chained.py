"""`then`: the request of a run that starts when another one has succeeded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.layout import RESERVED_NAME, S3Uri

MOST_RUNS = 5
"""So many runs may follow one another, the first one counted."""

NOT_IN_A_CHAIN = ("run_id", "retry_failed", "once")
"""What would resume a run: the next one is always new."""

RUN_FILES = (f"{RESERVED_NAME}/*", f"*/{RESERVED_NAME}/*")
"""What runs keep in their destinations, beside their outputs: no item of the next run."""

STARTED_BY = "started-by"
"""The tag that says who or what started a run."""


def checked_then(
    value: object,
    source: S3Uri,
    destination: S3Uri,
    earlier: Sequence[S3Uri],
    parse: Callable[[dict[str, Any], tuple[S3Uri, ...]], Any],
) -> dict[str, Any] | None:
    """The field `then`, with all that follows.

    Args:
        value: What the request has; None where nothing follows.
        source: The source of the request that has it.
        destination: The destination of that request: the next one's source, where that names none.
        earlier: The sources of the runs before that one.
        parse: Checks a request: its fields, and the sources of the runs before it.

    Returns:
        It as it was given.

    Raises:
        InvalidRunRequest: It is no request, too many follow one another, or one would write into a source of the chain.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRunRequest("then", value, 'a request, {"workload": "…", "destination": "s3://…"}, or null')
    for name in NOT_IN_A_CHAIN:
        if name in value:
            raise InvalidRunRequest(f"then.{name}", value[name], "nothing: the run that follows is a new one")
    sources = (*earlier, source)
    if len(sources) >= MOST_RUNS:
        raise InvalidRunRequest("then", value, f"at most {MOST_RUNS} runs, one after the other")
    try:
        link = parse(_completed(value, destination), sources)
    except InvalidRunRequest as error:
        raise InvalidRunRequest(f"then.{error.field}", error.value, error.allowed) from None
    written = S3Uri.parse(link.destination)
    for each in sources:
        if each.contains(written) or written.contains(each):
            raise InvalidRunRequest(
                "then.destination",
                link.destination,
                f"a folder apart from {each}, which an earlier run of the chain reads: the runs would go round",
            )
    return dict(value)


def next_run_id(result: str) -> str:
    """The id of the run that follows: made of the result that it follows, so that it is started once.

    Args:
        result: The URI of result.json: the run's, or that of a rerun of its failed items.
    """
    return f"then-{hashlib.sha256(result.encode()).hexdigest()[:32]}"


def next_request(request: Mapping[str, Any], run_id: str, result: str) -> dict[str, Any] | None:
    """The request of the run that follows one that succeeded; None where none does.

    Args:
        request: The checked request, or the execution input, of the run that succeeded.
        run_id: Its id.
        result: The URI of its result.json.
    """
    then = request.get("then")
    if not isinstance(then, Mapping):
        return None
    completed = _completed(then, S3Uri.parse_folder(request.get("destination"), "destination"))
    tags = {**(then.get("tags") or {}), STARTED_BY: f"the run {run_id}"[:256]}
    return {**completed, "tags": tags, "run_id": next_run_id(result), "once": True}


def _completed(then: Mapping[str, Any], destination: S3Uri) -> dict[str, Any]:
    """The request with its source, without the files that runs keep for themselves."""
    exclude = then.get("exclude", [])
    if isinstance(exclude, list):
        exclude = [*exclude, *(pattern for pattern in RUN_FILES if pattern not in exclude)]
    tags = then.get("tags") or {}
    if isinstance(tags, Mapping):
        tags = {STARTED_BY: "a run", **tags}
    return {"source": str(destination), **then, "exclude": exclude, "tags": tags}
