"""The server's end of a template: processes that are copies of one that has loaded their code."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_aws.executors import process_template

_CODE = ("batch_jobs", "layer/python")
_BY_SIGNAL = -signal.SIGKILL
LOADED_BY_JOBS = (
    "logging.handlers", "botocore.session", "batch_jobs.arguments", "batch_jobs.job", "batch_jobs.job_log",
    "batch_jobs.merging.merge", "batch_jobs.merging.merge_parts", "batch_jobs.merging.migrate_and_merge",
    "batch_jobs.migrating.migrate",
    "batch_jobs.planning.plan", "batch_jobs.s3.connection", "batch_jobs.s3.obstore_requests",
    "batch_jobs.s3.obstore_stores", "batch_jobs.stop", "millrace.workload.registry", "millrace.request.run_request",
)  # fmt: skip
"""What a job imports; a name that is gone costs time, and nothing else."""


class TemplateGoneError(Exception):
    """Raised when the template ended."""


class CopiedProcess:
    """A running copy: what subprocess.Popen is of a process."""

    def __init__(self, template: "Template", pid: int) -> None:
        self.pid = pid
        self._template = template
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._code = _BY_SIGNAL

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with self._lock:
            if not self._ended.is_set():
                os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end: the exit code, or minus the signal that ended it. Its number is still its own."""
        self._ended.wait()
        return self._code

    def ended_within(self, seconds: float) -> int | None:
        """The same if it ends within so many seconds, else None."""
        return self._code if self._ended.wait(seconds) else None

    def reap(self) -> None:
        """Give its number back."""
        self._template.reap(self.pid)

    def end(self, code: int) -> None:
        """It has ended."""
        with self._lock:
            self._code = code
            self._ended.set()


class CopiedProcesses:
    """Starts processes as copies of a template, which is loaded anew when the code has changed."""

    def __init__(self, python: Path, environment: Mapping[str, str], root: Path) -> None:
        """Copy processes of this interpreter.

        Args:
            python: The interpreter.
            environment: What it needs to find the code.
            root: The checkout, where the code is.
        """
        self._python, self._environment, self._root = python, dict(environment), root
        self._template: Template | None = None
        self._loaded: object = None
        self._lock = threading.Lock()

    def start(
        self, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], directory: Path, output: int
    ) -> CopiedProcess:
        """Run a module in a process.

        Args:
            module: Its name, as after `python -m`.
            arguments: What follows.
            environment: All of the process's variables.
            directory: Where it works.
            output: The descriptor that its output goes to.

        Raises:
            OSError: It cannot be started.
            TemplateGoneError: The template does not start, or ended.
        """
        with self._lock:
            template = self._loaded_now()
            with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - as below
                return template.start(
                    module, arguments, environment=environment, directory=directory,
                    descriptors=(nothing.fileno(), output, output),
                )  # fmt: skip

    def load(self) -> None:
        """Load the code before the first start."""
        with self._lock:
            self._loaded_now()

    def _loaded_now(self) -> "Template":
        code = self._code()
        if self._template is None or self._template.gone or code != self._loaded:
            if self._template is not None:
                self._template.leave()
            self._template, self._loaded = Template(self._python, self._environment, LOADED_BY_JOBS), code
        return self._template

    def _code(self) -> object:
        """What identifies a state of the jobs' code."""
        found = []
        for part in _CODE:
            for folder, folders, names in os.walk(self._root / part):
                folders[:] = [name for name in folders if name != "__pycache__"]
                for name in names:
                    status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - hundreds, at each start
                    found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
        return sorted(found)


class Template:
    """One template, and the copies of it that run.

    Attributes:
        gone: Whether it has ended.
    """

    def __init__(
        self, python: Path, environment: Mapping[str, str], names: Sequence[str], folders: Sequence[str] = ()
    ) -> None:
        """Start it.

        Args:
            python: The interpreter.
            environment: Its variables; copies have none of them.
            names: The modules that it loads, where they are there.
            folders: Where they are, if the interpreter does not look there by itself.
        """
        self.gone = False
        self._peer, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._started: list[CopiedProcess | str] = []
        self._answered = threading.Condition()
        self._running: dict[int, CopiedProcess] = {}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                # -P, -s: as jobs are started
                [
                    str(python), "-P", "-s", process_template.__file__, str(theirs.fileno()),
                    json.dumps({"names": list(names), "folders": list(folders)}),
                ],
                env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, name="process-template", daemon=True).start()

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        descriptors: Sequence[int],
    ) -> CopiedProcess:
        """Run a program in a copy.

        Args:
            program: A module's name, or the absolute path of a file.
            arguments: What follows.
            environment: All of the process's variables.
            directory: Where it works.
            descriptors: Its standard input, output and error.

        Raises:
            OSError: It cannot be started.
            TemplateGoneError: The template does not start, or ended.
        """
        start: dict[str, Any] = {
            "program": program,
            "arguments": list(arguments),
            "environment": dict(environment),
            "directory": str(directory),
        }
        try:
            with self._lock:
                process_template.send(self._peer, {"start": start}, descriptors)
        except OSError as error:
            raise TemplateGoneError(str(error)) from error
        with self._answered:
            self._answered.wait_for(lambda: self._started or self.gone)
            if not self._started:
                raise TemplateGoneError(f"the process template ended with exit code {self._process.poll()}")
            started = self._started.pop()
        if isinstance(started, str):
            raise OSError(started)
        return started

    def reap(self, pid: int) -> None:
        """Give the number of a process that has ended back."""
        try:
            with self._lock:
                process_template.send(self._peer, {"reap": pid})
        except OSError:
            return

    def leave(self) -> None:
        """Let it end when its copies have ended."""
        threading.Thread(target=self._leave, name="process-template-end", daemon=True).start()

    def _leave(self) -> None:
        for process in list(self._running.values()):
            process.wait()
        with contextlib.suppress(OSError):  # it is gone already
            self._peer.shutdown(socket.SHUT_WR)

    def _listen(self) -> None:
        while received := self._next():
            if "ended" in received:
                self._running.pop(received["ended"]).end(received["code"])
                continue
            with self._answered:
                if "started" in received:
                    process = CopiedProcess(self, received["started"])
                    self._running[process.pid] = process
                    self._started.append(process)
                else:
                    self._started.append(received["refused"])
                self._answered.notify_all()
        with self._answered:
            self.gone = True
            self._answered.notify_all()
        self._process.wait()
        for process in list(self._running.values()):  # the template was killed: how they end is unknown
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.end(_BY_SIGNAL)
        self._peer.close()

    def _next(self) -> dict[str, Any] | None:
        try:
            received = process_template.receive(self._peer)
        except OSError:
            return None
        return None if received is None else received[0]
