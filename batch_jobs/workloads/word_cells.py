"""Words as columns of numbers: cut out of a text, put in order, and back to bytes.

A word of up to 8 bytes is one unsigned 64-bit integer, one of up to 16 bytes two, one of up to 32 bytes four; behind
its end are zeros. Little-endian: the first byte is the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from batch_jobs.workloads.column_counts import Column, Numbers
from batch_jobs.workloads.words import spaced

PADDING = b" " * 40
"""Behind a text, so that the columns of its last word can be read past its end."""

LONGEST = 32
"""The longest word that is held as columns, in bytes."""

_KEPT = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
"""By the number of a word's bytes in a column: the bits to keep."""

_NOT_ASCII = np.uint64(0x8080808080808080)


def windows(text: bytes) -> Column:
    """The 8 bytes from each byte of the text on, as a number."""
    return np.ndarray((len(text) - 7,), "<u8", text, 0, (1,))


def cut_out(at: Column, starts: Numbers, lengths: Numbers, width: int) -> tuple[list[Column], Numbers]:
    """The words of one class as columns.

    Args:
        at: `windows` of the text.
        starts: Where each word starts.
        lengths: How long it is, in bytes: more than the class before this one holds.
        width: How many columns a word of this class has.

    Returns:
        The columns, with zeros in place of each word that is too long, and the places of those words.
    """
    columns = [at[starts]]
    columns += [at[starts + offset] for offset in range(8, 8 * width, 8)]
    for place in range(width // 2, width):  # the words of a shorter class, which fill the columns before, are done with
        columns[place] &= _KEPT.take(lengths - 8 * place, mode="clip")
    longer = np.flatnonzero(lengths > 8 * width)
    for column in columns:
        column[longer] = 0
    return columns, longer


def are_ascii(columns: Sequence[Column]) -> npt.NDArray[np.bool_]:
    """Whether each word is ASCII."""
    high = columns[0] & _NOT_ASCII
    for column in columns[1:]:
        high |= column & _NOT_ASCII
    plain: npt.NDArray[np.bool_] = high == 0
    return plain


def as_bytes(columns: Sequence[Column]) -> list[bytes]:
    """The words."""
    cells = np.stack(columns, axis=1).astype("<u8", copy=False)
    words: list[bytes] = cells.view(f"S{8 * len(columns)}").ravel().tolist()
    return words


def in_order(columns: Sequence[Column], ties: Numbers) -> Numbers:
    """The places of words in the order of their bytes.

    Args:
        columns: Big-endian: the words' first bytes are the highest of the numbers.
        ties: What decides between words whose columns are all equal.
    """
    order = np.argsort(columns[0])
    first = columns[0].take(order)
    same = np.zeros(len(order) + 1, np.bool_)
    same[1:-1] = first[1:] == first[:-1]
    tied = np.flatnonzero(same[1:] | same[:-1])
    if len(tied):
        places = order.take(tied)
        keys = [ties.take(places), *(column.take(places) for column in columns[:0:-1]), first.take(tied)]
        order[tied] = places.take(np.lexsort(keys))
    return order


def spaced_text(text: str) -> str:
    """As `words.spaced`, line feeds excepted, and for long texts some ten times as fast.

    A text has few different characters, and few of those separate: each of these is replaced in one pass.
    """
    used = np.flatnonzero(np.bincount(np.frombuffer(text.encode("utf-32-le"), np.uint32)))
    for character in map(chr, used.tolist()):
        if character not in " \n" and spaced(character) == " ":
            text = text.replace(character, " ")
    return text
