"""Where a copy goes: the item's key, rewritten by prefix or by pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from millrace.errors import ErrorCode, InvalidRunRequest, ItemError


class KeyRewriting:
    """Makes new keys of keys, all relative: below the source, and below the destination.

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
        self._template: str = options["key_template"]
        self.may_collide = bool(options["key_pattern"])
        if bool(self._template) != self.may_collide:
            raise InvalidRunRequest(
                "options.key_template", self._template, "given together with key_pattern, or not at all"
            )
        try:
            self._pattern = re.compile(options["key_pattern"], re.DOTALL)
            # With an empty alternative it matches at once, so that the template's groups are looked up.
            re.compile(f"{options['key_pattern']}|", re.DOTALL).sub(self._template, "")
        except (re.error, IndexError) as error:
            raise InvalidRunRequest(
                "options.key_pattern",
                options["key_pattern"],
                rf"a regular expression of Python's, whose groups key_template names as \1 or \g<name>; {error}",
            ) from None

    def rewritten(self, key: str) -> str:
        """The copy's key, relative to the destination.

        Raises:
            ItemError: `KEY_NOT_USABLE`: the key does not begin with strip_prefix, does not match key_pattern, or
                nothing is left of it.
        """
        if not key.startswith(self._strip):
            raise _unusable(f"the key does not begin with {self._strip!r}, which strip_prefix takes away")
        key = key[len(self._strip) :]
        if self.may_collide:
            found = self._pattern.fullmatch(key)
            if found is None:
                raise _unusable(f"{key!r} does not match key_pattern")
            key = found.expand(self._template)
        if not self._add + key:
            raise _unusable("nothing is left of the key")
        return self._add + key


def _unusable(why: str) -> ItemError:
    return ItemError(ErrorCode.KEY_NOT_USABLE, why)
