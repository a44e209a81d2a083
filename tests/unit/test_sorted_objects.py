"""The order of a bucket's keys on the embedded AWS: kept up to date, whatever happens to the bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from local_aws.sorted_objects import SortedObjects

WAYS: dict[str, Callable[[dict[str, Any], str], object]] = {
    "put": lambda objects, key: objects.__setitem__(key, {}),
    "delete": lambda objects, key: objects.__delitem__(key),
    "pop": lambda objects, key: objects.pop(key),
    "pop or not": lambda objects, key: objects.pop(key, None),
    "setdefault": lambda objects, key: objects.setdefault(key, {}),
    "update": lambda objects, key: objects.update({key: {}}),
    "join": lambda objects, key: objects.__ior__({key: {}}) is objects,
    "popitem": lambda objects, _key: objects.popitem(),
    "clear": lambda objects, key: objects.clear() if key == "a" else None,
}
KEYS = st.text("ab/é", max_size=4)
CHANGES = st.lists(st.tuples(st.sampled_from(list(WAYS)), KEYS), max_size=30)


def change(objects: dict[str, Any], how: str, key: str) -> object:
    """Do this to a bucket; what came of it, or the error's kind."""
    try:
        return WAYS[how](objects, key)
    except KeyError:
        return KeyError


@given(CHANGES, KEYS, KEYS)
def test_keys_are_in_order_after_any_change(changes: list[tuple[str, str]], after: str, prefix: str) -> None:
    """It does what a dict does, and gives the keys that a dict has: sorted, with the prefix, behind a key."""
    objects, plain = SortedObjects(), dict[str, dict[str, Any]]()
    for how, key in changes:
        assert change(objects, how, key) == change(plain, how, key)
        expected = sorted(each for each in plain if each.startswith(prefix) and each > after)
        assert list(objects.keys_behind(after, prefix)) == expected
    assert objects == plain
