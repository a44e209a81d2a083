"""Reading a listing's page fast: the same objects as botocore's own parser finds, whatever their keys are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import AccessDeniedError
from millrace.s3.listing_page import OBJECTS, ListedObject, decoded_keys, objects_of, take_objects
from tests.listing_answers import ALGORITHM, answering, objects, others_write, page_of, s3_writes

SESSION = botocore.session.get_session()
SHAPE = SESSION.get_service_model("s3").operation_model("ListObjectsV2").output_shape
PARSER = SESSION.get_component("response_parser_factory").create_parser("rest-xml")


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
    response: dict[str, Any] = {"status_code": 200, "body": page_of("".join(write(one, extra) for one in written))}
    added: dict[str, Any] = {}
    take_objects(response, added)
    found = added.get(OBJECTS, [])
    assert list(found) == written
    assert [found[place] for place in range(-1, len(found) - 1)] == written[-1:] + written[:-1]
    assert list(found[1:3]) == written[1:3]
    assert b"<Contents>" not in response["body"]


@given(objects, st.sampled_from([s3_writes, others_write]))
def test_botocore_reads_the_same(written: list[ListedObject], write: Callable[[ListedObject], str]) -> None:
    """What botocore's parser makes of the page, and `objects_of` of that, is the same list."""
    body = page_of("".join(map(write, written)))
    assert objects_of(PARSER.parse({"status_code": 200, "headers": {}, "body": body}, SHAPE)) == written


@given(st.lists(st.text(st.sampled_from("%=+aF0zé\r\x0b ")).map(lambda text: text.encode()), min_size=1, max_size=5))
def test_keys_are_decoded_as_urllib_does(encoded: list[bytes]) -> None:
    """Also where a percent sign has no digits behind it, or digits that are no UTF-8, which S3 never writes."""
    assert decoded_keys(encoded) == [unquote_plus(key.decode()) for key in encoded]
    assert decoded_keys([*encoded, b"%FF", b"%C3%A9"])[-2:] == ["\ufffd", "é"]


def test_a_page_that_mixes_forms_loses_no_object() -> None:
    """One object in a form that the fast way does not know sends the whole page to the XML parser."""
    found = [ListedObject(f"in/{number}", number, '"e"', "STANDARD") for number in range(4)]
    mixed = s3_writes(found[0]) + others_write(found[1]) + s3_writes(found[2]) + s3_writes(found[3])
    added: dict[str, Any] = {}
    take_objects({"status_code": 200, "body": page_of(mixed)}, added)
    assert list(added[OBJECTS]) == found


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
    page, more = s3.list_page("bucket")
    assert (list(page), more) == ([one], True)
    assert s3.list_page("bucket") == ([], False)


def test_a_refusal_is_left_to_botocore() -> None:
    """An error's body is no page."""
    s3, _ = answering((403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"))
    with pytest.raises(AccessDeniedError, match="no"):
        s3.list_page("bucket")
