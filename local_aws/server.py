"""Puts the server together and runs it until it is asked to stop."""

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn  # type: ignore[import-not-found,unused-ignore]  # only in the server's environment
import uvloop  # type: ignore[import-not-found,unused-ignore]

from local_aws.batch.api import BatchApi
from local_aws.batch.events import JobEvents
from local_aws.batch.service import Batch
from local_aws.connections.at_once import AtOnce
from local_aws.connections.protocol import Connection
from local_aws.control_api import ControlApi, with_control
from local_aws.credentials import Credentials, keep, make
from local_aws.executors.attempts import Attempts
from local_aws.executors.container_secrets import ContainerSecrets
from local_aws.executors.docker_executor import DockerExecutor
from local_aws.executors.execution_role import ExecutionRole
from local_aws.executors.executor import Executor
from local_aws.executors.logs import LogService
from local_aws.executors.orphan_guard import OrphanGuard
from local_aws.executors.process_executor import ProcessExecutor
from local_aws.guard import Guard, as_secure_transport
from local_aws.ministack.access_hooks import BucketAccess
from local_aws.ministack.cloudformation import BatchTypes
from local_aws.ministack.events_hooks import refuse_wrong_events
from local_aws.ministack.hooks import Ministack
from local_aws.ministack.iam_hooks import enforce_roles, refuse_missing_policies
from local_aws.ministack.iam_resources import batch_resource_arn, log_stream_arn
from local_aws.ministack.keys_hooks import ask_for_keys, keep_encryption, read_encryption_once, tell_the_key
from local_aws.ministack.lambda_hooks import copy_workers, gather_batches, name_lambda_errors, unpack_code_once
from local_aws.ministack.object_requests import ObjectRequests
from local_aws.ministack.schedules_hooks import Schedules
from local_aws.ministack.states_hooks import StatesEngine
from local_aws.ministack.storage_hooks import QuickListings, ServedFolders, refuse_long_keys
from local_aws.ministack.targets_hooks import deliver_to_targets
from local_aws.ministack.templates_hooks import complete_nested_stacks, read_templates_as_cloudformation
from local_aws.ministack.topics_hooks import bury_untaken_messages
from local_aws.options import ACCOUNT_ID, REGION, Options
from local_aws.scope import Scope
from local_aws.stepfunctions.batch_tasks import SubmitJobTask
from local_aws.stepfunctions.executions import Executions
from local_aws.timers import Timers

HOST = "127.0.0.1"
_USERS_OWN = re.compile(
    r"^(AWS|BOTO|S3)_|_PROXY$|_CA_BUNDLE$|^SSL_CERT_(FILE|DIR)$|^PYTHONDONTWRITEBYTECODE$", re.IGNORECASE
)
"""What boto3, other AWS SDKs and HTTP clients read, and what would have each function compile its code anew."""
_KEEP_ALIVE_SECONDS = 75
_LOG = logging.getLogger("local_aws")


class PortTakenError(Exception):
    """Raised when another process listens on the port; its text says what to do."""


def bind(port: int) -> socket.socket:
    """Take a port of 127.0.0.1.

    Raises:
        PortTakenError: it is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        msg = f"port {port} on {HOST} is taken{_holder(port)}; stop that one, or choose another port with --port"
        raise PortTakenError(msg) from error
    listener.setblocking(False)  # noqa: FBT003 - takes it by position only
    return listener


def _holder(port: int) -> str:
    """Which process holds a port, as far as is known."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/_local_aws/health", timeout=1) as response:
            return f" by another embedded AWS (process {json.load(response)['pid']})"
    except (OSError, ValueError, KeyError):
        return " by another program (`ss -ltnp` names it)"


def set_environment(options: Options, directory: Path, credentials: Credentials) -> None:
    """Configure ministack, which reads its settings from the environment when it is imported.

    Its Lambda functions inherit the environment: nothing of the user's own AWS configuration stays in it, and no proxy
    or certificate, as all that is called is on this machine.
    """
    for name in [name for name in os.environ if _USERS_OWN.search(name)]:
        del os.environ[name]
    os.environ.update({
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GATEWAY_PORT": str(options.port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
        "MINISTACK_REGION": REGION,
        "AUTH": "true" if options.enforce_iam else "false",
        "AWS_ENDPOINT_URL": f"http://{HOST}:{options.port}",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        # Listeners of their own, with fixed ports, that nothing here needs.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "SFN_WAIT_SCALE": str(options.wait_scale),
        "TMPDIR": str(directory),
    })  # fmt: skip
    if options.mock_config is not None:
        os.environ["SFN_MOCK_CONFIG"] = str(options.mock_config)
    tempfile.tempdir = str(directory)


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that runs."""

    application: Callable[..., Awaitable[None]]
    batch: Batch
    guard: OrphanGuard
    http: Any
    """What speaks HTTP: uvicorn's name of a protocol, or a class of one."""

    async def serve(self, listener: socket.socket, ready_fd: int | None) -> None:
        """Answer requests until SIGTERM or SIGINT, then end all jobs; ready_fd: see Options."""
        config = uvicorn.Config(
            self.application, http=self.http, ws="none", lifespan="on", log_config=None, access_log=False,
            date_header=False, server_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1, reset_contextvars=True,
        )  # fmt: skip
        http = _Http(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, http)
        http.when_ready = lambda: _tell_ready(ready_fd, listener.getsockname()[1])
        await http.serve([listener])

    def _stop(self, http: "_Http") -> None:
        http.should_exit = True
        self.batch.scheduler.close()


class _Http(uvicorn.Server):  # type: ignore[misc,unused-ignore]
    """uvicorn's server, which leaves signals to us, and says when it answers."""

    when_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _tell_ready(ready_fd: int | None, port: int) -> None:
    if ready_fd is not None:
        os.write(ready_fd, f"{port}\n".encode())
        os.close(ready_fd)


def build(options: Options, directory: Path) -> Server:
    """Load ministack and put Batch into it."""
    ministack = Ministack()
    guard = OrphanGuard(directory)
    executor: Executor = (
        DockerExecutor(guard)
        if options.executor == "docker"
        else ProcessExecutor(options.job_python, guard, options.workload_folders, copies=options.job_starts == "copy")
    )
    timers = Timers()
    attempts = Attempts(
        executor=executor,
        logs=LogService(ministack),
        credentials=ministack.task_credentials,
        execution_role=ExecutionRole(ministack),
        secrets=ContainerSecrets(ministack),
        timers=timers,
        scheduler=lambda: batch.scheduler,
        endpoint_url=options.job_endpoint_url or f"http://{HOST}:{options.port}",
        attempt_seconds_scale=options.attempt_seconds_scale,
        start_seconds=options.start_seconds,
    )
    batch = Batch(
        changes=JobEvents(ministack),
        max_jobs=options.max_jobs,
        stop_grace_seconds=options.stop_grace_seconds,
        run_attempt=attempts.run,
    )
    api = BatchApi(batch)
    ministack.serve_batch(api.request, batch.reset)
    ministack.name_resources(batch_resource_arn, log_stream_arn)
    ministack.scale_schedules(options.schedule_scale)
    Schedules(ministack, options.schedule_scale)
    complete_nested_stacks(ministack)
    read_templates_as_cloudformation(ministack)
    BatchTypes(api, ministack).register()
    refuse_missing_policies(ministack)
    name_lambda_errors(ministack)
    unpack_code_once(ministack)
    copy_workers(ministack)
    gather_batches(ministack, options.wait_scale)
    deliver_to_targets(ministack)
    bury_untaken_messages(ministack)
    keep_encryption(ministack)
    read_encryption_once(ministack)
    tell_the_key(ministack)
    refuse_wrong_events(ministack)
    engine = StatesEngine(ministack)
    executions = Executions(engine, timers, batch.scheduler.wake_waiters)
    engine.install(executions, SubmitJobTask(api, batch.scheduler, engine.error, ministack.scope))
    enforce_roles(ministack)
    ask_for_keys(ministack)
    refuse_long_keys(ministack)
    folders = ServedFolders(ministack)
    QuickListings(ministack)
    access = BucketAccess(ministack, ACCOUNT_ID)
    control = ControlApi(
        batch.scheduler, api, ministack.kept_events, folders, access=access, scope=Scope(ACCOUNT_ID, REGION)
    )
    objects = ObjectRequests(ministack)
    application = with_control(objects.before(as_secure_transport(ministack.application)), control)
    guarded = Guard(application, ministack.secret_of, objects.service_of, access.is_open)
    answer = partial(objects.at_once, is_given_away=access.is_given_away)
    at_once = AtOnce(guarded, answer, control.requests.remember_object)
    http = "httptools" if ministack.enforces_iam else partial(Connection, at_once)
    return Server(guarded, batch, guard, http)


def run(options: Options) -> None:
    """Run the server until it is asked to stop.

    Raises:
        PortTakenError: another process listens on the port.
    """
    listener = bind(options.port)
    options = replace(options, port=listener.getsockname()[1])
    directory = Path(tempfile.mkdtemp(prefix="millrace-local-aws-"))
    credentials, credentials_file = make(), options.credentials_file or directory / "credentials"
    keep(credentials, credentials_file, REGION)
    set_environment(options, directory, credentials)
    server = build(options, directory)
    ready = "ready on http://%s:%s, process %s; its credentials are in %s"
    _LOG.info(ready, HOST, options.port, os.getpid(), credentials_file)
    try:
        uvloop.run(server.serve(listener, options.ready_fd))
    finally:
        server.batch.scheduler.close()
        server.guard.close()
