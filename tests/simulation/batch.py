"""AWS Batch, as far as a run sees it: arrays, attempts, retries by exit code, lost hosts, terminated jobs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from millrace.records.sizing import SMALL
from millrace.settings import JobSettings
from tests.simulation.jobs import run_job
from tests.simulation.keys import run_of_uri
from tests.simulation.process import Process
from tests.simulation.promises import Promise
from tests.simulation.retry_rules import rules_of_the_template
from tests.simulation.world import World

LOST = (
    "Host EC2 (instance i-0123456789abcdef0) terminated.",
    "Your Spot Task was interrupted.",
    "Words that nobody has seen yet",
)
"""Batch's statusReason for a lost host: on EC2, on Fargate, and what it may say next year."""
NOT_STARTED = (
    "Task failed to start",
    "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
    "ResourceInitializationError: unable to pull secrets or registry auth",
    "Timeout waiting for network interface provisioning to complete.",
)
"""Its statusReason for a container that never ran: EC2 has the first, Fargate the others."""


@dataclass
class Child:
    """A child of an array, or a job without one.

    Attributes:
        index: Its array index; 0 outside an array.
        attempts: How many attempts were started.
        status: RUNNING, SUCCEEDED or FAILED.
        exit_code: That of the attempt which decided.
    """

    index: int
    attempts: int = 0
    status: str = "RUNNING"
    exit_code: int | None = None


@dataclass(eq=False)
class BatchJob:
    """A submitted job.

    Attributes:
        job_id: Its id.
        command: Its container's command line.
        size: The array's size; None outside an array.
        children: Its children; one outside an array.
        terminated: Whether TerminateJob was called.
        processes: Its attempts' processes.
    """

    job_id: str
    command: list[str]
    size: int | None
    children: list[Child]
    terminated: bool = False
    processes: list[Process] = field(default_factory=list)

    @property
    def status(self) -> str:
        """RUNNING until all children have ended; FAILED if any of them failed: Batch user guide, array jobs."""
        statuses = {child.status for child in self.children}
        if "RUNNING" in statuses:
            return "RUNNING"
        return "FAILED" if "FAILED" in statuses else "SUCCEEDED"

    @property
    def exit_codes(self) -> set[int | None]:
        """How the failed children ended."""
        return {child.exit_code for child in self.children if child.status == "FAILED"}


class Batch:
    """The service.

    Args:
        world: What it is part of.

    Attributes:
        jobs: Every job that was submitted.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: list[BatchJob] = []

    def submit(self, command: list[str], size: int | None) -> BatchJob:
        """SubmitJob: it is not idempotent, so submitting twice gives two jobs."""
        if size is not None and not 2 <= size <= 10_000:
            raise ValueError(f"Batch refuses an array of {size}")
        number = len(self.jobs) + 1
        job = BatchJob(f"job-{number}", command, size, [Child(index) for index in range(size or 1)])
        self.jobs.append(job)
        for child in job.children:
            self._start(job, child)
        return job

    def terminate(self, job: BatchJob) -> None:
        """TerminateJob: SIGTERM, and SIGKILL a while later; never retried."""
        job.terminated = True
        for process in job.processes:
            if process.exit_code is None and not process.dead:
                process.stop.request("SIGTERM")
                process.calls_left = self._world.chance.randrange(1, 30)

    def _start(self, job: BatchJob, child: Child) -> None:
        world = self._world
        child.attempts += 1
        attempt = child.attempts
        run_id = run_of_uri(job.command[2])  # the command names run.json or plan.json
        process = Process(f"{job.command[0]}[{child.index}] {job.job_id}#{attempt}", job.command[0], run_id)
        process.code, process.in_array = world.code, job.size is not None
        # A chance of its own, so that what a seed does elsewhere does not depend on it.
        chance = random.Random(f"{world.seed} {job.job_id}:{child.index}#{attempt}")
        words = chance.choice(LOST)
        process.on_lost = lambda lost: self._ended(job, child, lost, None, words)
        settings = JobSettings(
            array_index=child.index,
            array_size=job.size,
            job_id=f"{job.job_id}:{child.index}" if job.size else job.job_id,
            attempt=attempt,
            attempt_seconds=world.attempt_seconds if world.faults.on else None,
            concurrency=1,
            slots=world.slots,
        )
        if SMALL in job.command and not world.small_is_enough:
            process.calls_left = chance.randrange(6, 20)
            world.faults.note("small job out of memory")
        job.processes.append(process)
        world.processes.append(process)

        def run() -> None:
            process.began = world.scheduler.steps
            if job.terminated:
                process.dead = True
                child.status = "FAILED"
                return
            if world.faults.on and chance.random() < 0.02:
                process.dead = True
                world.faults.note("container not started")
                self._ended(job, child, process, None, chance.choice(NOT_STARTED))
                return
            if settings.attempt_seconds is not None:
                process.time_limit = world.scheduler.now + settings.attempt_seconds
            run_job(world, process, job.command, settings)
            if not process.lost:
                self._ended(job, child, process, process.exit_code, process.reason)

        waiting = world.chance.randrange(30) if world.faults.on and world.chance.random() < 0.3 else 0
        world.scheduler.spawn(process.name, run, waiting)

    def _ended(self, job: BatchJob, child: Child, process: Process, exit_code: int | None, reason: str) -> None:
        """An attempt ended, or is taken to have ended."""
        rules = rules_of_the_template()[process.runs]
        timed_out = "exceeded timeout" in reason  # never retried: Batch user guide, job timeouts
        if timed_out:
            self._world.faults.note("attempt timed out")
        child.exit_code = exit_code
        if exit_code == 0:
            child.status = "SUCCEEDED"
        elif job.terminated or timed_out or child.attempts >= rules.attempts or not rules.retried(exit_code, reason):
            child.status = "FAILED"
            final = exit_code in {2, 3} or job.terminated or timed_out or child.attempts >= rules.attempts
            details = f"{process.name} ended with {exit_code}, {reason!r}, after {child.attempts} attempts"
            self._world.promises.check(Promise.ALL_ATTEMPTS, final, details)
        else:
            self._world.faults.note("attempt retried by Batch")
            self._start(job, child)
