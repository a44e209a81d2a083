"""Reading a listing's page fast: the same objects as botocore's own parser finds, whatever their keys are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import AccessDeniedError
from millrace.listing_page import OBJECTS, ListedObject, objects_of, take_objects
from millrace.s3 import S3
from millrace.s3_client import new_client
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
SESSION = botocore.session.get_session()
SHAPE = SESSION.get_service_model("s3").operation_model("ListObjectsV2").output_shape
PARSER = SESSION.get_component("response_parser_factory").create_parser("rest-xml")
OWNER = "<Owner><ID>1</ID></Owner>"


def s3_writes(one: ListedObject, extra: str = "") -> str:
    """An object as S3 writes it."""
    etag = one.etag.replace('"', "&quot;")
    return (
        f"<Contents><Key>{escape(quote(one.key, safe='/'))}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
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
    client = new_client(1)
    left, asked = list(answers), []

    def answer(request: Any, **_given: Any) -> AWSResponse:
        asked.append(request.url)
        status, body = left.pop(0)
        return AWSResponse(request.url, status, {"content-type": "application/xml"}, Raw(body))

    client.meta.events.register("before-send.s3.ListObjectsV2", answer)
    return S3(client, fast()), asked


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some, so that requests can be signed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@given(objects, st.sampled_from([s3_writes, others_write]), st.sampled_from(["", ALGORITHM, "<ChecksumType/>"]))
def test_a_page_holds_what_was_written(
    written: list[ListedObject], write: Callable[[ListedObject, str], str], extra: str
) -> None:
    """Every legal key comes out character by character, from S3's own form and from any other."""
    response = {"status_code": 200, "body": page_of("".join(write(one, extra) for one in written))}
    added: dict[str, Any] = {}
    take_objects(response, added)
    assert added.get(OBJECTS, []) == written
    assert b"<Contents>" not in response["body"]


@given(objects, st.sampled_from([s3_writes, others_write]))
def test_botocore_reads_the_same(written: list[ListedObject], write: Callable[[ListedObject], str]) -> None:
    """What botocore's parser makes of the page, and `objects_of` of that, is the same list."""
    body = page_of("".join(map(write, written)))
    assert objects_of(PARSER.parse({"status_code": 200, "headers": {}, "body": body}, SHAPE)) == written


def test_a_page_that_mixes_forms_loses_no_object() -> None:
    """One object in a form that the fast way does not know sends the whole page to the XML parser."""
    found = [ListedObject(f"in/{number}", number, '"e"', "STANDARD") for number in range(4)]
    mixed = s3_writes(found[0]) + others_write(found[1]) + s3_writes(found[2]) + s3_writes(found[3])
    added: dict[str, Any] = {}
    take_objects({"status_code": 200, "body": page_of(mixed)}, added)
    assert added[OBJECTS] == found


def test_the_client_lists_pages() -> None:
    """Through a real client: the pages follow each other by their tokens, keys are decoded once."""
    found = [ListedObject("a+b %2B", 1, '"e"', "STANDARD"), ListedObject("\u00e9/&", 2, '"f"', "GLACIER")]
    s3, asked = answering((200, page_of(s3_writes(found[0]), more=True)), (200, page_of(s3_writes(found[1]))))
    assert list(s3.list("bucket", "p/", start_after="p/0")) == found
    assert "start-after=p%2F0" in asked[0]
    assert "continuation-token=t" in asked[1]


def test_an_empty_page_that_is_not_the_last_is_passed_over() -> None:
    """`list_page` gives objects, unless there are none."""
    one = ListedObject("a", 1, '"e"', "STANDARD")
    s3, _ = answering((200, page_of("", more=True)), (200, page_of(s3_writes(one), more=True)), (200, page_of("")))
    assert s3.list_page("bucket") == ([one], True)
    assert s3.list_page("bucket") == ([], False)


def test_a_refusal_is_left_to_botocore() -> None:
    """An error's body is no page."""
    s3, _ = answering((403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"))
    with pytest.raises(AccessDeniedError, match="no"):
        s3.list_page("bucket")
