"""The first line of a message, and the subject that is made of it."""

from __future__ import annotations

from dataclasses import dataclass

SUBJECT_CHARACTERS = 99
"""SNS takes fewer than 100, ASCII, without line breaks: Publish, Subject."""


@dataclass(frozen=True, slots=True)
class Headline:
    """What a message is about, in a line.

    Attributes:
        what: The kind of thing: "Millrace run".
        name: Its name; whatever somebody gave it.
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
