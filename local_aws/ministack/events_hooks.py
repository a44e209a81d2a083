# ruff: noqa: SLF001 - to touch private names is what this file is for
"""EventBridge: refuses the requests that ministack wrongly accepts.

An input transformer may name its own paths and the reserved variables alone, and an event must say where it comes
from, of what kind it is and what it says (EventBridge user guide, "Input transformation"; API: PutEvents).
"""

import json
import re
from typing import Any

from local_aws.ministack.hooks import Ministack

_PLACEHOLDER = re.compile(r"<([^<>]*)>")
RESERVED = frozenset({
    "aws.events.rule-arn", "aws.events.rule-name", "aws.events.event", "aws.events.event.json",
    "aws.events.event.ingestion-time",
})  # fmt: skip
_REQUIRED = ("Source", "DetailType", "Detail")


def refuse_wrong_events(ministack: Ministack) -> None:
    """Let PutTargets and PutEvents refuse what AWS refuses."""
    events = ministack.events
    put_targets, put_events = events._put_targets, events._put_events

    def checked_targets(data: dict[str, Any]) -> Any:
        for target in data.get("Targets", []):
            unknown = unknown_placeholders(target.get("InputTransformer") or {})
            if unknown:
                return events.error_response_json(
                    "ValidationException",
                    f"InputTemplate for target {target.get('Id')} contains invalid placeholder {unknown[0]}.",
                    400,
                )
        return put_targets(data)

    def checked_events(data: dict[str, Any], **given: Any) -> Any:
        entries = data.get("Entries", [])
        missing = [next((name for name in _REQUIRED if not entry.get(name)), None) for entry in entries]
        if not any(missing):
            return put_events(data, **given)
        good = [entry for entry, name in zip(entries, missing, strict=True) if name is None]
        _status, _headers, body = put_events({**data, "Entries": good}, **given)
        answers = iter(json.loads(body)["Entries"])
        results = [_refused(name) if name else next(answers) for name in missing]
        failed = sum("ErrorCode" in result for result in results)
        return events.json_response({"FailedEntryCount": failed, "Entries": results})

    events._put_targets, events._put_events = checked_targets, checked_events


def unknown_placeholders(transformer: dict[str, Any]) -> list[str]:
    """The placeholders of a template that are neither paths of its own nor reserved."""
    known = RESERVED | set(transformer.get("InputPathsMap") or {})
    return [name for name in _PLACEHOLDER.findall(transformer.get("InputTemplate", "")) if name not in known]


def _refused(name: str) -> dict[str, str]:
    return {
        "ErrorCode": "InvalidArgument",
        "ErrorMessage": f"Parameter {name} is not valid. Reason: {name} is a required argument.",
    }
