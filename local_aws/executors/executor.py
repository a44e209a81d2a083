"""What runs a task: the interface between the scheduler and processes or containers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.batch.jobs import Stoppable


class TaskStartError(Exception):
    """Raised when a task can't start; its text is the container's `reason`, in the words of ECS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """One task to run."""

    task_id: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    """All variables but those that belong to the machine (PATH, HOME, LANG, PYTHONPATH)."""
    container: Mapping[str, Any]
    """containerProperties with the overrides applied, for what is more than command and environment."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended."""

    exit_code: int
    """A death by signal is 128 plus the signal, as in a container."""
    reason: str | None = None
    """The container's `reason`, where ECS gives one."""


class Task(Stoppable, Protocol):
    """A running task."""

    def wait(self) -> TaskEnd:
        """Wait for the end, and say how it ended.

        Raises:
            TaskStartError: it never ran.
        """


class Executor(Protocol):
    """Starts tasks."""

    def start(self, request: TaskRequest, output: Callable[[bytes], None]) -> Task:
        """Start a task whose output (stdout and stderr, interleaved) goes to `output`, called from one other thread.

        Raises:
            TaskStartError: it can't start.
        """
