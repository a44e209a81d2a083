"""What botocore raises, as the StorageError it means: one table says of every error code whom it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

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
from botocore.parsers import ResponseParserError

from millrace.errors import (
    AccessDeniedError,
    ArchivedError,
    BucketNotFoundError,
    ChangedError,
    CredentialsError,
    ObjectNotFoundError,
    StorageError,
    ThrottledError,
    WriteRefusedError,
)
from millrace.layout import S3Uri


class Concern(StrEnum):
    """Whom an answer of S3 concerns."""

    TRANSIENT = "transient"
    """S3 was busy or broken, or two writes met: the same call is made again."""
    ITEM = "item"
    """This object, or this request for it: the item's row. Asking again gives the same answer."""
    RUN = "run"
    """Every object alike: the bucket, the account, the credentials, the clock. No row says it; the job ends."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error code of S3 means.

    Attributes:
        read: Whom it concerns where an object is read, looked at or copied.
        write: Whom it concerns where an object is written.
        kind: The error that is raised.
    """

    read: Concern
    write: Concern
    kind: type[StorageError] = StorageError


_TRANSIENT = Meaning(Concern.TRANSIENT, Concern.TRANSIENT)
_BUSY = Meaning(Concern.TRANSIENT, Concern.TRANSIENT, ThrottledError)
_ITEM = Meaning(Concern.ITEM, Concern.ITEM)
_RUN = Meaning(Concern.RUN, Concern.RUN)
_SHUT = Meaning(Concern.RUN, Concern.RUN, AccessDeniedError)
_LOGIN = Meaning(Concern.RUN, Concern.RUN, CredentialsError)
_BUCKET = Meaning(Concern.RUN, Concern.RUN, BucketNotFoundError)
_MISSING = Meaning(Concern.ITEM, Concern.RUN, ObjectNotFoundError)
_CHANGED = Meaning(Concern.ITEM, Concern.RUN, ChangedError)
_ARCHIVED = Meaning(Concern.ITEM, Concern.RUN, ArchivedError)
_DENIED = Meaning(Concern.ITEM, Concern.RUN, AccessDeniedError)
_KMS_KEY = Meaning(Concern.ITEM, Concern.RUN)
"""Each object that is read has a key of its own; what is written has that of the destination, one for all."""

MEANINGS: Mapping[str, Meaning] = {
    # S3 is busy or broken, a body came broken, or two writes met.
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "KMS.ThrottlingException"), _BUSY
    ),
    **dict.fromkeys(
        (
            *("InternalError", "RequestTimeout", "ResponseInterrupted", "ConnectionClosedByRequester"),
            *("OperationAborted", "ConditionalRequestConflict", "ClientTokenConflict"),
            *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"),
            *("KMS.KMSInternalException", "KMS.DependencyTimeoutException", "KMS.KeyUnavailableException"),
        ),
        _TRANSIENT,
    ),
    # This object.
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "MethodNotAllowed"), _MISSING),
    "PreconditionFailed": _CHANGED,
    **dict.fromkeys(("InvalidObjectState", "ObjectNotInActiveTierError"), _ARCHIVED),
    "AccessDenied": _DENIED,
    **dict.fromkeys(
        (
            *("KMS.DisabledException", "KMS.NotFoundException", "KMS.KMSInvalidStateException"),
            *("KMS.InvalidKeyUsageException", "KMS.InvalidCiphertextException", "KMS.IncorrectKeyException"),
            *("KMS.InvalidArnException", "KMS.UnsupportedOperationException", "KMS.AccessDeniedException"),
        ),
        _KMS_KEY,
    ),
    **dict.fromkeys(
        (
            # InvalidRequest is what S3 says, too, to who reads an object of SSE-C without its key.
            *("InvalidRequest", "InvalidArgument", "InvalidEncryptionAlgorithmError", "InvalidRange", "InvalidURI"),
            *("UserKeyMustBeSpecified", "UnsupportedArgument", "UnsupportedOperation", "NotImplemented"),
            *("InvalidTag", "TagPolicyException", "MetadataTooLarge", "RequestHeaderSectionTooLarge"),
            *("InvalidStorageClass", "InvalidDigest", "KeyTooLongError", "EntityTooLarge"),
            *("NoSuchTagSet", "NoSuchObjectLockConfiguration", "UnexpectedContent"),
        ),
        _ITEM,
    ),
    # Every object alike.
    "NoSuchBucket": _BUCKET,
    **dict.fromkeys(
        ("AllAccessDisabled", "AccountProblem", "UnauthorizedAccessError", "UnexpectedIPError", "InvalidPayer"), _SHUT
    ),
    **dict.fromkeys(
        (
            *("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidSessionException"),
            *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSignature", "UnsupportedSignature"),
            *("RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError"),
            *("MissingAuthenticationToken", "MissingSecurityHeader", "MissingSecurityElement", "InvalidSecurity"),
            *("CredentialsNotSupported", "NotSignedUp"),
        ),
        _LOGIN,
    ),
    **dict.fromkeys(
        (
            *("InvalidBucketName", "InvalidBucketState", "InvalidBucketOwnerAWSAccountID", "InvalidRegion"),
            *("PermanentRedirect", "TemporaryRedirect", "Redirect", "IllegalLocationConstraintException"),
            *("IncorrectEndpoint", "EndpointNotFound", "InvalidHostHeader", "InvalidAddressingHeader"),
            *("InvalidAccessPoint", "InvalidAccessPointAliasError", "NoSuchAccessPoint"),
            *("NoSuchMultiRegionAccessPoint", "ServerSideEncryptionConfigurationNotFoundError"),
            # An upload in parts that was aborted from outside, or a malformed request of ours: all is done again.
            *("NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML", "InvalidHttpMethod"),
            *("MissingContentLength", "MissingRequestBodyError", "MaxMessageLengthExceeded"),
        ),
        _RUN,
    ),
}
"""Every error code that the jobs' calls can meet (S3 API reference, error responses; KMS API reference, errors).

One table for botocore's client and obstore's, for reading and for writing.
"""

_BY_STATUS: Mapping[int, Meaning] = {
    301: _RUN,
    307: _RUN,
    401: _LOGIN,
    403: _DENIED,
    404: _MISSING,
    405: _MISSING,  # GetObject: 405 when the version asked for is a delete marker
    408: _TRANSIENT,
    412: _CHANGED,
    429: _BUSY,
    503: _BUSY,
}
"""For answers without a body, as to HEAD, and for codes that are not in the table."""

_WRITES = frozenset({"put", "delete"})
"""The verbs that only write: a copy reads, too."""

_OWN_WORDS = frozenset({"put", "copy"})
"""The verbs that send headers, metadata and tags, which S3 may refuse."""


def meaning_of(code: str, status: int) -> Meaning:
    """What S3's answer means: by its code, else by its HTTP status; an unknown one concerns this object.

    Args:
        code: `NoSuchKey`; a status in digits, or nothing, where there was no body.
        status: 404.
    """
    found = MEANINGS.get(code)
    if found is None and "Throttl" in code:
        return _BUSY
    if found is None:
        found = _KMS_KEY if code.startswith("KMS.") else _BY_STATUS.get(status, _ITEM)
    return _TRANSIENT if status >= 500 and found.read is not Concern.TRANSIENT else found


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
    except (ClientError, BotoCoreError, ResponseParserError, OSError, ValueError) as error:
        # ValueError: what no header can hold.
        raise storage_error(error, operation, uri) from error


def storage_error(error: Exception, operation: str, uri: S3Uri) -> StorageError:
    """The StorageError that a botocore error, or a broken connection, means."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return refused(str(answer.get("Code", "")), str(answer.get("Message", "")), status, operation, uri)
    target = str(uri)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return CredentialsError(str(error), operation=operation, target=target)
    if isinstance(error, ResponseParserError):  # its text holds the answer's whole body
        return StorageError(
            "S3's answer cannot be read", operation=operation, target=target, code="BrokenAnswer", transient=True
        )
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
    kind = WriteRefusedError if not transient and operation in _OWN_WORDS else StorageError
    return kind(
        str(error) or type(error).__name__,
        operation=operation,
        target=target,
        code=type(error).__name__,
        transient=transient,
        of_item=not transient,  # a request that botocore does not even send
    )


def refused(code: str, message: str, status: int, operation: str, uri: S3Uri) -> StorageError:
    """The StorageError that an error answer of S3 means.

    Args:
        code: `NoSuchKey`; a status in digits, or nothing, where there was no body.
        message: What S3 says beside it.
        status: 404.
        operation: The verb: "get".
        uri: The object it is done to.
    """
    meaning = meaning_of(code, status)
    concern, kind = meaning.write if operation in _WRITES else meaning.read, meaning.kind
    if operation in _OWN_WORDS and concern is Concern.ITEM and kind is StorageError and meaning is not _KMS_KEY:
        kind = WriteRefusedError
    return kind(
        message or "S3 refused",
        operation=operation,
        target=str(uri),
        code=code,
        http_status=status,
        transient=concern is Concern.TRANSIENT,
        of_item=concern is Concern.ITEM,
    )
