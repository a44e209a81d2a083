"""Answers of AWS as files: written without what belongs to one account, and compared with another's by their shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.session import get_session

FOLDER = Path(__file__).with_name("recordings")
ACCOUNT, REGION = "123456789012", "us-east-1"
TIME = "<time>"
MILLISECONDS = 1_700_000_000_000
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LONG = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{17,64}\b")
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:?\d\d)")
_INSTEAD = (
    (_UUID, "00000000-0000-4000-8000-000000000001"),
    (_LONG, "0" * 17),
    (_ADDRESS, "192.0.2.1"),
    (_ISO, TIME),
)
_SECRET = {"SecretAccessKey", "SessionToken", "AccessKeyId", "authorizationToken"}
DATA = {"tags", "parameters", "Tags", "Parameters", "HttpHeaders"}
"""Maps whose keys are the caller's own."""


@dataclass(frozen=True)
class Recording:
    """One answer or event.

    Attributes:
        name: The file's name, without its ending.
        of: A service and an operation, or `event` and its kind.
        when: In which case AWS answers so.
        evidence: recorded, measured, documented, or run (on a real account).
        source: Where it is from; of a run the date and the Region.
        exact: Paths whose values count: what we match on. Of all others the type alone counts.
        answer: The answer.
    """

    name: str
    of: str
    when: str
    evidence: str
    source: str
    exact: tuple[str, ...]
    answer: Any


def recordings(folder: Path = FOLDER) -> list[Recording]:
    """The recordings of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        found.append(Recording(path.stem, **{**content, "exact": tuple(content["exact"])}))
    return found


def normalised(value: Any, account: str = ACCOUNT, region: str = REGION, name: str = "") -> Any:
    """An answer without ids, times, addresses, secrets, account and Region; as JSON has it.

    Args:
        value: The answer, as boto3 parses it.
        account: The account's number.
        region: The Region's name.
        name: The member that holds the value.
    """
    if name in _SECRET:
        return "<secret>"
    match value:
        case dict():
            return {key: normalised(each, account, region, key) for key, each in value.items()}
        case list() | tuple():
            return [normalised(each, account, region, name) for each in value]
        case str():
            for pattern, instead in _INSTEAD:
                value = pattern.sub(instead, value)
            return value.replace(account, ACCOUNT).replace(region, REGION)
        case bool() | float() | int() | None:
            return MILLISECONDS if isinstance(value, int) and value > 10**12 else value
    return TIME if isinstance(value, datetime) else f"<{type(value).__name__}>"  # a body that is streamed


def differences(recorded: Any, answered: Any, exact: tuple[str, ...] = (), path: str = "") -> Iterator[str]:
    """What an answer has otherwise: a member that is missing, or that AWS's models do not know, its case, its type.

    Args:
        recorded: AWS's own.
        answered: Another's, normalised.
        exact: Paths whose values count.
        path: Where we are: `jobs[].container.exitCode`.
    """
    if path in exact and recorded != answered:
        yield f"{path} is {answered!r}, not {recorded!r}"
    elif (TIME in (recorded, answered) and recorded != answered) or _kind(recorded) != _kind(answered):
        yield f"{path} is {_kind(answered)}, not {_kind(recorded)}"
    elif isinstance(recorded, dict):
        yield from _members_differ(recorded, answered, exact, path)
    elif isinstance(recorded, list):
        if len(recorded) != len(answered) and f"{path}[].type" in exact:
            yield f"{path} has {len(answered)} elements, not {len(recorded)}"
        elif recorded and not answered:
            yield f"{path} is empty"
        for one, other in zip(recorded, answered, strict=False):
            yield from differences(one, other, exact, f"{path}[]")


def compared(real: Path, rehearsed: Path) -> dict[str, list[str]]:
    """What a rehearsal on the embedded AWS was answered otherwise than a run on a real account, by recording.

    Args:
        real: The folder of the run's recordings.
        rehearsed: That of the rehearsal's: the same test, operation and outcome have the same name.
    """
    answered = {each.name: each.answer for each in recordings(rehearsed)}
    found = {}
    for each in recordings(real):
        if each.name in answered:
            found[each.name] = list(differences(each.answer, answered[each.name], each.exact))
        else:
            found[each.name] = ["the embedded AWS never answered so"]
    return {name: lines for name, lines in found.items() if lines}


def _members_differ(
    recorded: dict[str, Any], answered: dict[str, Any], exact: tuple[str, ...], path: str
) -> Iterator[str]:
    below = f"{path}." if path else ""
    folded = {name.casefold(): name for name in recorded}
    written = {name.casefold() for name in answered}
    for name, value in recorded.items():
        if name in answered:
            yield from differences(value, answered[name], exact, below + name)
        elif name.casefold() not in written:
            yield f"{below}{name} is missing"
    for name in sorted(set(answered) - set(recorded)):
        if name.casefold() in folded:
            yield f"{below}{name} is written {folded[name.casefold()]}"
        elif path.rpartition(".")[2] not in DATA and name.casefold() not in _known_to_aws():
            yield f"{below}{name} is in no model of AWS"


def _kind(value: Any) -> str:
    return {int: "a number", float: "a number", str: "a text", dict: "an object", list: "a list"}.get(
        type(value), type(value).__name__
    )


@cache
def _known_to_aws() -> set[str]:
    """The names of all members in the models of the services whose answers are compared, and those of the SDK."""
    names = {"sdkhttpmetadata", "sdkresponsemetadata", "httpstatuscode", "error", "code", "message"}
    for service in ("batch", "stepfunctions", "s3", "events", "logs", "cloudformation"):
        model = get_session().get_service_model(service)
        for shape in map(model.shape_for, model.shape_names):
            names |= {name.casefold() for name in getattr(shape, "members", {})}
    return names


@dataclass
class Recorder:
    """A botocore hook that writes each answer of a session: one file for each operation and outcome of a test.

    Attributes:
        folder: Where the files go.
        source: What they say of their origin: the date and the Region of a run.
        account: The account's number.
        region: The Region's name.
        case: The test at work; whoever runs the tests sets it.
    """

    folder: Path
    source: str
    account: str
    region: str
    case: str = ""
    written: set[str] = field(default_factory=set)

    def watch(self, session: Any) -> None:
        """Record all that the clients of a boto3 session are answered from now on."""
        session.events.register("after-call", self._record)

    def _record(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        service = str(model.service_model.service_name)
        answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        if "Error" in answer:
            answer["HTTPStatusCode"] = parsed["ResponseMetadata"]["HTTPStatusCode"]
        outcome = _outcome(answer)
        name = re.sub(r"[^\w.-]+", "-", ".".join(filter(None, (self.case, service, model.name, outcome))))
        content = {
            "of": f"{service} {model.name}", "when": f"{self.case}: {outcome or 'answered'}", "evidence": "run",
            "source": self.source, "exact": ["Error.Code"] if "Error" in answer else [],
            "answer": normalised(answer, self.account, self.region),
        }  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        self.written.add(name)


def _outcome(answer: dict[str, Any]) -> str:
    """An error's code, or the state of the thing that is described: answers of one outcome have one shape."""
    if "Error" in answer:
        return str(answer["Error"].get("Code", ""))
    described = next((answer[name][0] for name in ("jobs", "Stacks") if answer.get(name)), answer)
    return str(described.get("status") or described.get("StackStatus") or "")
