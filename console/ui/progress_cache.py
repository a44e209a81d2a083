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
"""Of how many runs the last look is kept."""


@dataclass
class Look:
    """The last look at an execution, and what makes the next one."""

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
        self._looks: OrderedDict[str, Look] = OrderedDict()

    def look(self, execution_arn: str) -> RunProgress:
        """How far an execution is, at most `every` seconds ago."""
        with self.lock:
            look = self._of(execution_arn)
            if look.progress is None or time.monotonic() - look.at >= self.every:
                look.progress = look.watcher.look()
                look.at = time.monotonic()
            return look.progress

    def machine(self, execution_arn: str) -> Mapping[str, Any]:
        """The definition of the state machine as the execution runs it."""
        with self.lock:
            return self._of(execution_arn).machine

    def _of(self, execution_arn: str) -> Look:
        look = self._looks.get(execution_arn)
        if look is None:
            described = self._aws.step_functions.describe_state_machine_for_execution(executionArn=execution_arn)
            look = Look(Watcher(self._aws, execution_arn), json.loads(described["definition"]))
            self._looks[execution_arn] = look
        self._looks.move_to_end(execution_arn)
        while len(self._looks) > KEPT:
            self._looks.popitem(last=False)
        return look
