"""The messages to the topic: a text for people, the event itself for programs, a form that chats show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.request.labels import tags_text
from millrace.text import bytes_text, dollars_text, duration_text, plural, reuse_text, time_text, visible
from notification.documents import JOB_ENDED, RUN_ENDED, RUN_SLOW, Document
from notification.resumption import attention_lines, resumption_lines

KEY_CHARACTERS = 300

SUBJECT_CHARACTERS = 99
"""SNS takes fewer than 100, ASCII, without line breaks: Publish, Subject."""

OUTCOMES = {
    "SUCCEEDED": "succeeded",
    "SUCCEEDED_WITH_FAILURES": "succeeded with failures",
    "SKIPPED": "was skipped",
    "FAILED": "failed",
    "TIMED_OUT": "timed out",
    "ABORTED": "was aborted",
}

_MACHINE_PROTOCOLS = ("sqs", "lambda", "http", "firehose", "email-json")


@dataclass(frozen=True, slots=True)
class Headline:
    """What a message is about, in a line.

    Attributes:
        what: The kind of thing: "Millrace run".
        name: Its name, as given by the user.
        outcome: What became of it.
    """

    what: str
    name: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.what} {self.name} {self.outcome}"

    def subject(self) -> str:
        """The line as SNS takes it: a name that is too long loses its end, never the line its outcome."""
        room = SUBJECT_CHARACTERS - len(f"{self.what}  {self.outcome}")
        name = self.name if len(self.name) <= room else f"{self.name[: room - 3]}..."
        ascii_only = f"{self.what} {name} {self.outcome}".encode("ascii", "replace").decode()
        return "".join(each if each.isprintable() else "?" for each in ascii_only)


@dataclass(frozen=True, slots=True)
class Message:
    """What is published to the topic.

    Attributes:
        subject: Fewer than 100 characters of ASCII.
        text: For people.
        attributes: For filter policies: event, status, and run_id, name, workload, verb where known.
        forms: The text, or what stands for it, by protocol: MessageStructure "json".
    """

    subject: str
    text: str
    attributes: dict[str, str]
    forms: dict[str, str]


def message_of(document: Document) -> Message:
    """Put an event into words."""
    detail = document.detail
    if document.detail_type == RUN_ENDED:
        headline, lines = Headline("Millrace run", _called(detail), OUTCOMES[detail["status"]]), _run_lines
    elif document.detail_type == RUN_SLOW:
        headline, lines = Headline("Millrace run", _called(detail), "is slow"), _slow_lines
    elif document.detail_type == JOB_ENDED:
        what = f"Millrace {detail['verb'] or 'job'} job"
        headline, lines = Headline(what, detail["job_name"], OUTCOMES[detail["status"]]), _job_lines
    else:
        queue = detail["job_queue"].rpartition("/")[2]
        headline, lines = Headline("Millrace queue", queue, "is blocked"), _queue_lines
    text = "\n".join(lines(str(headline), detail))
    named = {name: detail.get(name) for name in ("event", "status", "run_id", "name", "workload", "verb")}
    machine = json.dumps(detail)
    return Message(
        subject=headline.subject(),
        text=text + "\n",
        # SNS takes no empty value; a value is Unicode, a run id or a name of ours at most 128 characters.
        attributes={name: visible(str(value), 256) for name, value in named.items() if value},
        forms={
            "default": text + "\n",
            **dict.fromkeys(_MACHINE_PROTOCOLS, machine),
            "https": json.dumps(_chat_form(str(headline), text, document)),
        },
    )


def _then(following: Mapping[str, str] | None) -> str | None:
    return None if following is None else f"run {following['run_id']}, into {following['destination']}"


def _called(detail: Mapping[str, Any]) -> str:
    """The run's id, behind its name where it has one."""
    return f"{detail['name']} ({detail['run_id']})" if detail["name"] else str(detail["run_id"])


def _run_lines(headline: str, detail: Mapping[str, Any]) -> Iterator[str]:
    yield visible(headline) + _after(detail) + "."
    yield ""
    yield from _table(
        ("Tags", tags_text(detail["tags"])),
        ("Workload", detail["workload"]),
        ("Source", detail["source"]),
        ("Run folder", detail["run_folder"]),
        ("Items", _items(detail)),
        ("Shards", _shards(detail)),
        ("Reuse", reuse_text(detail["reuse"])),
        ("Cost", _cost(detail["cost"])),
        ("Then", _then(detail["next_run"])),
    )
    if detail["at_work"]:
        other, since = detail["at_work"]["run_id"], time_text(detail["at_work"]["started_at"])
        yield from (
            "",
            f"Run {visible(other)} is still at work, since {since}: no job was started, nothing was written.",
        )
    if detail["most_frequent"]:
        kinds = len(detail["failures"])
        yield from ("", "Most frequent errors:" if kinds > 1 else "Errors:")
        for each in detail["most_frequent"]:
            yield f"  {each['error_code']}, {plural(each['count'], 'item')}"
            if each["key"]:
                yield f"    {visible(each['key'], KEY_CHARACTERS)}"
    yield from _error_lines(detail)
    yield from resumption_lines(detail)
    yield from ("", "Look at it:", f"  {detail['links']['execution']}")
    if detail["links"]["run_folder"]:
        yield f"  {detail['links']['run_folder']}"
    if detail["report"]:
        yield f"  {detail['report']}"


def _slow_lines(headline: str, detail: Mapping[str, Any]) -> Iterator[str]:
    yield f"{visible(headline)}: it is at work since {duration_text(detail['duration_seconds'])}."
    yield ""
    estimated, shards = detail["estimated_seconds"], detail["shards"]
    yield from _table(
        ("Reason", detail["reason"]),
        ("Estimated", None if estimated is None else duration_text(estimated)),
        ("Shards", None if shards is None else f"{shards:,}, {detail['shards_committed']:,} of them committed"),
        ("Tags", tags_text(detail["tags"])),
        ("Workload", detail["workload"]),
        ("Source", detail["source"]),
        ("Run folder", detail["run_folder"]),
    )
    yield from attention_lines(detail["commands"])
    yield from ("", "Look at it:", f"  {detail['links']['execution']}")


def _job_lines(headline: str, detail: Mapping[str, Any]) -> Iterator[str]:
    yield visible(headline) + _after(detail) + "."
    yield ""
    children = detail["children"]
    yield from _table(
        ("Run folder", detail["run_folder"]),
        ("Reason", detail["reason"]),
        ("Attempts", detail["attempts"] or None),
        ("Exit code", detail["exit_code"]),
        ("Children", None if children is None else
         f"{children['size']:,}: {children['succeeded']:,} succeeded, {children['failed']:,} failed"),
    )  # fmt: skip
    yield from _error_lines(detail)
    yield from ("", "Look at it:", f"  {detail['links']['job']}")


def _queue_lines(headline: str, detail: Mapping[str, Any]) -> Iterator[str]:
    yield visible(headline) + ": its first job cannot start and blocks the jobs behind it."
    yield ""
    yield from _table(
        ("Reason", detail["reason"]),
        ("Job", f"{detail['job_name']} ({detail['job_id']})"),
        ("Run folder", detail["run_folder"]),
        ("Queue", detail["job_queue"]),
        ("Since", time_text(detail["seen_at"])),
    )
    yield from attention_lines(detail["commands"])
    yield from ("", "Look at it:", f"  {detail['links']['job']}")


def _after(detail: Mapping[str, Any]) -> str:
    seconds = detail["duration_seconds"]
    return "" if seconds is None else f" after {duration_text(seconds)}"


def _items(detail: Mapping[str, Any]) -> str | None:
    counts, planned = detail["counts"], detail["planned"]
    if counts:
        return (
            f"{counts['items']:,} ({bytes_text(counts['bytes'])} read): "
            f"{counts['succeeded']:,} succeeded, {counts['failed']:,} failed"
        )
    return f"{planned['items']:,} ({bytes_text(planned['bytes'])}) planned" if planned else None


def _shards(detail: Mapping[str, Any]) -> str | None:
    planned, committed = detail["planned"], detail["shards_committed"]
    if not planned:
        return None
    return f"{planned['shards']:,}" if committed is None else f"{planned['shards']:,}, {committed:,} of them committed"


def _cost(cost: Mapping[str, Any] | None) -> str | None:
    if cost is None:
        return None
    estimated, said = cost["estimated_dollars"], f"about {dollars_text(cost['dollars'])}"
    beside = "" if estimated is None else f", estimated {dollars_text(estimated)}"
    saved = cost.get("saved_dollars")
    beside += "" if saved is None else f", about {dollars_text(saved)} saved by reuse"
    return f"{said}{beside}; prices of {cost['prices']['region']}, {cost['prices']['date']}"


def _error_lines(detail: Mapping[str, Any]) -> Iterator[str]:
    error = detail["error"]
    if error:
        where = f" (job {error['job_id']})" if error["job_id"] else ""
        yield from ("", f"Error: {visible(error['name'], 200)}{where}", f"  {visible(error['message'], 1500)}")


def _table(*rows: tuple[str, object]) -> Iterator[str]:
    yield from (f"{name:<11} {visible(str(value), 1100)}" for name, value in rows if value is not None and value != "")


def _chat_form(headline: str, text: str, document: Document) -> dict[str, Any]:
    """The form that Amazon Q Developer in chat applications (AWS Chatbot) shows in Slack and Teams.

    Its admin guide, "Custom notifications". The thread is the run, so a run's messages stand together.
    """
    run_id = document.detail["run_id"] or document.detail.get("job_id")
    return {
        "version": "1.0",
        "source": "custom",
        "id": document.detail["id"],
        "content": {
            "textType": "client-markdown",
            "title": visible(headline, 250),
            "description": f"```\n{_fenced(text)}\n```",
        },
        "metadata": {
            "threadId": str(run_id),
            "summary": visible(headline, 250),
            "eventType": document.event,
            "relatedResources": list(document.resources),
            "additionalContext": {"event": json.dumps(document.detail)},
        },
    }


def _fenced(text: str) -> str:
    """A text that cannot end the block it stands in."""
    return text.replace("```", "'''")
