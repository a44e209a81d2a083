"""The server's own endpoints under /_local_aws/: health, and faults for tests.

GET  /_local_aws/health                     is it ready, and whose is it
GET  /_local_aws/batch/jobs/<id>/process    {"pid": ...} of a running job
POST /_local_aws/batch/jobs/<id>/interrupt  {"status_reason", "reason"?, "exit_code"?, "grace_seconds"?}
POST /_local_aws/batch/start-faults         {"job_name", "status_reason", "reason"?, "exit_code"?, "count"?}
POST /_local_aws/batch/throttle             {"requests": n}: the next n Batch requests answer 429
"""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from local_aws import VERSION
from local_aws.batch_api import BatchApi
from local_aws.errors import BatchApiError, ClientError
from local_aws.faults import Fault
from local_aws.jobs import Job
from local_aws.ministack_hooks import EXPECTED_VERSION
from local_aws.scheduler import Scheduler

PREFIX = "/_local_aws/"
_JOBS = f"{PREFIX}batch/jobs/"
Application = Callable[..., Awaitable[None]]
Body = dict[str, Any]


class ControlApi:
    """Answers the endpoints."""

    def __init__(self, scheduler: Scheduler, batch_api: BatchApi, account: str, region: str) -> None:
        """Control this scheduler."""
        self._scheduler = scheduler
        self._batch_api = batch_api
        self._health = {
            "service": "millrace-local-aws",
            "version": VERSION,
            "ministack": EXPECTED_VERSION,
            "pid": os.getpid(),
            "account": account,
            "region": region,
            "batch": True,
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Body]:
        """HTTP status and body for a request."""
        try:
            if (method, path) == ("GET", f"{PREFIX}health"):
                return 200, self._health
            if (method, path) == ("POST", f"{PREFIX}batch/throttle"):
                self._batch_api.throttled_requests = int(json.loads(body)["requests"])
                return 200, {}
            if (method, path) == ("POST", f"{PREFIX}batch/start-faults"):
                return 200, self._start_faults(json.loads(body))
            if path.startswith(_JOBS):
                job_id, _, action = path.removeprefix(_JOBS).rpartition("/")
                return 200, self._job(method, job_id, action, body)
        except (BatchApiError, ValueError, KeyError, TypeError) as error:
            return 400, {"message": f"{type(error).__name__}: {error}"}
        return 404, {"message": f"no endpoint {method} {path}"}

    def _start_faults(self, body: Body) -> Body:
        with self._scheduler.lock:
            self._scheduler.start_faults.add(body["job_name"], _fault(body), int(body.get("count", 1)))
        return {}

    def _job(self, method: str, job_id: str, action: str, body: bytes) -> Body:
        job = self._scheduler.find(job_id)
        if not isinstance(job, Job):
            raise ClientError(f"{job_id} is not a job that runs")
        if (method, action) == ("POST", "interrupt"):
            self._scheduler.interrupt(job, _fault(json.loads(body)))
            return {}
        if (method, action) == ("GET", "process"):
            with self._scheduler.lock:
                return {"pid": None if job.task is None else job.task.pid}
        raise ClientError(f"no action {method} {action}")


def with_control(application: Application, control: ControlApi) -> Application:
    """An ASGI application that answers the endpoints itself and leaves the rest to `application`."""

    async def both(
        scope: Body, receive: Callable[[], Awaitable[Body]], send: Callable[[Body], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await application(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, content = control.answer(scope["method"], scope["path"], body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return both


def _fault(body: Body) -> Fault:
    return Fault(
        str(body["status_reason"]), body.get("reason"), body.get("exit_code"), float(body.get("grace_seconds", 0))
    )
