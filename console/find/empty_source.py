"""What a run without items found: which objects are in its source, and what was probably meant."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any

from console.errors import EmptySourceError
from console.find.aws import Aws
from console.find.run_lookup import FoundRun
from console.terminal import Terminal
from millrace.errors import ObjectNotFoundError, StorageError
from millrace.layout import S3Uri
from millrace.records.files import plan_if_there
from millrace.s3.verbs import S3
from millrace.text import plural, visible

NAMED = 3
"""How many keys are named."""


def check_not_empty(
    aws: Aws,
    found: FoundRun,
    result: Mapping[str, Any],
    terminal: Terminal,
    *,
    allowed: bool,
    directory: Path | None = None,
    public: Callable[[], frozenset[str]] = frozenset,
) -> None:
    """Say what was there when a run worked no item.

    Args:
        aws: Where it ran.
        found: The run.
        result: Its result.json.
        terminal: Gets the message where an empty run is allowed.
        allowed: Whether the user expects that there may be nothing: `--allow-empty`.
        directory: The folder of this machine that was the source, if one was.
        public: Gives the stack's buckets of public data.

    Raises:
        EmptySourceError: There was nothing, and that is not allowed.
    """
    if result["counts"]["items"]:
        return
    words = what_was_there(aws, found, directory, public())
    if not allowed:
        raise EmptySourceError(f"{words} To accept an empty run: --allow-empty", operation="run", target=found.run_id)
    terminal.note(f"Nothing was worked: {words}")


def what_was_there(
    aws: Aws, found: FoundRun, directory: Path | None = None, public: frozenset[str] = frozenset()
) -> str:
    """A sentence on what the source of an empty run holds, and one on what would find items.

    Args:
        aws: Where it ran.
        found: The run.
        directory: The folder of this machine that was the source, if one was.
        public: The stack's buckets of public data.
    """
    folder = S3Uri.parse_folder(found.request["source"], "source")
    name = visible(str(folder))
    if found.request.get("manifest"):
        return f"the manifest {visible(str(found.request['manifest']))} names no object of {name} to work."
    plan = plan_if_there(found.run.folder, aws.s3)
    skipped = {} if plan is None else {reason: count for reason, count in plan.skipped.items() if count}
    s3 = aws.s3_reading(public) if public else aws.s3
    if found.request.get("requester_pays"):
        s3 = s3.paying(folder.bucket)
    try:
        if skipped.keys() & {"not_included", "excluded"}:
            return _filtered(s3, folder, found.request, skipped)
        if skipped:
            return f"{name} holds {plural(sum(skipped.values()), 'folder marker')} (empty keys ending in /) only."
        if directory is not None:
            return f"there is no file in {visible(str(directory))}."
        return f"there is no object under {name}. {_nearby(s3, folder)}"
    except StorageError as error:
        # Who starts a run need not be allowed to read its source.
        return f"no object under {name} was to be worked (it cannot be looked at from here: {error.message})."


def _filtered(s3: S3, folder: S3Uri, request: Mapping[str, Any], skipped: Mapping[str, int]) -> str:
    there = plural(sum(skipped.values()), "object")
    patterns = [
        f"{name} {shlex.quote(visible(each))}" for name in ("include", "exclude") for each in request.get(name, [])
    ]
    objects = (each.key for each in s3.list(folder.bucket, folder.key) if not each.key.endswith("/"))
    keys = [visible(key.removeprefix(folder.key)) for key in islice(objects, NAMED)]
    reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in skipped.items())
    return (
        f"{there} under {visible(str(folder))}, none left by {', '.join(patterns)} ({reasons}). "
        f"Patterns match the whole key behind the source: {', '.join(keys)}"
        f"{' …' if sum(skipped.values()) > len(keys) else ''}."
    )


def _nearby(s3: S3, folder: S3Uri) -> str:
    """What begins alike: an object that was given as a folder, or other folders' keys."""
    key = folder.key.removesuffix("/")
    if not key:
        return f"The bucket {folder.bucket} is empty."
    try:
        s3.head(S3Uri(folder.bucket, key))
    except ObjectNotFoundError:
        keys = [each.key for each in islice(s3.list(folder.bucket, key), NAMED)]
        if keys:
            return f"Keys that begin alike: {', '.join(map(visible, keys))}."
        first = [each.key for each in islice(s3.list(folder.bucket), NAMED)]
        if not first:
            return f"The bucket {folder.bucket} is empty."
        return f"No key of the bucket begins so; its first keys: {', '.join(map(visible, first))}."
    parent, slash, name = key.rpartition("/")
    source = shlex.quote(f"s3://{folder.bucket}/{parent}{slash}")
    return (
        f"s3://{folder.bucket}/{visible(key)} is an object, and a source is a folder: "
        f"--source {visible(source)} --include {shlex.quote(visible(escape(name)))} works it alone."
    )
