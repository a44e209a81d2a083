"""The record of a built-in workload: everything that others know of it, declared once, beside its code.

`batch_jobs/workloads/<folder>/record.py` has one, as `RECORD`. It imports `millrace` and the standard library alone:
Prepare Run and the console read it without the workload's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from millrace.errors import InvalidRunRequest
from millrace.workload.compressed import is_packed
from millrace.workload.options import Option
from millrace.workload.pace import Pace

UNKNOWN_PACE = Pace(seconds_per_item=1.0, bytes_per_second=100_000_000, outputs=1)
"""For a workload that depends on what it runs, and for users' own, until a run has shown it, or the request says it."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """What report.html shows of a workload's part of result.json beside its shape.

    Attributes:
        titles: Headings for fields of the result that have a better one than their own name.
        pictures: A merged HTML file of the run whose embedded pictures are shown; empty where there is none.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    pictures: str = ""


def no_outputs(_options: Mapping[str, Any]) -> tuple[str, ...]:
    """The item suffixes of a workload whose items have no outputs, or whose outputs have keys of their own."""
    return ()


def no_comparison(_options: Mapping[str, Any]) -> bool:
    """For a workload whose items never share an output."""
    return False


@dataclass(frozen=True, slots=True)
class WorkloadRecord:
    """One built-in workload.

    Attributes:
        name: As the run request names it; it has no dot and no colon.
        title: What it does, in a few words.
        class_path: Its class, `package.module:Class`. It is imported in the job alone.
        options: What it takes.
        item_suffixes: From the checked options, the suffixes of the outputs that one item may have.
        splits: From the checked options and a key, whether the object may be cut into byte ranges; None where none may.
        cuts_at_records: Whether the plan job reads the object to cut it (`RecordSplitting`).
        pace: How fast a child of one vCPU works it, until a run has shown it.
        memory_mib: The most memory that a job takes for it, in MiB, whatever the items are: measured, and rounded up;
            None where the items, the options or the program decide. It decides whether a small job may work it.
        merge_seconds: From the number of shards and the bytes of their items, about how long one job takes to merge
            (`MergingInParts`); None where it is never done in parts.
        compares_outputs: From the checked options, whether the plan job has to compare the keys of the outputs
            (`ServerSideCopy`), for which it needs the workload's code.
        names_outputs: Whether its items have outputs whose keys it chooses itself (`ServerSideCopy`).
        keeps_contributions: Whether what an item gives is small enough to be kept beside its shard's commit.
        extra: The word of the image's EXTRAS that brings its libraries; empty where every image has them.
        report: Its part of report.html.
    """

    name: str
    title: str
    class_path: str
    options: tuple[Option, ...] = ()
    item_suffixes: Callable[[Mapping[str, Any]], tuple[str, ...]] = no_outputs
    splits: Callable[[Mapping[str, Any], str], bool] | None = None
    cuts_at_records: bool = False
    pace: Pace = UNKNOWN_PACE
    memory_mib: int | None = None
    merge_seconds: Callable[[int, int], float] | None = None
    compares_outputs: Callable[[Mapping[str, Any]], bool] = no_comparison
    names_outputs: bool = False
    keeps_contributions: bool = True
    extra: str = ""
    report: ReportPart = ReportPart()

    def writes_outputs(self, options: Mapping[str, Any]) -> bool:
        """Whether its items have outputs of their own, with these options."""
        return self.names_outputs or bool(self.item_suffixes(options))

    def may_cut(self, options: Mapping[str, Any], key: str) -> bool:
        """Whether the object with this key may be cut into byte ranges."""
        return self.splits is not None and not is_packed(key) and self.splits(options, key)


def check_item_suffixes(name: str, suffixes: object) -> None:
    """Check that no two items can have one output, whatever their keys.

    Where one suffix ends in another, they could: `.json` of the item `a.meta` is `.meta.json` of the item `a`.

    Args:
        name: The field, for the error.
        suffixes: What is put behind the items' keys.

    Raises:
        InvalidRunRequest: They are no tuple of texts, or two items could have one output.
    """
    if not isinstance(suffixes, tuple | list) or not all(isinstance(suffix, str) for suffix in suffixes):
        raise InvalidRunRequest(name, suffixes, 'a tuple of texts, (".lines",): with one alone, mind the comma')
    for one, other in permutations(suffixes, 2):
        if one.endswith(other):
            raise InvalidRunRequest(
                name,
                list(suffixes),
                f"suffixes of which none ends in another: with {one!r} and {other!r}, outputs of two items could have "
                f"one key, as a{one} is the output of a and, with {other!r}, of a{one.removesuffix(other)}",
            )
