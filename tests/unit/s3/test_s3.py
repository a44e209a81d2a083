"""The S3 verbs, on the S3 in memory: what they give, how they fail, and what they survive."""

import io
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from millrace import errors
from millrace.layout import S3Uri
from millrace.s3.errors import MEANINGS, Concern
from millrace.s3.multipart import PART_BYTES
from millrace.s3.reader import CHUNK_BYTES
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client, error, slow_down, truncated
from tests.run_in_memory import fast

URI = S3Uri("bucket", "a key")

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
"""Any legal key that is not too long: S3 forbids nothing but lone surrogates."""


@pytest.fixture
def client() -> InMemoryS3Client:
    """An S3 with one bucket."""
    return InMemoryS3Client("bucket", page_size=7)


@pytest.fixture
def s3(client: InMemoryS3Client) -> S3:
    """The verbs, without waiting between tries."""
    return S3(client.stub, fast())


class Failing:
    """A hook that raises so many times, then lets calls pass."""

    def __init__(self, times: int, raised: Exception) -> None:
        self.times, self.raised = times, raised

    def __call__(self, *_call: Any) -> None:
        """Raise, or not."""
        if self.times:
            self.times -= 1
            raise self.raised


@given(st.sets(keys, max_size=30))
def test_any_key_comes_back_from_a_listing(names: set[str]) -> None:
    """Keys survive the listing's URL encoding and its pages, in the order of their UTF-8 bytes."""
    client = InMemoryS3Client("bucket", page_size=4)
    for name in names:
        client.store("bucket", name, b"x")

    found = [found.key for found in S3(client.stub).list("bucket")]

    assert found == sorted(names, key=str.encode)


def test_a_listing_goes_through_all_pages(s3: S3, client: InMemoryS3Client) -> None:
    """A hundred objects in pages of seven: each once, with size, ETag and class; other prefixes are left out."""
    for number in range(100):
        client.store("bucket", f"in/{number:03}", b"x" * number, "GLACIER" if number == 5 else "STANDARD")
    client.store("bucket", "in", b"")
    client.store("bucket", "in0", b"")

    found = list(s3.list("bucket", "in/"))

    assert [one.key for one in found] == [f"in/{number:03}" for number in range(100)]
    assert [one.size for one in found] == list(range(100))
    assert found[5].storage_class == "GLACIER"
    assert found[0].etag == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert [one.key for one in s3.list("bucket", "in/", start_after="in/097")] == ["in/098", "in/099"]


def test_a_large_object_is_read_in_chunks(s3: S3, client: InMemoryS3Client) -> None:
    """Reading streams: no chunk is larger than CHUNK_BYTES."""
    body = bytes(range(256)) * 4096
    client.store("bucket", URI.key, body)

    with s3.open(URI) as chunks:
        parts = list(chunks)

    assert b"".join(parts) == body
    assert max(map(len, parts)) <= CHUNK_BYTES
    assert len(parts) > 1


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_range_is_read_to_its_last_byte(body: bytes, data: st.DataObject) -> None:
    """Both ends of a range are inclusive."""
    first = data.draw(st.integers(0, len(body) - 1))
    last = data.draw(st.integers(first, len(body) - 1))
    client = InMemoryS3Client("bucket")
    client.store("bucket", URI.key, body)

    assert b"".join(S3(client.stub).open(URI, first_byte=first, last_byte=last)) == body[first : last + 1]


@given(st.binary(min_size=1, max_size=2000), st.lists(st.integers(0, 700), max_size=6), st.booleans())
def test_a_read_that_breaks_goes_on_where_it_stopped(body: bytes, breaks: list[int], ranged: bool) -> None:  # noqa: FBT001
    """However often a body ends too early, each byte comes once and in order."""
    client = InMemoryS3Client("bucket")
    client.store("bucket", URI.key, body)
    lengths = list(breaks)

    def cut(_verb: str, _bucket: str, _key: str, answer: dict[str, Any]) -> dict[str, Any] | None:
        if lengths and lengths[0] < answer["ContentLength"]:
            return truncated(answer, lengths.pop(0))
        return None

    client.after = cut
    last = len(body) - 1
    limits: dict[str, Any] = {"first_byte": 0, "last_byte": last} if ranged else {}
    reader = S3(client.stub, fast()).open(URI, **limits)

    assert b"".join(reader) == body
    assert client.requests["get_object"] == 1 + len(breaks) - len(lengths)


def test_a_read_does_not_go_on_with_another_object(s3: S3, client: InMemoryS3Client) -> None:
    """When the object was replaced while the connection was broken, the rest would be another text's."""
    client.store("bucket", URI.key, b"a" * 1000)

    def replace(_verb: str, _bucket: str, _key: str, answer: dict[str, Any]) -> dict[str, Any]:
        client.store("bucket", URI.key, b"b" * 1000)
        return truncated(answer, 10)

    client.after = replace
    with pytest.raises(errors.ChangedError):
        b"".join(s3.open(URI))


def test_a_body_that_never_comes_whole_is_given_up(s3: S3, client: InMemoryS3Client) -> None:
    """Attempts without a byte gained are bounded, and the error says how far the read came."""
    client.store("bucket", URI.key, b"0123456789")
    client.after = lambda _verb, _bucket, _key, answer: truncated(answer, 0)

    with pytest.raises(errors.StorageError, match="expected is 10") as raised:
        b"".join(s3.open(URI))

    assert raised.value.transient
    assert client.requests["get_object"] == s3.backoff.attempts


def test_a_body_that_is_longer_than_it_says_is_an_error(s3: S3, client: InMemoryS3Client) -> None:
    """No byte behind the length that S3 told is taken for the object's."""
    client.store("bucket", "a", b"0123456789")

    def after(_verb: str, _bucket: str, _key: str, answer: Any) -> Any:
        return {**answer, "ContentLength": 7}

    client.after = after
    with pytest.raises(errors.StorageError, match="longer than its 7 bytes"), s3.open(S3Uri("bucket", "a")) as reader:
        list(reader)


def test_a_broken_stream_is_an_interruption_too(s3: S3, client: InMemoryS3Client) -> None:
    """Botocore's own streaming errors lead to a new request, not to a failed read."""
    client.store("bucket", URI.key, b"x" * 50)

    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise ResponseStreamingError(error="reset")

    bodies = [Broken()]
    client.after = lambda *call: {**call[3], "Body": bodies.pop()} if bodies else None

    assert s3.read(URI) == b"x" * 50


@pytest.mark.parametrize("size", [0, 1, 10])
def test_a_small_object_is_read_at_once(s3: S3, client: InMemoryS3Client, size: int) -> None:
    """In one request, where it is no longer than was said, and still the same."""
    etag = client.store("bucket", URI.key, b"x" * size)

    assert s3.read_small(URI, 10, etag=etag) == b"x" * size
    assert s3.read_small(URI, size) == b"x" * size
    assert s3.read_small(URI, size - 1) is None
    assert client.requests["get_object"] == 3
    with pytest.raises(errors.ChangedError, match="PreconditionFailed"):
        s3.read_small(URI, 10, etag='"another"')


@given(st.binary(max_size=100), st.lists(st.integers(0, 99), max_size=8))
def test_a_small_object_that_breaks_off_is_read_anew(body: bytes, breaks: list[int]) -> None:
    """Whole, or not at all."""
    client = InMemoryS3Client("bucket")
    client.store("bucket", URI.key, body)
    cuts = [cut for cut in breaks if cut < len(body)]
    client.after = lambda _verb, _bucket, _key, answer: truncated(answer, cuts.pop()) if cuts else None

    assert S3(client.stub, fast()).read_small(URI, 100) == body


def test_a_small_object_that_never_comes_whole_is_given_up(s3: S3, client: InMemoryS3Client) -> None:
    """Tries are bounded, and the error is one that a later attempt may not meet."""
    client.store("bucket", URI.key, b"0123456789")
    client.after = lambda _verb, _bucket, _key, answer: truncated(answer, 4)

    with pytest.raises(errors.StorageError, match="expected is 10") as raised:
        s3.read_small(URI, 10)

    assert raised.value.transient
    assert client.requests["get_object"] == s3.backoff.attempts


def test_a_small_body_that_is_short_without_a_word_is_noticed(s3: S3, client: InMemoryS3Client) -> None:
    """Whoever says less than the object has: its length was told."""
    client.store("bucket", URI.key, b"0123456789")
    bodies = [b"01234567", b""]
    client.after = lambda *call: {**call[3], "Body": io.BytesIO(bodies.pop())} if bodies else None

    assert s3.read_small(URI, 10) == b"0123456789"
    assert client.requests["get_object"] == 3


def test_an_empty_object_is_no_bytes(s3: S3, client: InMemoryS3Client) -> None:
    """Zero bytes are read without a range, which S3 would refuse."""
    client.store("bucket", URI.key, b"")

    assert s3.read(URI) == b""


def test_only_the_planned_object_is_read(s3: S3, client: InMemoryS3Client) -> None:
    """If-Match refuses another ETag; a version is read even where a newer one exists."""
    etag = client.store("bucket", URI.key, b"old")
    client.store("bucket", URI.key, b"new")

    with pytest.raises(errors.ChangedError, match="PreconditionFailed"):
        s3.open(URI, etag=etag)

    kept = InMemoryS3Client(versioned=("bucket",))
    etag = kept.store("bucket", URI.key, b"old")
    stored = kept.stored("bucket", URI.key)
    kept.store("bucket", URI.key, b"new")
    assert stored
    assert b"".join(S3(kept.stub).open(URI, etag=etag, version_id=stored.version_id)) == b"old"


@pytest.mark.parametrize(
    ("raised", "expected", "calls"),
    [
        (error("NoSuchKey", 404), errors.ObjectNotFoundError, 1),
        (error("404", 404), errors.ObjectNotFoundError, 1),
        (error("MethodNotAllowed", 405), errors.ObjectNotFoundError, 1),
        (error("NoSuchBucket", 404), errors.BucketNotFoundError, 1),
        (error("AccessDenied", 403), errors.AccessDeniedError, 1),
        (error("InvalidObjectState", 403), errors.ArchivedError, 1),
        (error("ExpiredToken", 400), errors.CredentialsError, 1),
        (NoCredentialsError(), errors.CredentialsError, 1),
        (error("InvalidRange", 416), errors.StorageError, 1),
        (slow_down(), errors.ThrottledError, 12),
        (error("KMS.ThrottlingException", 400), errors.ThrottledError, 12),
        (error("InternalError", 500), errors.StorageError, 12),
        (error("", 502), errors.StorageError, 12),
        (error("RequestTimeout", 400), errors.StorageError, 12),
        (EndpointConnectionError(endpoint_url="https://s3"), errors.StorageError, 12),
        (ConnectionClosedError(endpoint_url="https://s3"), errors.StorageError, 12),
        (ConnectionResetError("reset"), errors.StorageError, 12),
    ],
)
def test_an_error_is_mapped_and_tried_again_where_that_helps(
    s3: S3, client: InMemoryS3Client, raised: Exception, expected: type[errors.StorageError], calls: int
) -> None:
    """What S3 and botocore raise becomes the error it means, naming verb and object, after as many calls as are due."""
    client.before = Failing(99, raised)

    with pytest.raises(errors.StorageError, match="get s3://bucket/a key: ") as caught:
        s3.read(URI)

    assert type(caught.value) is expected
    assert client.requests["get_object"] == calls


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_every_code_of_the_table_concerns_whom_it_says(s3: S3, client: InMemoryS3Client, code: str) -> None:
    """Transient ones are tried again, the others are asked for once; a row or the job's end follows from the error."""
    meaning = MEANINGS[code]
    client.before = Failing(10**9, error(code, 400))
    for verb, concern, call in (
        ("get_object", meaning.read, lambda: s3.read(URI)),
        ("put_object", meaning.write, lambda: s3.put(URI, b"x")),
    ):
        with pytest.raises(errors.StorageError) as caught:
            call()
        assert client.requests[verb] == (12 if concern is Concern.TRANSIENT else 1)
        assert caught.value.transient == (concern is Concern.TRANSIENT)
        assert caught.value.of_item == (concern is Concern.ITEM)
        refused_write = verb == "put_object" and concern is Concern.ITEM
        assert isinstance(caught.value, errors.WriteRefusedError) == refused_write


def test_an_answer_that_cannot_be_read_is_asked_for_again(s3: S3, client: InMemoryS3Client) -> None:
    """A listing that broke off is no XML: botocore's own error quotes the whole of it, ours does not."""
    client.before = Failing(10**9, ResponseParserError("invalid XML received. Further retries may succeed: b'<Key>x'"))
    with pytest.raises(errors.StorageError, match="list s3://bucket/: S3's answer cannot be read") as caught:
        list(s3.list("bucket"))
    assert caught.value.transient
    assert client.requests["list_objects_v2"] == 12


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied", "InvalidRequest", "Unheard", ""])
def test_every_5xx_is_tried_again_whatever_it_is_called(
    s3: S3, client: InMemoryS3Client, code: str, status: int
) -> None:
    """The status outranks the code: what S3 was not able to do may be done later."""
    client.before = Failing(10**9, error(code, status))
    with pytest.raises(errors.StorageError) as caught:
        s3.read(URI)
    assert (caught.value.transient, client.requests["get_object"]) == (True, 12)


def test_what_no_header_can_hold_is_a_refused_write(s3: S3, client: InMemoryS3Client) -> None:
    """botocore, and http.client below it, refuse it before sending: the error names verb and object."""
    client.before = Failing(1, ValueError("Invalid header value b'a\\nb'"))
    with pytest.raises(errors.WriteRefusedError, match="put s3://bucket/a key: Invalid header value"):
        s3.put(URI, b"x")


def test_a_storm_of_slow_down_is_weathered(s3: S3, client: InMemoryS3Client) -> None:
    """Eleven refusals in a row, for every one of 200 objects, and all are written."""
    pending: dict[str, int] = {}

    def storm(_verb: str, _bucket: str, key: str) -> None:
        pending[key] = pending.get(key, 0) + 1
        if pending[key] < 12:
            raise slow_down()

    client.before = storm
    for number in range(200):
        s3.put(S3Uri("bucket", str(number)), b"x")

    assert len(client.bodies("bucket")) == 200


def test_put_if_absent_writes_once(s3: S3, client: InMemoryS3Client) -> None:
    """The second writer is told so, and what the first one wrote stays."""
    assert s3.put_if_absent(URI, b"first")
    assert not s3.put_if_absent(URI, b"second")
    assert client.bodies("bucket") == {URI.key: b"first"}


def test_put_if_absent_that_meets_its_own_success(s3: S3, client: InMemoryS3Client) -> None:
    """When the answer is lost after the write took effect, the retry finds the object: not written, but there."""
    client.after = Failing(1, ConnectionClosedError(endpoint_url="https://s3"))

    assert not s3.put_if_absent(URI, b"mine")
    assert s3.read(URI) == b"mine"


def test_put_if_absent_goes_on_after_a_conflict(s3: S3, client: InMemoryS3Client) -> None:
    """409 ConditionalRequestConflict is a race, not an answer: S3 asks to try again."""
    client.before = Failing(2, error("ConditionalRequestConflict", 409))

    assert s3.put_if_absent(URI, b"x")
    assert client.requests["put_object"] == 3


def test_a_large_file_goes_up_in_parts(s3: S3, client: InMemoryS3Client) -> None:
    """Beyond one part's size a file is uploaded in parts, wherever its position stood; metadata goes along."""
    body = bytes(range(256)) * (PART_BYTES // 128) + b"end"
    file = io.BytesIO(body)
    file.seek(100)
    client.before = Failing(1, slow_down())

    s3.put(URI, file, content_type="text/csv", metadata={"millrace-run": "r"})

    stored = client.stored("bucket", URI.key)
    assert stored
    assert (stored.body == body, stored.content_type) == (True, "text/csv")
    assert s3.head(URI).metadata == {"millrace-run": "r"}
    assert client.requests["upload_part"] == 3


def test_parts_of_a_failed_upload_are_thrown_away(s3: S3, client: InMemoryS3Client) -> None:
    """An upload that fails leaves no object and no parts behind."""

    def refuse(verb: str, _bucket: str, _key: str) -> None:
        if verb == "complete_multipart_upload":
            raise error("AccessDenied", 403)

    client.before = refuse
    with pytest.raises(errors.AccessDeniedError):
        s3.put(URI, io.BytesIO(b"x" * (PART_BYTES + 1)))

    assert client.bodies("bucket") == {}
    assert client.unfinished_uploads == 0


def test_delete_only_what_was_seen(s3: S3, client: InMemoryS3Client) -> None:
    """With an ETag, an object that was replaced meanwhile stays; what is not there is no error."""
    etag = client.store("bucket", URI.key, b"old")
    client.store("bucket", URI.key, b"new")

    with pytest.raises(errors.ChangedError):
        s3.delete(URI, etag=etag)
    s3.delete(URI)
    s3.delete(URI)

    assert client.bodies("bucket") == {}
