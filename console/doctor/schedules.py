"""The stack's schedules: which are on, and which of them would start a run that is refused."""

from __future__ import annotations

from console.doctor.check import Check
from console.find.target import Target
from console.operations.schedules import Schedule, schedules
from console.run_order import readable_places
from millrace.errors import InvalidRunRequest
from millrace.request.run_request import RunRequest
from millrace.text import plural

NAME = "schedules"


def check_schedules(target: Target) -> Check:
    """How many schedules there are; a warning where one would start nothing, or a run that is refused."""
    found = list(schedules(target))
    wrong = [f"{each.name}: {trouble}" for each in found if (trouble := _trouble(target, each))]
    paused = [each.name for each in found if each.paused]
    if wrong:
        todo = f"remove it: {target.command('schedule remove', 'NAME')}, and add it anew"
        return Check(NAME, "warn", "; ".join(wrong), todo)
    if not found:
        return Check(NAME, "ok", "none")
    more = f", paused: {', '.join(paused)}" if paused else ""
    return Check(NAME, "ok", f"{plural(len(found), 'schedule')}{more}; deleting the stack deletes them")


def _trouble(target: Target, schedule: Schedule) -> str:
    """What is wrong with a schedule; empty where its next run would start."""
    if schedule.target_arn != target.stack.state_machine_arn:
        return f"it starts {schedule.target_arn}, which is not this stack's workflow"
    try:
        asked = RunRequest.parse(schedule.request, queues=(str(schedule.request.get("queue", "standard")),))
    except InvalidRunRequest as error:
        return f"its runs are refused: {error.message}"
    stack = target.stack
    readable = readable_places(stack.sources, stack.result_bucket, stack.public_buckets)
    for field, places in (("source", readable), ("destination", (f"s3://{stack.result_bucket}/",))):
        if not getattr(asked, field).startswith(places):
            return f"its runs are refused: {field} {getattr(asked, field)} is not in {' or '.join(places)}"
    return ""
