"""What an account allows, held against a run's size: vCPUs at once, jobs and tasks a second."""

from __future__ import annotations

from console.doctor.check import Check
from console.find.stack import job_size
from console.find.target import Target
from millrace.records.sizing import MAX_CHILDREN, slots_of
from millrace.source.sharding import MAX_SHARDS
from millrace.text import duration_text, plural

QUOTAS = {
    "FARGATE": ("fargate", "L-3032A538", "Fargate On-Demand vCPUs"),
    "FARGATE_SPOT": ("fargate", "L-36FBB829", "Fargate Spot vCPUs"),
    "EC2": ("ec2", "L-34B43A08", "vCPUs of Standard Spot Instances"),
    "EC2_GPU": ("ec2", "L-3819A6DF", "vCPUs of G and VT Spot Instances"),
}
"""What bounds each kind of compute: service and code in Service Quotas. Spot comes first, On-Demand behind."""

BEHIND = {
    "FARGATE_SPOT": QUOTAS["FARGATE"],
    "EC2": ("ec2", "L-1216C47A", "vCPUs of Standard On-Demand Instances"),
    "EC2_GPU": ("ec2", "L-DB2E81BA", "vCPUs of G and VT On-Demand Instances"),
}
"""What stands behind Spot, and is all that urgent runs may use."""

SUBMISSIONS_A_RUN = 3
"""Plan, migrate - however many children the array has - and merge; a small run is one."""

SUBMISSIONS_A_SECOND = 50
"""AWS Batch user guide, service quotas: SubmitJob, for an account in a Region; it cannot be raised."""

LAUNCHES_A_SECOND = 20
"""Amazon ECS, throttling quotas: Fargate tasks, sustained; On-Demand and Spot each."""


def vcpu_quota(target: Target, shards: int | None) -> Check:
    """The quota of what jobs run on first: below what the stack would use a run is slow, below one job none runs."""
    if target.is_local:
        return Check("vCPU quota", "ok", "the embedded AWS has none")
    given = target.stack.parameters
    wanted, each = float(given.get("MaxvCpus") or 16), job_size(given)[0]
    service, code, what = QUOTAS[_kind(target)]
    value = _quota(target, service, code)
    if value < each:
        todo = f"ask for more in Service Quotas: {service}, {code}"
        return Check("vCPU quota", "fail", f"{value:g} {what}, one job needs {each:g}", todo)
    needed = wanted if shards is None else min(wanted, shards * each)
    at_once = int(min(value, wanted) / each)
    if value < needed:
        return Check(
            "vCPU quota",
            "warn",
            f"{value:g} {what}, the stack would use {needed:g}: {plural(at_once, 'job')} at once, "
            "less what else runs in the account",
            f"ask for {needed:g} in Service Quotas: {service}, {code}",
        )
    return Check("vCPU quota", "ok", f"{value:g} {what}: {plural(at_once, 'job')} of {each:g} at once")


def quota_behind(target: Target) -> Check:
    """The quota of what is taken where Spot is not to be had, and by urgent runs."""
    name = "behind Spot"
    given = target.stack.parameters
    behind = BEHIND.get(_kind(target))
    if target.is_local or behind is None:
        return Check(name, "ok", "the embedded AWS has no quota" if target.is_local else "no Spot is used")
    service, code, what = behind
    value, each = _quota(target, service, code), job_size(given)[0]
    if value < each:
        todo = f"ask for more in Service Quotas: {service}, {code}"
        return Check(name, "warn", f"{value:g} {what}, one job needs {each:g}: no urgent run can start", todo)
    return Check(name, "ok", f"{value:g} {what}: {plural(int(value / each), 'job')} at once")


def rates(target: Target, shards: int | None) -> Check:
    """How fast jobs may be submitted and tasks started: what a run of so many shards takes at least."""
    submitted = (
        f"a run is 1 to {SUBMISSIONS_A_RUN} SubmitJob calls, whatever its size; the limit is {SUBMISSIONS_A_SECOND} "
        "a second"
    )
    if shards is None:
        return Check("rates", "ok", submitted)
    if shards > MAX_SHARDS:
        todo = "larger shards: --target-bytes or --max-items; the plan job makes them by itself"
        return Check("rates", "warn", f"a run has at most {MAX_SHARDS:,} shards, not {shards:,}", todo)
    given = target.stack.parameters
    if _kind(target).startswith("EC2"):
        return Check("rates", "ok", submitted)
    children = min(slots_of(float(given.get("MaxvCpus") or 16), job_size(given)[0]), shards, MAX_CHILDREN)
    least = duration_text(children / LAUNCHES_A_SECOND)
    started = (
        f"Fargate starts {LAUNCHES_A_SECOND} tasks a second: {shards:,} shards are worked by at most "
        f"{'one child' if children == 1 else f'{children:,} children'}, which take at least {least} to start"
    )
    return Check("rates", "ok", f"{submitted}; {started}")


def _kind(target: Target) -> str:
    """What jobs run on; the quotas do not distinguish architectures."""
    return str(target.stack.parameters.get("Compute", "FARGATE")).removesuffix("_ARM64")


def _quota(target: Target, service: str, code: str) -> float:
    answer = target.aws.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])
