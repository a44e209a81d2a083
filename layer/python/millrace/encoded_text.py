"""Why bytes are not the text that they should be: what they are instead, as far as they say so."""

from __future__ import annotations

from millrace.errors import ErrorCode, ItemError

_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"PAR1", "Parquet"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
)
"""First bytes, and what has them. Asked only of bytes that cannot be read as text."""


def kind_of(start: bytes) -> str:
    """What a file is by its first bytes: `1f 8b: this is gzip`; empty where they do not say."""
    for magic, kind in _KINDS:
        if start.startswith(magic):
            return f"{magic.hex(' ')}: this is {kind}"
    return ""


def not_text(raw: bytes, offset: int) -> ItemError:
    """The error of bytes that are not UTF-8, or have a NUL byte among them.

    Args:
        raw: The bytes; where they are the beginning of a file, they may say what it is.
        offset: The offset of the first of them in the file.
    """
    kind = "" if offset else kind_of(raw)
    head = "not UTF-8: "
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        at, reason = error.start, error.reason
        if is_surrogate(raw[at:]):
            head, reason = "", "an unpaired surrogate"
    else:
        at, head, reason = raw.find(0), "not text: ", "a NUL byte"
    return ItemError(ErrorCode.NOT_TEXT, f"{f'{kind}; ' if kind else head}{reason} at byte {offset + at}")


def is_surrogate(raw: bytes) -> bool:
    """Whether bytes begin with half a surrogate pair, written as UTF-8 would write it if it could (D800 to DFFF)."""
    return len(raw) >= 2 and raw[0] == 0xED and 0xA0 <= raw[1] <= 0xBF


def undecoded(text: str) -> str:
    """What in a text cannot be UTF-8: a byte that `surrogateescape` kept, or half a surrogate pair; empty: nothing."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start : error.start + 2]
        raw = bytes(ord(mark) & 0xFF for mark in found if "\udc80" <= mark <= "\udcff")
        if not raw or is_surrogate(raw):
            return "an unpaired surrogate"
        return f"byte 0x{raw[0]:02X} is not UTF-8"
    return ""


def explained(error: BaseException) -> str:
    """An error in a line; one of a decoder or an encoder with what the text is instead, as far as it says so."""
    text = f"{type(error).__name__}: {error}"
    why = ""
    if isinstance(error, UnicodeDecodeError):
        why = kind_of(error.object) or ("an unpaired surrogate" if is_surrogate(error.object[error.start :]) else "")
    elif isinstance(error, UnicodeEncodeError) and "\ud800" <= error.object[error.start] <= "\udfff":
        why = "an unpaired surrogate"
    return f"{text} ({why})" if why else text
