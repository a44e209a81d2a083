"""What a workload's options may be: declared once here, checked by Prepare Run and again by the job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from millrace.errors import InvalidRunRequest

type_names = {
    int: "a whole number",
    str: "a string",
    bool: "true or false",
    list: "a list of strings",
    dict: "an object of strings",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a workload.

    Attributes:
        name: As the user writes it.
        default: Its value where the user gives none; its type is the option's type (a list holds strings, and so
            does an object).
        minimum: For a whole number, the least allowed; for a list, the fewest strings.
        maximum: For a whole number, the most allowed.
        choices: For a string, or each string of an object, all that is allowed.
        pattern: For a string, or each string of an object, the regular expression that all of it matches.
        form: The pattern in words, for the error.
        required: Whether the user must give it; its default then only tells its type.
        doc: One sentence for people.
    """

    name: str
    default: int | str | bool | tuple[str, ...] | Mapping[str, str]
    doc: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    required: bool = False

    def check(self, value: object) -> object:
        """The value, checked; a list comes back as a list of strings, an object as an object of strings.

        Raises:
            InvalidRunRequest: It has the wrong type or lies outside the bounds.
        """
        field = f"options.{self.name}"
        if isinstance(self.default, tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
                raise InvalidRunRequest(field, value, type_names[list])
            if self.minimum is not None and len(value) < self.minimum:
                raise InvalidRunRequest(field, list(value), f"{type_names[list]}, {self.minimum} or more; {self.doc}")
            return list(value)
        if isinstance(self.default, Mapping):
            return self._checked_object(field, value)
        if type(value) is not type(self.default):
            raise InvalidRunRequest(field, value, type_names[type(self.default)])
        if isinstance(value, str):
            self._check_text(field, value)
        if isinstance(value, int) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and value < low) or (high is not None and value > high):
                raise InvalidRunRequest(
                    field, value, f"{low if low is not None else 'any'} to {high if high is not None else 'any'}"
                )
        return value

    def _checked_object(self, field: str, value: object) -> dict[str, str]:
        if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in (*value, *value.values())):
            raise InvalidRunRequest(field, value, type_names[dict])
        for name, text in value.items():
            self._check_text(f"{field}.{name}", text)
        return dict(value)

    def _check_text(self, field: str, text: str) -> None:
        if self.choices and text not in self.choices:
            raise InvalidRunRequest(field, text, " or ".join(self.choices))
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise InvalidRunRequest(field, text, self.form)


WORKLOAD_OPTIONS: dict[str, tuple[Option, ...]] = {
    "word-count": (
        Option("min_length", 3, "The shortest word of the top list, in characters.", minimum=1, maximum=1000),
        Option(
            "min_count", 3, "The fewest occurrences that bring a word into the top list.", minimum=1, maximum=10**12
        ),
        Option("top", 100, "How many words the top list has at most.", minimum=0, maximum=10_000),
        Option("stop_words", ("and", "the"), "Words that the top list leaves out, lower-case."),
        Option("outputs", "per-item", "Whether each object has its own list of words.", choices=("per-item", "none")),
    ),
    "csv-to-dynamodb": (
        Option(
            "table",
            "",
            "The table's name or ARN.",
            required=True,
            pattern=r"[A-Za-z0-9_.-]{3,255}|arn:[^\s:]+:dynamodb:[^\s:]+:\d{12}:table/[A-Za-z0-9_.-]{3,255}",
            form="a table's name, 3 to 255 of letters, digits, '_', '.' and '-', or its ARN",
        ),
        Option("columns", {}, "Which columns are imported, and as which attributes; empty: all, by their own names."),
        Option("types", {}, "The attributes that are not strings.", choices=("S", "N", "BOOL", "B", "JSON")),
        Option("key_columns", (), "The columns that fill the table's partition key and sort key, in this order."),
        Option("key_prefix", "", "Put in front of every partition key."),
        Option("constants", {}, "Attributes with the same text in every row."),
        Option(
            "computed",
            {},
            "Attributes made of text and {source_key}, {file_name}, {member}, {line} and {imported_at}.",
            pattern=r"([^{}]|\{(source_key|file_name|member|line|imported_at)\})*",
            form="text with {source_key}, {file_name}, {member}, {line} and {imported_at}",
        ),
        Option("empty_cells", "omit", "What an empty cell becomes.", choices=("omit", "null", "string", "reject")),
        Option("on_bad_row", "report", "Whether a bad row fails its whole file.", choices=("report", "fail")),
        Option("delimiter", "auto", "One character, or auto.", pattern=r"auto|[^\r\n]", form="one character, or auto"),
        Option("quote", '"', "One character; empty: no quoting.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("escape", "", "One character; empty: none.", pattern=r"[^\r\n]?", form="one character, or empty"),
        Option("header", default=True, doc="Whether the first row holds the columns' names."),
        Option("column_names", (), "The columns' names, where there is no header or it is not to be used."),
        Option("encoding", "utf-8", "As Python names it; a byte order mark is dropped."),
        Option("members", ("*.csv", "*.tsv", "*.txt"), "Which files of a zip are imported, as patterns."),
        Option("max_unpacked_mib", 10_240, "The most that one archive may unpack to.", minimum=1, maximum=2**20),
        Option("parallel_writes", 16, "How many requests a job has under way at once.", minimum=1, maximum=256),
        Option(
            "write_units_per_second",
            0,
            "The most write units (1 KB of one item) that the whole run takes; 0: no limit.",
            minimum=0,
            maximum=10**7,
        ),
    ),
    "images": (
        Option("thumbnail_width", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("thumbnail_height", 200, "The box a thumbnail fits in, in pixels.", minimum=1, maximum=10_000),
        Option("format", "jpeg", "The format of the pictures made.", choices=("jpeg", "png", "webp")),
        Option("quality", 85, "The quality of JPEG and WebP pictures made.", minimum=1, maximum=100),
        Option("filter", "none", "A filtered picture beside the thumbnail.", choices=("none", "grayscale", "sepia")),
        Option(
            "filter_longest_side",
            0,
            "The filtered picture's longest side in pixels; 0: as it was.",
            minimum=0,
            maximum=65_500,
        ),
        Option("color_profile", "srgb", "Convert a thumbnail to sRGB or keep its profile.", choices=("srgb", "keep")),
        Option("keep_gps", default=False, doc="Leave the place of a photograph in its metadata."),
        Option("max_pixels", 89_478_485, "Larger pictures are refused unread.", minimum=1, maximum=1_000_000_000),
        Option("max_megabytes", 500, "Larger objects are refused unread.", minimum=1, maximum=100_000),
        Option("contact_sheet", 60, "How many thumbnails the contact sheet shows.", minimum=0, maximum=500),
    ),
    "command": (
        Option(
            "command", (), "the program and its arguments, with {input}, {output}, {key}, {name} and {stem}", minimum=1
        ),
        Option(
            "output_suffixes", (".out",), "What is put behind a key: {output}, {output2}, … or the standard output."
        ),
        Option("content_type", "application/octet-stream", "The Content-Type of the outputs."),
        Option("time_limit_seconds", 300, "How long the command may take for one item.", minimum=1, maximum=86_400),
        Option("parallel", 0, "How many commands run at once; 0: as many as there are cores.", minimum=0, maximum=256),
        Option("success_exit_codes", ("0",), "Exit codes that mean success: 0 or 0-1."),
        Option("retry_exit_codes", ("75",), "Exit codes that mean: try again in another attempt of the job."),
        Option("bad_item_exit_codes", ("1-255",), "Exit codes that mean a bad item; any other ends the job."),
        Option("environment", (), "Names of the job's environment variables that the command gets, or NAME=VALUE."),
    ),
}
"""The built-in workloads, by name. A user's own workload declares its options in its own code."""


_OWN_WORKLOAD = re.compile(
    r"(?=.{3,200}$)([a-z_]\w*(\.[a-z_]\w*)*:[a-z_]\w*|[\w-]+(\.[\w-]+)+)", re.ASCII | re.IGNORECASE
)


def is_own_workload(name: str) -> bool:
    """Whether the name can only be that of a user's own workload: no built-in one has a dot or a colon in it.

    `package.module:Class` names a class, `package.name` an entry point of the group `millrace.workloads`.
    """
    return _OWN_WORKLOAD.fullmatch(name) is not None


def known_workload(name: object) -> str:
    """The workload's name, checked. Whether there is a user's own workload of that name, only the job can find out.

    Raises:
        InvalidRunRequest: There is no such workload.
    """
    if not isinstance(name, str) or not (name in WORKLOAD_OPTIONS or is_own_workload(name)):
        allowed = [*sorted(WORKLOAD_OPTIONS), "your own as package.module:Class or package.name"]
        raise InvalidRunRequest("workload", name, " or ".join(allowed))
    return name


def checked_options(workload: str, given: Mapping[str, object]) -> dict[str, object]:
    """The options with defaults filled in, in the order of their declaration; a user's own workload's as they are.

    Raises:
        InvalidRunRequest: An option is unknown, has the wrong type or lies outside its bounds.
    """
    return dict(given) if is_own_workload(workload) else check_options(WORKLOAD_OPTIONS[workload], given)


def check_options(options: Iterable[Option], given: Mapping[str, object]) -> dict[str, object]:
    """The options that a workload declares, checked, with defaults filled in, in the order of their declaration.

    Raises:
        InvalidRunRequest: An option is unknown, has the wrong type or lies outside its bounds.
    """
    declared = {option.name: option for option in options}
    for name in given:
        if name not in declared:
            raise InvalidRunRequest(f"options.{name}", given[name], unknown_name(str(name), declared))
    for name, option in declared.items():
        if option.required and name not in given:
            raise InvalidRunRequest(f"options.{name}", "missing", option.form or option.doc)
    return {name: option.check(given.get(name, option.default)) for name, option in declared.items()}


def option_value(workload: str, text: str) -> tuple[str, object]:
    """An option as a command line gives it: `top=20`, `stop_words=and,the`, `command=["wc", "-w", "{input}"]`.

    What a user's own workload declares is not known here: its value is read as JSON where it is JSON, else as text.

    Returns:
        The option's name and its value, of the option's type; `checked_options` looks at the rest.

    Raises:
        InvalidRunRequest: It is not NAME=VALUE, there is no such option, or the value is not of its type.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRunRequest("option", text, "NAME=VALUE")
    if is_own_workload(known_workload(workload)):
        return name, _json_or_text(value)
    declared = {option.name: option for option in WORKLOAD_OPTIONS[workload]}
    if name not in declared:
        raise InvalidRunRequest(f"options.{name}", value, unknown_name(name, declared))
    kind = type(declared[name].default)
    if kind is tuple:
        read = _json_or_text(value) if value.startswith("[") else value
        return name, [word for word in value.split(",") if word] if isinstance(read, str) else read
    if kind is dict:
        return name, _json_or_text(value)
    if kind is bool and value in {"true", "false"}:
        return name, value == "true"
    if kind is int and re.fullmatch(r"-?[0-9]{1,18}", value):
        return name, int(value)
    return name, value


def unknown_name(name: str, known: Mapping[str, object]) -> str:
    """What is allowed instead of an unknown name, the nearest one first."""
    near = get_close_matches(name, known, n=1)
    listing = ", ".join(sorted(known)) or "nothing"
    return f"{listing} (did you mean {near[0]}?)" if near else listing


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
