"""Obstore's stores, one to a bucket: endpoint, Region and credentials are those that botocore would use."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store

from millrace.s3.client import CONNECT_SECONDS, READ_SECONDS, USER_AGENT

_SIGNED = re.compile(rb"AWS4-HMAC-SHA256 Credential=[^/]+/\d+/(?P<region>[^/]+)/s3/aws4_request")
"""How botocore signs a request that obstore could sign as well."""

_CREDENTIAL_LIFE = timedelta(minutes=10)
"""botocore renews temporary credentials ten minutes before they end, at the latest."""


_DOUBTS = 3
"""So many requests are made twice before a bucket is left to botocore."""


class BotocoreStores:
    """The stores of the buckets that a job talks to; made as they are needed.

    Args:
        client: Botocore's client.
        credentials: Botocore's credentials, which renew themselves; None: public buckets alone have a store.
        certificates: The file of certificates that botocore trusts, if one is set.
        public: The buckets that are read without credentials, and not written.
        paid: The buckets whose reads are on the bill of who asks.
    """

    def __init__(
        self,
        client: Any,
        credentials: Any,
        certificates: str | None = None,
        *,
        public: frozenset[str] = frozenset(),
        paid: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._certificates = certificates
        self._public = public
        self._paid = paid
        self._stores: dict[str, S3Store | None] = {}
        self._answered: set[str] = set()
        self._doubts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def store(self, bucket: str) -> S3Store | None:
        """The store of a bucket; None where botocore has to be asked."""
        try:
            return self._stores[bucket]
        except KeyError:
            with self._lock:
                if bucket not in self._stores:
                    self._stores[bucket] = self._made(bucket)
                return self._stores[bucket]

    def only_reads(self, bucket: str) -> bool:
        """Whether the bucket's store shows no credentials: nothing is written by it."""
        return bucket in self._public

    def answered(self, bucket: str) -> bool:
        """Whether S3 has answered the bucket's store yet."""
        return bucket in self._answered

    def trust(self, bucket: str) -> None:
        """S3 has answered the bucket's store."""
        self._answered.add(bucket)

    def doubt(self, bucket: str) -> None:
        """Botocore had to be asked for what the bucket's store was asked for; after a few times it is asked alone."""
        with self._lock:
            self._doubts[bucket] += 1
            if self._doubts[bucket] >= _DOUBTS:
                self._stores[bucket] = None

    def paying(self, bucket: str) -> BotocoreStores:
        """The same, with what reads this bucket on the bill of who asks."""
        paid = self._paid | {bucket}
        return BotocoreStores(self._client, self._credentials, self._certificates, public=self._public, paid=paid)

    def _made(self, bucket: str) -> S3Store | None:
        public = bucket in self._public
        if not public and self._credentials is None:
            return None
        found = _address(self._client, bucket, signed=not public)
        if found is None:
            return None
        url, region = found
        options: Any = {
            "allow_http": url.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(days=1),  # of a whole body, however large
            "user_agent": USER_AGENT,
        }
        if self._certificates:
            try:
                options["root_certificate"] = Path(self._certificates).read_bytes()
            except OSError:  # a directory, say
                return None
        access: Any = {"skip_signature": True} if public else {"credential_provider": _provider(self._credentials)}
        if bucket in self._paid and not public:
            access["request_payer"] = True
        return S3Store(
            bucket,
            endpoint=url.rstrip("/"),
            virtual_hosted_style_request=True,  # the endpoint names the bucket, whichever style botocore chose
            region=region,
            **access,
            checksum_algorithm="SHA256",
            retry_config={"max_retries": 0},  # the verbs try again
            client_options=options,
        )


def _address(client: Any, bucket: str, *, signed: bool) -> tuple[str, str] | None:
    """Where botocore would send a request, and the Region that it would sign it for; nothing is sent.

    Args:
        client: Botocore's client.
        bucket: The bucket.
        signed: Whether it would sign the request at all.

    Returns:
        The bucket's URL and the Region; None where it would sign in another way, or could not sign at all.
    """
    if bucket.endswith("--x-s3"):  # a directory bucket has sessions of its own (S3 Express One Zone)
        return None
    seen: list[Any] = []

    def catch(request: Any, **_given: Any) -> AWSResponse:
        seen.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Nothing())

    event = "before-send.s3.HeadBucket"
    client.meta.events.register(event, catch)
    try:
        client.head_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return None
    finally:
        client.meta.events.unregister(event, catch)
    if not seen:
        return None
    if not signed:
        return seen[0].url, client.meta.region_name
    signature = seen[0].headers.get("Authorization", b"")
    found = _SIGNED.match(signature.encode() if isinstance(signature, str) else signature)
    return (seen[0].url, found["region"].decode()) if found else None


class _Nothing:
    """An empty body."""

    def stream(self, **_given: Any) -> Any:
        """No chunks."""
        return iter(())


def _provider(credentials: Any) -> Callable[[], Any]:
    def current() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIAL_LIFE,
        }

    return current
