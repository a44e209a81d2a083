"""What a workload's options may be: declared once here, checked by Prepare Run and again by the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from millrace.errors import InvalidRunRequest

type_names = {int: "a whole number", str: "a string", bool: "true or false", list: "a list of strings"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a workload.

    Attributes:
        name: As the user writes it.
        default: Its value where the user gives none; its type is the option's type (a list holds strings).
        minimum: For a whole number, the least allowed.
        maximum: For a whole number, the most allowed.
        choices: For a string, all that is allowed.
        doc: One sentence for people.
    """

    name: str
    default: int | str | bool | tuple[str, ...]
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> object:
        """The value, checked; a list comes back as a list of strings.

        Raises:
            InvalidRunRequest: It has the wrong type or lies outside the bounds.
        """
        field = f"options.{self.name}"
        if isinstance(self.default, tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
                raise InvalidRunRequest(field, value, type_names[list])
            return list(value)
        if type(value) is not type(self.default):
            raise InvalidRunRequest(field, value, type_names[type(self.default)])
        if self.choices and value not in self.choices:
            raise InvalidRunRequest(field, value, " or ".join(self.choices))
        if isinstance(value, int) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise InvalidRunRequest(
                    field, value, f"{low if low is not None else 'any'} to {high if high is not None else 'any'}"
                )
        return value


WORKLOAD_OPTIONS: dict[str, tuple[Option, ...]] = {
    "word-count": (
        Option("min_length", 3, "The shortest word of the top list, in characters.", minimum=1, maximum=1000),
        Option(
            "min_count", 3, "The fewest occurrences that bring a word into the top list.", minimum=1, maximum=10**12
        ),
        Option("top", 100, "How many words the top list has at most.", minimum=0, maximum=10_000),
        Option("stop_words", ("and", "the"), "Words that the top list leaves out, lower-case."),
    ),
}
"""The built-in workloads, by name. A user's own workload declares its options in its own code."""


def known_workload(name: object) -> str:
    """The workload's name, checked.

    Raises:
        InvalidRunRequest: There is no such workload.
    """
    if not isinstance(name, str) or name not in WORKLOAD_OPTIONS:
        raise InvalidRunRequest("workload", name, " or ".join(sorted(WORKLOAD_OPTIONS)))
    return name


def checked_options(workload: str, given: Mapping[str, object]) -> dict[str, object]:
    """The options with defaults filled in, in the order of their declaration.

    Raises:
        InvalidRunRequest: An option is unknown, has the wrong type or lies outside its bounds.
    """
    declared = {option.name: option for option in WORKLOAD_OPTIONS[workload]}
    for name in given:
        if name not in declared:
            raise InvalidRunRequest(f"options.{name}", given[name], unknown_name(str(name), declared))
    return {
        name: option.check(given[name]) if name in given else _json_default(option) for name, option in declared.items()
    }


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """What is allowed instead of an unknown name, the nearest one first."""
    near = get_close_matches(name, known, n=1)
    listing = ", ".join(sorted(known)) or "nothing"
    return f"{listing} (did you mean {near[0]}?)" if near else listing


def _json_default(option: Option) -> object:
    return list(option.default) if isinstance(option.default, tuple) else option.default
