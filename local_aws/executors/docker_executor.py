"""Tasks as containers of a Docker engine, set up from the job definition as ECS would.

The image is never pulled. A reference that is pinned by digest means the engine's own image of that id, or of that
repository digest, whatever the registry in front of it; any other reference must be a name that the engine knows.
Containers use the network of the machine, so that they find the embedded AWS on 127.0.0.1.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from local_aws.batch.job_definitions import container_resources
from local_aws.executors.docker_engine import DockerEngine
from local_aws.executors.executor import TaskEnd, TaskRequest, TaskStartError
from local_aws.executors.orphan_guard import OrphanGuard

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_KILLED = 137
_READ_BYTES = 65536
_AGAIN_SECONDS = 0.05
_LAST_OUTPUT_SECONDS = 5.0


class DockerTask:
    """A running container."""

    def __init__(
        self, docker: DockerEngine, container: str, guard: OrphanGuard, output: Callable[[bytes], None]
    ) -> None:
        """Start a container that was created, and pass all that it writes to `output`, from a thread."""
        self._docker = docker
        self._container = container
        self._guard = guard
        self._over = threading.Event()
        self._client = docker.attached(container)
        self._reader = threading.Thread(
            target=_read, args=(self._client.stdout, output), name=f"output-{container[:12]}", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """The container's first process, as this machine numbers it; 0 while there is none."""
        state = self._docker.state(self._container)
        return 0 if state is None else int(state["Pid"])

    def stop(self, grace_seconds: float) -> None:
        """Send SIGTERM to the first process, and kill the container when the grace is over."""
        threading.Thread(
            target=self._stop, args=(grace_seconds,), name=f"stop-{self._container[:12]}", daemon=True
        ).start()

    def wait(self) -> TaskEnd:
        """Wait for the end, remove the container with its scratch volume, and say how it ended.

        Raises:
            TaskStartError: its program could not be started, or the engine has lost it.
        """
        self._client.wait()
        self._over.set()
        self._reader.join(_LAST_OUTPUT_SECONDS)
        state = self._docker.state(self._container)
        self._docker.remove(self._container)
        self._guard.forget_container(self._container)
        if state is None or state["Status"] == "running":
            raise TaskStartError("CannotInspectContainerError: Could not transition to inspecting; timed out")
        if state["Error"]:
            raise TaskStartError(f"CannotStartContainerError: Error response from daemon: {state['Error']}")
        # A process inside may have been killed for memory, and the job have continued: only its own death is the job's.
        out_of_memory = state["OOMKilled"] and state["ExitCode"] == _KILLED
        return TaskEnd(state["ExitCode"], OUT_OF_MEMORY if out_of_memory else None)

    def _stop(self, grace_seconds: float) -> None:
        if grace_seconds > 0:
            self._signal("TERM")
            self._over.wait(grace_seconds)
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        # The engine refuses a signal for a container that it has created and is about to start.
        while not self._over.is_set() and not self._docker.signal(self._container, name):
            self._over.wait(_AGAIN_SECONDS)


class DockerExecutor:
    """Starts each task as a container."""

    def __init__(self, guard: OrphanGuard) -> None:
        """Use the engine that the docker command finds; report every container to the guard.

        Raises:
            EngineMissingError: there is no docker command, or no engine answers it.
        """
        self._docker = DockerEngine()
        self._guard = guard

    def start(self, request: TaskRequest, output: Callable[[bytes], None]) -> DockerTask:
        """Start a task in a container.

        Raises:
            TaskStartError: the engine has no such image, or refuses the settings.
        """
        image = self._docker.image(request.image)
        if image is None:
            raise TaskStartError(
                f"CannotPullContainerError: Error response from daemon: No such image: {request.image}; the embedded "
                "AWS pulls nothing: build it, or load it into the engine"
            )
        secrets = {each["name"]: request.environment[each["name"]] for each in request.container.get("secrets") or []}
        arguments = [*_settings(request.container), *_variables(request.environment, secrets), image, *request.command]
        container = self._docker.create(arguments, secrets)
        self._guard.watch_container(container)
        return DockerTask(self._docker, container, self._guard, output)


def _settings(container: Mapping[str, Any]) -> Iterator[str]:
    """The options of `docker create` for containerProperties."""
    vcpus, memory_mib = container_resources(dict(container))
    linux = container.get("linuxParameters") or {}
    # A share of the processor and a hard limit of memory, without swap, as in an ECS task.
    yield from (
        f"--cpu-shares={max(2, round(vcpus * 1024))}",
        f"--memory={memory_mib}m",
        f"--memory-swap={memory_mib}m",
    )
    if container.get("readonlyRootFilesystem"):
        yield "--read-only"
    if linux.get("initProcessEnabled"):
        yield "--init"
    if container.get("user"):
        yield f"--user={container['user']}"
    folders = {
        volume["name"]: (volume.get("host") or {}).get("sourcePath") for volume in container.get("volumes") or []
    }
    for mount in container.get("mountPoints") or []:
        folder = folders.get(mount["sourceVolume"])
        source = f"type=bind,src={folder}" if folder else "type=volume"  # a new volume takes the image folder's owner
        yield f"--mount={source},dst={mount['containerPath']}{',readonly' if mount.get('readOnly') else ''}"
    for each in linux.get("tmpfs") or []:
        options = ",".join([f"size={each['size']}m", *(each.get("mountOptions") or [])])
        yield f"--tmpfs={each['containerPath']}:{options}"


def _variables(environment: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[str]:
    """Options for variables; of a secret the name alone, as a command line is for everybody to read."""
    for name, value in environment.items():
        yield f"--env={name}" if name in secrets else f"--env={name}={value}"


def _read(pipe: IO[bytes] | None, output: Callable[[bytes], None]) -> None:
    if pipe is None:
        return
    with pipe:
        while chunk := os.read(pipe.fileno(), _READ_BYTES):
            output(chunk)
