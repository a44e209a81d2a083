"""Working one item: read it, hand it to the workload, upload what the workload made of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO, cast

from batch_jobs.host_faults import fault_error, host_fault
from batch_jobs.job_log import hidden
from batch_jobs.migrating.item_body import Body
from batch_jobs.migrating.outputs import SpooledOutputs, transfer_output
from batch_jobs.s3.range_reader import open_item
from batch_jobs.stop import Stop
from millrace.encoded_text import explained
from millrace.errors import (
    AccessDeniedError,
    ArchivedError,
    ChangedError,
    ErrorCode,
    ItemError,
    MillraceError,
    ObjectNotFoundError,
    StoppedError,
    StorageError,
    StuckItemError,
    TryAgainError,
    WriteRefusedError,
)
from millrace.layout import S3Uri, output_fault, output_uri
from millrace.records.outcome import Outcome
from millrace.records.plan import Item
from millrace.s3.reader import ObjectReader
from millrace.s3.verbs import S3
from millrace.workload.contract import ServerSideCopy, Workload

log = logging.getLogger(__name__)

RUN_MARK = "millrace-run"
"""The metadata of an item's output that names the run which made it."""

NEVER_READ = frozenset({ErrorCode.KEY_NOT_USABLE})
"""What the plan rules out: no attempt asked for such an item, and none has an output of it.

ARCHIVED is not among them, though the listing names the class: a restored object keeps its class and can be read.
"""

_CODES: tuple[tuple[type[StorageError], ErrorCode], ...] = (
    (ObjectNotFoundError, ErrorCode.NOT_FOUND),
    (ChangedError, ErrorCode.SOURCE_CHANGED),
    (AccessDeniedError, ErrorCode.ACCESS_DENIED),
    (ArchivedError, ErrorCode.ARCHIVED),
    (WriteRefusedError, ErrorCode.WRITE_FAILED),
    (StorageError, ErrorCode.READ_FAILED),
)


@dataclass(frozen=True, slots=True)
class Worked:
    """What came of one item.

    Attributes:
        position: Its place in the shard.
        outcome: Its row; None where the job had to stop before it was done, or where it was postponed.
        contribution: What the workload returned, for the partial.
        cause: S3's error, where that is why it failed.
        postponed: Why the workload leaves it to the next attempt, where it does.
    """

    position: int
    outcome: Outcome | None
    contribution: Any = None
    cause: StorageError | None = None
    postponed: TryAgainError | None = None


@dataclass(frozen=True)
class ItemWorker:
    """Works items of one run, several at a time.

    Attributes:
        s3: Where to read and write.
        workload: The program that is run over the items.
        source: The source folder.
        destination: The destination folder.
        output_mark: What its items' outputs are marked with: the run, or its retry.
        stop: Whether to stop.
        is_small: Whether an item may be read whole before it is handed to the workload.
    """

    s3: S3
    workload: Workload[Any]
    source: S3Uri
    destination: S3Uri
    output_mark: str
    stop: Stop
    is_small: Callable[[Item], bool] = lambda _item: False

    def work(self, numbered: tuple[int, Item]) -> Worked:
        """Work one item, given with its place in the shard.

        Raises:
            StorageError: The source bucket is gone, the credentials do not work, or no output can be written there:
                nothing that concerns this item alone.
        """
        position, item = numbered
        fault = self._fault(item)
        if fault:
            return Worked(position, Outcome.failed(item, *fault))
        try:
            if self._server_side is not None:
                contribution, outputs = self._transfer(item, self._server_side)
            else:
                with SpooledOutputs(self._refuse if item.first_byte is None else _refuse_for_range) as files:
                    contribution = self._migrate(item, files)
                    outputs = self._upload(item, files)
        except Exception as error:  # noqa: BLE001 - raised again where it concerns more than this item
            return self._of_failure(position, item, error)
        return Worked(position, Outcome.succeeded(item, outputs), contribution)

    def may_read(self, item: Item) -> bool:
        """Whether S3 does not deny the item; it is not read.

        Raises:
            StorageError: S3 cannot be asked.
        """
        try:
            self.s3.open(S3Uri(self.source.bucket, item.key), etag=item.etag, version_id=item.version_id).close()
        except AccessDeniedError:
            return False
        except StorageError as error:
            if error.transient or not error.of_item:
                raise
        return True

    def outputs_of(self, key: str) -> list[S3Uri]:
        """Where the outputs of an item are, if it has any."""
        return [output_uri(self.source, self.destination, key, suffix) for suffix in self.workload.item_suffixes]

    def _of_failure(self, position: int, item: Item, error: Exception) -> Worked:
        """What an error means for the item.

        Raises:
            Exception: The error itself, where it concerns more than this item.
        """
        if isinstance(error, StoppedError):
            return Worked(position, None)
        if isinstance(error, TryAgainError):
            return Worked(position, None, postponed=error)
        fault = host_fault(error)
        if fault is not None:
            log.warning("the host failed", exc_info=error)
            uri = str(S3Uri(self.source.bucket, item.key))
            return Worked(position, None, postponed=fault_error(fault, "work the item", uri))
        if isinstance(error, StuckItemError):
            self.stop.request(f"an item of {self.workload.name} could not be interrupted, and still takes up a thread")
        if isinstance(error, ItemError):
            return Worked(position, Outcome.failed(item, error.code, hidden(error.message), error.http_status))
        if isinstance(error, _ReadError):
            code = next(code for kind, code in _CODES if isinstance(error.cause, kind))
            # Where a write was refused, the message names the verb and the object: the row's key is the source's.
            message = str(error.cause) if code is ErrorCode.WRITE_FAILED else error.cause.message
            outcome = Outcome.failed(item, code, message, error.cause.http_status)
            return Worked(position, outcome, cause=error.cause)
        raise error

    @cached_property
    def _server_side(self) -> ServerSideCopy[Any] | None:
        # Once: to look for the methods of a Protocol takes as long as to read a small item.
        return self.workload if isinstance(self.workload, ServerSideCopy) else None

    def _fault(self, item: Item) -> tuple[ErrorCode, str] | None:
        """Why the item need not even be asked for."""
        if item.shares_output is not None:
            both = f"{item.key!r} and {item.shares_output!r} would have one output"
            return ErrorCode.KEY_NOT_USABLE, f"{both}; no item that shares its output with another is worked"
        if item.first_byte is not None:
            return None
        for output in self.outputs_of(item.key):
            reason = output_fault(output)
            if reason:
                return ErrorCode.KEY_NOT_USABLE, reason
        return None

    def _migrate(self, item: Item, files: SpooledOutputs) -> Any:
        uri = S3Uri(self.source.bucket, item.key)
        try:
            if (whole := self._whole(uri, item)) is None:
                reader = open_item(self.s3, uri, item)
        except StorageError as error:
            raise _read_error(error) from error
        if whole is not None:
            return self._migrate_body(_of_size(item, len(whole)), [whole] if whole else [], files)
        if isinstance(reader, ObjectReader):
            item = _of_size(item, reader.length)
        with reader:
            return self._migrate_body(item, Body(reader, self.stop), files)

    def _whole(self, uri: S3Uri, item: Item) -> bytes | None:
        """A small item's bytes at once; None where it is none, or is longer than was planned."""
        if item.first_byte is not None or not item.size or not self.is_small(item):
            return None  # 0 bytes: perhaps a manifest did not say how many
        return self.s3.read_small(uri, item.size, etag=item.etag, version_id=item.version_id)

    def _migrate_body(self, item: Item, body: Body | list[bytes], files: SpooledOutputs) -> Any:
        failure: BaseException | None = None
        contribution = None
        try:
            contribution = self.workload.migrate(item, body, files)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a workload's fault on one object is that object's row
            failure = error
        broken = body.error if isinstance(body, Body) else None
        if isinstance(broken, StoppedError):
            raise broken
        if broken is not None:
            raise _read_error(broken) from broken
        if failure is None:
            return contribution
        raise self._of_workload(item, failure)

    def _of_workload(self, item: Item, failure: BaseException) -> BaseException:
        """What to raise where a workload raised: the error itself where it says what it means, else the item's row."""
        if isinstance(failure, ItemError | StorageError | StoppedError | TryAgainError):
            return failure
        if isinstance(failure, MillraceError) and failure.exit_code == 2:
            return failure  # no other item would fare better: a program is missing, a table
        if host_fault(failure) is not None:
            return failure
        uri = str(S3Uri(self.source.bucket, item.key))
        log.warning("the workload failed", exc_info=failure, extra={"fields": {"item": uri}})
        row = ItemError(ErrorCode.WORKLOAD_FAILED, explained(failure))
        row.__cause__ = failure
        return row

    def _transfer(self, item: Item, workload: ServerSideCopy[Any]) -> tuple[Any, list[str]]:
        failure: BaseException
        output: S3Uri | None = None
        try:
            output = transfer_output(workload, self.source, self.destination, item.key)
            source = S3Uri(self.source.bucket, item.key)
            return workload.transfer(item, source, output, self.s3, self.stop.check), [str(output)]
        except StorageError as error:
            if error.target == str(output) and not isinstance(error, WriteRefusedError):
                raise  # as where no output can be written: the item could be read
            raise _read_error(error) from error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a workload's fault on one object is that object's row
            failure = error
        raise self._of_workload(item, failure)

    def _upload(self, item: Item, files: SpooledOutputs) -> list[str]:
        outputs = []
        for held in files:
            uri = output_uri(self.source, self.destination, item.key, held.name)
            file, metadata = cast("BinaryIO", held.file), {RUN_MARK: self.output_mark}
            try:
                self.s3.put(uri, file, content_type=held.content_type, metadata=metadata)
            except WriteRefusedError as error:
                raise _ReadError(error) from error
            outputs.append(str(uri))
        return outputs

    def _refuse(self, name: str) -> str | None:
        declared: Iterable[str] = self.workload.item_suffixes
        return None if name in declared else f"its item_suffixes are {', '.join(declared) or 'none'}"


def _of_size(item: Item, size: int) -> Item:
    """What a manifest says of the size, if anything, may be wrong."""
    return item if item.size == size else replace(item, size=size)


def _refuse_for_range(_name: str) -> str:
    return "a range of an object has no outputs of its own"


def _read_error(error: StorageError) -> Exception:
    """What to raise where an object could not be read: the error itself, unless it concerns this item alone."""
    return _ReadError(error) if error.of_item or error.transient else error


class _ReadError(Exception):
    """The item's object could not be read, or S3 does not take its output."""

    def __init__(self, cause: StorageError) -> None:
        self.cause = cause
        super().__init__(str(cause))
