"""Runs started from Python, by `millrace.run(…)`: what the command line does, for programs and notebooks.

The command does the work, and the layer does not import it: an entry point of the group `millrace.client` names it
where it is installed. In a job or a Lambda it is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, overload

from millrace.errors import InvalidRunRequest, UsageError
from millrace.workload.function import DECLARATION

if TYPE_CHECKING:
    # The user's own, where they are installed.
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Table = Literal["pandas", "polars", "arrow"]
"""What rows may become."""

ENTRY_POINTS = "millrace.client"
"""The entry point group; the one entry is called `start`."""


class StartedRun(Protocol):
    """A run that was started."""

    @property
    def run_id(self) -> str:
        """The run's id: `millrace status RUN_ID` and the other verbs find it by that."""

    @property
    def folder(self) -> str:
        """The run folder, `s3://…/_millrace/RUN_ID/`."""

    def wait(self, *, quiet: bool = False) -> Self:
        """Wait for the run's end; on this machine the results are then in the destination folder.

        Args:
            quiet: Show no progress. Otherwise it is shown on standard error, in a notebook below the cell.

        Returns:
            The run itself.

        Raises:
            MillraceError: The run failed: the subclass and the message say why. With too many failures it has a result
                all the same.
            KeyboardInterrupt: The run continues; `wait` may be called again.
        """

    @property
    def result(self) -> dict[str, Any]:
        """The workload's part of result.json.

        Raises:
            MillraceError: The run has no result yet, or none that can be read.
        """

    @property
    def counts(self) -> dict[str, int]:
        """How many shards, items and bytes there were, how many items succeeded and failed.

        Raises:
            MillraceError: As for `result`.
        """

    @overload
    def rows(self, name: str | None = None, *, to: None = None) -> Iterator[dict[str, Any]]: ...
    @overload
    def rows(self, name: str | None = None, *, to: Literal["pandas"]) -> pd.DataFrame: ...
    @overload
    def rows(self, name: str | None = None, *, to: Literal["polars"]) -> pl.DataFrame: ...
    @overload
    def rows(self, name: str | None = None, *, to: Literal["arrow"]) -> pa.Table: ...
    def rows(self, name: str | None = None, *, to: Table | None = None) -> Any:
        """The rows of a table of the result.

        Args:
            name: The file's name; None for `rows.csv`, or with `to` for `rows.parquet` where the run has one.
            to: None for an iterator over the rows, which reads them one by one: all values are texts, as the CSV file
                has them; those of a Parquet file have their types. "pandas", "polars" or "arrow" for a table in memory.
                Its columns have the types of the rows that were yielded (those of pandas are nullable), and texts
                are as they were yielded. In a file other than the rows', every column has texts.

        Raises:
            InvalidRunRequest: `to` is another word.
            MillraceError: There is no such file, or the run has no result.
            UsageError: The package is not installed; the message names it.
        """

    def failures(self) -> Iterator[dict[str, Any]]:
        """The rows of failures.jsonl: `key`, `error_code`, `message` and so on of each failed item.

        Raises:
            MillraceError: The run has no result.
        """


@dataclass(frozen=True)
class Start:
    """What is to be started.

    Attributes:
        source: A folder's URI; with the stack "local", a folder of this machine as well.
        destination: Likewise.
        workload: A built-in workload's name, `package.module:name`, or None where `code` names it.
        code: What `--code` takes; None for none.
        stack: The stack's name; "local" for the embedded AWS.
        options: The workload's options.
        fields: Further fields of the run request.
        profile: The profile of the AWS configuration.
        region: The stack's region.
    """

    source: str
    destination: str
    workload: str | None
    code: str | None
    stack: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    region: str | None = None


def run(
    *,
    source: str | Path,
    destination: str | Path,
    workload: str | Callable[..., Any] = "word-count",
    stack: str = "millrace",
    options: Mapping[str, Any] | None = None,
    code: str | Path | None = None,
    profile: str | None = None,
    region: str | None = None,
    **fields: Any,
) -> StartedRun:
    """Start a run, and do not wait for it.

    Args:
        source: `s3://bucket/prefix/`; with `stack="local"` a folder of this machine as well.
        destination: Where outputs and results go, likewise.
        workload: A name, as in a run request, or a decorated function, whose module's folder is sent with the run.
        stack: The stack's name; "local" is the embedded AWS of this checkout, which is started where it is down.
        options: The workload's options.
        code: A module, a folder or a zip with the workload that is named: what `--code` takes.
        profile: The profile of the AWS configuration; None for its usual one.
        region: The stack's region; None for the usual one.
        **fields: Further fields of the run request (docs/run-request.md): `include=["*.gz"]`.

    Returns:
        The run.

    Raises:
        CodePackageError: The code cannot be packed.
        InvalidRunRequest: A field of the request is wrong; nothing was started.
        MillraceError: The stack is not there, or the run cannot be started.
        UsageError: The command is not installed here: this is a job, say.
    """
    name, path = (workload, code) if isinstance(workload, str) else (None, _file_of(workload))
    asked = Start(
        source=str(source),
        destination=str(destination),
        workload=name,
        code=None if path is None else str(path),
        stack=stack,
        options=dict(options or {}),
        fields=fields,
        profile=profile,
        region=region,
    )
    from importlib.metadata import entry_points  # noqa: PLC0415 - jobs and Lambdas import this module, and never start

    found = list(entry_points(group=ENTRY_POINTS, name="start"))
    if not found:
        raise UsageError(
            "the command millrace is not installed here, so no run can be started; install it: make install. In a "
            'workload\'s module, put what starts runs under: if __name__ == "__main__":'
        )
    begun: StartedRun = found[0].load()(asked)
    return begun


def _file_of(workload: Callable[..., Any]) -> str:
    """What `--code` would be given for a function: FILE:NAME."""
    name = getattr(workload, "__qualname__", repr(workload))
    if not hasattr(workload, DECLARATION) and not isinstance(workload, type):
        raise InvalidRunRequest("workload", name, "a name, or a function with @workload() above it")
    try:
        file = inspect.getsourcefile(inspect.unwrap(workload))
    except TypeError:
        file = None
    if file is None or not Path(file).is_file() or not name.isidentifier():
        raise InvalidRunRequest(
            "workload", name, "a function at the top of a module's file: save it as one, and import it from there"
        )
    return f"{file}:{name}"
