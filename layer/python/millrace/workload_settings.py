"""What a deployment gives to workloads besides their objects: settings, and names of secrets, as environment variables.

The template refuses what is wrong when it is deployed; this is for what its patterns cannot see, and for jobs that
were not deployed by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from millrace.errors import InvalidRunRequest
from millrace.json_text import read_json

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = ("AWS_", "ECS_", "LD_", "MILLRACE_", "PYTHON")
_OF_THE_MACHINE = frozenset({"PATH", "HOME", "TMPDIR"})

HIDDEN = "***"
LEAST_HIDDEN = 4
"""A shorter value is not looked for in what a job writes: it would be found in half of the words."""


def parse_environment(text: str) -> dict[str, str]:
    """The parameter WorkloadEnvironment: variables by name.

    Args:
        text: A JSON object of texts; empty for none.

    Raises:
        InvalidRunRequest: It is none, or a name is reserved. The message has names, and no value.
    """
    try:
        given = read_json(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        wrong = [] if not isinstance(given, dict) else [n for n, value in given.items() if not isinstance(value, str)]
        raise InvalidRunRequest(
            "WorkloadEnvironment",
            f"its value of {wrong[0]}" if wrong else "not such an object",
            'a JSON object of texts, {"API_URL": "https://example.com"}',
        )
    for name, value in given.items():
        _check_name("WorkloadEnvironment", name)
        if "\0" in value or (not value.isprintable() and any(0xD800 <= ord(each) < 0xE000 for each in value)):
            raise InvalidRunRequest("WorkloadEnvironment", f"its value of {name}", "text without NUL, of valid Unicode")
    return given


def parse_secrets(text: str) -> dict[str, str]:
    """The parameter WorkloadSecrets: ARNs by the names of their variables.

    Args:
        text: `NAME=ARN`, several with commas between; empty places count for nothing.

    Raises:
        InvalidRunRequest: A name is reserved or there twice, or an ARN is none of a secret or an SSM parameter.
    """
    found: dict[str, str] = {}
    for entry in filter(None, text.split(",")):
        name, _, arn = entry.partition("=")
        _check_name("WorkloadSecrets", name)
        parts = arn.split(":")
        if len(parts) < 6 or parts[0] != "arn" or parts[2] not in {"secretsmanager", "ssm"}:
            raise InvalidRunRequest(
                "WorkloadSecrets",
                entry,
                "NAME=ARN, the ARN of a secret (arn:aws:secretsmanager:…) or a parameter (arn:aws:ssm:…)",
            )
        if name in found:
            raise InvalidRunRequest("WorkloadSecrets", name, "each name once")
        found[name] = arn
    return found


def check_account(secrets: dict[str, str], account: str) -> None:
    """See that secrets are of the stack's own account: its execution role reads no others.

    Raises:
        InvalidRunRequest: One is of another.
    """
    for name, arn in secrets.items():
        if arn.split(":")[4] != account:
            raise InvalidRunRequest(
                "WorkloadSecrets",
                f"{name}={arn}",
                f"secrets and parameters of the stack's own account, {account}; copy it there, and deploy with its ARN",
            )


def _check_name(parameter: str, name: str) -> None:
    reserved = name.startswith(_RESERVED) or name in _OF_THE_MACHINE
    if reserved or not _NAME.fullmatch(name):
        raise InvalidRunRequest(
            parameter,
            name,
            "names of letters, digits and _, other than PATH, HOME and TMPDIR, that do not begin with "
            f"{', '.join(_RESERVED[:-1])} or {_RESERVED[-1]}",
        )


class Hiding:
    """Puts `***` in place of secrets in what a job writes.

    Args:
        values: The secrets. Of one that is a JSON object, its texts are secrets too.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        secrets: set[str] = set()
        for value in values:
            secrets |= {value, *value.splitlines(), *_texts_in(value)}
        written = {
            form
            for secret in secrets
            if len(secret) >= LEAST_HIDDEN
            for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret), quote(secret, safe=""))
        }
        # The longest first: one secret may be the beginning of another.
        ordered = sorted(written, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return self._pattern is not None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _texts_in(value: str) -> set[str]:
    """The texts of a secret that is a JSON object, as Secrets Manager keeps the secrets of databases."""
    try:
        given = read_json(value)
    except ValueError:
        return set()
    return {each for each in given.values() if isinstance(each, str)} if isinstance(given, dict) else set()
