"""Which stack is meant: what samconfig.toml says, as `sam deploy` reads it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.checkout import ROOT
from millrace.errors import InvalidRunRequest

FILE = "samconfig.toml"

DEFAULT_STACK = "millrace"
"""The stack's name where no samconfig.toml gives one."""


@dataclass(frozen=True)
class SamConfig:
    """One environment of samconfig.toml, as far as it says where a stack is.

    Attributes:
        stack_name: The stack's name.
        region: Its region; None for the one of the AWS configuration.
        profile: The AWS profile; None for the default chain.
    """

    stack_name: str = DEFAULT_STACK
    region: str | None = None
    profile: str | None = None

    @classmethod
    def read(cls, environment: str | None, folder: Path | None = None) -> SamConfig:
        """Read an environment: `deploy.parameters` before `global.parameters`, as sam does.

        The file is in the working directory or, if there is none, in the checkout.

        Args:
            environment: Its name, as in `sam deploy --config-env`; None for "default", which may be missing.
            folder: Where to look first; None for the working directory.

        Raises:
            InvalidRunRequest: There is no such environment, or the file is not TOML.
        """
        path = next((each for each in ((folder or Path.cwd()) / FILE, ROOT / FILE) if each.is_file()), None)
        found: dict[str, Any] = {}
        if path is not None:
            try:
                found = tomllib.loads(path.read_text("utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise InvalidRunRequest(FILE, str(path), f"a TOML file; {error}") from None
        if environment is not None and environment not in found:
            known = [name for name, value in found.items() if isinstance(value, dict)]
            raise InvalidRunRequest("config-env", environment, " or ".join(known) or f"none, as there is no {FILE}")
        chosen = found.get(environment or "default", {})
        given = {**_parameters(chosen, "global"), **_parameters(chosen, "deploy")}
        names = ("stack_name", "region", "profile")
        return cls(**{name: given[name] for name in names if isinstance(given.get(name), str) and given[name]})


def _parameters(environment: object, command: str) -> dict[str, Any]:
    part = environment.get(command, {}) if isinstance(environment, dict) else {}
    parameters = part.get("parameters", {}) if isinstance(part, dict) else {}
    return parameters if isinstance(parameters, dict) else {}
