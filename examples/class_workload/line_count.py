"""A workload that is a class: how many lines there are. Run it with `--workload line_count:LineCount`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from millrace.workload import Item, Option, Outputs, Totals


class LineCount:
    """Counts lines, as `wc -l` does; writes each object's count to `{key}.lines`."""

    options = (Option("end", "\n", "What ends a line, one character."),)
    partial_suffix = ".json"
    item_suffixes = (".lines",)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._end = options["end"].encode()

    def migrate(self, item: Item, body: Iterable[bytes], outputs: Outputs) -> dict[str, int]:
        """Count the lines of one object."""
        lines = sum(chunk.count(self._end) for chunk in body)
        with outputs.open(".lines", "text/plain") as file:
            file.write(b"%d\n" % lines)
        return {"lines": lines, "bytes": item.size}

    def partial(self) -> Totals:
        """A new, empty sum."""
        return Totals()

    def merge(self, partials: Iterable[BinaryIO], results: Outputs) -> dict[str, int]:  # noqa: ARG002 - no files
        """The lines and bytes of the whole run."""
        return Totals.merged(partials)
