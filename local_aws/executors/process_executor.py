"""Tasks as processes of this machine.

A process has a session and a fresh directory of its own; both end with it, whatever it left behind. A job of the
project's image is a copy of a process that has loaded its code already, where that is the same as a start of its own.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from local_aws.executors.copied_processes import CopiedProcess, CopiedProcesses, TemplateGoneError
from local_aws.executors.executor import TaskEnd, TaskRequest, TaskStartError
from local_aws.executors.orphan_guard import OrphanGuard
from local_aws.options import REPOSITORY

COMMAND_IMAGES = ("command", "busybox")
"""Images with these repository names have no entry point: their command runs as it is."""
_RUN = re.compile(r"/_millrace/([A-Za-z0-9_-]{1,80})/")
"""The run that a job's command names a file of."""
_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LC_", "LANG")
AT_ONCE = min(max(4, os.cpu_count() or 1), 16)
"""How many items a job begins to work at once. S3 answers it within a millisecond: more threads wait for each other."""
_READ_BYTES = 65536
_LAST_OUTPUT_SECONDS = 5.0


class ProcessTask:
    """A running process, with everything it started."""

    def __init__(self, process: subprocess.Popen[bytes] | CopiedProcess, directory: Path, guard: OrphanGuard) -> None:
        """Take over a process that leads its own session."""
        self.pid = process.pid
        self._process = process
        self._directory = directory
        self._guard = guard
        self._output: threading.Thread | None = None
        self._over = threading.Event()

    def pump(self, pipe: IO[bytes], output: Callable[[bytes], None]) -> None:
        """Pass everything the process writes into the pipe to `output`, from a thread."""

        def read() -> None:
            with pipe:
                while chunk := os.read(pipe.fileno(), _READ_BYTES):
                    output(chunk)

        self._output = threading.Thread(target=read, name=f"output-{self.pid}", daemon=True)
        self._output.start()

    def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM to the process itself, as to a container's first one, and kill it when the grace is over."""
        if grace_seconds <= 0:
            self._kill_all()
            return
        # poll() and send_signal() of subprocess know whether the process was reaped, so no reused pid is hit.
        self._process.send_signal(signal.SIGTERM)

        def kill_later() -> None:
            if not self._over.wait(grace_seconds):
                self._kill_all()

        threading.Thread(target=kill_later, name=f"kill-{self.pid}", daemon=True).start()

    def wait(self) -> TaskEnd:
        """Wait for the process, end what it left behind, and return its exit code."""
        code = self._process.wait()
        self._kill_all()  # a container's processes end with its first one
        self._over.set()
        if isinstance(self._process, CopiedProcess):
            self._process.reap()
        self._guard.forget(self.pid)
        if self._output is not None:
            # A process that left the session could hold the pipe forever.
            self._output.join(_LAST_OUTPUT_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)
        return TaskEnd(code if code >= 0 else 128 - code)

    def _kill_all(self) -> None:
        if self._over.is_set():
            return
        # The group may be gone; macOS answers EPERM for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class ProcessExecutor:
    """Starts each task as a process."""

    def __init__(
        self, job_python: Path, guard: OrphanGuard, workload_folders: Path | None = None, *, copies: bool = False
    ) -> None:
        """Use this interpreter for the project's image; report every process group to the guard.

        Args:
            job_python: The interpreter.
            guard: Ends what is left when this process is gone.
            workload_folders: Where each run's file is that says where its user's own modules are.
            copies: Start jobs of the project's image as copies of one process.
        """
        self._job_python = job_python
        self._guard = guard
        self._workload_folders = workload_folders
        # On other systems than Linux the copy of a process that has loaded system libraries may break.
        able = copies and sys.platform == "linux"
        self._copies = CopiedProcesses(job_python, _of_the_machine(None), REPOSITORY) if able else None
        if self._copies is not None:
            self._copies.load()

    def start(self, request: TaskRequest, output: Callable[[bytes], None]) -> ProcessTask:
        """Start a task in a process.

        Raises:
            TaskStartError: the program does not exist or can't be executed.
        """
        directory = Path(tempfile.mkdtemp(prefix=f"job-{request.task_id[:8]}-"))
        try:
            process, pipe = self._start(request, directory)
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            shutil.rmtree(directory, ignore_errors=True)
            msg = f"CannotStartContainerError: Error response from daemon: {error}"
            raise TaskStartError(msg) from error
        self._guard.watch(process.pid)
        task = ProcessTask(process, directory, self._guard)
        task.pump(pipe, output)
        return task

    def _start(
        self, request: TaskRequest, directory: Path
    ) -> tuple[subprocess.Popen[bytes] | CopiedProcess, IO[bytes]]:
        """A process, and the pipe with its output."""
        arguments, environment = self._arguments(request), self._environment(request, directory)
        read, write = os.pipe()
        pipe = os.fdopen(read, "rb", 0)
        try:
            if self._copies is not None and not is_command_image(request.image) and _same_as_a_start(request):
                with contextlib.suppress(TemplateGoneError):
                    module, words = "batch_jobs", request.command
                    return self._copies.start(
                        module, words, environment=environment, directory=directory, output=write
                    ), pipe
            return subprocess.Popen(  # noqa: S603 - to run the job's command is the whole point
                arguments,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,
            ), pipe
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(write)

    def _arguments(self, request: TaskRequest) -> list[str]:
        if is_command_image(request.image):
            if not request.command:
                raise TaskStartError("CannotStartContainerError: Error response from daemon: No command specified")
            return list(request.command)
        # -P: the working directory is no place for modules, whatever it is; -s: nor is the user's site directory.
        return [str(self._job_python), "-P", "-s", "-m", "batch_jobs", *request.command]

    def _environment(self, request: TaskRequest, directory: Path) -> dict[str, str]:
        # Not for Python: the job itself looks there, for a workload of the user's own alone.
        modules = {"MILLRACE_WORKLOAD_PATH": self._modules(request.command)}
        return _of_the_machine(directory) | modules | request.environment

    def _modules(self, command: tuple[str, ...]) -> str:
        """Where the modules of this run's user are; for an unknown run, those of the latest known one."""
        if self._workload_folders is None:
            return ""
        run = _RUN.search(" ".join(command))
        notes = [self._workload_folders / run[1]] if run else []
        with contextlib.suppress(FileNotFoundError):
            others = [path for path in self._workload_folders.iterdir() if path.name[0] != "."]
            notes += sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for note in notes:
            with contextlib.suppress(FileNotFoundError):
                return os.fsdecode(note.read_bytes())
        return ""


def _of_the_machine(directory: Path | None) -> dict[str, str]:
    """The variables of every job that are the machine's, not the definition's; a template of jobs has no directory."""
    own = {} if directory is None else {"HOME": str(directory), "TMPDIR": str(directory)}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        **own,
        "LANG": "C.UTF-8",
        "TOKIO_WORKER_THREADS": "1",  # obstore's
        "MILLRACE_CONCURRENCY": str(AT_ONCE),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "layer/python")]),
    }


def _same_as_a_start(request: TaskRequest) -> bool:
    """Whether a copy does what a start would: the interpreter and the C library read some variables at theirs."""
    read_at_start = {name for name in request.environment if name.startswith(_READ_AT_START)}
    return read_at_start <= {"PYTHONUNBUFFERED"}


def is_command_image(image: str) -> bool:
    """True for an image whose repository is called `command` or `busybox`, wherever it is and whatever its tag."""
    return image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[0] in COMMAND_IMAGES
