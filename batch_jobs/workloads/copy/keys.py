"""Where a copy goes: the item's key, rewritten by prefix or by pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import re2

from millrace.errors import ErrorCode, InvalidRunRequest, ItemError

_MAX_COMPILED_BYTES = 1 << 20
"""What a compiled pattern may take, the memory for matching included: the limit of what one key costs in time, too."""

_MAX_KEY_BYTES = 1024

_REFERENCE = re.compile(r"\\(?:([1-9][0-9]?)|g<([A-Za-z0-9_]{1,100})>|(\\)|(.?))", re.DOTALL)
"""What stands for a group in a template; `\\` for one backslash; and any other backslash, which is an error."""


class KeyRewriting:
    """Makes new keys of keys, all relative: below the source, and below the destination.

    The pattern is matched by RE2, in a time that grows with the key's length alone.

    Args:
        options: strip_prefix, add_prefix, key_pattern and key_template of the workload `copy`.

    Attributes:
        may_collide: Whether two keys can become one: by a pattern, not by prefixes.

    Raises:
        InvalidRunRequest: The pattern is no regular expression, or does not go with the template.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._strip: str = options["strip_prefix"]
        self._add: str = options["add_prefix"]
        template: str = options["key_template"]
        self.may_collide = bool(options["key_pattern"])
        if bool(template) != self.may_collide:
            raise InvalidRunRequest("options.key_template", template, "given together with key_pattern, or not at all")
        self._pattern = _compiled(options["key_pattern"])
        self._pieces = _pieces(template, self._pattern)

    def rewritten(self, key: str) -> str:
        """The copy's key, relative to the destination.

        Raises:
            ItemError: `KEY_NOT_USABLE`: the key does not begin with strip_prefix, does not match key_pattern, nothing
                is left of it, or the pattern makes more of it than a key may be.
        """
        if not key.startswith(self._strip):
            raise _unusable(f"the key does not begin with {self._strip!r}, which strip_prefix removes")
        key = key[len(self._strip) :]
        if self.may_collide:
            found = self._pattern.fullmatch(key)
            if found is None:
                raise _unusable(f"{key!r} does not match key_pattern")
            # A group that took no part in the match is empty.
            key = "".join(piece if isinstance(piece, str) else found[piece] or "" for piece in self._pieces)
            if len(key) > _MAX_KEY_BYTES:
                raise _unusable(
                    f"key_template makes a key of {len(key):,} characters; S3 allows {_MAX_KEY_BYTES:,} bytes"
                )
        if not self._add + key:
            raise _unusable("nothing is left of the key")
        return self._add + key


def _compiled(pattern: str) -> Any:
    limits = re2.Options()
    limits.dot_nl = True
    limits.log_errors = False
    limits.max_mem = _MAX_COMPILED_BYTES
    try:
        return re2.compile(pattern, limits)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else str(error)
        raise InvalidRunRequest("options.key_pattern", pattern, f"a regular expression of RE2's; {why}") from None


def _pieces(template: str, pattern: Any) -> Sequence[str | int]:
    """The template's texts, and the numbers of the groups between them."""
    pieces: list[str | int] = []
    end = 0
    for found in _REFERENCE.finditer(template):
        number, name, backslash, _ = found.groups()
        pieces.append(template[end : found.start()])
        end = found.end()
        group = pattern.groupindex.get(name, -1) if name and not name.isdecimal() else int(number or name or -1)
        if backslash:
            pieces.append(backslash)
        elif 0 <= group <= pattern.groups:
            pieces.append(group)
        else:
            allowed = rf"one with the groups that key_template names as \1, \g<0> or \g<name>; {found[0]!r} names none"
            raise InvalidRunRequest("options.key_pattern", pattern.pattern, allowed)
    return [*pieces, template[end:]]


def _unusable(why: str) -> ItemError:
    return ItemError(ErrorCode.KEY_NOT_USABLE, why)
