"""A run's results: reading them, and bringing them into a folder of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from console.aws import Aws, workers
from console.downloads import Downloaded, download
from millrace.errors import ObjectNotFoundError
from millrace.layout import RunFolder, S3Uri

RESULTS = ("result.json", "report.csv", "failures.jsonl", "report.html")
"""What every run leaves at the top of its run folder, beside the workload's own files."""

MARKS = ("_SUCCESS", "_INCOMPLETE")
"""One of them is written last in the run folder, and last in the folder of this machine."""


def read_result(aws: Aws, folder: RunFolder) -> dict[str, Any] | None:
    """result.json; None where the run did not come so far."""
    text = _read(aws, folder.file("result.json"))
    if text is None:
        return None
    result: dict[str, Any] = json.loads(text)
    return result


def failure_examples(aws: Aws, folder: RunFolder, result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The first failed item of each error code, a row of failures.jsonl, where there is one.

    Args:
        aws: Where the run ran.
        folder: The run folder.
        result: Its result.json.
    """
    missing, found = set(result.get("failures", {})), dict[str, dict[str, Any]]()
    if not missing:
        return found
    try:
        with aws.s3.open(_uri(result.get("failure_rows"), folder.file("failures.jsonl"))) as chunks:
            for line in _lines(chunks):
                row = json.loads(line)
                if row.get("error_code") in missing:
                    found[row["error_code"]] = row
                    missing.discard(row["error_code"])
                if not missing:
                    break
    except ObjectNotFoundError:
        return found
    return found


def result_files(result: Mapping[str, Any], folder: RunFolder) -> dict[str, str]:
    """The URIs of a run's results, by name: its report, its failed rows and the workload's files."""
    return {
        **result.get("files", {}),
        "report.csv": str(_uri(result.get("report"), folder.file("report.csv"))),
        "failures.jsonl": str(_uri(result.get("failure_rows"), folder.file("failures.jsonl"))),
        "report.html": str(_uri(result.get("page"), folder.file("report.html"))),
        "result.json": str(folder.file("result.json")),
    }


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
    for name in MARKS:
        (directory / name).unlink(missing_ok=True)
    # After a retry some lie elsewhere: result.json says where.
    places = {name: folder.file(name) for name in RESULTS}
    places |= {name: S3Uri.parse(uri) for name, uri in result_files(result, folder).items()}
    results = [(name, uri) for name, uri in places.items() if _is_there(aws, uri)]
    retries = (result.get("retry") or {}).get("number", 0)
    made = dict.fromkeys(uri for number in range(retries + 1) for uri in outputs_of(aws, folder.of_retry(number)))
    outputs = ((uri.key.removeprefix(destination.key), uri) for uri in made if destination.contains(uri))
    done = download(aws, [*results, *outputs], directory, moved)
    marks = [(name, folder.file(name)) for name in MARKS if _is_there(aws, folder.file(name))][:1]
    done.files += download(aws, marks, directory, lambda _done, _total: None).files
    return done


def outputs_of(aws: Aws, folder: RunFolder) -> Iterator[S3Uri]:
    """Every output that a commit of the run names, in shard order."""
    plan = _read(aws, folder.plan)
    shards = json.loads(plan)["shards"] if plan is not None else 0
    with workers() as pool:
        for commit in pool.map(lambda index: _read(aws, folder.commit(index)), range(shards)):
            for outcome in json.loads(commit)["outcomes"] if commit is not None else []:
                yield from map(S3Uri.parse, outcome.get("outputs", []))


def _uri(given: object, otherwise: S3Uri) -> S3Uri:
    return S3Uri.parse(given) if isinstance(given, str) else otherwise


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream, split at line feeds alone; empty ones are left out."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest


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
