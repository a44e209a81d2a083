"""What botocore raises, as the StorageError it means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as BrokenConnection

from millrace.errors import (
    AccessDeniedError,
    ArchivedError,
    BucketNotFoundError,
    ChangedError,
    CredentialsError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
)
from millrace.layout import S3Uri

_BY_CODE: dict[str, type[StorageError]] = {
    "NoSuchBucket": BucketNotFoundError,
    "NoSuchKey": ObjectNotFoundError,
    "NoSuchVersion": ObjectNotFoundError,
    "InvalidObjectState": ArchivedError,
    "PreconditionFailed": ChangedError,
    "ExpiredToken": CredentialsError,
    "InvalidToken": CredentialsError,
    "InvalidAccessKeyId": CredentialsError,
    "SignatureDoesNotMatch": CredentialsError,
    "RequestTimeTooSkewed": CredentialsError,
}
"""S3 API reference, error responses."""

_BY_STATUS: dict[int, type[StorageError]] = {
    403: AccessDeniedError,
    404: ObjectNotFoundError,
    405: ObjectNotFoundError,  # GetObject: 405 when the version asked for is a delete marker
    412: ChangedError,
    429: ThrottledError,
    503: ThrottledError,
}
"""For answers without a body, as to HEAD, and for codes not listed above."""

_TRANSIENT_CODES = frozenset({"RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "InternalError"})
"""Besides every 5xx: a request body that arrived too slowly (400), and a race of two conditional writes (409)."""


@contextmanager
def storage_errors(operation: str, uri: S3Uri) -> Iterator[None]:
    """Turn what botocore raises in the block into a StorageError.

    Args:
        operation: The verb: "get".
        uri: The object it is done to.

    Raises:
        StorageError: S3 refused, failed or could not be reached.
    """
    try:
        yield
    except (ClientError, BotoCoreError, OSError) as error:
        raise storage_error(error, operation, uri) from error


def storage_error(error: Exception, operation: str, uri: S3Uri) -> StorageError:
    """The StorageError that a botocore error, or a broken connection, means."""
    target = str(uri)
    if isinstance(error, ClientError):
        return _refused(error, operation, target)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return CredentialsError(str(error), operation=operation, target=target)
    # ConnectionError and its kin: urllib3 and ssl let some of theirs through.
    reachable_later = (
        BrokenConnection
        | HTTPClientError
        | IncompleteReadError
        | FlexibleChecksumError
        | CredentialRetrievalError
        | OSError
    )
    transient = isinstance(error, reachable_later)
    return StorageError(
        str(error) or type(error).__name__,
        operation=operation,
        target=target,
        code=type(error).__name__,
        transient=transient,
    )


def _refused(error: ClientError, operation: str, target: str) -> StorageError:
    answer = error.response.get("Error", {})
    code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, StorageError)
    if "Throttl" in code or code in {"SlowDown", "RequestLimitExceeded"}:  # KMS says KMS.ThrottlingException, with 400
        kind = ThrottledError
    transient = kind is ThrottledError or status >= 500 or code in _TRANSIENT_CODES
    return kind(
        message or "S3 refused",
        operation=operation,
        target=target,
        code=code,
        http_status=status,
        transient=transient,
    )
