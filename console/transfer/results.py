"""A run's results: reading them, and bringing them into a folder of this machine."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from console.find.aws import Aws, workers
from console.transfer.downloads import Downloaded, Reader, download, folding
from console.transfer.written import WrittenFiles
from millrace.errors import DamagedFileError, ObjectNotFoundError
from millrace.json_text import read_json
from millrace.layout import RESERVED_FOLDER, RunFolder, S3Uri
from millrace.records import files as run_files
from millrace.report.run_report import write_report

RESULTS = ("result.json", "report.csv", "failures.jsonl", "report.html")
"""What every run leaves at the top of its run folder, beside the workload's own files."""

MARKS = ("_SUCCESS", "_INCOMPLETE")
"""One of them is written last in the run folder, and last in the folder of this machine."""


@dataclass
class Fetched(Downloaded):
    """What `fetch` did.

    Attributes:
        own: Where the run's own files are, relative to the folder: "" for the folder itself.
        taken: Those of their names that the folder itself has no room for.
    """

    own: str = ""
    taken: tuple[str, ...] = ()


def read_result(aws: Aws, folder: RunFolder) -> dict[str, Any] | None:
    """result.json; None where the run did not come so far.

    Raises:
        DamagedFileError: It is not a result, or not one of the run's plan.
    """
    return run_files.read_result(folder, aws.s3)


def check_result(aws: Aws, folder: RunFolder, result: dict[str, Any]) -> None:
    """See that a result is what the run's commits say, and its files what it says: all of them are read.

    Raises:
        DamagedFileError: It is not so.
    """
    with TemporaryFile() as report, TemporaryFile() as failures:
        rows = write_report(folder, aws.s3, cast("BinaryIO", report), cast("BinaryIO", failures))
        expected = {**asdict(rows.counts), "shards": rows.plan.shards}
        stated = result["counts"], result["failures"]
        if stated != (expected, dict(rows.codes)):
            raise DamagedFileError(
                f"it says {stated}, and the commits say {expected, dict(rows.codes)}",
                operation="read the result",
                target=str(folder.file("result.json")),
            )
    run_files.check_files(folder, result, aws.s3, sys.maxsize)


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
            for line in lines_of(chunks):
                row = read_json(line)
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
    written: WrittenFiles,
    reader: Reader | None = None,
) -> Fetched:
    """Write a run's results and its items' outputs into a folder of this machine.

    What the items made is read from the commits, so that outputs of other runs to this destination are left alone.
    The run's own files are at the top of the folder, or all of them in `_millrace/{run id}/`, as in S3, where an
    item's output has one of their names, or a file that no run wrote.

    Args:
        aws: Where the run ran.
        folder: The run folder.
        result: Its result.json.
        destination: The run's destination.
        directory: The folder; it must be there.
        moved: Called with the number of files written and their whole number.
        written: What runs wrote into the folder.
        reader: As `download` has it.

    Raises:
        DamagedFileError: A file is not the one that the result names.
    """
    # After a rerun some are elsewhere: result.json says where.
    places = {name: folder.file(name) for name in RESULTS}
    places |= {name: S3Uri.parse(uri) for name, uri in result_files(result, folder).items()}
    results = [(name, uri) for name, uri in places.items() if _is_there(aws, uri)]
    retries = (result.get("retry") or {}).get("number", 0)
    made = dict.fromkeys(uri for number in range(retries + 1) for uri in outputs_of(aws, folder.of_retry(number)))
    outputs = [(uri.key.removeprefix(destination.key), uri) for uri in made if destination.contains(uri)]
    taken = _taken([*(name for name, _ in results), *MARKS], (key for key, _ in outputs), directory, written)
    apart = f"{RESERVED_FOLDER}{folder.run_id}/"
    own = apart if taken else ""
    # An earlier run's mark must not stand beside this run's files, and ours not before they are all there.
    for mark in (place + name for place in ("", apart) for name in MARKS):
        if written.is_ours(mark, directory / mark):
            (directory / mark).unlink()
    done = download(
        aws, [*((own + name, uri) for name, uri in results), *outputs], directory, moved, written, reader=reader
    )
    _check_fetched(folder, result, directory / own)
    # A result that says FAILED is not complete, even with a _SUCCESS beside it.
    names = MARKS[1:] if result.get("status") == "FAILED" else MARKS
    marks = [(own + name, folder.file(name)) for name in names if _is_there(aws, folder.file(name))][:1]
    marked = download(aws, marks, directory, lambda _done, _total: None, written)
    done.files += marked.files
    done.total_bytes += marked.total_bytes
    done.refused += marked.refused
    return Fetched(done.files, done.total_bytes, done.refused, own, taken)


def _taken(names: Iterable[str], outputs: Iterable[str], directory: Path, written: WrittenFiles) -> tuple[str, ...]:
    """Which names at the top of the folder an item's output has, or a file or folder that no run wrote."""
    fold = folding(directory)
    tops = {fold(key.partition("/")[0]) for key in outputs}

    def foreign(path: Path) -> bool:
        return (path.is_symlink() or path.exists()) and not written.is_ours(path.name, path)

    return tuple(name for name in names if fold(name) in tops or foreign(directory / name))


def _check_fetched(folder: RunFolder, result: Mapping[str, Any], directory: Path) -> None:
    for name, digest in result.get("digests", {}).items():
        path = directory / name
        if name not in result_files(result, folder) or not path.is_file():
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != f"sha256:{found}":
            raise DamagedFileError(
                f"it is not the {name} that result.json names; `millrace resume {folder.run_id}` merges the run again",
                operation="fetch the results",
                target=str(path),
            )


def outputs_of(aws: Aws, folder: RunFolder) -> Iterator[S3Uri]:
    """Every output that a commit of the run names, in shard order."""
    plan = _read(aws, folder.plan)
    shards = read_json(plan)["shards"] if plan is not None else 0
    with workers() as pool:
        for commit in pool.map(lambda index: _read(aws, folder.commit(index)), range(shards)):
            for outcome in read_json(commit)["outcomes"] if commit is not None else []:
                yield from map(S3Uri.parse, outcome.get("outputs", []))


def _uri(given: object, otherwise: S3Uri) -> S3Uri:
    return S3Uri.parse(given) if isinstance(given, str) else otherwise


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
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
