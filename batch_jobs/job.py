"""What each of the three jobs is given to work with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from batch_jobs.code_identity import code_identity
from batch_jobs.stop import Stop
from batch_jobs.workloads.code_package import take_code
from batch_jobs.workloads.registry import load_workload
from millrace.errors import RunIdentityError, StorageError
from millrace.layout import RunFolder
from millrace.planning.making import PlanMaker
from millrace.records.code import what_differs
from millrace.records.files import read_plan
from millrace.records.plan import Plan
from millrace.request.code_package import check_code_allowed
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import S3
from millrace.settings import JobSettings
from millrace.workload.contract import Workload
from millrace.workload.registry import check_allowed


@dataclass(frozen=True)
class Job:
    """A job's surroundings; tests and the simulator put in their own.

    Attributes:
        s3: For all that the job itself reads and writes.
        settings: What Batch and the deployment say.
        stop: Whether to stop early.
        load: Makes a workload from its name and options.
        identify: Returns which code works a workload, from the settings and the workload's name.
        now: What time it is, with its zone.
        clock: Seconds that only ever grow.
    """

    s3: S3
    settings: JobSettings = field(default_factory=JobSettings)
    stop: Stop = field(default_factory=Stop)
    load: Callable[[str, Mapping[str, Any]], Workload[Any]] = load_workload
    identify: Callable[[JobSettings, str], str] = code_identity
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic

    def item_s3(self, note: Callable[[StorageError], None] = lambda _error: None) -> S3:
        """For an item's calls: a pause between two tries ends when the job has to stop.

        Args:
            note: Called with every call that failed.
        """
        return replace(self.s3, backoff=replace(self.s3.backoff, sleep=self.stop.sleep, note=note))

    def timestamp(self) -> str:
        """Now, ISO 8601, UTC."""
        return self.now().astimezone(UTC).isoformat(timespec="milliseconds")

    def code_version(self, workload: str, code: str | None) -> str:
        """Which code this job works a workload with, as plan and commits name it. It is here from now on.

        Args:
            workload: The workload's name.
            code: The zip that holds it; None where the image does.

        Raises:
            CodePackageError: The zip is missing or cannot be run.
            InvalidRunRequest: The workload, or code from outside, may not run here.
            WorkloadUnavailableError: It is a user's own, and is not here.
        """
        check_allowed(workload, self.settings.allowed_workloads)
        check_code_allowed(code, self.settings.allowed_workloads)
        take_code(code, self.s3)
        return self.identify(self.settings, workload)

    def plan_maker(self, request: RunRequest) -> PlanMaker:
        """What makes the plan of a run.

        Raises:
            CodePackageError: The zip of its code is missing or cannot be run.
            InvalidRunRequest: Its workload, or code from outside, may not run here.
            WorkloadUnavailableError: Its workload is a user's own, and is not here.
        """
        code_version = self.code_version(request.workload, request.code)
        return PlanMaker(self.s3, code_version, self.timestamp, self.stop.check, self.settings.concurrency)

    def read_plan(self, folder: RunFolder) -> Plan:
        """The run's plan.

        Raises:
            CodePackageError: The zip of its code is missing or cannot be run.
            DamagedFileError: plan.json is not a plan, or there is none.
            InvalidRunRequest: The plan's workload, or code from outside, may not run here.
            RunIdentityError: Other code made it.
            WorkloadUnavailableError: It is for a user's own workload that is not here.
        """
        plan = read_plan(folder, self.s3)
        code_version = self.code_version(plan.workload, plan.code)
        if plan.code_version != code_version:
            raise RunIdentityError(
                f"the plan was made by version {plan.code_version}, this is {code_version}: "
                f"{what_differs(plan.code_version, code_version)}; "
                "finish the run with that version, or start a new one. If new runs fail the same way, the functions "
                "and the image are from different checkouts: build and deploy both",
                operation="read the plan",
                target=str(folder.plan),
            )
        return plan
