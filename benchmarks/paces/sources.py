"""What each workload works: items of several sizes, so that the share of an item can be told from that of its bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from benchmarks.csv_to_dynamodb import COLUMNS, chunks
from benchmarks.zipf_text import text

VARIANTS = 8
"""So many different bodies the objects of one size have, in turn."""


@dataclass(frozen=True)
class Group:
    """Objects of one size.

    Attributes:
        name: Where they lie, below `in/`; groups are worked in the order of their names.
        objects: How many there are.
        bodies: What they hold, in turn.
    """

    name: str
    objects: int
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Source:
    """What one workload works.

    Attributes:
        suffix: The end of each key.
        groups: Makes the objects.
        options: The workload's options that are not its defaults.
    """

    suffix: str
    groups: Callable[[], list[Group]]
    options: Mapping[str, Any] = field(default_factory=dict)


def _texts() -> list[Group]:
    """English: up to the range of 64 MiB that a larger object is cut into."""
    body = text("english", 8 << 20)

    def group(name: str, objects: int, size: int) -> Group:
        variants = min(VARIANTS, len(body) // size)
        parts = (body[at * size : (at + 1) * size].decode("utf-8", "ignore") for at in range(variants))
        return Group(name, objects, [part.encode() for part in parts])

    return [
        group("a-2kB", 4000, 2_000), group("b-10kB", 4000, 10_000), group("c-100kB", 2000, 100_000),
        group("d-1MB", 300, 1_000_000), Group("e-64MiB", 8, [body * 8]),
    ]  # fmt: skip


def _tables() -> list[Group]:
    """Rows of 200 bytes; no file is so large that it is cut, as a range is worked like a file."""

    def group(name: str, objects: int, rows: int) -> Group:
        return Group(name, objects, [b"".join(chunks(rows))])

    return [group("a-1", 1500, 1), group("b-10", 1000, 10), group("c-100", 300, 100), group("d-5000", 12, 5000)]


def _pictures() -> list[Group]:
    """JPEG photographs of 0.3, 2 and 12 megapixels."""
    from PIL import Image  # noqa: PLC0415 - not where other workloads are measured

    from benchmarks.images import photograph  # noqa: PLC0415 - as above

    whole = photograph(1)
    picture = Image.open(BytesIO(whole))

    def smaller(width: int, height: int) -> bytes:
        picture.resize((width, height)).save(file := BytesIO(), "JPEG", quality=85)
        return file.getvalue()

    return [
        Group("a-0.3MP", 1000, [smaller(640, 480)]), Group("b-2MP", 300, [smaller(1632, 1224)]),
        Group("c-12MP", 140, [whole]),
    ]  # fmt: skip


def _objects() -> list[Group]:
    """What is copied; S3 copies the bytes, so that their number is all the same to the job."""
    sizes = {"a-1kB": 1000, "b-100kB": 100_000, "c-1MB": 1_000_000}
    return [Group(name, 1500, [bytes(size)]) for name, size in sizes.items()]


SOURCES = {
    "word-count": Source(".txt", _texts),
    "csv-to-dynamodb": Source(".csv", _tables, {"table": "movies", "types": {"vote_average": "N", "vote_count": "N"}}),
    "images": Source(".jpg", _pictures),
    "copy": Source(".bin", _objects),
}
"""By workload. `command` is not among them: what it takes is its program's."""

KEY_COLUMN = COLUMNS[0]
"""The partition key of the table that rows go to."""
