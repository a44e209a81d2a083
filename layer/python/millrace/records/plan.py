"""The plan of a run: what is worked, cut into shards; and the way of each part to JSON and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

from millrace.errors import DamagedFileError, InvalidRunRequest, shortened
from millrace.json_text import check_plain, read_json
from millrace.records.reused import PlannedReuse

_text = json.encoder.encode_basestring
"""A string as JSON has it, ASCII or not: a plan writes millions of items, so their lines are put together by hand."""


@dataclass(frozen=True, slots=True)
class Item:
    """One source object, or a byte range of one, as the plan saw it.

    Attributes:
        key: The object's whole key, character by character.
        size: The object's size in bytes (the whole object's, also for a range).
        etag: Its ETag as S3 gave it, quotes included: an opaque token for If-Match.
        version_id: Its version where the bucket is versioned, else None.
        storage_class: Its storage class: STANDARD, GLACIER, ...
        first_byte: Where the range starts, counted from 0; None for a whole object.
        last_byte: The range's last byte, inclusive; None for a whole object.
        first_line: Which line of the object the range begins with, counted from 1, where the plan job read the object
            to cut it where records begin; else None.
        head_bytes: How many bytes of the object's beginning (a header) are read before such a range; 0 for the first.
        shares_output: The key of another item that would have the same output, so that neither is worked; else None.
    """

    key: str
    size: int
    etag: str
    version_id: str | None = None
    storage_class: str = "STANDARD"
    first_byte: int | None = None
    last_byte: int | None = None
    first_line: int | None = None
    head_bytes: int | None = None
    shares_output: str | None = None

    @property
    def length(self) -> int:
        """How many bytes of the object this item covers."""
        if self.first_byte is None or self.last_byte is None:
            return self.size
        return self.last_byte - self.first_byte + 1

    def to_line(self) -> bytes:
        """One line of a shard file, its line feed included. Lone surrogates cannot occur: S3 keys are valid UTF-8."""
        line = f'{{"key":{_text(self.key)},"size":{self.size},"etag":{_text(self.etag)}'
        if self.version_id is not None:
            line += f',"version_id":{_text(self.version_id)}'
        if self.storage_class != "STANDARD":
            line += f',"storage_class":{_text(self.storage_class)}'
        if self.first_byte is not None and self.last_byte is not None:
            line += f',"first_byte":{self.first_byte},"last_byte":{self.last_byte}'
        if self.first_line is not None and self.head_bytes is not None:
            line += f',"first_line":{self.first_line},"head_bytes":{self.head_bytes}'
        if self.shares_output is not None:
            line += f',"shares_output":{_text(self.shares_output)}'
        return f"{line}}}\n".encode()


@dataclass(frozen=True, slots=True)
class Shard:
    """The items that are committed together.

    Attributes:
        index: The shard's number, from 0.
        items: In the plan's order.
    """

    index: int
    items: tuple[Item, ...]

    def to_lines(self) -> bytes:
        """The shard file, JSON Lines in UTF-8."""
        return b"".join(item.to_line() for item in self.items)

    @classmethod
    def from_lines(cls, index: int, lines: Sequence[bytes], name: str) -> Shard:
        """Read a shard file.

        Args:
            index: The shard's index.
            lines: The file's lines, split at line feeds alone.
            name: The file's URI, for the error.

        Raises:
            DamagedFileError: A line is not an item.
        """
        return cls(index, tuple(_items(lines, name)))


@dataclass(frozen=True)
class Plan:
    """What `plan.json` says: small, whatever the number of items.

    Attributes:
        run_id: The run's id.
        source: The source folder's URI.
        destination: The destination folder's URI.
        workload: The workload's name.
        options: Its options, defaults filled in.
        include: The request's include patterns.
        exclude: The request's exclude patterns.
        shards: The number of shards, 0 to 100,000.
        items: The number of items in all shards.
        total_bytes: What the items cover, in bytes.
        skipped: Objects that are not items, by reason: folder_markers, not_included, excluded.
        tolerated_failure_percent: The run fails when more than this share of its items failed.
        code_version: The version of the code that planned.
        digest: `sha256:…` over everything that decides what the run computes: source, destination, workload,
            options, code version, and every shard's items. Commits carry it. `plan_digest` computes it.
        planned_at: ISO 8601, UTC.
        tolerated_failure_count: How many items may fail, where that is more than the percentage allows.
        reads_per_second: How many objects the shards' items may ask S3 for in a second, together; 0 for no limit.
        writes_per_second: How many requests of another kind they may make in a second; 0 for no limit.
        retry: Which retry of the run's failed items this is the plan of, from 1; 0 for the run itself.
        retry_of: The digest of the plan before it: the run's, or that of its last retry; empty for the run itself.
        merge_parts: By how many jobs the partials are merged before one merges what these made; 0 for one job alone.
        code: The zip that holds the workload, as the request names it; None where the image does. Its digest is part of
            code_version.
        pace: How fast one child is expected to work: seconds_per_item and bytes_per_second. The shards were cut by it,
            and the first children are counted by it. None where nothing is known.
        reuse: What is taken over of an earlier run; None for a run without reuse.
        over_keys: Whether the request named single objects, as a run over uploads does.
        requester_pays: Whether what reads the source is on this account's bill. It changes no byte of a result, so the
            digest does not cover it.
        name: What people call the run; None for a run without a name.
        tags: Its tags.
    """

    run_id: str
    source: str
    destination: str
    workload: str
    options: dict[str, Any]
    include: list[str]
    exclude: list[str]
    shards: int
    items: int
    total_bytes: int
    skipped: dict[str, int]
    tolerated_failure_percent: float
    code_version: str
    digest: str
    planned_at: str
    tolerated_failure_count: int = 0
    reads_per_second: int = 0
    writes_per_second: int = 0
    retry: int = 0
    retry_of: str = ""
    merge_parts: int = 0
    code: str | None = None
    pace: dict[str, float] | None = None
    reuse: PlannedReuse | None = None
    over_keys: bool = False
    requester_pays: bool = False
    name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def output_mark(self) -> str:
        """What the outputs of this plan's items are marked with: no copy of an earlier child deletes a retry's."""
        return f"{self.run_id}/retries/{self.retry:03d}" if self.retry else self.run_id

    def shards_of_part(self, part: int) -> range:
        """The shards whose partials a part of the merge holds: about equally many each."""
        return range(self.shards * part // self.merge_parts, self.shards * (part + 1) // self.merge_parts)

    def digest_of(self, items_digests: Iterable[str]) -> str:
        """The digest of this plan, were these its shards."""
        return plan_digest(
            source=self.source,
            destination=self.destination,
            workload=self.workload,
            options=self.options,
            code_version=self.code_version,
            items_digests=items_digests,
            retry_of=self.retry_of,
        )

    def to_json(self) -> bytes:
        """`plan.json`, indented for people."""
        document = asdict(self)
        if self.reuse is None:
            del document["reuse"]
        for unused in ("over_keys", "requester_pays", "name", "tags"):
            if not document[unused]:
                del document[unused]
        return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes, name: str) -> Plan:
        """Read `plan.json`.

        Args:
            text: The file.
            name: Its URI, for the error.

        Raises:
            DamagedFileError: It is not a plan, or one of another version of Millrace.
        """
        try:
            given = read_json(text)
            check_plain(given, "plan.json")
            _check_pace(given.get("pace"))
            reuse = given.get("reuse")
            return cls(**{**given, "reuse": None if reuse is None else PlannedReuse.from_json(reuse)})
        except (ValueError, TypeError, AttributeError, InvalidRunRequest) as error:
            raise DamagedFileError(f"this is not a plan: {error}", operation="read the plan", target=name) from error


def _check_pace(pace: object) -> None:
    """Check that a plan's pace is usable.

    Raises:
        ValueError: It cannot.
    """
    if pace is None:
        return
    numbers = pace.values() if isinstance(pace, dict) and set(pace) == {"seconds_per_item", "bytes_per_second"} else ()
    if not numbers or not all(type(number) in {int, float} and 0 < number < inf for number in numbers):
        raise ValueError(f"pace is {shortened(str(pace))}")


def plan_digest(
    *,
    source: str,
    destination: str,
    workload: str,
    options: Mapping[str, Any],
    code_version: str,
    items_digests: Iterable[str],
    retry_of: str = "",
) -> str:
    """The digest of a plan: of everything that decides what the run computes.

    Args:
        source: The source folder's URI.
        destination: The destination folder's URI.
        workload: The workload's name.
        options: Its options, defaults filled in.
        code_version: The version of the code.
        items_digests: `items_digest` of every shard, in shard order. Merge gets them from the commits: that the
            plan's digest comes out again shows that the commits cover the plan's items, all of them and no others.
        retry_of: For a retry, the digest of the plan before it.

    Returns:
        `sha256:…`.
    """
    head = {
        "source": source,
        "destination": destination,
        "workload": workload,
        "options": options,
        "code_version": code_version,
        **({"retry_of": retry_of} if retry_of else {}),
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    for items in items_digests:
        digest.update(b"\n" + items.encode())
    return f"sha256:{digest.hexdigest()}"


def items_digest(lines: bytes) -> str:
    """The digest of a shard file: `sha256:…`."""
    return f"sha256:{hashlib.sha256(lines).hexdigest()}"


_LINES = 1000
"""So many lines of a shard file are read as one JSON document, in half the time."""


def _items(lines: Sequence[bytes], name: str) -> Iterator[Item]:
    for start in range(0, len(lines), _LINES):
        some = lines[start : start + _LINES]
        try:
            items = [Item(**given) for given in read_json(b"[%b]" % b",".join(some))]
        except (ValueError, TypeError):
            items = []
        yield from items if len(items) == len(some) else _items_one_by_one(some, start, name)


def _items_one_by_one(lines: Iterable[bytes], before: int, name: str) -> Iterator[Item]:
    """What `_items` yields, or the number of the line that is none."""
    for number, line in enumerate(lines, start=before + 1):
        try:
            yield Item(**read_json(line))
        except (ValueError, TypeError) as error:
            raise DamagedFileError(
                f"line {number} is not an item: {error}", operation="read the shard", target=name
            ) from error
