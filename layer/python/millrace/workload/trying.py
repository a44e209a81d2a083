"""Calling a workload's function as a job would, without AWS: what its author's tests do."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from millrace.records.plan import Item
from millrace.s3.header_values import content_type_fault
from millrace.workload.body import ItemBody
from millrace.workload.function import DECLARATION, Declaration
from millrace.workload.options import check_options

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Tried:
    """What a function made of an object.

    Attributes:
        given: What it returned; what it yielded, as a list.
        files: The outputs that it wrote, by suffix.
    """

    given: Any
    files: Mapping[str, bytes]


def try_on(
    function: Callable[..., Any],
    data: bytes | str,
    *,
    key: str = "object.txt",
    options: Mapping[str, Any] | None = None,
) -> Tried:
    """Call a workload's function on one object, as a job would. What it raises passes; no time limit is kept.

    Args:
        function: The function, decorated with `@workload()`.
        data: The object's bytes, or its text.
        key: The object's key; its extension may say that it is compressed.
        options: As in a run request; they are checked, and defaults filled in.

    Raises:
        TypeError: The function is not decorated.
        InvalidRunRequest: It does not take these options.
        ValueError: It writes a file whose suffix it does not declare, or one twice, or with a content type that S3
            does not take.
    """
    declaration = getattr(function, DECLARATION, None)
    if not isinstance(declaration, Declaration):
        raise TypeError(f"{getattr(function, '__name__', function)} is no workload: decorate it with @workload()")
    stored = data.encode() if isinstance(data, str) else data
    item = Item(key=key, size=len(stored), etag='"tried"')
    body = ItemBody(item, (stored[start : start + _CHUNK] for start in range(0, len(stored), _CHUNK)))
    outputs = _Outputs(declaration.outputs)
    given = declaration.call(
        item, body, outputs, declaration.arguments(check_options(declaration.options, options or {}))
    )
    if isinstance(given, Iterator):
        given = list(given)
    return Tried(given, {name: file.written() for name, file in outputs.files.items()})


class _File(io.BytesIO):
    """A file that can be read when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = b""

    def close(self) -> None:
        if not self.closed:
            self._kept = self.getvalue()
        super().close()

    def written(self) -> bytes:
        return self._kept if self.closed else self.getvalue()


class _Outputs:
    """The outputs of one call."""

    def __init__(self, declared: tuple[str, ...]) -> None:
        self._declared = declared
        self.files: dict[str, _File] = {}

    def open(self, name: str, content_type: str = "application/octet-stream") -> BinaryIO:
        if name not in self._declared:
            raise ValueError(f"{name!r} is not declared: its outputs are {', '.join(self._declared) or 'none'}")
        fault = "it is open already" if name in self.files else content_type_fault(content_type)
        if fault:
            raise ValueError(f"the workload cannot write {name!r}: {fault}")
        self.files[name] = _File()
        return self.files[name]
