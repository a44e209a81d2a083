"""DynamoDB tables of the embedded AWS."""

from __future__ import annotations

from itertools import count
from typing import Any

Item = dict[str, dict[str, Any]]


class Tables:
    """Makes tables and reads them.

    Args:
        client: A boto3 DynamoDB client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._numbers = count()

    def make(self, *key: str) -> str:
        """A new table that is keyed by these string attributes; returns its name."""
        name = f"table-{next(self._numbers)}"
        kinds = ("HASH", "RANGE")[: len(key)]
        self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": part, "KeyType": kind} for part, kind in zip(key, kinds, strict=True)],
            AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
            BillingMode="PAY_PER_REQUEST",
        )
        self._client.get_waiter("table_exists").wait(TableName=name)
        return name

    def items(self, table: str, key: str) -> dict[str, Item]:
        """A table's items, by their partition key."""
        pages = self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return {item[key]["S"]: item for page in pages for item in page["Items"]}
