"""Which queue a run goes to where its request names none: by rules that the deployment has."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json

FORM = 'a JSON list of rules, [{"prefix": "urgent/", "queue": "urgent"}]'


@dataclass(frozen=True, slots=True)
class QueueRule:
    """Runs over objects below a prefix go to a queue.

    Attributes:
        prefix: What their keys begin with; with `s3://bucket/` before it, what their URIs begin with.
        queue: The queue's name.
    """

    prefix: str
    queue: str

    def fits(self, uri: str) -> bool:
        """Whether an object, or a folder, is below the prefix."""
        return uri.startswith(self.prefix) if self.prefix.startswith("s3://") else _key(uri).startswith(self.prefix)


def parse_queue_rules(text: str, queues: Collection[str]) -> tuple[QueueRule, ...]:
    """Read the rules.

    Args:
        text: A JSON list of objects with `prefix` and `queue`.
        queues: The names of the queues that the stack has.

    Raises:
        InvalidRunRequest: It is something else, or names a queue that there is not.
    """
    try:
        rules = tuple(QueueRule(**rule) for rule in read_json(text))
    except (ValueError, TypeError):
        raise InvalidRunRequest("QUEUE_RULES", text, FORM) from None
    for rule in rules:
        if not isinstance(rule.prefix, str) or not isinstance(rule.queue, str):
            raise InvalidRunRequest("QUEUE_RULES", text, FORM)
        if rule.queue not in queues:
            raise InvalidRunRequest("QUEUE_RULES", rule.queue, f"a queue of the stack: {' or '.join(sorted(queues))}")
    return rules


def queue_by_rule(rules: Iterable[QueueRule], uris: Collection[str]) -> str | None:
    """The queue of the first rule that fits all of these objects, or the one source folder; None where none does."""
    return next((rule.queue for rule in rules if all(rule.fits(uri) for uri in uris)), None)


def _key(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2]
