"""Answers to ListObjectsV2, as S3 and others write them, and a real client that gets them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from hypothesis import strategies as st

from millrace.s3.client import new_client
from millrace.s3.listing_page import ListedObject
from millrace.s3.requests import BotocoreRequests
from millrace.s3.verbs import S3
from tests.run_in_memory import fast

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
objects = st.lists(
    st.builds(
        ListedObject,
        keys,
        st.integers(0, 2**50),
        st.text("abcdef0123456789-", min_size=1, max_size=34).map(lambda text: f'"{text}"'),
        st.sampled_from(["STANDARD", "GLACIER", "INTELLIGENT_TIERING"]),
    ),
    max_size=12,
)
ALGORITHM = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
OWNER = "<Owner><ID>1</ID></Owner>"


def s3_writes(one: ListedObject, extra: str = "") -> str:
    """An object as S3 writes it."""
    etag = one.etag.replace('"', "&quot;")
    key = escape(quote_plus(one.key, safe="/"))
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
        f"<ETag>{etag}</ETag>{extra}<Size>{one.size}</Size><StorageClass>{one.storage_class}</StorageClass></Contents>"
    )


def others_write(one: ListedObject, _extra: str = "") -> str:
    """An object as other servers write it: another order, line breaks, an owner, keys that are not encoded much."""
    key = escape(quote(one.key, safe="/+&'()!*").replace("+", "%2B"))
    return (
        f"\n <Contents>\n  <Size>{one.size}</Size><Key>{key}</Key><ETag>{one.etag}</ETag>{OWNER}"
        f"<StorageClass>{one.storage_class}</StorageClass></Contents>"
    )


def page_of(contents: str, *, more: bool = False) -> bytes:
    """A page."""
    token = "<NextContinuationToken>t</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bucket</Name><Prefix></Prefix><EncodingType>url</EncodingType>{token}"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}</ListBucketResult>"
    ).encode()


class Raw:
    """An answer's body."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_given: Any) -> Any:
        """All of it."""
        yield self.body


def answering(*answers: tuple[int, bytes]) -> tuple[S3, list[str]]:
    """A real client whose requests are answered from a list, and the URLs that it asked for."""
    client: Any = new_client(1)
    left, asked = list(answers), []

    def answer(request: Any, **_given: Any) -> AWSResponse:
        asked.append(request.url)
        status, body = left.pop(0)
        return AWSResponse(request.url, status, HTTPHeaders.from_dict({"content-type": "application/xml"}), Raw(body))

    client.meta.events.register("before-send.s3.ListObjectsV2", answer)
    return S3(BotocoreRequests(client), fast()), asked
