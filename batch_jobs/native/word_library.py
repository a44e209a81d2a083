"""`word_table.c` as it is called from Python."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from batch_jobs.native.c_source import CSource

SOURCE = CSource(Path(__file__).with_name("word_table.c"))

_TABLE, _NUMBER = ctypes.c_void_p, ctypes.c_uint64

_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "words_new": (_TABLE, [ctypes.c_char_p, ctypes.c_char_p, _NUMBER, _NUMBER]),
    "words_free": (None, [_TABLE]),
    "words_clear": (None, [_TABLE]),
    "words_keep": (ctypes.c_int, [_TABLE, ctypes.c_int]),
    "words_held": (_NUMBER, [_TABLE]),
    "words_bytes": (_NUMBER, [_TABLE]),
    "words_read": (_NUMBER, [_TABLE]),
    "words_sum": (_NUMBER, [_TABLE]),
    "words_count_text": (ctypes.c_int64, [_TABLE, ctypes.c_char_p, _NUMBER, ctypes.c_int]),
    "words_add_lines": (ctypes.c_int64, [_TABLE, ctypes.c_char_p, _NUMBER]),
    "words_order": (ctypes.c_int64, [_TABLE, ctypes.c_int, ctypes.c_int]),
    "words_write": (_NUMBER, [_TABLE, ctypes.POINTER(_NUMBER), ctypes.c_uint8, ctypes.c_char_p, _NUMBER]),
}
"""What each function of the library returns and takes."""

_QUICK = frozenset({"words_new", "words_free", "words_clear", "words_held", "words_bytes", "words_read"})
"""What takes no time worth mentioning: to let other threads run meanwhile would cost many times as much."""


class WordLibrary(ctypes.CDLL):
    """The library, whose calls let other threads run, but for the quick ones.

    Attributes:
        on_little: The same functions, for a few kilobytes: other threads wait meanwhile.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.on_little = ctypes.PyDLL(path)


@cache
def word_library() -> WordLibrary | None:
    """The library; None where it was not compiled: then Python counts."""
    return SOURCE.loaded(load)


def load(path: Path) -> WordLibrary:
    """A library compiled from `word_table.c`, ready to be called.

    Raises:
        OSError: It is not there, or not for this machine.
    """
    library = WordLibrary(str(path))
    for name, (returned, taken) in _FUNCTIONS.items():
        for which in (library, library.on_little):
            function = getattr(which, name)
            function.restype, function.argtypes = returned, taken
        if name in _QUICK:
            setattr(library, name, getattr(library.on_little, name))
    return library
