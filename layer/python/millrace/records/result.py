"""The run's result document, `result.json`: what became of the run, and where its files are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from millrace.json_text import read_json
from millrace.records.outcome import Counts
from millrace.records.plan import Plan
from millrace.records.reused import RunReuse


@dataclass(frozen=True)
class Result:
    """What `result.json` says. It depends on plan, commits and tolerance alone: a repeated merge gives the same bytes.

    Attributes:
        plan: The run's first plan.
        status: SUCCEEDED, SUCCEEDED_WITH_FAILURES or FAILED.
        counts: All items, counted by the rows that count.
        codes: The failed items by error code.
        files: The URIs of the workload's files, by name.
        report: The URI of report.csv.
        failure_rows: The URI of failures.jsonl.
        digests: `sha256:…` of the files by name, report.csv and failures.jsonl among them.
        retry: The retry that it comes from: number, items, succeeded, failed; None for the run's first try.
        worked_by: Shards and items by the Batch job whose children committed them.
        result: The workload's own part, also where more items failed than the run tolerates.
        finished_at: ISO 8601, UTC: when the last shard was finished.
        page: The URI of report.html. It has no digest: it is rewritten when failures are accepted later.
        reuse: What was taken over of an earlier run; None for a run without reuse.
    """

    plan: Plan
    status: str
    counts: Counts
    codes: Mapping[str, int]
    files: Mapping[str, str]
    report: str
    failure_rows: str
    digests: Mapping[str, str]
    retry: Mapping[str, int] | None
    worked_by: Mapping[str, Mapping[str, int]]
    result: Mapping[str, Any] | None
    finished_at: str
    page: str = ""
    reuse: RunReuse | None = None

    @property
    def rank(self) -> tuple[int, bool]:
        """Which of two results of a run replaces the other: the higher one."""
        return (self.retry["number"] if self.retry else 0), self.status != "FAILED"

    def to_json(self) -> bytes:
        """`result.json`, indented for people.

        `content_digest` is over all that does not depend on who worked the run and when. Without it a result with too
        many failures and an accepted one would differ in their status alone, and an edited status pass for acceptance.
        """
        document = {
            "run_id": self.plan.run_id,
            "status": self.status,
            "source": self.plan.source,
            "destination": self.plan.destination,
            "workload": self.plan.workload,
            "options": self.plan.options,
            "plan_digest": self.plan.digest,
            "counts": {**asdict(self.counts), "shards": self.plan.shards},
            "failures": dict(sorted(self.codes.items())),
            "retry": self.retry,
            "files": self.files,
            "report": self.report,
            "failure_rows": self.failure_rows,
            "page": self.page,
            "digests": self.digests,
            "result": self.result,
        }
        content = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
        document |= {
            "content_digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            **({} if self.reuse is None else {"reuse": asdict(self.reuse)}),
            "worked_by": self.worked_by,
            "finished_at": self.finished_at,
        }
        return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def rank_of(text: bytes) -> tuple[int, bool]:
    """The rank of a result.json that is there; the lowest where it is not one."""
    try:
        found = read_json(text)
        number = found["retry"]["number"] if found.get("retry") else 0
        return (number, found["status"] != "FAILED") if type(number) is int else (-1, False)
    except (ValueError, KeyError, TypeError, AttributeError):
        return -1, False


def result_fault(found: Any, plan: Mapping[str, Any]) -> str | None:
    """Why a result.json cannot be the result of a plan, or None.

    Args:
        found: What it says, as JSON.
        plan: The run's first plan, as JSON; what it does not say is not compared.
    """
    try:
        counts, failures = found["counts"], found["failures"]
        given = [counts[name] for name in ("items", "succeeded", "failed")]
        numbers = [*given, counts["bytes"], *failures.values()]
        items, succeeded, failed = given
        status = found["status"]
    except (TypeError, KeyError, AttributeError) as error:
        return f"it is not a result: {error!r}"
    if not all(type(number) is int and number >= 0 for number in numbers):
        return f"it counts {counts} and {failures}"
    compared = (
        ("run", found.get("run_id"), plan.get("run_id")),
        ("plan", found.get("plan_digest"), plan.get("digest")),
        ("number of items", items, plan.get("items")),
        ("number of shards", counts.get("shards"), plan.get("shards")),
    )
    faults = [
        f"its {what} is {says}, and the plan's is {planned}"
        for what, says, planned in compared
        if planned is not None and says != planned
    ]
    if succeeded + failed != items:
        faults.append(f"{succeeded} succeeded and {failed} failed are not {items} items")
    if sum(failures.values()) != failed:
        faults.append(f"its error codes count {sum(failures.values())} failed items, and it says {failed}")
    if (status == "SUCCEEDED") != (not failed):
        faults.append(f"it says {status}, and {failed} items failed")
    return "; ".join(faults) or None
