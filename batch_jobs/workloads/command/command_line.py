"""The command of one item: `{input}` and its like put into the argument list. No shell reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from millrace.errors import ErrorCode, InvalidRunRequest, ItemError

_PIECE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_OUTPUT = re.compile(r"\{output([2-9])?\}")
_OTHERS = ("{input}", "{key}", "{name}", "{stem}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 100
"""A file name may have 255 bytes on Linux's file systems, an output's suffix included."""


@dataclass(frozen=True)
class CommandLine:
    """An argument list with placeholders.

    Attributes:
        arguments: The program, then its arguments.
        outputs: How many output files it names: 2 where `{output2}` is the highest.
    """

    arguments: tuple[str, ...]
    outputs: int

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> CommandLine:
        """Check an argument list.

        Raises:
            InvalidRunRequest: A placeholder is unknown, a brace stands alone, the program is one, there is a NUL.
        """
        given = tuple(arguments)
        outputs = 0
        for number, argument in enumerate(given):
            for piece in _PIECE.findall(argument):
                output = _OUTPUT.fullmatch(piece)
                if output:
                    outputs = max(outputs, int(output[1] or 1))
                elif piece not in _OTHERS and piece not in ("{{", "}}"):
                    known = ", ".join([*_OTHERS, "{output}, {output2} to {output9}, and {{ or }} for a brace"])
                    raise InvalidRunRequest("options.command", piece, f"{known}, in {argument!r}")
            if number == 0 and (not argument or any(piece not in ("{{", "}}") for piece in _PIECE.findall(argument))):
                raise InvalidRunRequest("options.command", argument, "a program's name or path first")
            if "\0" in argument:
                raise InvalidRunRequest("options.command", argument, "text without NUL")
        return cls(given, outputs)

    @property
    def program(self) -> str:
        """The program's name or path."""
        return _filled(self.arguments[0], {})

    def of_item(self, key: str, source: Path, outputs: Iterable[Path]) -> list[str]:
        """The argument list for one item.

        Args:
            key: The item's key.
            source: The file with its bytes.
            outputs: The files to be written, `{output}` first.

        Raises:
            ItemError: `KEY_NOT_USABLE`: the key has a NUL in it, which no argument can hold.
        """
        name = safe_name(key)
        values = {"{input}": str(source), "{key}": key, "{name}": name, "{stem}": Path(name).stem}
        for number, output in enumerate(outputs, start=1):
            values["{output}" if number == 1 else f"{{output{number}}}"] = str(output)
        filled = [_filled(argument, values) for argument in self.arguments]
        if any("\0" in argument for argument in filled):
            raise ItemError(ErrorCode.KEY_NOT_USABLE, "the key has a NUL character, which no argument can hold")
        return filled


def safe_name(key: str) -> str:
    """The key's last segment as a file name: ASCII letters, digits, `.`, `_` and `-`, 1 to 100 of them.

    It begins with a letter, a digit or `_`: it is never `..`, a hidden file or an option.
    """
    name = _UNSAFE.sub("_", key.rstrip("/").rpartition("/")[2])
    if not name or name[0] in ".-":
        name = f"_{name}"
    if len(name) > _LONGEST_NAME:
        ending = Path(name).suffix[:20]
        name = name[: _LONGEST_NAME - len(ending)] + ending
    return name


def _filled(argument: str, values: Mapping[str, str]) -> str:
    """One pass: what a value holds is not looked into."""

    def value(piece: re.Match[str]) -> str:
        return piece[0][0] if piece[0] in ("{{", "}}") else values[piece[0]]

    return _PIECE.sub(value, argument)
