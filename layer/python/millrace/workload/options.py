"""What an option of a workload may be, and how it is checked: by Prepare Run, and again by the job."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from millrace.errors import MISSING, InvalidRunRequest

type_names = {
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    bool: "true or false",
    list: "a list of strings",
    dict: "an object of strings",
}

_ELEMENTS: dict[type, str] = {str: "strings", int: "whole numbers", float: "finite numbers"}
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a workload.

    Attributes:
        name: As the user writes it.
        default: Its value where the user gives none; its type is the option's type (a list holds strings, and so
            does an object; a number may be given as a whole one).
        minimum: For a number, the least allowed; for a list, the fewest strings.
        maximum: For a number, the most allowed.
        choices: For a string, or each string of an object, all that is allowed.
        pattern: For a string, or each string of an object, the regular expression that all of it matches.
        form: The pattern in words, for the error.
        rule: Checks the value further: given the field's name and the value, it raises InvalidRunRequest.
        required: Whether the user must give it; its default then only gives its type.
        element: For a list, what its elements are: str, int or float.
        doc: One sentence for people.
    """

    name: str
    default: int | float | str | bool | tuple[str | int | float, ...] | Mapping[str, str]
    doc: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    rule: Callable[[str, Any], None] | None = None
    required: bool = False
    element: type[str | int | float] = str

    def check(self, value: object) -> object:
        """The value, checked; a list comes back as a list of strings, an object as an object of strings.

        Raises:
            InvalidRunRequest: It has the wrong type or is outside the bounds.
        """
        field = f"options.{self.name}"
        checked = self._checked(field, value)
        if self.rule is not None:
            self.rule(field, checked)
        return checked

    def _checked(self, field: str, value: object) -> object:
        if isinstance(self.default, tuple | list):
            return self._checked_list(field, value)
        if isinstance(self.default, Mapping):
            return self._checked_object(field, value)
        if isinstance(self.default, float):
            return self._checked_float(field, value)
        if type(value) is not type(self.default):
            raise InvalidRunRequest(field, value, type_names[type(self.default)])
        if isinstance(value, str):
            self._check_text(field, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            self._check_number(field, value)
        return value

    def _checked_float(self, field: str, value: object) -> float:
        try:
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf
        if not math.isfinite(number):
            raise InvalidRunRequest(field, value, type_names[float])
        self._check_number(field, number)
        return number

    def _checked_list(self, field: str, value: object) -> list[Any]:
        wanted = f"a list of {_ELEMENTS[self.element]}"
        if not isinstance(value, list | tuple) or not all(self._is_element(each) for each in value):
            raise InvalidRunRequest(field, value, wanted)
        if self.minimum is not None and len(value) < self.minimum:
            raise InvalidRunRequest(field, list(value), f"{wanted}, {self.minimum} or more; {self.doc}")
        return list(value)

    def _is_element(self, value: object) -> bool:
        if self.element is float:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
        return type(value) is self.element

    def _checked_object(self, field: str, value: object) -> dict[str, str]:
        if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in (*value, *value.values())):
            raise InvalidRunRequest(field, value, type_names[dict])
        for name, text in value.items():
            self._check_text(f"{field}.{name}", text)
        return dict(value)

    def _check_number(self, field: str, number: float) -> None:
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise InvalidRunRequest(
                field, number, f"{low if low is not None else 'any'} to {high if high is not None else 'any'}"
            )

    def _check_text(self, field: str, text: str) -> None:
        if self.choices and text not in self.choices:
            raise InvalidRunRequest(field, text, " or ".join(self.choices))
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise InvalidRunRequest(field, text, self.form)


def check_options(options: Iterable[Option], given: Mapping[str, object]) -> dict[str, object]:
    """The options that a workload declares, checked, with defaults filled in, in the order of their declaration.

    Raises:
        InvalidRunRequest: An option is unknown, has the wrong type or is outside its bounds.
    """
    declared = {option.name: option for option in options}
    for name in given:
        if name not in declared:
            raise InvalidRunRequest(f"options.{name}", given[name], unknown_name(str(name), declared))
    for name, option in declared.items():
        if option.required and name not in given:
            raise InvalidRunRequest(f"options.{name}", MISSING, option.form or option.doc)
    return {name: option.check(given.get(name, option.default)) for name, option in declared.items()}


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """What is allowed instead of an unknown name, the nearest one first."""
    near = get_close_matches(name, known, n=1)
    listing = ", ".join(sorted(known)) or "nothing"
    return f"{listing} (did you mean {near[0]}?)" if near else listing
