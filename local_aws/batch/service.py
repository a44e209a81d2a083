"""AWS Batch as one object: the resources of every account and region, and the scheduler over all of them."""

import uuid
from collections.abc import Callable
from typing import Any

from local_aws.batch.job_definitions import JobDefinitions
from local_aws.batch.jobs import ArrayJob, Job, Record
from local_aws.batch.resources import Resources
from local_aws.batch.scheduler import Changes, Scheduler
from local_aws.batch.submission import array_size, build_spec
from local_aws.errors import ClientError
from local_aws.scope import Scope


class Batch:
    """What the API, CloudFormation and Step Functions talk to."""

    def __init__(
        self, *, changes: Changes, max_jobs: int, stop_grace_seconds: float, run_attempt: Callable[[Job], None]
    ) -> None:
        """Start the scheduler; the arguments are its own."""
        self._resources: dict[Scope, Resources] = {}
        self._definitions: dict[Scope, JobDefinitions] = {}
        self.scheduler = Scheduler(
            resources=self.resources,
            changes=changes,
            max_jobs=max_jobs,
            stop_grace_seconds=stop_grace_seconds,
            run_attempt=run_attempt,
        )

    def resources(self, scope: Scope) -> Resources:
        """Queues, environments and policies of an account and region."""
        return self._resources.setdefault(scope, Resources(scope))

    def definitions(self, scope: Scope) -> JobDefinitions:
        """Job definitions of an account and region."""
        return self._definitions.setdefault(scope, JobDefinitions(scope))

    def submit(self, scope: Scope, body: dict[str, Any]) -> Record:
        """SubmitJob.

        Raises:
            ClientError: the request is wrong.
        """
        with self.scheduler.lock:
            size = array_size(body)
            spec = build_spec(scope, self.resources(scope), self.definitions(scope), body)
            job_id = str(uuid.uuid4())
            record: Record = Job(job_id, spec) if size is None else ArrayJob(job_id, spec, size)
            self.scheduler.submit(record)
            return record

    def delete_queue(self, scope: Scope, reference: str) -> None:
        """DeleteJobQueue: it must be disabled; its jobs are terminated.

        Raises:
            ClientError: there is no such queue, or it is enabled.
        """
        with self.scheduler.lock:
            resources = self.resources(scope)
            queue = resources.queue(reference)
            if queue["state"] != "DISABLED":
                raise ClientError("Cannot delete, state must be DISABLED")
            arn = queue["jobQueueArn"]
            for record in list(self.scheduler.jobs.values()):
                if record.spec.queue_arn == arn and not record.status.ended:
                    self.scheduler.terminate(record, "Job Queue Deleted")
            del resources.queues[arn]

    def reset(self) -> None:
        """Forget everything, after terminating what runs."""
        with self.scheduler.lock:
            for record in list(self.scheduler.jobs.values()):
                if not record.status.ended:
                    self.scheduler.terminate(record, "Reset")
            self.scheduler.jobs.clear()
            self._resources.clear()
            self._definitions.clear()
