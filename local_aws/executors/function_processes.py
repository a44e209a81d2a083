"""Workers of Lambda functions as copies of a process that has loaded what functions import.

To import botocore, Powertools and X-Ray's SDK takes a function half a second of CPU, and a run starts five of them.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from local_aws.executors.copied_processes import CopiedProcess, Template, TemplateGoneError

LOADED_BY_FUNCTIONS = (
    "botocore.session", "aws_xray_sdk.core", "aws_lambda_powertools", "aws_lambda_powertools.metrics",
    "aws_lambda_powertools.tracing", "millrace.planning.small_source", "millrace.request.run_request",
    "millrace.reuse.keeping", "millrace.workload.registry",
)  # fmt: skip
"""What the stack's functions import; a name that is gone costs time, and nothing else."""


class FunctionProcess:
    """A worker: what subprocess.Popen is of a process, as far as ministack asks.

    Attributes:
        pid: Its number.
        stdin: What it reads.
        stdout: Its answers.
        stderr: Its log.
    """

    def __init__(self, process: CopiedProcess, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self._process, self.pid = process, process.pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._lock = threading.Lock()
        self._reaped = False

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It has not ended after so many seconds.
        """
        code = self._process.wait() if timeout is None else self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a function's worker", timeout or 0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(15)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.send_signal(9)

    def _ended_within(self, seconds: float) -> int | None:
        code = self._process.ended_within(seconds)
        with self._lock:
            if code is not None and not self._reaped:
                self._reaped = True
                self._process.reap()
        return code


class FunctionProcesses:
    """Starts workers; those of functions that share code and layers are copies of one template."""

    def __init__(self) -> None:
        """Begin with no template."""
        self._templates: dict[tuple[str, ...], Template] = {}
        self._lock = threading.Lock()

    def start(
        self, arguments: Sequence[str], *, cwd: str, env: Mapping[str, str], **settings: Any
    ) -> FunctionProcess | subprocess.Popen[str]:
        """Start what ministack would start with subprocess.Popen.

        Args:
            arguments: The interpreter, and the worker's program.
            cwd: Where the function's code is.
            env: Its variables.
            settings: The others of Popen.

        Returns:
            A copy, if it is a function of this interpreter with a layer, as all of the stack's are; else a process.
        """
        layers = env.get("_LAMBDA_LAYERS_DIRS")
        if layers and len(arguments) == 2 and arguments[0] == sys.executable and sys.platform == "linux":
            folders = [os.path.realpath(each) for each in (*layers.split(os.pathsep), cwd)]
            with contextlib.suppress(TemplateGoneError):
                return self._copy(folders, arguments[1], cwd, env)
        return subprocess.Popen(arguments, cwd=cwd, env=env, **settings)  # noqa: S603 - what ministack would have done

    def _copy(self, folders: list[str], program: str, cwd: str, env: Mapping[str, str]) -> FunctionProcess:
        *layers, code = folders
        known = tuple(folders)
        ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
        # Of each pipe the first end is read from: a worker reads its first, and writes the others.
        ours, theirs = (theirs[0], *ours[1:]), (ours[0], *theirs[1:])
        try:
            with self._lock:
                template = self._templates.get(known)
                if template is None or template.gone:
                    found = [path for layer in layers for path in (f"{layer}/python", layer)]
                    # X-Ray's SDK looks at LAMBDA_TASK_ROOT when it is imported, and at nothing else.
                    environment = {"PATH": os.environ.get("PATH", os.defpath), "LAMBDA_TASK_ROOT": code}
                    template = Template(Path(sys.executable), environment, LOADED_BY_FUNCTIONS, [*found, code])
                    self._templates[known] = template
                process = template.start(program, (), environment=env, directory=Path(cwd), descriptors=theirs)
        except BaseException:
            for each in ours:
                os.close(each)
            raise
        finally:
            for each in theirs:
                os.close(each)
        stdin, stdout, stderr = (
            os.fdopen(each, mode, buffering=1) for each, mode in zip(ours, ("w", "r", "r"), strict=True)
        )
        return FunctionProcess(process, stdin, stdout, stderr)
