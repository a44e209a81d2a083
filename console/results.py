"""A run's results: reading them, and bringing them into a folder of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from console.aws import Aws, workers
from console.downloads import Downloaded, download
from millrace.errors import ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri

RESULTS = ("result.json", "report.csv", "failures.jsonl", "report.html")
"""What every run leaves at the top of its run folder, beside the workload's own files."""

LAST = "_SUCCESS"
"""Written last in the run folder, and last in the folder of this machine."""


def read_result(aws: Aws, folder: RunFolder) -> dict[str, Any] | None:
    """result.json; None where the run did not come so far."""
    text = _read(aws, folder.file("result.json"))
    if text is None:
        return None
    result: dict[str, Any] = json.loads(text)
    return result


def failure_examples(aws: Aws, folder: RunFolder, codes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The first row of failures.jsonl for each error code, where there is one."""
    missing, found = set(codes), dict[str, dict[str, Any]]()
    if not missing:
        return found
    for line in (_read(aws, folder.file("failures.jsonl")) or b"").split(b"\n"):
        row = json.loads(line) if line else {}
        if row.get("error_code") in missing:
            found[row["error_code"]] = row
            missing.discard(row["error_code"])
    return found


def fetch(
    aws: Aws,
    folder: RunFolder,
    result: dict[str, Any],
    *,
    destination: S3Uri,
    directory: Path,
    moved: Callable[[int, int], None],
) -> Downloaded:
    """Write a run's results and its items' outputs into a folder of this machine.

    What the items made is read from the commits, so that outputs of other runs to this destination are left alone.

    Args:
        aws: Where the run ran.
        folder: The run folder.
        result: Its result.json.
        destination: The run's destination.
        directory: The folder; it must be there.
        moved: Called with the number of files written and their whole number.
    """
    # An earlier run's mark must not stand beside this run's files, and ours not before they are all there.
    (directory / LAST).unlink(missing_ok=True)
    names = dict.fromkeys([*RESULTS, *result.get("files", {})])
    results = [(name, folder.file(name)) for name in names if _is_there(aws, folder.file(name))]
    outputs = (
        (uri.key.removeprefix(destination.key), uri) for uri in outputs_of(aws, folder) if destination.contains(uri)
    )
    done = download(aws, [*results, *outputs], directory, moved)
    if _is_there(aws, folder.file(LAST)):
        mark = download(aws, [(LAST, folder.file(LAST))], directory, lambda _done, _total: None)
        done.files += mark.files
    return done


def outputs_of(aws: Aws, folder: RunFolder) -> Iterator[S3Uri]:
    """Every output that a commit of the run names, in shard order."""
    plan = _read(aws, folder.plan)
    shards = json.loads(plan)["shards"] if plan is not None else 0
    with workers() as pool:
        for commit in pool.map(lambda index: _read(aws, folder.commit(index)), range(shards)):
            for outcome in json.loads(commit)["outcomes"] if commit is not None else []:
                yield from map(S3Uri.parse, outcome.get("outputs", []))


def _is_there(aws: Aws, uri: S3Uri) -> bool:
    try:
        aws.s3.head(uri)
    except ObjectNotFoundError:
        return False
    return True


def _read(aws: Aws, uri: S3Uri) -> bytes | None:
    try:
        return aws.s3.read(uri)
    except ObjectNotFoundError:
        return None
