"""How jobs move on by themselves: dependencies, an array's children, and the parent that counts them.

Used by the scheduler only, with its lock held.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from local_aws.batch.jobs import ArrayJob, Job, Record, Status, now_ms

DEPENDENCY_REASON = "Dependent Job failed"
CHILD_REASON = "Array Child Job failed"


class _Changes(Protocol):
    def job_changed(self, record: Record) -> None: ...

    def untouched_changed(self, array: ArrayJob) -> None: ...


class Progress:
    """Moves records from state to state and lets everything that follows happen."""

    def __init__(
        self,
        jobs: dict[str, Record],
        changes: _Changes,
        enqueue: Callable[[Record], None],
        record_ended: Callable[[], None],
    ) -> None:
        """Work on these jobs; `enqueue` takes what became runnable, `record_ended` is called when a job ends."""
        self._jobs = jobs
        self._changes = changes
        self._enqueue = enqueue
        self._record_ended = record_ended
        self._dependents: defaultdict[str, list[Record]] = defaultdict(list)
        self._childwise_dependents: defaultdict[str, list[ArrayJob]] = defaultdict(list)

    def admit(self, record: Record) -> None:
        """Take in a submitted job: it waits for others, or becomes runnable."""
        failed = False
        for dependency in record.spec.depends_on:
            if dependency.get("type") == "SEQUENTIAL" and isinstance(record, ArrayJob):
                record.sequential = True
                continue
            other = self._find(dependency["jobId"])
            if dependency.get("type") == "N_TO_N" and isinstance(record, ArrayJob) and isinstance(other, ArrayJob):
                record.n_to_n = (*record.n_to_n, other)
                self._childwise_dependents[other.job_id].append(record)
            elif other is None or other.status is Status.FAILED:
                failed = True
            elif other.status is not Status.SUCCEEDED:
                record.waits_for.add(other.job_id)
                self._dependents[other.job_id].append(record)
        if failed:
            self._fail(record, DEPENDENCY_REASON)
        elif record.waits_for:
            self._wait(record)
        else:
            self._open(record)

    def move(self, job: Job, status: Status) -> None:
        """Change a job's status, and count it for its array."""
        if job.array is not None:
            job.array.counts[job.status] -= 1
            job.array.counts[status] += 1
            job.array.summary_at = now_ms()
        job.status = status
        self._changes.job_changed(job)

    def end(self, job: Job, status: Status, reason: str | None) -> None:
        """End a job; its array and everything that waits for it follow."""
        job.status_reason = reason
        job.stopped_at = now_ms()
        self.move(job, status)
        if job.array is None:
            self._finished(job)
        else:
            self._child_ended(job.array, job)

    def fail_untouched(self, array: ArrayJob, reason: str) -> None:
        """Cancel all children that nothing has happened to yet."""
        waiting = array.size - len(array.children)
        if waiting and not array.untouched_status.ended:
            array.stopped_at = now_ms()
            self._move_untouched(array, Status.FAILED, reason)
            for dependent in self._childwise_dependents.get(array.job_id, ()):
                for index in array.untouched():
                    self._advance_child(dependent, index)
        self._array_progress(array)

    def _find(self, job_id: str) -> Record | None:
        parent_id, _, index = job_id.partition(":")
        record = self._jobs.get(parent_id)
        if index and isinstance(record, ArrayJob):
            return record.children.get(int(index)) or record.preview(int(index))
        return record

    def _wait(self, record: Record) -> None:
        if isinstance(record, ArrayJob):
            self._move_untouched(record, Status.PENDING, None)
            self._move_array(record, Status.PENDING)
        else:
            self.move(record, Status.PENDING)

    def _open(self, record: Record) -> None:
        """Nothing that the whole job waits for is left."""
        if not isinstance(record, ArrayJob):
            self.move(record, Status.RUNNABLE)
            self._enqueue(record)
            return
        if record.status is Status.SUBMITTED:
            self._move_array(record, Status.PENDING)
        if not record.childwise:
            self._move_untouched(record, Status.RUNNABLE, None)
            self._enqueue(record)
            return
        if record.untouched_status is Status.SUBMITTED:
            self._move_untouched(record, Status.PENDING, None)
        for index in range(record.size if record.n_to_n else 1):
            self._advance_child(record, index)

    def _advance_child(self, array: ArrayJob, index: int) -> None:
        """Let a child with dependencies of its own run or fail, if they are decided."""
        if array.waits_for or index >= array.size or array.child_status(index) is not Status.PENDING:
            return
        states = {other.child_status(index) for other in array.n_to_n if index < other.size}
        if array.sequential and index:
            states.add(array.child_status(index - 1))
        if Status.FAILED in states:
            self.end(array.child(index), Status.FAILED, DEPENDENCY_REASON)
        elif states <= {Status.SUCCEEDED}:
            child = array.child(index)
            self.move(child, Status.RUNNABLE)
            self._enqueue(child)

    def _child_ended(self, array: ArrayJob, child: Job) -> None:
        index = child.index or 0
        for dependent in self._childwise_dependents.get(array.job_id, ()):
            self._advance_child(dependent, index)
        if array.sequential and child.status is Status.FAILED:
            self.fail_untouched(array, DEPENDENCY_REASON)
        elif array.sequential:
            self._advance_child(array, index + 1)
        self._release(child)
        self._array_progress(array)

    def _array_progress(self, array: ArrayJob) -> None:
        """End the parent when all children have ended; one failed child fails it, but only then."""
        if array.ended_count == array.size and not array.status.ended:
            array.stopped_at = now_ms()
            failed = array.counts[Status.FAILED] > 0
            array.status_reason = CHILD_REASON if failed else None
            self._move_array(array, Status.FAILED if failed else Status.SUCCEEDED)
            self._finished(array)

    def _fail(self, record: Record, reason: str) -> None:
        if isinstance(record, ArrayJob):
            self.fail_untouched(record, reason)
        else:
            self.end(record, Status.FAILED, reason)

    def _finished(self, record: Record) -> None:
        self._record_ended()
        self._release(record)

    def _release(self, record: Record) -> None:
        for dependent in self._dependents.pop(record.job_id, ()):
            if dependent.status.ended:
                continue
            dependent.waits_for.discard(record.job_id)
            if record.status is Status.FAILED:
                self._fail(dependent, DEPENDENCY_REASON)
            elif not dependent.waits_for:
                self._open(dependent)

    def _move_array(self, array: ArrayJob, status: Status) -> None:
        array.status = status
        self._changes.job_changed(array)

    def _move_untouched(self, array: ArrayJob, status: Status, reason: str | None) -> None:
        count = array.size - len(array.children)
        array.counts[array.untouched_status] -= count
        array.counts[status] += count
        array.untouched_status, array.untouched_reason = status, reason
        array.summary_at = now_ms()
        self._changes.untouched_changed(array)
