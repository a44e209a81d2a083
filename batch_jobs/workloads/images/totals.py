"""What a run of the workload `images` adds up: formats, pixels, bytes, and the first pictures for the contact sheet."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from bisect import insort
from collections import Counter
from typing import Any, BinaryIO, NamedTuple

from batch_jobs.workloads.images.contact_sheet import Cell
from millrace.errors import DamagedFileError


class Pictured(NamedTuple):
    """What one item contributes.

    Attributes:
        format: "JPEG".
        pixels: Width times height, as stored.
        bytes: The object's size.
        thumbnail_bytes: The thumbnail's.
        cell: For the contact sheet; None where there is none.
    """

    format: str
    pixels: int
    bytes: int
    thumbnail_bytes: int
    cell: Cell | None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "format": self.format,
            "pixels": self.pixels,
            "bytes": self.bytes,
            "thumbnail_bytes": self.thumbnail_bytes,
            "cell": None if self.cell is None else _cell_to_json(self.cell),
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Pictured:
        """What `to_json` was given."""
        return cls(**given) if given["cell"] is None else cls(**{**given, "cell": _cell_of(given["cell"])})


class ImageTotals:
    """A partial: JSON Lines, the sums first, then the cells of the contact sheet in key order.

    Args:
        cells: How many cells are kept: those of the least keys. Each takes about 4 kB.

    Attributes:
        formats: How many pictures of each format.
        sums: pixels, bytes, thumbnail_bytes.
        cells: In key order.
    """

    def __init__(self, cells: int) -> None:
        self._limit = cells
        self.formats: Counter[str] = Counter()
        self.sums = {"pixels": 0, "bytes": 0, "thumbnail_bytes": 0}
        self.cells: list[Cell] = []

    def add(self, contribution: Pictured) -> None:
        """Add one picture."""
        self.formats[contribution.format] += 1
        sums = self.sums
        sums["pixels"] += contribution.pixels
        sums["bytes"] += contribution.bytes
        sums["thumbnail_bytes"] += contribution.thumbnail_bytes
        if contribution.cell is not None:
            self._keep(contribution.cell)

    def write(self, file: BinaryIO) -> None:
        """Write the partial. The same contributions give the same bytes, in whatever order they were added."""
        head = {"formats": dict(sorted(self.formats.items())), **self.sums}
        file.write(json.dumps(head).encode() + b"\n")
        file.writelines(json.dumps(_cell_to_json(cell), ensure_ascii=False).encode() + b"\n" for cell in self.cells)

    def read(self, file: BinaryIO) -> None:
        """Add what `write` wrote; cells that come too late in key order are not even read.

        Raises:
            DamagedFileError: It is not a partial.
        """
        try:
            head = json.loads(file.readline())
            self.formats.update(head["formats"])
            for name in self.sums:
                self.sums[name] += head[name]
            for line in file:
                if not self._keep(_cell_of(json.loads(line))):
                    break
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFileError(f"this is not a partial: {error}", operation="read the partial") from error

    def _keep(self, cell: Cell) -> bool:
        """Keep the cell, unless there are enough with lesser keys."""
        if len(self.cells) >= self._limit and (not self._limit or cell > self.cells[-1]):
            return False
        insort(self.cells, cell)
        del self.cells[self._limit :]
        return True


def _cell_to_json(cell: Cell) -> dict[str, Any]:
    return {**cell._asdict(), "jpeg": b64encode(cell.jpeg).decode()}


def _cell_of(row: dict[str, Any]) -> Cell:
    return Cell(**{**row, "jpeg": b64decode(row["jpeg"], validate=True)})
