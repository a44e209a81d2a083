"""Faults that tests inject: a lost host, a reclaimed Spot task, an image that can't be pulled."""

from dataclasses import dataclass, field

from local_aws.batch.jobs import Job


@dataclass(frozen=True, slots=True)
class Fault:
    """What the attempt that it hits will report."""

    status_reason: str
    reason: str | None = None
    exit_code: int | None = None
    """None: the container left no exit code, as when its host is lost."""
    grace_seconds: float = 0.0
    """Between SIGTERM and SIGKILL: 0 for a lost host, up to 120 for a Fargate Spot reclaim."""


@dataclass(slots=True)
class StartFaults:
    """Faults waiting for the next jobs that start."""

    waiting: list[tuple[str, Fault]] = field(default_factory=list)

    def add(self, job_name: str, fault: Fault, count: int) -> None:
        """Make the next `count` starts of jobs with this name fail."""
        self.waiting.extend([(job_name, fault)] * count)

    def take(self, job: Job) -> Fault | None:
        """The fault for a job that starts now, or None."""
        for position, (job_name, fault) in enumerate(self.waiting):
            if job_name == job.spec.job_name:
                del self.waiting[position]
                return fault
        return None
