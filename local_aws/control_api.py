"""The server's own endpoints under /_local_aws/: health, and faults for tests.

GET  /_local_aws/health                     is it ready, and whose is it
GET  /_local_aws/requests                   {"requests": ["s3 GET bucket/key", ...]}: the last that came
GET  /_local_aws/batch/jobs/<id>/process    {"pid": ...} of a running job
POST /_local_aws/batch/jobs/<id>/interrupt  {"status_reason", "reason"?, "exit_code"?, "grace_seconds"?}
POST /_local_aws/batch/start-faults         {"job_name", "status_reason", "reason"?, "exit_code"?, "count"?}
POST /_local_aws/batch/throttle             {"requests": n}: the next n Batch requests answer 429
POST /_local_aws/folders                    {"bucket", "prefix", "directory"}: serve a folder's files as objects
POST /_local_aws/bucket-owner               {"bucket", "account"}: the bucket is another account's from now on
POST /_local_aws/bodies                     {"bucket", "keys"}: {"bodies": [...]}, in base64; null: missing, or large
POST /_local_aws/events/keep                keep the events of AWS services from now on
POST /_local_aws/events/again               {"copies": n, "seed"?}: put each kept event n times again, shuffled
"""

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from local_aws import VERSION
from local_aws.batch.api import BatchApi
from local_aws.batch.faults import Fault
from local_aws.batch.jobs import Job
from local_aws.batch.scheduler import Scheduler
from local_aws.errors import BatchApiError, ClientError
from local_aws.kept_events import KeptEvents
from local_aws.ministack.access_hooks import BucketAccess
from local_aws.ministack.hooks import EXPECTED_VERSION
from local_aws.ministack.storage_hooks import ServedFolders
from local_aws.request_log import RequestLog
from local_aws.scope import Scope

PREFIX = "/_local_aws/"
_JOBS = f"{PREFIX}batch/jobs/"
Application = Callable[..., Awaitable[None]]
Body = dict[str, Any]


class ControlApi:
    """Answers the endpoints.

    Attributes:
        requests: What else came.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        batch_api: BatchApi,
        events: KeptEvents,
        folders: ServedFolders,
        *,
        access: BucketAccess,
        scope: Scope,
    ) -> None:
        """Control this scheduler."""
        self.requests = RequestLog()
        self._scheduler = scheduler
        self._events = events
        self._batch_api = batch_api
        self._folders = folders
        self._access = access
        self._health = {
            "service": "millrace-local-aws",
            "version": VERSION,
            "ministack": EXPECTED_VERSION,
            "pid": os.getpid(),
            "account": scope.account,
            "region": scope.region,
            "batch": True,
        }
        self._endpoints: dict[tuple[str, str], Callable[[Body], Body]] = {
            ("GET", "health"): lambda _body: self._health,
            ("GET", "requests"): lambda _body: {"requests": list(self.requests.requests)},
            ("POST", "folders"): self._serve_folder,
            ("POST", "bucket-owner"): self._give_away,
            ("POST", "bodies"): self._give_bodies,
            ("POST", "batch/throttle"): self._throttle,
            ("POST", "batch/start-faults"): self._start_faults,
            ("POST", "events/keep"): self._keep_events,
            ("POST", "events/again"): self._put_events_again,
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Body]:
        """HTTP status and body for a request."""
        try:
            endpoint = self._endpoints.get((method, path.removeprefix(PREFIX)))
            if endpoint:
                return 200, endpoint(json.loads(body or b"{}"))
            if path.startswith(_JOBS):
                job_id, _, action = path.removeprefix(_JOBS).rpartition("/")
                return 200, self._job(method, job_id, action, body)
        except (BatchApiError, OSError, ValueError, KeyError, TypeError) as error:
            return 400, {"message": f"{type(error).__name__}: {error}"}
        return 404, {"message": f"no endpoint {method} {path}"}

    def _serve_folder(self, body: Body) -> Body:
        return asdict(self._folders.serve(str(body["bucket"]), str(body["prefix"]), str(body["directory"])))

    def _give_away(self, body: Body) -> Body:
        self._access.give_away(str(body["bucket"]), str(body["account"]))
        return {}

    def _give_bodies(self, body: Body) -> Body:
        found = self._folders.bodies(str(body["bucket"]), list(map(str, body["keys"])))
        return {"bodies": [None if each is None else b64encode(each).decode() for each in found]}

    def _throttle(self, body: Body) -> Body:
        self._batch_api.throttled_requests = int(body["requests"])
        return {}

    def _keep_events(self, _body: Body) -> Body:
        self._events.start()
        return {}

    def _put_events_again(self, body: Body) -> Body:
        return {"events": self._events.put_again(int(body["copies"]), int(body.get("seed", 0)))}

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
    logged = control.requests.of(application)

    async def both(
        scope: Body, receive: Callable[[], Awaitable[Body]], send: Callable[[Body], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await logged(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        # In a thread: what is asked for may take a while, and may itself call this server.
        status, content = await asyncio.to_thread(control.answer, scope["method"], scope["path"], body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return both


def _fault(body: Body) -> Fault:
    return Fault(
        str(body["status_reason"]), body.get("reason"), body.get("exit_code"), float(body.get("grace_seconds", 0))
    )
