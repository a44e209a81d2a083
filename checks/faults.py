"""What a check finds, and what stops it from looking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        where: The file and the place in it, such as "statemachine/migration.asl.json: Plan".
        message: What is wrong there and what to do.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class SourceError(Exception):
    """Raised when a file that the checks read is missing or is not what it should be."""


class ToolError(Exception):
    """Raised when a linter that a check calls is not installed or broke."""
