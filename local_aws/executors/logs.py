"""Job output in CloudWatch Logs, as the awslogs driver of a container writes it."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_aws.executors.executor import TaskStartError
from local_aws.scope import Scope

DEFAULT_GROUP = "/aws/batch/job"
MAX_EVENT_BYTES = 256 * 1024  # PutLogEvents: log event size
MAX_PREFIX_CHARACTERS = 200  # "the first 200 characters of the jobDefinition name" (Batch user guide, job states)


class LogStore(Protocol):
    """Where log events go."""

    def create_group(self, scope: Scope, group: str) -> None:
        """Create the group unless it is there."""

    def create_stream(self, scope: Scope, group: str, stream: str) -> bool:
        """Create the stream; False: its group does not exist."""

    def put(self, scope: Scope, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append events: time in milliseconds since 1970, and message."""


@dataclass(slots=True)
class TaskLog:
    """The log stream of one task; a line is an event."""

    store: LogStore
    scope: Scope
    group: str
    stream: str
    _rest: bytes = b""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, chunk: bytes) -> None:
        """Take output as it comes; whole lines are readable at once."""
        with self._lock:
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            while len(self._rest) > MAX_EVENT_BYTES:
                lines.append(self._rest[:MAX_EVENT_BYTES])
                self._rest = self._rest[MAX_EVENT_BYTES:]
            self._put(lines)

    def close(self) -> None:
        """Write what is left without an end of line."""
        with self._lock:
            if self._rest:
                self._put([self._rest])
                self._rest = b""

    def _put(self, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        # CloudWatch Logs refuses empty messages, and the driver leaves them out.
        events = [(now, line.rstrip(b"\r").decode(errors="replace")) for line in lines if line.strip(b"\r")]
        if events:
            self.store.put(self.scope, self.group, self.stream, events)


@dataclass(frozen=True, slots=True)
class LogService:
    """Opens log streams."""

    store: LogStore

    def open(self, scope: Scope, configuration: dict[str, Any] | None, definition_name: str, task_id: str) -> TaskLog:
        """Create the stream of a task.

        Args:
            scope: where the job runs.
            configuration: logConfiguration of the container, or None.
            definition_name: the job definition's, without revision: the default prefix.
            task_id: the last part of the task's ARN.

        Raises:
            TaskStartError: the group does not exist and is not to be created.
        """
        options = (configuration or {}).get("options") or {}
        group = options.get("awslogs-group", DEFAULT_GROUP)
        prefix = options.get("awslogs-stream-prefix", definition_name[:MAX_PREFIX_CHARACTERS])
        stream = f"{prefix}/default/{task_id}"
        if group == DEFAULT_GROUP or options.get("awslogs-create-group", "").lower() == "true":
            self.store.create_group(scope, group)
        if not self.store.create_stream(scope, group, stream):
            msg = (
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
                f"failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
                f"exist: {group}"
            )
            raise TaskStartError(msg)
        return TaskLog(self.store, scope, group, stream)
