"""What authors of workloads import, all of it from `millrace.workload`; and what is known of the built-in ones.

The workloads themselves are in `batch_jobs/workloads`, a folder each.
"""

from millrace.errors import ErrorCode, ItemError, TryAgainError
from millrace.records.plan import Item, Plan
from millrace.workload.body import ItemBody
from millrace.workload.compressed import decompressed, is_packed
from millrace.workload.contract import (
    LOOK_BACK_BYTES,
    MergingInParts,
    NeedsPlan,
    Outputs,
    Partial,
    RecordSplitting,
    RecordStart,
    ServerSideCopy,
    SmallItems,
    Splitting,
    Workload,
)
from millrace.workload.contribution import KeepsContributions
from millrace.workload.function import workload
from millrace.workload.lines import lines
from millrace.workload.options import Option
from millrace.workload.pace import Pace
from millrace.workload.quantiles import Quantiles
from millrace.workload.record import ReportPart, WorkloadRecord, check_item_suffixes
from millrace.workload.totals import Totals
from millrace.workload.trying import Tried, try_on

__all__ = [
    "LOOK_BACK_BYTES",
    "ErrorCode",
    "Item",
    "ItemBody",
    "ItemError",
    "KeepsContributions",
    "MergingInParts",
    "NeedsPlan",
    "Option",
    "Outputs",
    "Pace",
    "Partial",
    "Plan",
    "Quantiles",
    "RecordSplitting",
    "RecordStart",
    "ReportPart",
    "ServerSideCopy",
    "SmallItems",
    "Splitting",
    "Totals",
    "Tried",
    "TryAgainError",
    "Workload",
    "WorkloadRecord",
    "check_item_suffixes",
    "decompressed",
    "is_packed",
    "lines",
    "try_on",
    "workload",
]
