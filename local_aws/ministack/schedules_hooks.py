# ruff: noqa: SLF001 - to touch private names is what this file is for
"""EventBridge Scheduler: time zones, starts of state machines under the schedule's role, its dead-letter queue.

By itself ministack fires cron(...) in UTC, fills in no context attribute, starts under no role and drops what fails;
it lists the first hundred schedules and no more.
On AWS a schedule's role must be one that Scheduler may assume, and what a target does not take goes to the schedule's
dead-letter queue (EventBridge Scheduler user guide, "Schedule types", "Adding context attributes", "Configuring a
dead-letter queue"; API: CreateSchedule).
"""

import base64
import json
import logging
import time
import uuid
import zoneinfo
from datetime import UTC, datetime
from typing import Any

from local_aws.ministack.hooks import Ministack, Response
from local_aws.scope import Scope

_LOG = logging.getLogger("local_aws.batch.events")
_PRINCIPAL = "scheduler.amazonaws.com"
_OK = 200
_PAGE = 100
"""The most schedules that ListSchedules gives at once (API: ListSchedules, MaxResults)."""


class Schedules:
    """The schedules of every account and region.

    Args:
        ministack: Where they are kept.
        scale: Factor on the time between two looks at them; that of rate(...) is on it already.
    """

    def __init__(self, ministack: Ministack, scale: float) -> None:
        self._ministack = ministack
        self._kept: Any = ministack.schedules
        self._events: Any = ministack.events
        self._fired: dict[tuple[str, str, str], float] = {}
        create, update = self._kept._create_schedule, self._kept._update_schedule
        self._kept._create_schedule = lambda name, body: self._refusal(body) or create(name, body)
        self._kept._update_schedule = lambda name, body: self._refusal(body) or update(name, body)
        self._all = self._kept._list_schedules
        self._kept._list_schedules = self._page
        self._kept._SCHEDULE_TICK_INTERVAL *= scale
        self._kept._tick_schedules = self._look

    def _refusal(self, body: dict[str, Any]) -> Response | None:
        """The answer to a schedule that AWS does not take; None for one that it takes."""
        expression = str(body.get("ScheduleExpression", ""))
        problem = None
        if self._events._parse_rate_seconds(expression) is None and not self._events._parse_cron_fields(expression):
            problem = f"Invalid Schedule Expression {expression}."
        elif body.get("ScheduleExpressionTimezone", "UTC") not in zoneinfo.available_timezones():
            problem = f"Invalid time zone {body['ScheduleExpressionTimezone']}."
        elif self._ministack.enforces_iam and not self._ministack.role_trusts(
            self._ministack.scope(), str((body.get("Target") or {}).get("RoleArn", "")), _PRINCIPAL
        ):
            problem = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        return self._refused(problem) if problem else None

    def _refused(self, problem: str) -> Response:
        answer: Response = self._kept._error(400, "ValidationException", problem)
        return answer

    def _page(self, query: dict[str, str]) -> Response:
        """A page of the schedules, by group and name; its token names the last of them (API: ListSchedules)."""
        most = query.get("MaxResults", str(_PAGE))
        if not (most.isdecimal() and 1 <= int(most) <= _PAGE):
            return self._refused(f"MaxResults is {most}; it must be 1 to {_PAGE}.")
        try:
            after = tuple(json.loads(base64.urlsafe_b64decode(query.get("NextToken", "W10="))))
        except (ValueError, TypeError):
            return self._refused("Invalid NextToken.")
        status, headers, body = self._all({**query, "MaxResults": str(len(self._kept._schedules) + 1)})
        listed = json.loads(body)["Schedules"]
        places = {(each["GroupName"], each["Name"]): each for each in listed}
        left = sorted(place for place in places if place > after)
        answer: dict[str, Any] = {"Schedules": [places[place] for place in left[: int(most)]]}
        if len(left) > int(most):
            answer["NextToken"] = base64.urlsafe_b64encode(json.dumps(left[int(most) - 1]).encode()).decode()
        return status, headers, json.dumps(answer).encode()

    def _look(self) -> None:
        """Fire what is due."""
        self._ministack.over_tls()
        now = time.time()
        for key, schedule in list(self._kept._schedules._data.items()):
            last = max(self._fired.get(key, 0.0), schedule["LastModificationDate"])
            if schedule["State"] != "ENABLED" or not self._is_due(schedule, last, now):
                continue
            self._fired[key] = now
            try:
                with self._ministack.in_scope(Scope(key[0], key[1])):
                    self._fire(schedule)
            except Exception:  # noqa: BLE001 - one that cannot fire must not end the thread that fires all
                _LOG.exception("schedule %s did not fire", schedule["Arn"])

    def _is_due(self, schedule: dict[str, Any], last: float, now: float) -> bool:
        seconds = self._events._parse_rate_seconds(schedule["ScheduleExpression"])
        if seconds is not None:
            return bool(now - last >= seconds)
        fields = self._events._parse_cron_fields(schedule["ScheduleExpression"])
        zone = zoneinfo.ZoneInfo(schedule["ScheduleExpressionTimezone"])
        # The fields are those of the zone's clock, so that is what is walked through.
        clock = datetime.fromtimestamp(last, zone).replace(tzinfo=UTC)
        following = self._events._cron_next_fire(fields, clock)
        return following is not None and following.replace(tzinfo=zone).timestamp() <= now

    def _fire(self, schedule: dict[str, Any]) -> None:
        target, execution = schedule["Target"], uuid.uuid4().hex
        given = target.get("Input", "{}")
        attributes = {
            "schedule-arn": schedule["Arn"], "execution-id": execution, "attempt-number": "1",
            "scheduled-time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        for name, value in attributes.items():
            given = given.replace(f"<aws.scheduler.{name}>", value)
        role, arn = target["RoleArn"], target["Arn"]
        if not self._allows(role, "states:StartExecution", arn):
            self._bury(schedule, given, execution, "AccessDeniedException", f"{role} may not start {arn}")
            return
        started = {"stateMachineArn": arn, "input": given}
        status, _, body = self._ministack.step_functions._start_execution(started)
        if status != _OK:
            answer = json.loads(body)
            self._bury(schedule, given, execution, str(answer.get("__type")), str(answer.get("message")))

    def _bury(self, schedule: dict[str, Any], given: str, execution: str, code: str, message: str) -> None:
        target, queues = schedule["Target"], self._ministack.queues
        arn = (target.get("DeadLetterConfig") or {}).get("Arn", "")
        queue = queues._queue_by_arn(arn) if arn else None
        if queue is None or not self._allows(target["RoleArn"], "sqs:SendMessage", arn):
            _LOG.warning("start by %s dropped: %s", schedule["Arn"], message)
            return
        texts = {
            "ERROR_CODE": code, "ERROR_MESSAGE": message, "EXECUTION_ID": execution,
            "SCHEDULE_ARN": schedule["Arn"], "TARGET_ARN": target["Arn"],
        }  # fmt: skip
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
        request = {"QueueUrl": queue["url"], "MessageBody": given, "MessageAttributes": attributes}
        queues._act_send_message(request, {})

    def _allows(self, role: str, action: str, arn: str) -> bool:
        return not self._ministack.enforces_iam or self._ministack.role_allows(role, action, arn)
