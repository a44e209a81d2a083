"""The promises, in words, and how often each was checked."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from tests.simulation.errors import Violation


class Promise(StrEnum):
    """What is checked; the numbers are those of the design's promises."""

    PLANNED = "1: the plan holds every object that was there, each once, and none that was not"
    ONE_ROW = "1: every planned item has exactly one row, in the plan's order"
    ROW_HAS_CAUSE = "1: no row says what did not happen"
    COUNTS = "1: the counts add up"
    REPORT = "1: report.csv and failures.jsonl say what the commits say"
    MERGED = "2: the merged result is what an independent sum over the succeeded items gives"
    SAME_BYTES = "2: a run that was interrupted gives the bytes of one that was not"
    PARTIAL_ONCE = "2: a partial is never overwritten by another"
    COMMIT_ONCE = "2: commits, plan.json and run.json are written once and never changed"
    COMMIT_LAST = "2: a commit comes after the outputs and the partial that it names"
    OUTPUT_RIGHT = "2: an output holds what its planned object gives"
    OUTPUT_THERE = "2: every succeeded item has its output"
    NO_FAILED_OUTPUT = "2: a failed item has no output of its run once all copies are quiet"
    DELETES_OWN = "2: only outputs of failed items of the same run are deleted"
    PLAN_FIRST = "2: no shard is committed before the plan is there"
    REUSED = "5: what is taken over of an earlier run is what that run says of the same objects"
    SUCCESS_LAST = "3: _SUCCESS comes last, once, and only to a complete run"
    FINAL = "3: nothing in a complete run's result changes any more"
    FORGED = "3: what is forged or damaged in a result is not believed: running again makes it good"
    OTHER_RUNS = "3: no run touches another run's folder"
    NO_LISTING = "3: merge lists nothing, and reads what plan and commits name"
    ONE_MARK = "3: a run that failed too often is marked _INCOMPLETE, and one that was accepted is not any more"
    NOT_COMPLETE = "3: a run that failed is not marked complete, and its failure is within the rules"
    CONDITIONAL = "4: items are read with the planned ETag and version"
    NOT_AGAIN = "5: a committed shard's items are not read again"
    REPEATED = "5: repeating a complete run reads no item and changes nothing"
    FAIL_FAST = "a source that denies everything fails the run, instead of giving a row per item"
    SOURCE = "6: the source is never written"
    ONE_CODE = "5: a run is finished by the code that planned it: other code is refused, and writes nothing"
    ALL_ATTEMPTS = "7: a job fails for good by its own answer, or after all of its attempts"
    ENDS = "7: every run ends, and once nothing disturbs it, completely"
    READABLE = "7: no job finds the run folder damaged or taken"
    DECLARED = "no job meets an error that it does not declare"
    UPLOADS = "an uploaded object is worked by the runs that its events name, and no batch of events starts two"
    OUTPUT_OF_RUN = "the execution's output says what result.json says"


class Promises:
    """Checks, and counts them.

    Args:
        without: Promises that are not checked.

    Attributes:
        checked: How often each was checked.
    """

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.checked: Counter[str] = Counter()
        self._without = without

    def check(self, promise: Promise, kept: object, details: str) -> None:
        """See that a promise is kept.

        Raises:
            Violation: It is not.
        """
        self.checked[promise] += 1
        if not kept and promise.name not in self._without:
            raise Violation(promise, details)
