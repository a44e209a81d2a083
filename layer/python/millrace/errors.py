"""Every error Millrace raises on purpose.

    MillraceError                    exit 1: something broke, try again
    ├── InvalidRunRequest            exit 2: the request is wrong; names the field, the value and what is allowed
    ├── ManifestError                exit 2: a manifest cannot be read, or names what the run may not work
    ├── UsageError                   exit 2: the command line cannot be understood
    ├── RunIdentityError             exit 2: the run folder belongs to another plan, workload, option or code version
    ├── NothingToReuseError          exit 2: the run requires an earlier one to reuse, and there is none
    ├── MirrorLimitError             exit 2: more of the base's items are gone than the run may mirror
    ├── TooManyFailuresError         exit 3: more items failed than the run tolerates
    ├── StoppedError                 exit 1: SIGTERM or the deadline came; the next attempt continues
    ├── TryAgainError                exit 1: a workload cannot work an item now; the next attempt retries it
    │   ├── TableError               a DynamoDB table cannot be written just now
    │   └── HostFaultError           the host failed: a full disk, no memory; no object is at fault
    ├── NoProgressError              exit 2: an item takes longer than an attempt may: twice, a shard gained nothing
    ├── WorkloadUnavailableError     exit 2: a workload, or what it needs, is not in the image
    │   └── WorkloadFaultError       its code gives what no run can use: only other code helps, in a new run
    ├── CodePackageError             exit 2: a zip of code cannot be made, or is not what its name says
    ├── ListingError                 exit 1: a source's keys came in no order, or one came twice
    ├── MissingCommitError           exit 1: merge found a planned shard without a commit
    ├── StalledError                 exit 1: an array ended, and no shard was committed in it
    ├── DamagedFileError             exit 2: a file of the run folder cannot be read as what it should be
    ├── TableRefusedError            exit 2: there is no such table, or the role may not write it
    ├── ItemError                    one item cannot be worked: becomes its row in the failure report
    └── StorageError                 exit 1: an S3 call failed
        ├── ObjectNotFoundError      404 NoSuchKey, NoSuchVersion
        ├── BucketNotFoundError      404 NoSuchBucket (exit 2)
        ├── AccessDeniedError        403 (exit 2)
        ├── CredentialsError         400, 403 ExpiredToken and its kin: nothing can be read or written
        ├── ArchivedError            403 InvalidObjectState: Glacier, not restored
        ├── ChangedError             412 on If-Match
        ├── WriteRefusedError        400 to a write: S3 does not take this object as it is (exit 2)
        └── ThrottledError           503 SlowDown and its kin, after every retry

A class name is a contract: it is the `Error` of a failed Lambda state, and an `ErrorCode` names its row in the report.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why an item failed: the `ErrorCode` column of the completion report."""

    NOT_FOUND = "NOT_FOUND"
    """The object was deleted after the plan was made."""
    SOURCE_CHANGED = "SOURCE_CHANGED"
    """The object's ETag or version is no longer the planned one."""
    ACCESS_DENIED = "ACCESS_DENIED"
    """S3 refused to let the job read this one object."""
    ARCHIVED = "ARCHIVED"
    """The object is in an archive class and is not restored."""
    NOT_TEXT = "NOT_TEXT"
    """The object is not UTF-8 text."""
    DAMAGED = "DAMAGED"
    """The object cannot be read as what its name says: a truncated gzip file, say."""
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    """The object is not a picture in a format that the images workload reads."""
    TOO_LARGE = "TOO_LARGE"
    """The object passes a limit of the workload: bytes, pixels, a record, what an archive unpacks to."""
    COMMAND_FAILED = "COMMAND_FAILED"
    """The command ended with an exit code that means a bad item, or was killed by a signal."""
    COMMAND_TIMED_OUT = "COMMAND_TIMED_OUT"
    """The command did not end within its time limit."""
    NO_OUTPUT = "NO_OUTPUT"
    """The command exited successfully, but did not write an output that was expected of it."""
    NOT_SUPPORTED = "NOT_SUPPORTED"
    """The object is sound, but of a kind that is not read: an encrypted zip, an archive in an archive."""
    WRONG_COLUMNS = "WRONG_COLUMNS"
    """The columns of a CSV file are not those that the options name."""
    BAD_ROW = "BAD_ROW"
    """A row of a CSV file is bad, and the options say that a bad row fails its file."""
    COPY_DIFFERS = "COPY_DIFFERS"
    """A copy is not what its source is: another size, checksum or ETag."""
    KEY_NOT_USABLE = "KEY_NOT_USABLE"
    """The output's key would be longer than 1,024 bytes, be among run folders or be another item's too, or cannot be
    made of the item's."""
    READ_FAILED = "READ_FAILED"
    """S3 refused to give this object for good, a disabled KMS key say, or failed for it through every retry."""
    WRITE_FAILED = "WRITE_FAILED"
    """S3 refused to take this item's output for good: metadata, a tag or a content type that it does not allow."""
    WORKLOAD_FAILED = "WORKLOAD_FAILED"
    """The workload raised an error that it does not declare: a bug of the workload on this object."""
    ITEM_TIMED_OUT = "ITEM_TIMED_OUT"
    """The workload did not end within the time limit that it declares for an item."""
    NOT_RUN = "NOT_RUN"
    """The item's shard has no commit: the run ended before it was worked."""


LONGEST_MESSAGE = 4000
"""A message is cut here, in characters, whatever it quotes: a log event may have 256 KiB, a cause 32 KiB."""


class MillraceError(Exception):
    """The root of Millrace's errors.

    Args:
        message: What is wrong and what to do about it, in one sentence or two.
        operation: What was being done: "list the source", "commit shard 7".
        target: The object it was done to, as an `s3://` URI or an ARN.
    """

    exit_code = 1
    """0 done, 1 something broke (try again), 2 wrong input (do not), 3 more failures than tolerated."""

    def __init__(self, message: str, *, operation: str = "", target: str = "") -> None:
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE - 1]}…"
        self.message = message
        self.operation = operation
        self.target = target
        head = " ".join(part for part in (operation, target) if part)
        super().__init__(f"{head}: {message}" if head else message)


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()
"""The value of a field that had to be given and was not: `source is missing`."""


class InvalidRunRequest(MillraceError):  # noqa: N818 - the name is the state machine's contract
    """A run request, or a command's arguments, cannot be accepted.

    Args:
        field: The offending field, dotted: `shard.max_items`.
        value: The value that was given; `MISSING` where there was none.
        allowed: What would have been accepted.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field} is {_shown(value)}; allowed: {allowed}")


class ManifestError(MillraceError):
    """A manifest cannot be read, or names an object that the run may not work."""

    exit_code = 2


class UsageError(MillraceError):
    """The command line cannot be understood."""

    exit_code = 2


class RunIdentityError(MillraceError):
    """The run folder belongs to another plan, workload, option or code version than the one resuming it."""

    exit_code = 2


class NothingToReuseError(MillraceError):
    """A run with `reuse_required` has no run that it could reuse. Nothing was worked."""

    exit_code = 2


class MirrorLimitError(MillraceError):
    """More of the base's items are gone from the source than a run with `mirror` may delete the outputs of."""

    exit_code = 2


class TooManyFailuresError(MillraceError):
    """More items failed than the run tolerates. The report is complete all the same."""

    exit_code = 3


class StoppedError(MillraceError):
    """The job has to stop, by SIGTERM or by its own deadline. The next attempt continues from the saved progress."""


class TryAgainError(MillraceError):
    """A workload cannot process an item now. The shard continues with the others; the next attempt takes this one."""


class TableError(TryAgainError):
    """A DynamoDB table cannot be written just now: it is throttled or broken through every retry."""


class HostFaultError(TryAgainError):
    """The job's host failed, whatever the object: its disk is full, or there is no memory. The attempt ends."""


class NoProgressError(MillraceError):
    """Two attempts spent their time on a shard, and no item of it got done: a third would do no better."""

    exit_code = 2


class WorkloadUnavailableError(MillraceError):
    """A workload cannot run here at all: its class, a package or a program is missing, or does not do what it must."""

    exit_code = 2


class WorkloadFaultError(WorkloadUnavailableError):
    """A workload's code gives what cannot be added up: another start of the run, which keeps its code, ends alike."""


class CodePackageError(MillraceError):
    """Code cannot be packed for a run, or a zip of code cannot be run: damaged, too large, for another Python."""

    exit_code = 2


class ListingError(MillraceError):
    """What lists a source's keys named them in no order, or one of them twice: no plan can be made of that."""


class MissingCommitError(MillraceError):
    """A shard that the plan names has no commit, so the results cannot be added up."""


class StalledError(MillraceError):
    """An array job ended without a failure and without a new commit: another one would do no better."""


class HandedBackError(MillraceError):
    """A small job has lost an attempt, and leaves what is left to one of full size: the state machine goes on."""


class DamagedFileError(MillraceError):
    """A file of the run folder is not what Millrace wrote there."""

    exit_code = 2


class TableRefusedError(MillraceError):
    """A DynamoDB table cannot be written at all: it is not there, or the role may not, or its key is another."""

    exit_code = 2


class ItemError(MillraceError):
    """One item cannot be processed; the shard continues.

    Args:
        code: The row's error code.
        message: The row's message.
        http_status: S3's status code where S3 refused, else None.
    """

    def __init__(self, code: ErrorCode, message: str, http_status: int | None = None) -> None:
        self.code = code
        self.http_status = http_status
        super().__init__(message)


class StuckItemError(ItemError):
    """An item took too long, and what works it cannot be ended: it is the item's row, and the job has to stop."""


class StorageError(MillraceError):
    """An S3 call failed.

    Args:
        message: S3's own words.
        operation: The verb: "get", "put", "list".
        target: The `s3://` URI.
        code: S3's error code: "NoSuchKey".
        http_status: S3's HTTP status, 0 where no answer came.
        transient: Whether the same call may succeed later: S3 was busy or broken, or the connection was.
        of_item: Whether S3 refused this one object, for good; another object may fare better.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        target: str,
        code: str = "",
        http_status: int = 0,
        transient: bool = False,
        of_item: bool = False,
    ) -> None:
        self.code = code
        self.http_status = http_status
        self.transient = transient
        self.of_item = of_item
        super().__init__(f"{message} ({code})" if code else message, operation=operation, target=target)


class ObjectNotFoundError(StorageError):
    """There is no such object, or no such version of it."""


class BucketNotFoundError(StorageError):
    """There is no such bucket."""

    exit_code = 2


class AccessDeniedError(StorageError):
    """S3 says 403: the role may not do this, or the bucket belongs to someone else."""

    exit_code = 2


class CredentialsError(StorageError):
    """The credentials are missing, expired or wrong: no call can succeed."""


class ArchivedError(StorageError):
    """The object is in an archive storage class and has not been restored."""


class ChangedError(StorageError):
    """The object is no longer the one that was asked for (412 on If-Match)."""


class WriteRefusedError(StorageError):
    """S3 refused to write this one object for good: its metadata, a tag, its content type."""

    exit_code = 2


class ThrottledError(StorageError):
    """S3 asks us to slow down; raised when it kept doing so through every retry."""


_OF_REQUEST_OR_CODE = frozenset(
    each.__name__ for each in (InvalidRunRequest, WorkloadUnavailableError, CodePackageError)
)
"""Before there is a plan they are found in what a run keeps for good. Later on the fault may lie elsewhere: in a table
that is gone, in what a program needs, in a zip to be put back."""


def is_for_good(error: str, *, planned: bool) -> bool:
    """Whether a run can only fail the same way again, because its request or its code is at fault: it keeps both.

    Args:
        error: The name of the error that it failed with.
        planned: Whether it failed after its plan was made.
    """
    return error == WorkloadFaultError.__name__ or (not planned and error in _OF_REQUEST_OR_CODE)


def may_be_of_code(error: str) -> bool:
    """Whether a run's request or code may be at fault, so that a new run may be what helps."""
    return error in _OF_REQUEST_OR_CODE


def _shown(value: object) -> str:
    """The value as a person would type it, cut at 200 characters."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except RecursionError:
        text = f"a {type(value).__name__} that is nested too deeply to be shown"
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = f"a {type(value).__name__} that is too long to be shown"
    return shortened(text)


def shortened(text: str, most: int = 200) -> str:
    """A value for an error message, cut at this many characters: it may be a megabyte long."""
    return text if len(text) <= most else text[: most - 1] + "…"
