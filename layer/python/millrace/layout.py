"""Every S3 key that Millrace reads or writes, and the URIs that name them.

A key is bytes to us: it is never treated as a path, never normalised, never stripped.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from millrace.errors import InvalidRunRequest

RESERVED_NAME = "_millrace"
"""No segment of a destination, or of an item's whole output key, may be this: run folders are below it."""

RESERVED_FOLDER = f"{RESERVED_NAME}/"
"""The folder below a destination that holds the run folders."""

MAX_PARTIAL_SUFFIX_BYTES = 32
"""The longest ending of an own workload's partials; those of the built-in ones are `.jsonl` or shorter."""

MAX_RESULT_NAME_BYTES = 100
"""The longest name of a file of an own workload's result; those of the built-in ones are shorter than a partial's."""

MAX_KEY_BYTES = 1024
"""The longest key in UTF-8 bytes: S3 user guide, object keys."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""S3 user guide, bucket naming rules: 3 to 63 of lower-case letters, digits, dots and hyphens."""

_RETRY = re.compile(r"(?P<base>(?:.*/)?_millrace/[^/]+/)retries/(?P<number>[0-9]{3})/", re.DOTALL)
"""The folder of a retry, in its run's folder."""

MAX_RETRIES = 999
"""How many retries a run may have: their folders' names are three digits."""

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""Step Functions execution names that can also be logged: StartExecution, `name`."""


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key, or a bucket and a prefix; the key may be empty."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: object, field: str = "uri") -> S3Uri:
        """Read `s3://bucket/key`, taking the key as it stands: no decoding, no normalising.

        Args:
            text: What the user gave.
            field: The request's field, for the error.

        Raises:
            InvalidRunRequest: It is not a string, or not of that form.
        """
        form = "s3://bucket/prefix/"
        if not isinstance(text, str) or not text.startswith("s3://"):
            raise InvalidRunRequest(field, text, f"an S3 URI, {form}")
        bucket, _, key = text[len("s3://") :].partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise InvalidRunRequest(field, text, f"{form}, the bucket 3 to 63 of a-z, 0-9, '.' and '-'")
        try:
            length = len(key.encode())
        except UnicodeEncodeError:
            raise InvalidRunRequest(field, ascii(text), "a key of valid Unicode") from None
        if length > MAX_KEY_BYTES:
            raise InvalidRunRequest(field, text, f"a key of at most {MAX_KEY_BYTES} bytes, this one has {length}")
        return cls(bucket, key)

    @classmethod
    def parse_folder(cls, text: object, field: str = "uri") -> S3Uri:
        """Read a folder: as `parse`, and `s3://bucket/docs` means `s3://bucket/docs/`, never `docs2/`."""
        uri = cls.parse(text, field)
        return uri if not uri.key or uri.key.endswith("/") else cls(uri.bucket, uri.key + "/")

    def contains(self, other: S3Uri) -> bool:
        """Whether the other URI is in this folder, or is it."""
        return self.bucket == other.bucket and other.key.startswith(self.key)

    def join(self, relative: str) -> S3Uri:
        """The URI with `relative` put behind the key, character by character."""
        return S3Uri(self.bucket, self.key + relative)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps everything but its items' outputs: `{destination}/_millrace/{run_id}/`.

    A retry of its failed items has a folder of the same shape in it, `retries/001/`.
    """

    root: S3Uri

    @classmethod
    def of(cls, destination: S3Uri, run_id: str) -> RunFolder:
        """The folder of the run `run_id` below a destination folder."""
        return cls(destination.join(f"{RESERVED_FOLDER}{run_id}/"))

    @classmethod
    def of_request(cls, request: S3Uri) -> RunFolder:
        """The folder that a request's URI is in.

        Raises:
            InvalidRunRequest: The URI does not end in `/run.json`.
        """
        if not request.key.endswith("/run.json"):
            raise InvalidRunRequest("request", str(request), "the URI of a run's run.json")
        return cls(S3Uri(request.bucket, request.key[: -len("run.json")]))

    @classmethod
    def of_plan(cls, plan: S3Uri) -> RunFolder:
        """The folder that a plan's URI is in.

        Raises:
            InvalidRunRequest: The URI does not end in `/plan.json`.
        """
        if not plan.key.endswith("/plan.json"):
            raise InvalidRunRequest("plan", str(plan), "the URI of a run's plan.json")
        return cls(S3Uri(plan.bucket, plan.key[: -len("plan.json")]))

    @property
    def base(self) -> RunFolder:
        """The run's own folder, for a retry's folder too."""
        found = _RETRY.fullmatch(self.root.key)
        return RunFolder(S3Uri(self.root.bucket, found["base"])) if found else self

    @property
    def retry(self) -> int:
        """Which retry's folder it is, from 1; 0 for the run's own."""
        found = _RETRY.fullmatch(self.root.key)
        return int(found["number"]) if found else 0

    def of_retry(self, number: int) -> RunFolder:
        """The folder of one of the run's retries; of the run itself for 0."""
        return RunFolder(self.base.root.join(f"retries/{number:03d}/")) if number else self.base

    @property
    def run_id(self) -> str:
        """The last segment of the run's own folder."""
        return self.base.root.key.rstrip("/").rpartition("/")[2]

    @property
    def request(self) -> S3Uri:
        """`run.json`: the checked request."""
        return self.root.join("run.json")

    @property
    def plan(self) -> S3Uri:
        """`plan.json`: counts, bytes, shard count, digest; it never lists the items."""
        return self.root.join("plan.json")

    def shard_items(self, index: int, plan_digest: str) -> S3Uri:
        """`plan/<plan digest>/00042.jsonl`: the items of shard 42.

        The folder is named by the plan's digest, so that two copies of the plan job which listed different objects
        never write over each other: only the folder that plan.json names counts.
        """
        return self.root.join(f"plan/{plan_digest.removeprefix('sha256:')[:16]}/{index:05d}.jsonl")

    def takeover(self, digest: str) -> S3Uri:
        """`plan/takeover.<digest>.jsonl`: what each kept shard is taken over from, where a run reuses an earlier one.

        Args:
            digest: `sha256:…` of the file: as for shard files, only what plan.json names counts.
        """
        return self.root.join(f"plan/takeover.{digest.removeprefix('sha256:')[:16]}.jsonl")

    def planned_removed(self, digest: str) -> S3Uri:
        """`plan/removed.<digest>.jsonl`: what a plan says to be gone; `removed.jsonl` is made of that of plan.json."""
        return self.root.join(f"plan/removed.{digest.removeprefix('sha256:')[:16]}.jsonl")

    def commit(self, index: int) -> S3Uri:
        """`shards/00042.json`: the commit of shard 42, written once."""
        return self.root.join(f"shards/{index:05d}.json")

    @property
    def commits(self) -> S3Uri:
        """`shards/`: where the commits are, and nothing else."""
        return self.root.join("shards/")

    def partial(self, index: int, sha256: str, suffix: str) -> S3Uri:
        """`partials/00042.<digest><suffix>`: named by content, so that copies of a child never overwrite each other."""
        return self.root.join(f"partials/{index:05d}.{sha256[:16]}{suffix}")

    def contributions(self, index: int, sha256: str) -> S3Uri:
        """`contributions/00042.<digest>`: what each item gave, where that is small; named by content like a partial."""
        return self.root.join(f"contributions/{index:05d}.{sha256[:16]}")

    def part_commit(self, part: int) -> S3Uri:
        """`parts/00003.json`: the commit of part 3 of a merge in parts, written once."""
        return self.root.join(f"parts/{part:05d}.json")

    def part_partial(self, part: int, sha256: str, suffix: str) -> S3Uri:
        """`parts/00003.<digest><suffix>`: the partials of that part's shards, merged; named by content."""
        return self.root.join(f"parts/{part:05d}.{sha256[:16]}{suffix}")

    def claim(self, index: int) -> S3Uri:
        """`claims/00042`: who works shard 42 now; a hint that saves double work, never a lock."""
        return self.root.join(f"claims/{index:05d}")

    @property
    def merge_claim(self) -> S3Uri:
        """`claims/merge`: which child of an array merges; a hint like the others."""
        return self.root.join("claims/merge")

    def handed_back(self, job_id: str) -> S3Uri:
        """`claims/handed-back-{job id}`: a small job that did not get through, and left what is left to a full one."""
        return self.root.join(f"claims/handed-back-{job_id}")

    def progress_folder(self, index: int) -> S3Uri:
        """`progress/00042/`: what interrupted attempts of shard 42 saved."""
        return self.root.join(f"progress/{index:05d}/")

    def progress(self, index: int, writer: str) -> S3Uri:
        """`progress/00042/<writer>`: one file per attempt, so that no copy of a child writes over another's.

        Args:
            index: The shard's index.
            writer: Who writes, any text: a job id and an attempt.
        """
        return self.progress_folder(index).join(hashlib.sha256(writer.encode()).hexdigest()[:16])

    def longest_key_bytes(self, *, own_workload: bool) -> int:
        """How long the longest key is that the run or one of its retries may write into its folder, in UTF-8 bytes.

        Args:
            own_workload: Whether the workload is a user's own, whose files may have longer names.
        """
        retry, digest = self.of_retry(MAX_RETRIES), "0" * 64
        suffix = "x" * MAX_PARTIAL_SUFFIX_BYTES if own_workload else ".jsonl"
        keys = [
            *(retry.request, retry.plan, retry.commit(0), retry.part_commit(0), retry.progress(0, "")),
            retry.shard_items(0, digest),
            retry.takeover(digest),
            retry.contributions(0, digest),
            retry.partial(0, digest, suffix),
            retry.part_partial(0, digest, suffix),
            retry.file("x" * MAX_RESULT_NAME_BYTES if own_workload else "contact-sheet.html"),
        ]
        return max(len(uri.key.encode()) for uri in keys)

    def file(self, name: str) -> S3Uri:
        """A file at the top of the folder: `result.json`, `words.csv`, `report.csv`, `failures.jsonl`, `_SUCCESS`."""
        return self.root.join(name)


def output_uri(source: S3Uri, destination: S3Uri, key: str, suffix: str) -> S3Uri:
    """Where an item's output goes: destination, the item's key with the source's prefix cut off, suffix.

    Args:
        source: The source folder.
        destination: The destination folder.
        key: The item's whole key, which begins with the source's.
        suffix: The output's suffix: ".words.txt".
    """
    return destination.join(key[len(source.key) :] + suffix)


def output_fault(output: S3Uri) -> str | None:
    """Why nothing can be written to an output's URI, or None where something can."""
    length = len(output.key.encode())
    if length > MAX_KEY_BYTES:
        return f"the output's key would be {length} bytes long; S3 allows {MAX_KEY_BYTES}"
    if RESERVED_NAME in output.key.split("/"):
        return f"the output would be {output}; no key of an output has a segment {RESERVED_NAME}: run folders have"
    return None


def check_destination(destination: S3Uri, run_id: str, *, own_workload: bool) -> None:
    """See that every file of a run has a key that S3 allows, before anything is worked.

    Args:
        destination: The destination folder.
        run_id: The run's id.
        own_workload: Whether the workload is a user's own, whose files may have longer names.

    Raises:
        InvalidRunRequest: A key would be too long, in the run's folder or in that of a retry.
    """
    longest = RunFolder.of(destination, run_id).longest_key_bytes(own_workload=own_workload)
    if longest > MAX_KEY_BYTES:
        length = len(destination.key.encode())
        raise InvalidRunRequest(
            "destination",
            str(destination),
            f"a folder of at most {length - (longest - MAX_KEY_BYTES)} bytes, this one has {length}: the files of run "
            f"{run_id} would have keys of up to {longest} bytes, and S3 allows {MAX_KEY_BYTES}",
        )


def checked_bucket(text: str, field: str) -> str:
    """A bucket's name.

    Args:
        text: What the user gave.
        field: What an error calls it.

    Raises:
        InvalidRunRequest: It is none.
    """
    if not _BUCKET.fullmatch(text):
        raise InvalidRunRequest(field, text, "names of buckets, 3 to 63 of a-z, 0-9, '.' and '-', with commas between")
    return text


def source_addresses(text: str) -> tuple[str, ...]:
    """The sources of a stack as addresses: s3://my-letters/, s3://my-scans/2026/.

    Args:
        text: BUCKET or BUCKET/FOLDER with commas between, as the template has them: with or without a slash at the end,
            and with a hyphen in an empty place. May be empty.
    """
    places = (place.strip().strip("/") for place in text.split(","))
    return tuple(f"s3://{place}/" for place in places if place not in ("", "-"))


def checked_run_id(text: object) -> str:
    """A run id as the user gave it.

    Raises:
        InvalidRunRequest: It is not 1 to 80 of `A-Z a-z 0-9 - _`.
    """
    if not isinstance(text, str) or not _RUN_ID.fullmatch(text):
        raise InvalidRunRequest("run_id", text, "1 to 80 letters, digits, '-' and '_'")
    return text
