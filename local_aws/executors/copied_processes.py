"""The server's end of the job template: processes that are copies of one that has loaded the jobs' code."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_aws.executors import job_template

_CODE = ("batch_jobs", "layer/python")
_BY_SIGNAL = -signal.SIGKILL


class TemplateGoneError(Exception):
    """Raised when the template ended."""


class CopiedProcess:
    """A running copy: what subprocess.Popen is of a process."""

    def __init__(self, template: "_Template", pid: int) -> None:
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
        self._template: _Template | None = None
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
            code = self._code()
            if self._template is None or self._template.gone or code != self._loaded:
                if self._template is not None:
                    self._template.leave()
                self._template, self._loaded = _Template(self._python, self._environment), code
            start: dict[str, Any] = {
                "module": module,
                "arguments": list(arguments),
                "environment": dict(environment),
                "directory": str(directory),
            }
            return self._template.start(start, output)

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


class _Template:
    """One template, and the copies of it that run."""

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self.gone = False
        self._peer, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._started: list[CopiedProcess | str] = []
        self._answered = threading.Condition()
        self._running: dict[int, CopiedProcess] = {}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                # -P, -s: as jobs are started
                [str(python), "-P", "-s", job_template.__file__, str(theirs.fileno())],
                env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, name="job-template", daemon=True).start()

    def start(self, start: dict[str, Any], output: int) -> CopiedProcess:
        try:
            with self._lock:
                job_template.send(self._peer, {"start": start}, [output])
        except OSError as error:
            raise TemplateGoneError(str(error)) from error
        with self._answered:
            self._answered.wait_for(lambda: self._started or self.gone)
            if not self._started:
                raise TemplateGoneError(f"the job template ended with exit code {self._process.poll()}")
            started = self._started.pop()
        if isinstance(started, str):
            raise OSError(started)
        return started

    def reap(self, pid: int) -> None:
        try:
            with self._lock:
                job_template.send(self._peer, {"reap": pid})
        except OSError:
            return

    def leave(self) -> None:
        """Let it end when its copies have ended."""
        threading.Thread(target=self._leave, name="job-template-end", daemon=True).start()

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
            received = job_template.receive(self._peer)
        except OSError:
            return None
        return None if received is None else received[0]
