"""Contributions of items, kept beside the commit of their shard: small ones, as JSON.

With them a later run can rebuild the shard without the items that changed or are gone, so that these alone are worked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from millrace.json_text import read_json

LARGEST_BYTES = 1024
"""A contribution of more bytes, as JSON, is not kept, unless the workload has `most_contribution_bytes`."""


@runtime_checkable
class KeepsContributions(Protocol):
    """What a workload has besides, if its contributions are no plain JSON and are to be kept.

    A workload whose contributions are dicts, lists, texts, whole numbers, true, false or None needs none of this.
    `contribution_to_json` has to leave the contribution as it was: the partial takes it next.
    """

    most_contribution_bytes: int

    def contribution_to_json(self, contribution: Any) -> Any:
        """A contribution as plain JSON; None where it is not kept."""

    def contribution_from_json(self, given: Any) -> Any:
        """What `contribution_to_json` was given."""


class ContributionTexts:
    """The contributions of one workload as lines of JSON, and back.

    Args:
        workload: The workload.
    """

    def __init__(self, workload: object) -> None:
        # Once: to look for the members of a Protocol takes as long as to read a small item.
        self._keeper = workload if isinstance(workload, KeepsContributions) else None

    def of(self, contribution: Any) -> bytes | None:
        """A contribution as a line without its line feed; None where it is not kept.

        Args:
            contribution: What `migrate` returned.
        """
        most = LARGEST_BYTES
        if self._keeper is not None:
            most, contribution = self._keeper.most_contribution_bytes, self._keeper.contribution_to_json(contribution)
            if contribution is None:
                return None
        elif not _is_plain(contribution):
            return None
        text = json.dumps(contribution, ensure_ascii=False, separators=(",", ":")).encode()
        return text if len(text) <= most else None

    def read(self, texts: Sequence[bytes]) -> list[Any]:
        """The contributions that some lines say.

        Raises:
            ValueError: One is not JSON.
        """
        given = read_json(b"[%b]" % b",".join(texts))  # at once, in a third of the time
        if len(given) != len(texts):
            raise ValueError("there are more contributions than lines")
        return given if self._keeper is None else list(map(self._keeper.contribution_from_json, given))


def _is_plain(value: Any) -> bool:
    """Whether JSON gives it back as it was: no tuple, no float that may be NaN, no key that is no text."""
    if type(value) is dict:
        return all(type(key) is str and _is_text(key) and _is_plain(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return (type(value) is str and _is_text(value)) or type(value) in {int, bool, type(None)}


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)
