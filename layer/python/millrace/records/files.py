"""Reading what a run wrote down: its plan, its commits, its result. None of it is believed because it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from millrace.errors import DamagedFileError, InvalidRunRequest, ObjectNotFoundError, RunIdentityError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.records.commit import HEAD_BYTES, Commit, CommitHead
from millrace.records.plan import Plan
from millrace.records.result import result_fault
from millrace.s3.verbs import S3


def read_plan(folder: RunFolder, s3: S3) -> Plan:
    """The plan in a folder.

    Raises:
        DamagedFileError: plan.json is not a plan, or there is none.
    """
    plan = plan_if_there(folder, s3)
    if plan is None:
        raise DamagedFileError(
            f"there is no plan; run the plan job first, or see why it failed: millrace status {folder.run_id}",
            operation="read the plan",
            target=str(folder.plan),
        )
    return plan


def plan_if_there(folder: RunFolder, s3: S3) -> Plan | None:
    """The plan in a folder, or None where there is none.

    Raises:
        DamagedFileError: plan.json is not a plan.
    """
    try:
        return Plan.from_json(s3.read(folder.plan), str(folder.plan))
    except ObjectNotFoundError:
        return None


def read_commit(folder: RunFolder, index: int, plan: Plan, s3: S3) -> Commit | None:
    """The shard's commit, or None where there is none.

    Raises:
        DamagedFileError: It is not a commit.
        RunIdentityError: It belongs to another plan, or to another version of the code.
    """
    uri = folder.commit(index)
    try:
        commit = Commit.from_json(s3.read(uri), str(uri))
    except ObjectNotFoundError:
        return None
    found = (commit.shard, commit.plan_digest, commit.code_version)
    if found != (index, plan.digest, plan.code_version):
        raise RunIdentityError(
            f"it commits shard {found[0]} of plan {found[1]} by version {found[2]}, "
            f"where shard {index} of plan {plan.digest} by version {plan.code_version} belongs",
            operation="read the commit",
            target=str(uri),
        )
    return commit


def mark_of(plan: Plan) -> bytes:
    """What `_SUCCESS` and `_INCOMPLETE` hold: whose result they mark."""
    return f"{plan.digest}\n".encode()


def is_marked(folder: RunFolder, plan: Plan, s3: S3) -> bool:
    """Whether the result of this plan is marked as complete."""
    try:
        return s3.read(folder.file("_SUCCESS")) == mark_of(plan)
    except ObjectNotFoundError:
        return False


def listed_shards(file: Callable[[int], S3Uri], shards: range, s3: S3) -> Iterator[int]:
    """Of some shards, those that a listing shows a file of: a hint, as merge reads every commit that the plan names.

    Args:
        file: The file of a shard: `RunFolder.commit`, say. All are in one folder.
        shards: Consecutive shards.
        s3: Where to look.
    """
    if not shards:
        return
    before, last = file(shards.start - 1).key if shards.start else "", file(shards.stop - 1)
    folder = last.key[: last.key.rindex("/") + 1]
    for found in s3.list(last.bucket, folder, before):
        if found.key > last.key:
            return
        number = found.key.removeprefix(folder)[:5]
        if number.isdecimal() and file(int(number)).key == found.key:
            yield int(number)


def read_commit_head(uri: S3Uri, s3: S3) -> CommitHead:
    """What stands before a commit's outcomes, whatever their number.

    Raises:
        ObjectNotFoundError: There is no commit.
        ValueError: It does not begin as one.
    """
    with s3.open(uri, first_byte=0, last_byte=HEAD_BYTES - 1) as chunks:
        return CommitHead.of(b"".join(chunks))


def read_result(folder: RunFolder, s3: S3) -> dict[str, Any] | None:
    """What result.json of a run, or of a retry, says; None where there is none.

    Raises:
        DamagedFileError: It is not a result, or not one of the run's plan.
    """
    uri = folder.file("result.json")
    try:
        text = s3.read(uri)
    except ObjectNotFoundError:
        return None
    try:
        plan = read_json(s3.read(folder.base.plan))
    except (ObjectNotFoundError, ValueError):
        plan = None
    try:
        found = read_json(text)
    except ValueError as error:
        raise _not_the_result(folder, f"it is not JSON: {error}") from error
    fault = result_fault(found, plan if isinstance(plan, dict) else {})
    if fault is not None:
        raise _not_the_result(folder, fault)
    result: dict[str, Any] = found
    return result


def check_files(folder: RunFolder, result: dict[str, Any], s3: S3, most_bytes: int) -> None:
    """See that the files of a result are what its digests say.

    Args:
        folder: The folder of the result.
        result: result.json.
        s3: Where to read.
        most_bytes: Larger files are only looked for.

    Raises:
        DamagedFileError: A file is missing, or another one.
    """
    try:
        places = {
            **result["files"],
            "report.csv": result["report"],
            "failures.jsonl": result["failure_rows"],
        }
        wanted = {name: (S3Uri.parse(uri), result["digests"][name]) for name, uri in places.items()}
    except (TypeError, KeyError, AttributeError, InvalidRunRequest) as error:
        raise _not_the_result(folder, f"it names its files wrongly: {error!r}") from error
    for name, (uri, digest) in wanted.items():
        try:
            if s3.head(uri).size <= most_bytes and digest_of(uri, s3) != digest:
                raise _not_the_result(folder, f"{name}, {uri}, is not the file that it names")
        except ObjectNotFoundError:
            raise _not_the_result(folder, f"{name}, {uri}, is not there") from None


def digest_of(uri: S3Uri, s3: S3) -> str:
    """`sha256:…` of an object."""
    digest = hashlib.sha256()
    with s3.open(uri) as chunks:
        for chunk in chunks:
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _not_the_result(folder: RunFolder, why: str) -> DamagedFileError:
    return DamagedFileError(
        f"{why}; `millrace resume {folder.run_id}` merges the run again, from its commits",
        operation="read the result",
        target=str(folder.file("result.json")),
    )


def copy_file(source: S3Uri, destination: S3Uri, s3: S3, size: int | None = None) -> None:
    """Have S3 copy a file of a run, of this size if one is given.

    Raises:
        ObjectNotFoundError: It is not there.
        DamagedFileError: It has another size.
        ChangedError: It was replaced meanwhile.
    """
    head = s3.head(source)
    if size not in {None, head.size}:
        raise DamagedFileError(f"it has {head.size} bytes, not {size}", operation="reuse", target=str(source))
    s3.ask(
        "copy",
        source,
        "copy_object",
        Bucket=destination.bucket,
        Key=destination.key,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        CopySourceIfMatch=head.etag,
        TaggingDirective="REPLACE",  # by none: files of a run have no tags, and to copy some would take two more rights
    )
