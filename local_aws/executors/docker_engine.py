"""The Docker engine, as the docker command reaches it: DOCKER_HOST, a context, the machine's own."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from local_aws.executors.executor import TaskStartError

LABEL = "millrace.local-aws"
"""Every container carries it; its value is the server's process."""
_CALL_SECONDS = 60.0


class EngineMissingError(Exception):
    """Raised when there is no Docker engine; its text says what to do."""


class DockerEngine:
    """The few verbs of the docker command that are used; it knows where its engine is."""

    def __init__(self) -> None:
        """Find the command and its engine.

        Raises:
            EngineMissingError: one of them is not there.
        """
        found = shutil.which("docker")
        if found is None:
            raise EngineMissingError("there is no docker command here; --executor process needs none")
        self._command = found
        answer = self._run("version", "--format", "{{.Server.Version}}")
        if answer.returncode:
            raise EngineMissingError(f"no Docker engine answers: {answer.stderr.strip()}")

    def image(self, reference: str) -> str | None:
        """The id of an image, or None where the engine has none by that reference or digest."""
        digest = reference.rpartition("@")[2]
        found = self._run("image", "inspect", "--format", "{{.Id}}", *dict.fromkeys((reference, digest)))
        return next(iter(found.stdout.split()), None)  # the exit code reports a missing one among several

    def create(self, arguments: list[str], variables: Mapping[str, str]) -> str:
        """Create a container of the machine's network, and return its id.

        Args:
            arguments: Options, image and command.
            variables: What options name without a value.

        Raises:
            TaskStartError: the engine refuses.
        """
        answer = self._run(
            "create", "--network=host", f"--label={LABEL}={os.getpid()}", *arguments, variables=variables
        )
        if answer.returncode:
            raise TaskStartError(f"CannotCreateContainerError: {answer.stderr.strip()}")
        return answer.stdout.strip()

    def attached(self, container: str) -> subprocess.Popen[bytes]:
        """Start a container; the process writes what the container writes, and ends with it."""
        return subprocess.Popen(  # noqa: S603 - the engine's own id
            [self._command, "start", "--attach", container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C is not for the jobs
        )

    def state(self, container: str) -> dict[str, Any] | None:
        """What the engine says of a container's state; None: it knows none."""
        answer = self._run("inspect", "--format", "{{json .State}}", container)
        state: dict[str, Any] | None = json.loads(answer.stdout) if answer.returncode == 0 else None
        return state

    def signal(self, container: str, name: str) -> bool:
        """Send a signal to the first process; False: it does not run."""
        return self._run("kill", "--signal", name, container).returncode == 0

    def remove(self, container: str) -> None:
        """Remove a container and its volumes, running or not."""
        self._run("rm", "--force", "--volumes", container)

    def _run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [self._command, *arguments]
        try:
            return subprocess.run(  # noqa: S603 - to run containers is the whole point
                command,
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_CALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"DockerTimeoutError: the engine did not answer `docker {arguments[0]}` in {_CALL_SECONDS:g} seconds"
            return subprocess.CompletedProcess(command, 1, "", why)
