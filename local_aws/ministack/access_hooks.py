# ruff: noqa: SLF001 - to touch private names is what this file is for
"""S3: who may read a bucket without credentials, or from another account, and on whose bill.

The embedded AWS is one account. `give_away` lets a bucket be another account's: then its policy decides what this one
may do with it, and Requester Pays counts. Where IAM is not enforced, ministack takes a request without credentials for
the account's own; here it is anonymous, and only a policy for everyone lets it in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.ministack.hooks import Ministack, Response
from local_aws.signatures import Request

_ACCOUNT = re.compile(r"[0-9]{12}")
_PAYER = "x-amz-request-payer"
_OWNER = "x-amz-expected-bucket-owner"
_SOURCE_OWNER = "x-amz-source-expected-bucket-owner"
_COPY_SOURCE = "x-amz-copy-source"
_MORE = frozenset({_OWNER, _SOURCE_OWNER, _COPY_SOURCE})
"""Headers of requests in which another bucket, or its owner, is named."""
_READS = frozenset({"GET", "HEAD"})
_CONFIGURATION = "requestPayment"
_INTERNAL = 2
"""Which argument behind a request's own says that a service of ministack's asks, not somebody from outside."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a bucket or an object."""

    method: str
    bucket: str
    key: str
    headers: Mapping[str, str]
    query: Mapping[str, Any]


class BucketAccess:
    """What the owner of a bucket lets others do with it."""

    def __init__(self, ministack: Ministack, account: str) -> None:
        """Let ministack's S3, whose buckets are this account's, ask here first."""
        self._storage, self._mine = ministack.storage, account
        self._owners: dict[str, str] = {}
        self._ask_first()
        self._name_owners()

    def give_away(self, bucket: str, account: str) -> None:
        """Let a bucket belong to another account from now on; to this one again where the account is its own.

        Args:
            bucket: Of this account.
            account: Its new owner's number.

        Raises:
            ValueError: There is no such bucket, or that is no account's number.
        """
        if bucket not in self._storage._buckets:
            raise ValueError(f"there is no bucket {bucket}")
        if not _ACCOUNT.fullmatch(account):
            raise ValueError(f"{account} is no account's number")
        self._owners[bucket] = account

    def is_given_away(self, bucket: str) -> bool:
        """Whether a bucket's owner has ever been named, and may be another account."""
        return bucket in self._owners

    def is_open(self, request: Request, path: str) -> bool | None:
        """Whether a request without credentials, to this path, decoded, may be answered; None: it names no bucket."""
        bucket, _, key = path[1:].partition("/")
        if bucket not in self._storage._buckets:
            return None
        query: dict[str, list[str]] = {}
        for name, value in request.pairs():
            query.setdefault(name, []).append(value)
        asked = _Asked(request.method, bucket, key, request.headers, query)
        return request.method in _READS and self._allows_everyone(asked)

    def _ask_first(self) -> None:
        storage = self._storage
        handle = storage.handle_request

        async def handle_request(
            method: str, path: str, headers: Any, body: bytes, query: Any, *rest: Any, **named: Any
        ) -> Any:
            if named.get("internal") or (len(rest) > _INTERNAL and rest[_INTERNAL]):
                return await handle(method, path, headers, body, query, *rest, **named)
            bucket, key = storage._parse_bucket_key(path, headers)
            refused = self._refusal(_Asked(method, bucket, key, headers, query), body)
            if refused is None and _CONFIGURATION in query and not key:
                refused = self._configuration(method, bucket, body)
            if refused is not None:
                status, fields, content = refused
                return status, fields, b"" if method == "HEAD" else content
            status, fields, content = await handle(method, path, headers, body, query, *rest, **named)
            if self._is_charged(bucket, headers) and status < 300:
                fields = {**fields, "x-amz-request-charged": "requester"}
            return status, fields, content

        storage.handle_request = handle_request

    def _name_owners(self) -> None:
        """Let the IAM checks know the bucket's account: from another one, role and bucket policy must both allow."""
        policy_of = self._storage.bucket_policy_for_arn

        def bucket_policy_for_arn(arn: str) -> tuple[str, str] | None:
            found: tuple[str, str] | None = policy_of(arn)
            owner = self._owners.get(arn.removeprefix("arn:aws:s3:::").partition("/")[0])
            return found if found is None or owner is None else (found[0], owner)

        self._storage.bucket_policy_for_arn = bucket_policy_for_arn

    def _refusal(self, asked: _Asked, body: bytes) -> Response | None:
        headers, bucket, buckets = asked.headers, asked.bucket, self._storage._buckets
        if _MORE.isdisjoint(headers) and "authorization" in headers and bucket not in self._owners:
            return None  # nearly all there is
        if bucket not in buckets:
            return None
        key = self._storage._request_access_key(asked.method, asked.key, headers, asked.query, body)
        refused = not self._allows(asked, signed=bool(key))
        refused = refused or headers.get(_OWNER, self._owner(bucket)) != self._owner(bucket)
        place, _, _ = headers.get(_COPY_SOURCE, "").partition("?")
        source, _, source_key = self._storage.url_unquote(place).lstrip("/").partition("/")
        if source in buckets:
            refused = refused or not self._allows(_Asked("GET", source, source_key, headers, {}), signed=bool(key))
            refused = refused or headers.get(_SOURCE_OWNER, self._owner(source)) != self._owner(source)
        answer: Response = self._storage._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{asked.key}")
        return answer if refused else None

    def _allows(self, asked: _Asked, *, signed: bool) -> bool:
        if not signed:
            return self._allows_everyone(asked)
        if self._owner(asked.bucket) == self._mine:
            return True
        if not self._policy_allows(asked, self._mine):
            return False
        return not self._requester_pays(asked.bucket) or asked.headers.get(_PAYER) == "requester"

    def _allows_everyone(self, asked: _Asked) -> bool:
        # "Amazon S3 doesn't allow anonymous access to Requester Pays buckets": S3 user guide, Requester Pays.
        return not self._requester_pays(asked.bucket) and self._policy_allows(asked, "")

    def _policy_allows(self, asked: _Asked, caller: str) -> bool:
        """Whether the bucket's policy lets an account do this, or everyone where `caller` is empty."""
        allows = self._storage._foreign_bucket_allows
        return bool(allows(self._mine, asked.bucket, asked.key, asked.method, asked.query, caller, asked.headers))

    def _owner(self, bucket: str) -> str:
        return self._owners.get(bucket, self._mine)

    def _requester_pays(self, bucket: str) -> bool:
        stored = self._storage._bucket_request_payment_config.get(bucket) or ""
        return "<Payer>Requester</Payer>" in stored

    def _is_charged(self, bucket: str, headers: Mapping[str, str]) -> bool:
        return _PAYER in headers and self._owner(bucket) != self._mine and self._requester_pays(bucket)

    def _configuration(self, method: str, bucket: str, body: bytes) -> Response | None:
        """What ministack lacks of PutBucketRequestPayment and GetBucketRequestPayment."""
        if method == "GET" and bucket in self._storage._buckets:  # ministack waits for another word in the query
            status, fields, content = self._storage._get_bucket_request_payment(bucket)
            return status, fields, content.encode() if isinstance(content, str) else content
        if method == "PUT" and _payer(self._storage, body) not in {"Requester", "BucketOwner"}:
            words = "The XML you provided was not well-formed or did not validate against our published schema"
            refused: Response = self._storage._error("MalformedXML", words, 400, f"/{bucket}")
            return refused
        return None


def _payer(storage: Any, body: bytes) -> str:
    try:
        root = storage.fromstring(body)
    except Exception:  # noqa: BLE001 - each parser has its own
        return ""
    return next((each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == "Payer"), "")
