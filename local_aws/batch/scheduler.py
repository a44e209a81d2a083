"""The life of jobs: from SUBMITTED to SUCCEEDED or FAILED, under one lock.

A single thread starts jobs when there is room; every other change comes in from an API call, a timer or an attempt
that ended. How an array's children and the jobs that wait for others move on is in local_aws.batch.progress.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from local_aws.batch.faults import Fault, StartFaults
from local_aws.batch.jobs import ArrayJob, Attempt, Job, Record, Status, now_ms
from local_aws.batch.placement import Placement, never_fits
from local_aws.batch.progress import Progress
from local_aws.batch.ready_queue import ReadyQueue
from local_aws.batch.resources import Body, Resources, share_weight
from local_aws.batch.retry import AttemptEnd
from local_aws.errors import ClientError
from local_aws.scope import Scope

TIMEOUT_REASON = "Job attempt duration exceeded timeout"
TASK_ENDED_REASON = "Essential container in task exited"
NEVER_FITS_REASON = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that "
    "can be met by the CE(s) attached to the job queue."
)


class Changes(Protocol):
    """Called with every change of a job's status, except the submission."""

    def job_changed(self, record: Record) -> None:
        """One job changed."""

    def untouched_changed(self, array: ArrayJob) -> None:
        """All untouched children of the array changed at once."""


class Scheduler:
    """All jobs of the server."""

    def __init__(
        self,
        *,
        resources: Callable[[Scope], Resources],
        changes: Changes,
        max_jobs: int,
        stop_grace_seconds: float,
        run_attempt: Callable[[Job], None],
    ) -> None:
        """Start the thread; `run_attempt` is called in a thread of its own for every attempt."""
        self.lock = threading.RLock()
        self.jobs: dict[str, Record] = {}
        self.start_faults = StartFaults()
        self._resources = resources
        self._placement = Placement(max_jobs)
        self._queues: dict[str, ReadyQueue] = {}
        self._stop_grace_seconds = stop_grace_seconds
        self._run_attempt = run_attempt
        self._work = threading.Condition(self.lock)
        self._record_ended = threading.Condition(self.lock)
        self._closing = False
        self._progress = Progress(self.jobs, changes, self._enqueue, self._record_ended.notify_all)
        threading.Thread(target=self._start_jobs, name="local-aws-scheduler", daemon=True).start()

    # Calls from the API

    def submit(self, record: Record) -> None:
        """Take in a new job.

        Raises:
            ClientError: it depends on a job that does not exist.
        """
        with self.lock:
            for dependency in record.spec.depends_on:
                if dependency.get("jobId") and self.find(dependency["jobId"]) is None:
                    raise ClientError(f"Job {dependency['jobId']} that this one depends on does not exist.")
            self.jobs[record.job_id] = record
            self._progress.admit(record)

    def find(self, job_id: str) -> Record | None:
        """The job with this id, an array's child included, or None; an untouched child only as a preview."""
        parent_id, _, index = job_id.partition(":")
        record = self.jobs.get(parent_id)
        if not index:
            return record
        if isinstance(record, ArrayJob) and index.isdigit() and int(index) < record.size:
            return record.children.get(int(index)) or record.preview(int(index))
        return None

    def terminate(self, record: Record, reason: str) -> None:
        """TerminateJob: end what runs, cancel the rest; a parent reaches every child."""
        with self.lock:
            if isinstance(record, ArrayJob):
                record.terminated = record.terminated or not record.status.ended
                self._progress.fail_untouched(record, reason)
                for child in list(record.children.values()):
                    self.terminate(child, reason)
            elif record.status.started:
                record.terminated = True
                self._stop_attempt(record, reason)
            else:
                self._cancel_one(record, reason)

    def cancel(self, record: Record, reason: str) -> None:
        """CancelJob: end what has not started; a running job continues."""
        with self.lock:
            if isinstance(record, ArrayJob):
                record.cancelled = record.cancelled or not record.status.ended
                self._progress.fail_untouched(record, reason)
                for child in list(record.children.values()):
                    self.cancel(child, reason)
            elif not record.status.started:
                self._cancel_one(record, reason)

    def wait(self, record: Record, timeout_seconds: float | None, given_up: Callable[[], bool]) -> bool:
        """Block until the job has ended (True), or the time is over or `given_up` says so (False)."""
        with self.lock:
            self._record_ended.wait_for(lambda: record.status.ended or given_up(), timeout_seconds)
            return record.status.ended

    def wake_waiters(self) -> None:
        """Make wait() ask `given_up` again."""
        with self.lock:
            self._record_ended.notify_all()

    def wake(self) -> None:
        """Look for jobs to start: a queue or an environment has changed."""
        with self.lock:
            self._work.notify()

    def interrupt(self, job: Job, fault: Fault) -> None:
        """End the running attempt as a lost host or a Spot reclaim would; the retry strategy applies."""
        with self.lock:
            if job.task is None:
                raise ClientError(f"Job {job.job_id} is not running.")
            job.interruption = fault
            job.task.stop(fault.grace_seconds)

    def close(self) -> None:
        """Start nothing more and kill everything that runs."""
        with self.lock:
            self._closing = True
            for record in self.jobs.values():
                running = record.children.values() if isinstance(record, ArrayJob) else [record]
                for job in running:
                    if job.task is not None:
                        job.task.stop(0)

    # Calls from the attempts

    def attempt_running(self, job: Job, attempt_seconds: float | None) -> Callable[[], None] | None:
        """The task runs; returns what to call when attempt_seconds are over, or None: no limit."""
        with self.lock:
            now = now_ms()
            job.attempt.started_at = now
            job.started_at = now
            if job.array is not None and job.array.started_at is None:
                job.array.started_at = now
            self._progress.move(job, Status.RUNNING)
            if (job.stop_reason is not None or self._closing) and job.task is not None:
                job.task.stop(self._stop_grace_seconds)  # terminated while it started
            attempt = job.attempt
        if attempt_seconds is None:
            return None

        def time_is_over() -> None:
            with self.lock:
                if job.current is attempt:
                    self._stop_attempt(job, TIMEOUT_REASON)

        return time_is_over

    def attempt_ended(self, job: Job, end: AttemptEnd) -> None:
        """The attempt is over: succeed, try again, or fail."""
        with self.lock:
            attempt = job.attempt
            attempt.stopped_at = now_ms()
            attempt.exit_code, attempt.reason, attempt.status_reason = end.exit_code, end.reason, end.status_reason
            job.attempts.append(attempt)
            job.current = job.task = job.interruption = None
            self._placement.release(job)
            self._queues[job.spec.queue_arn].stopped(job)
            self._work.notify()
            if end.exit_code == 0 and job.stop_reason is None:
                self._progress.end(job, Status.SUCCEEDED, end.status_reason)
            elif job.stop_reason is None and job.spec.retry.retries(end, len(job.attempts)) and not self._closing:
                self._progress.move(job, Status.RUNNABLE)
                self._enqueue(job, first=True)
            else:
                self._progress.end(job, Status.FAILED, job.stop_reason or end.status_reason)

    # Inside, with the lock held

    def _cancel_one(self, job: Job, reason: str) -> None:
        if not job.status.ended:
            if job.array is not None and job.index is not None:
                job = job.array.child(job.index)
            job.cancelled = True
            self._progress.end(job, Status.FAILED, reason)

    def _stop_attempt(self, job: Job, reason: str) -> None:
        if job.stop_reason is None:
            job.stop_reason = reason
            if job.task is not None:
                job.task.stop(self._stop_grace_seconds)

    def _enqueue(self, record: Record, *, first: bool = False) -> None:
        self._queues.setdefault(record.spec.queue_arn, ReadyQueue()).add(record, first=first)
        self._work.notify()

    def _start_jobs(self) -> None:
        with self._work:
            while not self._closing:
                job = self._next_job()
                if job is None:
                    self._work.wait()
                else:
                    threading.Thread(target=self._run_attempt, args=(job,), name=job.job_id, daemon=True).start()

    def _next_job(self) -> Job | None:
        if self._placement.full:
            return None
        for resources, queue in self._queues_by_priority():
            ready = self._queues[queue["jobQueueArn"]]
            weight = share_weight(resources.policies.get(queue.get("schedulingPolicyArn", "")))
            for record in ready.candidates(weight):
                environment = self._placement.find(resources, queue, record.spec.vcpus)
                if environment is None:
                    if never_fits(resources, queue, record.spec.vcpus):
                        record.status_reason = NEVER_FITS_REASON
                    continue
                job = ready.take(record)
                if job is not None:
                    self._placement.occupy(job, environment)
                    ready.started(job)
                    self._begin(job)
                    return job
        return None

    def _begin(self, job: Job) -> None:
        task_id = f"{int.from_bytes(job.job_id.encode(), 'big') % 16**24:024x}{len(job.attempts):08x}"
        job.current = Attempt(started_at=now_ms(), task_arn=job.spec.scope.arn("ecs", f"task/AWSBatch/{task_id}"))
        job.status_reason = None
        self._progress.move(job, Status.STARTING)

    def _queues_by_priority(self) -> list[tuple[Resources, Body]]:
        scopes = {record_scope(arn) for arn in self._queues}
        found = [
            (resources, queue)
            for resources in map(self._resources, scopes)
            for arn, queue in resources.queues.items()
            if arn in self._queues
        ]
        return sorted(found, key=lambda item: -int(item[1].get("priority", 0)))


def record_scope(arn: str) -> Scope:
    """The account and region in an ARN."""
    parts = arn.split(":")
    return Scope(account=parts[4], region=parts[3])
