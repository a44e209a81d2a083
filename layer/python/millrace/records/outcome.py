"""What came of one item: its row in the completion report, and how rows are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from millrace.errors import ErrorCode
from millrace.records.plan import Item

Status = Literal["SUCCEEDED", "FAILED"]

MESSAGE_CHARACTERS = 1000
"""A row's message is cut at this length."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item.

    Attributes:
        key: The object's key.
        size: The object's size in bytes, as planned.
        etag: Its ETag, as planned.
        status: SUCCEEDED or FAILED.
        version_id: Its version, where one was planned.
        first_byte: Where the item's range starts; None for a whole object.
        last_byte: The range's last byte, inclusive.
        first_line: The range's first line, where it begins with a record.
        head_bytes: How many bytes of the object's beginning are read before such a range.
        bytes: How many bytes of the object were the item's; 0 for a failed one.
        outputs: The URIs of its outputs.
        error_code: Why it failed.
        http_status: S3's status code, where S3 refused.
        message: What exactly was wrong.
    """

    key: str
    size: int
    etag: str
    status: Status
    version_id: str | None = None
    first_byte: int | None = None
    last_byte: int | None = None
    first_line: int | None = None
    head_bytes: int | None = None
    bytes: int = 0
    outputs: tuple[str, ...] = ()
    error_code: ErrorCode | None = None
    http_status: int | None = None
    message: str | None = None

    @classmethod
    def succeeded(cls, item: Item, outputs: Iterable[str]) -> Outcome:
        """The item was worked; these are its outputs."""
        return cls(**_identity(item), status="SUCCEEDED", bytes=item.length, outputs=tuple(outputs))

    @classmethod
    def failed(cls, item: Item, code: ErrorCode, message: str, http_status: int | None = None) -> Outcome:
        """The item could not be worked."""
        return cls(
            **_identity(item),
            status="FAILED",
            error_code=code,
            message=message[:MESSAGE_CHARACTERS],
            http_status=http_status or None,
        )

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON holds it: without what does not apply."""
        given = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        if self.status == "FAILED":
            del given["bytes"], given["outputs"]
        return given

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Outcome:
        """Read what `to_json` gave.

        Raises:
            TypeError: A field is missing or unknown.
            ValueError: The error code is unknown.
        """
        code = given.get("error_code")
        return cls(
            **{
                **given,
                "outputs": tuple(given.get("outputs", ())),
                "error_code": None if code is None else ErrorCode(code),
            }
        )


_NAMES = tuple(column.name for column in fields(Outcome))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items, and how many bytes the succeeded ones had."""

    items: int = 0
    succeeded: int = 0
    failed: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Counts:
        """The counts of some outcomes."""
        statuses: Counter[str] = Counter()
        size = 0
        for outcome in outcomes:
            statuses[outcome.status] += 1
            size += outcome.bytes
        return cls(statuses.total(), statuses["SUCCEEDED"], statuses["FAILED"], size)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.items + other.items,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.bytes + other.bytes,
        )


def _identity(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "size": item.size,
        "etag": item.etag,
        "version_id": item.version_id,
        "first_byte": item.first_byte,
        "last_byte": item.last_byte,
        "first_line": item.first_line,
        "head_bytes": item.head_bytes,
    }
