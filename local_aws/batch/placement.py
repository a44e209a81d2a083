"""Where jobs run: the vCPUs of compute environments, and the places for processes on this machine."""

from collections import defaultdict

from local_aws.batch.jobs import Job
from local_aws.batch.resources import Body, Resources, environment_arns


class Placement:
    """Counts what is in use; not locked: the scheduler's lock covers it."""

    def __init__(self, max_jobs: int) -> None:
        """Allow this many processes at once on the machine."""
        self._max_jobs = max_jobs
        self._running = 0
        self._vcpus: defaultdict[str, float] = defaultdict(float)

    @property
    def full(self) -> bool:
        """True when the machine has no place left."""
        return self._running >= self._max_jobs

    def find(self, resources: Resources, queue: Body, vcpus: float) -> str | None:
        """The ARN of the first environment of the queue with this many vCPUs free, or None."""
        for arn in environment_arns(queue):
            environment = resources.environments.get(arn)
            if environment is None or environment["state"] != "ENABLED":
                continue
            if self._vcpus[arn] + vcpus <= _max_vcpus(environment):
                return arn
        return None

    def occupy(self, job: Job, environment: str) -> None:
        """Give the job its place."""
        job.compute_environment = environment
        self._running += 1
        self._vcpus[environment] += job.spec.vcpus

    def release(self, job: Job) -> None:
        """Take the place back."""
        self._running -= 1
        self._vcpus[job.compute_environment] -= job.spec.vcpus


def never_fits(resources: Resources, queue: Body, vcpus: float) -> bool:
    """True when no environment of the queue is big enough: on AWS too, such a job waits in RUNNABLE."""
    environments = [resources.environments.get(arn) for arn in environment_arns(queue)]
    return all(environment is None or _max_vcpus(environment) < vcpus for environment in environments)


def _max_vcpus(environment: Body) -> float:
    return float(environment.get("computeResources", {}).get("maxvCpus", 0))
