"""Reading what a run wrote down: its plan, its commits."""

from __future__ import annotations

from millrace.commit import Commit
from millrace.errors import DamagedFileError, ObjectNotFoundError, RunIdentityError
from millrace.layout import RunFolder
from millrace.plan import Plan
from millrace.s3 import S3


def read_plan(folder: RunFolder, s3: S3) -> Plan:
    """The plan in a folder.

    Raises:
        DamagedFileError: plan.json is not a plan, or there is none.
    """
    plan = plan_if_there(folder, s3)
    if plan is None:
        raise DamagedFileError(
            "there is no plan; run the plan job first", operation="read the plan", target=str(folder.plan)
        )
    return plan


def plan_if_there(folder: RunFolder, s3: S3) -> Plan | None:
    """The plan in a folder, or None where there is none.

    Raises:
        DamagedFileError: plan.json is not a plan.
    """
    try:
        return Plan.from_json(s3.read(folder.plan), str(folder.plan))
    except ObjectNotFoundError:
        return None


def read_commit(folder: RunFolder, index: int, plan: Plan, s3: S3) -> Commit | None:
    """The shard's commit, or None where there is none.

    Raises:
        DamagedFileError: It is not a commit.
        RunIdentityError: It belongs to another plan, or to another version of the code.
    """
    uri = folder.commit(index)
    try:
        commit = Commit.from_json(s3.read(uri), str(uri))
    except ObjectNotFoundError:
        return None
    found = (commit.shard, commit.plan_digest, commit.code_version)
    if found != (index, plan.digest, plan.code_version):
        raise RunIdentityError(
            f"it commits shard {found[0]} of plan {found[1]} by version {found[2]}, "
            f"where shard {index} of plan {plan.digest} by version {plan.code_version} belongs",
            operation="read the commit",
            target=str(uri),
        )
    return commit
