"""Reads the progress of runs for many requests: one at a time, and no more often than `millrace watch` does."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.find.aws import Aws
from console.watch.progress import RunProgress
from console.watch.watching import AWS_SECONDS, LOCAL_SECONDS, Watcher

KEPT = 20
"""Of how many runs the progress is kept."""


@dataclass
class Watched:
    """An execution, and what was read of it last."""

    watcher: Watcher
    machine: Mapping[str, Any]
    at: float = field(default=float("-inf"))
    progress: RunProgress | None = None


class ProgressCache:
    """The last progress that was read of each execution.

    Args:
        aws: Where they run.
    """

    def __init__(self, aws: Aws) -> None:
        self.every = LOCAL_SECONDS if aws.endpoint_url is not None else AWS_SECONDS
        self.lock = threading.RLock()
        self._aws = aws
        self._watched: OrderedDict[str, Watched] = OrderedDict()

    def of(self, execution_arn: str) -> RunProgress:
        """How far an execution is, at most `every` seconds ago."""
        with self.lock:
            watched = self._of(execution_arn)
            if watched.progress is None or time.monotonic() - watched.at >= self.every:
                watched.progress = watched.watcher.look()
                watched.at = time.monotonic()
            return watched.progress

    def machine(self, execution_arn: str) -> Mapping[str, Any]:
        """The definition of the state machine as the execution runs it."""
        with self.lock:
            return self._of(execution_arn).machine

    def _of(self, execution_arn: str) -> Watched:
        watched = self._watched.get(execution_arn)
        if watched is None:
            described = self._aws.step_functions.describe_state_machine_for_execution(executionArn=execution_arn)
            watched = Watched(Watcher(self._aws, execution_arn), json.loads(described["definition"]))
            self._watched[execution_arn] = watched
        self._watched.move_to_end(execution_arn)
        while len(self._watched) > KEPT:
            self._watched.popitem(last=False)
        return watched
