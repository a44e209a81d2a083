"""A shard's share of a run of copies: sums, and, where two keys can become one, which keys there are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from millrace.errors import DamagedFileError


@dataclass(frozen=True, slots=True)
class Copied:
    """One copy.

    Attributes:
        size: Its bytes.
        verified_by: What was compared: "checksum", "etag" or "size".
        keys: The copy's key and its source's; None where no other item can have the same.
    """

    size: int
    verified_by: str
    keys: tuple[str, str] | None


class CopyPartial:
    """JSON Lines: an object of sums, then the keys in order."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self._keys: list[tuple[str, str]] = []

    def add(self, contribution: Copied) -> None:
        """Add one copy."""
        self.sums.update({"objects": 1, "bytes": contribution.size, contribution.verified_by: 1})
        if contribution.keys is not None:
            self._keys.append(contribution.keys)

    def write(self, file: BinaryIO) -> None:
        """Write sums and keys."""
        file.write(json.dumps(self.sums, sort_keys=True).encode() + b"\n")
        file.writelines(json.dumps(keys, ensure_ascii=False).encode() + b"\n" for keys in sorted(self._keys))

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote.

        Raises:
            DamagedFileError: It is no partial.
        """
        self.sums.update(read_sums(file))
        self._keys += read_keys(file)


def read_sums(file: BinaryIO) -> dict[str, int]:
    """The sums of a partial, which come first.

    Raises:
        DamagedFileError: It is no partial.
    """
    try:
        sums = json.loads(file.readline())
    except ValueError as error:
        raise _damaged(error) from error
    if not isinstance(sums, dict) or not all(type(value) is int for value in sums.values()):
        raise _damaged(sums)
    return sums


def read_keys(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The keys of a partial, which come behind the sums.

    Raises:
        DamagedFileError: It is no partial.
    """
    for line in file:
        try:
            copy, source = json.loads(line)
        except (ValueError, TypeError) as error:
            raise _damaged(error) from error
        yield copy, source


def _damaged(why: object) -> DamagedFileError:
    return DamagedFileError(f"this is no partial of copies: {why!r}", operation="read the partial")
