"""Step Functions, as far as a run sees it: an execution walks the real state machine, fails, and is redriven."""

from __future__ import annotations

from typing import Any

from millrace.errors import MillraceError
from millrace.records.sizing import SMALL
from tests.simulation.batch import Batch, BatchJob
from tests.simulation.errors import Crash
from tests.simulation.jobs import run_function
from tests.simulation.keys import run_of_uri
from tests.simulation.process import MIGRATING, Process
from tests.simulation.promises import Promise
from tests.simulation.state_machine import LAMBDA, STATES, StateMachine, after, filled, value
from tests.simulation.world import World

MACHINE = StateMachine.of_the_repository()
WAIT_STEPS = 200
"""How long a queued run waits, whatever the state says."""

LAMBDA_BROKE, BATCH_BROKE = "Lambda.ServiceException", "Batch.ServerException"


class ExecutionFailed(Exception):  # noqa: N818 - it is a status
    """The execution cannot go on.

    Args:
        exit_codes: Those of the failed job.
        cause: The error of a failed function.
    """

    def __init__(self, exit_codes: set[int | None], cause: BaseException | None = None) -> None:
        self.exit_codes = exit_codes
        self.cause = cause
        super().__init__(f"{exit_codes} {cause}")


class Execution:
    """An execution.

    Args:
        world: What it is part of.
        batch: Where it submits jobs.
        name: Its name.
        request: Its input.

    Attributes:
        status: RUNNING, SUCCEEDED, FAILED or ABORTED.
        run_id: The run that it works for.
        state: The state that it is in, or failed in.
        output: What it gave.
        failure: Why it failed.
    """

    def __init__(self, world: World, batch: Batch, name: str, request: dict[str, Any]) -> None:
        self.status = "RUNNING"
        self.name = name
        self.run_id: str = request.get("run_id") or name
        self.state = MACHINE.start
        self.output: dict[str, Any] | None = None
        self.failure: ExecutionFailed | None = None
        self._world = world
        self._batch = batch
        self._data: Any = request
        self._calls = 0
        self._aborted = False
        self._committed_before: int | None = None
        self._was_small = False
        self._context: dict[str, Any] = {
            "Execution": {
                "Input": request,
                "Id": f"arn:aws:states:us-east-1:123456789012:execution:millrace:{name}",
                "Name": name,
                "StartTime": f"2026-11-21T09:00:00.{world.scheduler.steps:06d}Z",
                "RedriveCount": 0,
            }
        }
        world.scheduler.spawn(f"execution {name}", self._walk)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status != "RUNNING"

    @property
    def folder(self) -> str:
        """The run, or the retry, that its jobs work for."""
        return run_of_uri(self._data["run"]["plan"])

    def wait(self) -> None:
        """Let the others run until it has ended."""
        self._world.scheduler.pause(ready=lambda: self.ended)

    def redrive(self) -> None:
        """RedriveExecution: go on at the state that failed, with the same input."""
        self._world.faults.note(f"redrive at {self.state}")
        self.status, self.failure, self._aborted, self._committed_before = "RUNNING", None, False, None
        self._was_small = False
        self._context["Execution"]["RedriveCount"] += 1
        self._world.trace(f"execution {self.name}", f"is redriven at {self.state}")
        self._world.scheduler.spawn(f"execution {self.name}", self._walk)

    def abort(self) -> None:
        """StopExecution: it ends, and asks Batch to terminate its job."""
        self._aborted = True

    def _walk(self) -> None:
        world = self._world
        try:
            while True:
                world.trace(f"execution {self.name}", f"enters {self.state}")
                state = MACHINE.states[self.state]
                if state["Type"] == "Choice":
                    self.state = MACHINE.choose(self.state, self._data)
                    continue
                if state["Type"] == "Wait":
                    world.scheduler.pause(steps=WAIT_STEPS)
                    self.state = state["Next"]
                    continue
                if state["Type"] == "Succeed":
                    self._data = value(state["OutputPath"], self._data, {})
                    break
                parameters = filled(state["Parameters"], self._data, self._context)
                if state["Resource"] == LAMBDA:
                    try:
                        raw = {"Payload": self._invoke(parameters["Payload"])}
                    except ExecutionFailed as failure:
                        caught = MACHINE.caught(self.state, type(failure.cause).__name__)
                        if caught is None:
                            raise
                        self.state = caught
                        continue
                else:
                    raw = self._submit(parameters)
                self._data = after(state, self._data, raw)
                if state.get("End"):
                    break
                self.state = state["Next"]
        except ExecutionFailed as failure:
            self.failure = failure
            self.status = "ABORTED" if self._aborted else "FAILED"
            world.trace(f"execution {self.name}", f"{self.status} in {self.state}: {failure}")
            return
        self.output = self._data
        self.status = "SUCCEEDED"
        world.trace(f"execution {self.name}", f"SUCCEEDED with {self.output}")

    def _invoke(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Call a function; where Lambda itself breaks, the state's Retry calls it again."""
        world = self._world
        while True:
            self._calls += 1
            process = Process(f"{STATES[self.state]} {self.name}/{self._calls}", STATES[self.state], self.run_id)
            try:
                answer = run_function(world, process, payload)
            except (MillraceError, Crash) as error:
                world.trace(process, f"{type(error).__name__}: {error}")
                raise ExecutionFailed(set(), error) from error
            if world.faults.happens("function timed out after success", 0.03):
                raise ExecutionFailed(set())
            again = world.faults.happens("function's answer lost, called again", 0.03)
            if not again or not MACHINE.retries(self.state, LAMBDA_BROKE):
                return answer

    def _submit(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Submit a job and wait for it."""
        world = self._world
        command = parameters["ContainerOverrides"]["Command"]
        size = parameters["ArrayProperties"]["Size"] if "ArrayProperties" in parameters else None
        if command[0] in MIGRATING and size is not None:
            committed = len(world.records.of(self.folder).commits)
            gained = committed != self._committed_before
            world.promises.check(Promise.ENDS, gained, f"a pass after one that committed nothing: {committed} commits")
            self._committed_before = committed
        if SMALL in command:
            world.promises.check(Promise.ENDS, not self._was_small, "a small job after one that handed back")
            self._was_small = True
        if world.faults.happens(f"duplicate SubmitJob of {command[0]}", 0.06) and MACHINE.retries(
            self.state, BATCH_BROKE
        ):
            self._batch.submit(command, size)  # its answer is lost, and nobody waits for it
        job = self._batch.submit(command, size)
        if world.faults.happens(f"abort in {self.state}", 0.02):
            world.scheduler.pause(steps=world.chance.randrange(60))
            self.abort()
        world.scheduler.pause(ready=lambda: job.status != "RUNNING" or self._aborted)
        if self._aborted:
            self._cancel(job)
        if job.status == "FAILED":
            raise ExecutionFailed(job.exit_codes)
        summary = {"SUCCEEDED": len(job.children)}
        return {"JobId": job.job_id, "ArrayProperties": {"StatusSummary": summary}}

    def _cancel(self, job: BatchJob) -> None:
        # Step Functions terminates its jobs as best it can: Step Functions, connect to resource.
        if self._world.chance.random() < 0.7:
            self._batch.terminate(job)
        raise ExecutionFailed(set())
