"""One DynamoDB table: what it is keyed by, and putting items into it.

boto3's `batch_writer` spends 0.16 to 0.2 ms of CPU on an item, botocore's client 0.12 to 0.15, almost all of it on
building and checking the request. Here the requests' bodies come ready-made from the rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from batch_jobs.workloads.csv_to_dynamodb.rows import TableKey
from millrace.errors import MillraceError, TableError, TableRefusedError

MAX_BATCH_ITEMS = 25
"""API reference, BatchWriteItem: 25 items, 16 MB, a key once."""

_TRANSIENT = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "LimitExceededException",
        "InternalServerError",
        "InternalServerErrorException",
        "InternalFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "TransactionInProgressException",
        "ReplicatedWriteConflictException",
    }
)
"""Developer guide, error handling with DynamoDB: "OK to retry? Yes"."""

_EXPIRED = frozenset({"ExpiredTokenException", "ExpiredToken", "RequestExpired"})


class BusyError(Exception):
    """A call may succeed later: the table is throttled, DynamoDB has trouble, or no answer came."""


class ValidationError(Exception):
    """DynamoDB refuses something about the items of a call, and says what."""


class Endpoint(Protocol):
    """Where calls to DynamoDB go."""

    def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Make one call, once.

        Args:
            operation: `BatchWriteItem`.
            body: Its parameters in DynamoDB's JSON.

        Returns:
            The HTTP status and the answer.

        Raises:
            BusyError: No answer came.
        """


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: Its name or ARN.
        endpoint: Where calls go.
    """

    name: str
    endpoint: Endpoint

    def describe(self) -> TableKey:
        """What the table is keyed by.

        Raises:
            BusyError: Try again.
            TableRefusedError: There is no such table, or the role may not describe it.
            TableError: DynamoDB says something else.
        """
        try:
            found = self._call("DescribeTable", json.dumps({"TableName": self.name}).encode())["Table"]
        except ValidationError as error:
            raise self._refused("DescribeTable", str(error)) from None
        if found.get("TableStatus") not in {"ACTIVE", "UPDATING"}:
            raise BusyError(f"the table is {found.get('TableStatus')}")
        kinds = {part["KeyType"]: part["AttributeName"] for part in found["KeySchema"]}
        names = (kinds["HASH"], kinds["RANGE"]) if "RANGE" in kinds else (kinds["HASH"],)
        types = {part["AttributeName"]: part["AttributeType"] for part in found["AttributeDefinitions"]}
        return TableKey(self.name, names, types)

    def write(self, puts: bytes) -> list[dict[str, Any]]:
        """Put items, once.

        Args:
            puts: `{"PutRequest":…},{"PutRequest":…}`: at most 25 items, 16 MB, each key once.

        Returns:
            The put requests that DynamoDB did not take.

        Raises:
            BusyError: It took none; try again.
            ValidationError: It took none, because of what is in one of them.
            TableRefusedError: There is no such table, or the role may not write it.
            TableError: DynamoDB says something else.
        """
        name = json.dumps(self.name).encode()
        answer = self._call("BatchWriteItem", b'{"RequestItems":{' + name + b":[" + puts + b"]}}")
        # By name or by ARN, as DynamoDB likes to call the one table that was asked for.
        return [put for left in answer.get("UnprocessedItems", {}).values() for put in left]

    def _call(self, operation: str, body: bytes) -> dict[str, Any]:
        status, text = self.endpoint.call(operation, body)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            # A proxy or a load balancer said something, not DynamoDB.
            raise BusyError(f"HTTP {status}, which is not an answer of DynamoDB")
        if status == 200:
            return answer
        code = str(answer.get("__type", "")).rpartition("#")[2]
        message = str(answer.get("message") or answer.get("Message") or "no reason given")
        if code in _TRANSIENT or status >= 500:
            raise BusyError(f"{code or status}: {message}")
        if code == "ValidationException":
            raise ValidationError(message)
        raise self._error(operation, code or str(status), message)

    def _error(self, operation: str, code: str, message: str) -> MillraceError:
        if code == "ResourceNotFoundException":
            return self._refused(operation, f"there is no such table here: {message}")
        if code == "AccessDeniedException":
            needed = "the job's role needs dynamodb:DescribeTable and dynamodb:BatchWriteItem on the table"
            return self._refused(operation, f"{message}; {needed}")
        if code in _EXPIRED:
            return TableError(f"{message} ({code})", operation=operation, target=self.name)
        return self._refused(operation, f"{message} ({code})")

    def _refused(self, operation: str, why: str) -> TableRefusedError:
        return TableRefusedError(why, operation=operation, target=self.name)
