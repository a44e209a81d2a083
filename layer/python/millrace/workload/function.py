"""A workload that is a function: the decorator `workload`, and the class that it makes for the jobs."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar

from millrace.records.plan import Item
from millrace.workload.body import ItemBody
from millrace.workload.contract import Outputs
from millrace.workload.options import Option
from millrace.workload.record import check_item_suffixes

Function = TypeVar("Function", bound=Callable[..., Any])

DECLARATION = "__millrace_workload__"
"""The attribute under which a decorated function has its `Declaration`."""


_TAKEN = ("item", "body", "outputs")


@dataclass(frozen=True)
class Declaration:
    """What the decorator learned of a function.

    Attributes:
        function: The function.
        taken: What it takes, of item, body and outputs, in the order of its parameters.
        options: Its keyword-only parameters.
        convert: What makes an option's checked value the argument.
        outputs: The suffixes of the files that it writes for an item.
        splits: "lines" where large objects may be cut at line ends.
        table: "csv" or "parquet".
        merge: The merge function, if there is one.
        item_seconds: How long it may take for an item; None where it may take as long as the job.
    """

    function: Callable[..., Any]
    taken: tuple[str, ...]
    options: tuple[Option, ...]
    convert: Mapping[str, Callable[[Any], Any]]
    outputs: tuple[str, ...]
    splits: str | None
    table: str
    merge: Callable[..., Mapping[str, Any]] | None
    item_seconds: float | None = None

    def arguments(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The function's keyword arguments, of checked options."""
        return {name: self.convert[name](value) for name, value in options.items()}

    def call(self, item: Item, body: ItemBody, outputs: Outputs, arguments: Mapping[str, Any]) -> Any:
        """What the function gives for an item."""
        known = {"item": item, "body": body, "outputs": outputs}
        return self.function(*(known[name] for name in self.taken), **arguments)


def workload(
    *,
    outputs: Sequence[str] = (),
    splits: Literal["lines"] | None = None,
    table: Literal["csv", "parquet"] = "csv",
    merge: Callable[..., Mapping[str, Any]] | None = None,
    item_seconds: float | None = None,
) -> Callable[[Function], Function]:
    """Make a function a workload.

    The function is called once for each item, as `function(item, body, outputs, **options)`; it may leave out what it
    does not need: a parameter called `item`, `body` or `outputs` gets just that, wherever it stands. It stays a
    function, which a test can call. What it gives decides how it is merged:

    - a dict of numbers is added up, name by name; a value may also be a `Counter` or a `Quantiles`;
    - a `Counter` or a `Quantiles` alone is merged;
    - dicts that it yields are rows of one table, `rows.csv`, in the order of the items' keys;
    - with `merge`, anything that JSON can hold.

    Its keyword-only parameters are its options. Each has a default or is required, and an annotation: `bool`, `int`,
    `float`, `str`, `list[str]`, `list[int]`, `list[float]`, an `Enum` of texts, or a `Literal` of texts. Their help
    comes from the docstring's `Args:`.

    Args:
        outputs: The suffixes of the files that it writes for an item: `[".json"]`.
        splits: "lines" where large objects may be cut at line ends; the body is then read by `lines` or `json_lines`.
        table: "parquet" for `rows.parquet` beside `rows.csv`; it needs pyarrow. More than 1 GiB of rows are in
            `rows-00000.parquet`, `rows-00001.parquet` and so on.
        merge: Called as `merge(values)` or `merge(values, results)` with an iterator over what the function gave, in
            the order of the items' keys; `results.open(name)` opens a file of the result. Its dict goes to result.json.
        item_seconds: How long it may take for an item, reading included; an item that takes longer is a row
            `ITEM_TIMED_OUT`. The function then runs in a thread of its own for each item.

    Raises:
        TypeError: The function, or one of its parameters, is of no kind that can be called like this.
        ValueError: An argument of the decorator is none of those allowed.
    """
    if isinstance(outputs, str):
        raise TypeError(f'outputs is a list of suffixes: outputs=["{outputs}"]')
    if splits not in {None, "lines"}:
        raise ValueError(f'splits is "lines" or left out, not {splits!r}')
    if table not in {"csv", "parquet"}:
        raise ValueError(f'table is "csv" or "parquet", not {table!r}')

    if item_seconds is not None and not _is_seconds(item_seconds):
        raise ValueError(f"item_seconds is a number of seconds, more than 0 and at most a day, not {item_seconds!r}")
    if merge is not None and not _is_merge(merge):
        raise TypeError("merge is a function that is called as merge(values), or as merge(values, results)")

    def decorate(function: Function) -> Function:
        taken, options, convert = _signature(function)
        check_item_suffixes("outputs", tuple(outputs))
        declaration = Declaration(function, taken, options, convert, tuple(outputs), splits, table, merge, item_seconds)
        setattr(function, DECLARATION, declaration)
        return function

    return decorate


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 86_400


def _is_merge(function: object) -> bool:
    """Whether it can be called as the merge job does: found out here, the run costs nothing yet."""
    if not callable(function):
        return False
    try:
        signature = inspect.signature(function)
        signature.bind(*[None] * (2 if len(signature.parameters) > 1 else 1))
    except (TypeError, ValueError):
        return False
    return True


def _signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], tuple[Option, ...], dict[str, Callable[[Any], Any]]]:
    """What the function takes of item, body and outputs, its options, and what makes their values its arguments."""
    name = getattr(function, "__name__", repr(function))
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if is_async or not inspect.isfunction(function):
        raise TypeError(f"{name}: a workload is a plain function, neither a class nor asynchronous")
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise TypeError(f"{name}: an annotation cannot be read: {error}") from None
    helps = _helps(function)
    positional: list[str] = []
    options: list[Option] = []
    convert: dict[str, Callable[[Any], Any]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            positional.append(parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            option, convert[parameter.name] = _option(name, parameter, hints.get(parameter.name), helps)
            options.append(option)
        else:
            raise TypeError(f"{name}: *{parameter.name} cannot be an option; name each one behind a *")
    return _taken(name, tuple(positional)), tuple(options), convert


def _taken(function: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """What the parameters of these names get: by their names, or by their places where they have names of their own."""
    if names and set(names) <= set(_TAKEN):
        return names
    by_place = {1: ("body",), 2: ("item", "body"), 3: _TAKEN}.get(len(names), ())
    if not by_place or any(name in _TAKEN and name != given for name, given in zip(names, by_place, strict=True)):
        raise TypeError(
            f"{function} takes {len(names)} positional arguments ({', '.join(names) or 'none'}); they are called item, "
            "body and outputs, as many of them as it needs, and its options come behind a *: "
            f"def {function}(item, body, outputs, *, …)"
        )
    return by_place


def _option(
    function: str, parameter: inspect.Parameter, hint: Any, helps: Mapping[str, str]
) -> tuple[Option, Callable[[Any], Any]]:
    """A parameter's option, and what makes its value the argument."""
    required = parameter.default is parameter.empty
    if hint is None and not required:
        hint = type(parameter.default)
    made = _plain(hint, parameter.default, required=required) or _choice(hint, parameter.default, required=required)
    if made is None:
        wanted = "bool, int, float, str, list[str], list[int], list[float], an Enum or a Literal of texts"
        raise TypeError(
            f"{function}: the option {parameter.name} needs an annotation, {wanted}, and a "
            "default of that type, or none"
        )
    fields, convert = made
    return Option(name=parameter.name, doc=helps.get(parameter.name, ""), required=required, **fields), convert


def _plain(hint: Any, default: Any, *, required: bool) -> tuple[dict[str, Any], Callable[[Any], Any]] | None:
    empty: dict[Any, Any] = {bool: False, int: 0, float: 0.0, str: ""}
    if hint in empty:
        value = empty[hint] if required else float(default) if hint is float and type(default) is int else default
        return ({"default": value}, hint) if type(value) is hint else None
    element = next(iter(typing.get_args(hint)), None)
    if typing.get_origin(hint) is not list or element not in {str, int, float}:
        return None
    if not required and not isinstance(default, list | tuple):  # a text is a sequence of its letters
        return None
    values = () if required else tuple(default)
    if not all(isinstance(each, element) and not isinstance(each, bool) for each in values):
        return None
    return {"default": values, "element": element}, lambda given: [element(each) for each in given]


def _choice(hint: Any, default: Any, *, required: bool) -> tuple[dict[str, Any], Callable[[Any], Any]] | None:
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    if not is_enum and typing.get_origin(hint) is not Literal:
        return None
    choices = tuple(each.value for each in hint) if is_enum else typing.get_args(hint)
    if not choices or not all(isinstance(each, str) for each in choices):
        return None
    value = choices[0] if required else default.value if isinstance(default, Enum) else default
    return ({"default": value, "choices": choices}, hint if is_enum else str) if value in choices else None


def _helps(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring's `Args:` says of each parameter."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(function) or "", re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in section[1].splitlines() if section else ():
        if begun := re.match(r"\s{1,4}(\w+)(?:\s*\([^)]*\))?:\s*(.*)", line):
            name = begun[1]
            found[name] = begun[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found
