"""Which kind of object a key names: the simulator's own reading of the layout, apart from millrace/layout.py."""

from __future__ import annotations

import re

SOURCE, RESULT = "source", "result"
SOURCE_PREFIX, RESULT_PREFIX = "in/", "out/"
_RUN = re.compile(re.escape(RESULT_PREFIX) + r"_millrace/([A-Za-z0-9_-]+(?:/retries/[0-9]{3})?)/(.*)", re.DOTALL)
_FOLDERS = {
    "plan": "shard file",
    "shards": "commit",
    "claims": "claim",
    "partials": "partial",
    "contributions": "contributions",
    "progress": "progress",
}
_WRITING = re.compile(re.escape(RESULT_PREFIX) + r"_millrace/writing-[0-9a-f]{16}-[0-9a-f]{16}\.json")
LATEST = f"{RESULT_PREFIX}_millrace/latest.json"
OWN_FILES = (
    "run.json",
    "plan.json",
    "removed.jsonl",
    "failures.jsonl",
    "report.csv",
    "result.json",
    "report.html",
    "_SUCCESS",
    "_INCOMPLETE",
)


def run_of(bucket: str, key: str) -> str | None:
    """The run whose folder a key is in: `run`, or `run/retries/001` for a retry of its failed items."""
    found = _RUN.fullmatch(key) if bucket == RESULT else None
    return found[1] if found else None


def kind_of(bucket: str, key: str) -> str:
    """What an object is: source, output, progress, a file's own name, merged file, or as `_FOLDERS` and parts/ say."""
    if bucket == SOURCE:
        return "source"
    if key == LATEST or _WRITING.fullmatch(key):
        return "latest.json" if key == LATEST else "writing"
    found = _RUN.fullmatch(key)
    if not found:
        return "output" if not key.endswith("/") else "folder"
    rest = found[2]
    folder, slash, name = rest.partition("/")
    if folder == "parts":
        return "part commit" if rest.endswith(".json") and rest.count(".") == 1 else "part"
    if slash:
        # What is kept and what is gone lies beside the folders of shard files.
        return "compared" if folder == "plan" and "/" not in name else _FOLDERS.get(folder, "unknown file")
    return rest if rest in OWN_FILES else "merged file"


def run_of_uri(uri: str) -> str:
    """The run whose folder a URI is in, as `run_of` gives it."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return run_of(bucket, key) or ""


def first_of(run_id: str) -> str:
    """The run itself, given it or one of its retries."""
    return run_id.partition("/")[0]


def number_of(run_id: str) -> int:
    """Which retry it is; 0 for the run itself."""
    return int(run_id.rpartition("/")[2]) if "/" in run_id else 0


def retry_of(run_id: str, number: int) -> str:
    """A run's retry, or the run itself for 0."""
    return f"{first_of(run_id)}/retries/{number:03d}" if number else first_of(run_id)


def run_key(run_id: str, name: str) -> str:
    """The key of a file in a run's folder."""
    return f"{RESULT_PREFIX}_millrace/{run_id}/{name}"


def shard_of(key: str) -> int:
    """The index of a shard, from the key of its commit or its file."""
    return int(key.rpartition("/")[2].partition(".")[0])
