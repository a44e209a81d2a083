"""A DynamoDB in memory, behind the methods of the boto3 client and behind the wire that Millrace calls.

It answers and refuses as DynamoDB does: botocore ClientErrors, unprocessed items, limits on items, keys and batches.
Nothing in it depends on time or chance.

Tests inject faults through two hooks: `before(operation, request)` may raise instead of the call, and
`leave(put)` says of a put request whether it stays unprocessed.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


@dataclass
class StoredTable:
    """A table: its key attributes, partition key first; the types of those and of index keys; its items."""

    key: tuple[str, ...]
    types: dict[str, str]
    items: dict[Hashable, Item] = field(default_factory=dict)


class InMemoryDynamoDB:
    """The client.

    Args:
        before: Called before every call.
        leave: Which put requests stay unprocessed.

    Attributes:
        tables: By name.
        requests: How often each operation was called.
        denied: Operations that the role may not do.
        history: Every item that was put, in order.
    """

    def __init__(
        self,
        before: Callable[[str, dict[str, Any]], None] = lambda _operation, _request: None,
        leave: Callable[[dict[str, Any]], bool] = lambda _put: False,
    ) -> None:
        self.tables: dict[str, StoredTable] = {}
        self.requests: Counter[str] = Counter()
        self.denied: set[str] = set()
        self.history: list[Item] = []
        self._before = before
        self._leave = leave
        self._lock = threading.Lock()

    def create_table(self, name: str, key: tuple[str, ...], types: dict[str, str] | None = None) -> None:
        """A table; its key attributes are strings where `types` does not say otherwise."""
        self.tables[name] = StoredTable(key, {**dict.fromkeys(key, "S"), **(types or {})})

    def items(self, name: str) -> list[Item]:
        """All items of a table, in the order in which their keys came first."""
        return list(self.tables[name].items.values())

    def describe_table(self, **request: Any) -> dict[str, Any]:
        """As in boto3."""
        with self._lock:
            table = self._begin("DescribeTable", request, request["TableName"])
            kinds = zip(table.key, ("HASH", "RANGE"), strict=False)
            description = {
                "TableName": request["TableName"],
                "TableStatus": "ACTIVE",
                "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in kinds],
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": kind} for name, kind in table.types.items()
                ],
            }
            return {"Table": description}

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        """As in boto3; put requests to one table."""
        ((name, puts),) = request["RequestItems"].items()
        # Outside the lock: a hook may wait, and calls overlap as they do on the network.
        self._before("BatchWriteItem", request)
        with self._lock:
            table = self._begin("BatchWriteItem", None, name)
            if not 1 <= len(puts) <= 25:
                raise _invalid("Member must have length less than or equal to 25")
            keyed: dict[Hashable, dict[str, Any]] = {}
            for put in puts:
                key = _checked(put["PutRequest"]["Item"], table)
                if key in keyed:
                    raise _invalid("Provided list of item keys contains duplicates")
                keyed[key] = put
            left = []
            for key, put in keyed.items():
                if self._leave(put):
                    left.append(put)
                    continue
                table.items[key] = put["PutRequest"]["Item"]
                self.history.append(put["PutRequest"]["Item"])
            return {"UnprocessedItems": {name: left} if left else {}}

    def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """The same over the wire: the HTTP status and the answer."""
        method = {"DescribeTable": self.describe_table, "BatchWriteItem": self.batch_write_item}[operation]
        try:
            return 200, json.dumps(method(**json.loads(body))).encode()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = error.response["Error"]["Message"]
            answer = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
            return error.response["ResponseMetadata"]["HTTPStatusCode"], json.dumps(answer).encode()

    def _begin(self, operation: str, request: dict[str, Any] | None, name: str) -> StoredTable:
        self.requests[operation] += 1
        if request is not None:
            self._before(operation, request)
        if operation in self.denied:
            raise client_error("AccessDeniedException", f"not authorized to perform: dynamodb:{operation}")
        if name not in self.tables:
            raise client_error("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]


def client_error(code: str, message: str = "", status: int = 400) -> ClientError:
    """An error as boto3 raises it."""
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


def item_size(item: Item) -> int:
    """What an item counts for, in bytes; strings, numbers, binaries and documents (developer guide, item sizes)."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _invalid(message: str) -> ClientError:
    return client_error("ValidationException", message)


def _checked(item: Item, table: StoredTable) -> Hashable:
    """The item's key, after the checks that DynamoDB makes."""
    for name in table.key:
        if set(item.get(name, {})) != {table.types[name]}:
            raise _invalid("The provided key element does not match the schema")
        if item[name].get("S") == "":
            raise _invalid(f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}")
    for name, kind in table.types.items():
        if name in item and (set(item[name]) != {kind} or item[name].get("S") == ""):
            raise _invalid(f"Type mismatch for Index Key {name} Expected: {kind}")
    for name, limit in zip(table.key, (2048, 1024), strict=False):
        if len(item[name].get("S", "").encode()) > limit:
            raise _invalid("One or more parameter values were invalid: Size of key has exceeded the size limit")
    if item_size(item) > 409_600:
        raise _invalid("Item size has exceeded the maximum allowed size")
    return tuple(_comparable(item[name]) for name in table.key)


def _comparable(value: dict[str, Any]) -> Hashable:
    return Decimal(value["N"]).normalize() if "N" in value else next(iter(value.values()))


def _size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            number = Decimal(content)
            if not number.is_finite() or len(number.normalize().as_tuple().digits) > 38:
                raise _invalid("Attempting to store more than 38 significant digits in a Number")
            return (len(number.as_tuple().digits) + 1) // 2 + 1
        case "B":
            return len(base64.b64decode(content, validate=True))
        case "M":
            return 3 + len(content) + item_size(content)
        case "L":
            return 3 + sum(1 + _size(entry) for entry in content)
        case _:
            return 1
