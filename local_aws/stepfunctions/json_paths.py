"""JSONPath as Step Functions resolves it: a path that leads nowhere is an error (States.Runtime), not null.

ministack gives null for a missing path; a test on it would pass where the deployed machine fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tokens = list[tuple[str, Any]]


class _Missing:
    """The value of a path that leads nowhere."""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Paths:
    """Resolves paths and fills templates."""

    parse: Callable[[str], Tokens | None]
    """A path's steps: ("field", name), ("index", number), ("wildcard", None); None: not a path."""
    project: Callable[[str, Any], Any]
    """Resolves a path with wildcards, which gives a list and can't be missing."""
    intrinsic: Callable[[str, Any, Any], Any]
    """Evaluates a `States.*` expression on data and context."""
    context: Callable[[], Any]
    """The context object of the state that runs in this thread."""
    error: Callable[[str, str], Exception]
    """Makes the engine's exception from an error name and a cause."""

    def find(self, path: str, data: Any, context: Any) -> Any:
        """What the path points at, or MISSING; `$$.` paths look into the context object."""
        if path.startswith("$$"):
            path, data = path[1:], context if context is not None else self.context()
        if path == "$" or not path.startswith("$"):
            return data
        steps = self.parse(path)
        if steps is None:
            return MISSING
        if any(kind == "wildcard" for kind, _ in steps):
            return self.project(path, data)
        for kind, value in steps:
            container = dict if kind == "field" else list
            if not isinstance(data, container):
                return MISSING
            try:
                data = data[value]
            except LookupError:
                return MISSING
        return data

    def resolve(self, path: str, data: Any, context: Any) -> Any:
        """What the path points at.

        Raises:
            States.Runtime: nothing.
        """
        found = self.find(path, data, context)
        if found is MISSING:
            raise self.error("States.Runtime", f"Invalid path '{path}': No results for path: {path}")
        return found

    def fill(self, template: Any, data: Any, context: Any = None) -> Any:
        """Fill a payload template (Parameters, ResultSelector).

        Raises:
            States.Runtime: a path leads nowhere.
            States.IntrinsicFailure: an intrinsic function failed.
        """
        if isinstance(template, list):
            return [self.fill(item, data, context) for item in template]
        if not isinstance(template, dict):
            return template
        return {
            key.removesuffix(".$"): self._value(key, value, data, context)
            if key.endswith(".$") and isinstance(value, str)
            else self.fill(value, data, context)
            for key, value in template.items()
        }

    def _value(self, key: str, expression: str, data: Any, context: Any) -> Any:
        if expression.startswith("States."):
            try:
                return self.intrinsic(expression, data, context if context is not None else self.context())
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise self.error("States.IntrinsicFailure", f"{expression}: {error}") from error
        found = self.find(expression, data, context)
        if found is MISSING:
            cause = f"The JSONPath '{expression}' specified for the field '{key}' could not be found in the input"
            raise self.error("States.Runtime", cause)
        return found
