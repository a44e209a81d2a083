"""Running a job's command line, or a Lambda's function, as the real code does, in a simulated process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

os.environ.setdefault("AWS_REGION", "us-east-1")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "millrace")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Millrace")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "1")

from batch_jobs.__main__ import _read_request
from batch_jobs.arguments import parse_arguments
from batch_jobs.merging.merge import merge
from batch_jobs.merging.merge_parts import merge_part
from batch_jobs.merging.migrate_and_merge import migrate_and_merge
from batch_jobs.migrating.migrate import migrate
from batch_jobs.planning.plan import plan
from millrace.errors import DamagedFileError, MillraceError, MissingCommitError, RunIdentityError
from millrace.layout import RunFolder, S3Uri
from millrace.settings import FunctionSettings, JobSettings
from prepare_run import prepare_run
from read_plan import read_plan
from read_result import read_result
from tests.simulation.errors import Crash
from tests.simulation.process import FIRST_CODE, Process
from tests.simulation.promises import Promise
from tests.simulation.world import World

QUEUE = "arn:aws:batch:us-east-1:123456789012:job-queue/standard"
SETTINGS = FunctionSettings(queues={"standard": QUEUE})

KILLED = 137
"""128 and SIGKILL."""

NEVER = (DamagedFileError, RunIdentityError, MissingCommitError)
"""What no job of a simulated run may meet: nobody but Millrace touches the run folder."""

POOLS = ("millrace.planning.making", "millrace.planning.named_objects", "read_plan")
"""Where a function does several things at once, which a job of the simulator is told not to."""


@contextmanager
def simulated_functions(world: World) -> Iterator[None]:
    """Let the functions live by the world's clock and do one thing at a time.

    A pool's threads would all run on the one baton of their process, and the real time would be in the plan.
    """
    module = sys.modules["prepare_run"]
    with ExitStack() as patches:
        for name in POOLS:
            one = partial(_one_by_one, vars(sys.modules[name])["in_order"])
            patches.enter_context(patch.object(sys.modules[name], "in_order", one))
        patches.enter_context(patch.object(module, "CONNECTIONS", 1))  # a listing starts no thread then
        patches.enter_context(patch.object(module, "time", SimpleNamespace(monotonic=world.scheduler.clock)))
        patches.enter_context(patch.object(module, "datetime", SimpleNamespace(now=lambda _zone: world.date)))
        yield


def _one_by_one(in_order: Callable[..., Any], make: Any, things: Iterable[Any], _concurrency: int) -> Any:
    return in_order(make, things, 1)


def run_job(world: World, process: Process, command: list[str], settings: JobSettings) -> None:
    """Run a job to its end; `process` then has its exit code.

    Raises:
        Violation: It ended in a way that no disturbance explains.
    """
    world.trace(process, f"starts: {' '.join(command)}")
    try:
        _dispatch(world, process, command, settings)
    except Crash:
        process.exit_code = None if process.reason else KILLED
    except MillraceError as error:
        process.exit_code = error.exit_code
        world.trace(process, f"{type(error).__name__}: {error}")
        refused = isinstance(error, RunIdentityError) and process.code != FIRST_CODE
        world.promises.check(Promise.READABLE, refused or not isinstance(error, NEVER), f"{process.name}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        world.promises.check(Promise.DECLARED, kept=False, details=f"{process.name}: {error!r}")
    else:
        process.exit_code = 0
        world.promises.check(Promise.ONE_CODE, process.code == FIRST_CODE, f"{process.name} did its work by other code")
        process.ended = world.scheduler.steps
        world.promises.check(Promise.READABLE, kept=True, details=process.name)
        world.promises.check(Promise.DECLARED, kept=True, details=process.name)
    world.trace(process, f"ends with {process.exit_code}")


def run_function(world: World, process: Process, event: dict[str, Any]) -> dict[str, Any]:
    """Call a Lambda's function.

    Raises:
        MillraceError: As the function does.
        Crash: The process died.
    """
    world.trace(process, "starts")
    s3 = world.storage(process)
    if process.runs == "prepare_run":
        answer = prepare_run(event, s3, replace(SETTINGS, jobs_code=world.code if world.plans_at_once else ""))
    elif process.runs == "read_plan":
        answer = read_plan(event, s3, replace(SETTINGS, slots=world.slots, compute=world.compute))
    else:
        answer = read_result(event, s3)
    world.trace(process, f"answers {answer}")
    return answer


def _dispatch(world: World, process: Process, command: list[str], settings: JobSettings) -> None:
    # What batch_jobs/__main__.py does with its command line.
    given = parse_arguments(command)
    job = world.job(process, settings)
    if given.verb == "plan":
        folder = RunFolder.of_request(S3Uri.parse(given.request, "request"))
        plan(_read_request(folder, job.s3.read(folder.request), settings.code_version), folder, job)
        return
    folder = RunFolder.of_plan(S3Uri.parse(given.plan, "plan"))
    if given.verb == "migrate":
        migrate(folder, job)
    elif given.verb == "merge" and given.part is not None:
        merge_part(folder, settings.array_index, job)
    else:
        process.percent = given.tolerated_failure_percent
        tolerance = (given.tolerated_failure_percent, given.tolerated_failure_count)
        if given.verb == "merge":
            merge(folder, job, *tolerance)
        else:
            migrate_and_merge(folder, job, *tolerance, size=given.size)
