"""obstore and botocore behind the same verbs: the same bytes, the same errors, whatever the key."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.s3.connection import connect
from batch_jobs.s3.obstore_requests import ObstoreRequests, carries, storage_error_of
from batch_jobs.s3.obstore_stores import BotocoreStores
from millrace import errors
from millrace.layout import S3Uri
from millrace.s3.client import client_of
from millrace.s3.reader import CHUNK_BYTES
from millrace.s3.requests import BotocoreRequests
from millrace.s3.retry import Backoff
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client, error
from tests.run_in_memory import fast
from tests.s3_server import Answer, Handler, serving

URI = S3Uri("bucket", "in/a key.txt")

segments = st.one_of(
    st.sampled_from(["", ".", "..", "...", "%41", "%2F", "a+b", "é", "e\u0301", "a b", "\\", "?x=1", "#", "&", "日本"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
keys = st.lists(segments, min_size=1, max_size=5).map("/".join).filter(lambda key: 0 < len(key.encode()) <= 1024)
"""Legal keys, many of them odd: S3 forbids nothing but lone surrogates."""


class Served:
    """An S3 behind HTTP, and the two ways to it.

    Attributes:
        memory: What it holds.
        handler: What it has seen; what it answers instead.
        plain: The verbs by botocore.
        fast: The verbs by obstore, where it may.
    """

    def __init__(self, memory: InMemoryS3Client, handler: type[Handler]) -> None:
        self.memory, self.handler = memory, handler
        session = botocore.session.get_session()
        client: Any = client_of(session, 10)
        self.stores = BotocoreStores(client, session.get_credentials())
        # One attempt each: botocore's own tries aside, what is compared is what one answer leads to.
        self.botocore = BotocoreRequests(client)
        self.plain = S3(self.botocore, fast(attempts=1))
        self.fast = S3(ObstoreRequests(self.botocore, self.stores), fast(attempts=1))

    def by_obstore(self) -> bool:
        """Whether the last request was obstore's: it does not say that it is botocore."""
        return "botocore" not in self.handler.seen[-1][2]["user-agent"].lower()


@pytest.fixture(scope="module")
def any_served() -> Iterator[Served]:
    """A server for all tests here, whatever is in its way."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "id")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_REGION", "eu-west-1")
        environment.delenv("MILLRACE_BUCKET_OWNER", raising=False)
        environment.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
        memory = InMemoryS3Client("bucket", versioned=("kept",))
        with serving(memory) as (url, handler):
            environment.setenv("AWS_ENDPOINT_URL", url)
            yield Served(memory, handler)


@pytest.fixture
def served(any_served: Served) -> Served:
    """The server, with nothing in the way."""
    any_served.handler.instead.clear()
    any_served.handler.seen.clear()
    any_served.stores._doubts.clear()
    any_served.stores._stores.clear()
    return any_served


def outcome(call: Any) -> Any:
    """What a call gives, or the error that it raises, as a report would show it."""
    try:
        return call()
    except errors.StorageError as raised:
        return type(raised), str(raised), raised.code, raised.http_status, raised.transient


@settings(max_examples=60, deadline=None)
@given(key=keys, body=st.binary(max_size=50))
def test_any_key_is_written_and_read_unchanged(any_served: Served, key: str, body: bytes) -> None:
    """What one client writes the other reads, under just that key; obstore is asked for the keys that it carries."""
    uri = S3Uri("bucket", key)
    for writer, reader in ((any_served.fast, any_served.plain), (any_served.plain, any_served.fast)):
        writer.put(uri, body, content_type="text/plain", metadata={"millrace-run": "a b"})
        stored = any_served.memory.bodies("bucket")
        assert stored == {key: body}
        with reader.open(uri) as chunks:
            assert (b"".join(chunks), chunks.length) == (body, len(body))
        kept = any_served.memory.stored("bucket", key)
        assert kept
        assert (kept.content_type, kept.metadata) == ("text/plain", {"millrace-run": "a b"})
        assert chunks.etag == kept.etag
        assert any_served.by_obstore() == (reader is any_served.fast and carries(key))
        any_served.memory.remove("bucket", key)


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "a\nb", "\x7f", "\x85"]
)
def test_keys_that_obstore_would_change(key: str) -> None:
    """An empty, `.` or `..` segment, a slash at an end, a control character."""
    assert not carries(key)


@pytest.mark.parametrize("key", ["a", "a/b", "...", ".a/b.", "a/..b/c", "%2e%2e/a", " a ", "a\u2028b", "\U0001f600"])
def test_keys_that_obstore_carries(key: str) -> None:
    """Everything else, dots and spaces at any place."""
    assert carries(key)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("NoSuchKey", 404),
        ("NoSuchBucket", 404),
        ("NoSuchVersion", 404),
        ("MethodNotAllowed", 405),
        ("AccessDenied", 403),
        ("InvalidObjectState", 403),
        ("KMS.DisabledException", 400),
        ("KMS.ThrottlingException", 400),
        ("ExpiredToken", 400),
        ("SignatureDoesNotMatch", 403),
        ("RequestTimeout", 400),
        ("PreconditionFailed", 412),
        ("ConditionalRequestConflict", 409),
        ("OperationAborted", 409),
        ("InvalidRange", 416),
        ("SlowDown", 503),
        ("InternalError", 500),
    ],
)
def test_both_fail_alike(served: Served, code: str, status: int) -> None:
    """The same class, words, code and status, for reading and for each way to write."""

    def refuse(*_call: Any) -> None:
        raise error(code, status, "Any", f'it\'s <{code}> \u00fc: "so"\nError performing PUT x - status code: 200')

    served.memory.before = refuse
    try:
        for call in (
            lambda s3: s3.read(URI),
            lambda s3: s3.open(URI, etag='"e"', version_id="v", first_byte=3),
            lambda s3: s3.put(URI, b"x"),
            lambda s3: s3.put_if_absent(URI, b"x"),
            lambda s3: s3.put_if_same(URI, b"x", '"e"'),
        ):
            said = outcome(lambda call=call: call(served.fast))
            assert served.by_obstore()
            assert said == outcome(lambda call=call: call(served.plain))
            assert said is False or said[2:4] == (code, status)
    finally:
        served.memory.before = lambda *_call: None


@pytest.mark.parametrize("status", [400, 403, 404, 412, 500, 502, 503])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"nonsense <"])
def test_both_fail_alike_without_words_of_s3(served: Served, status: int, body: bytes) -> None:
    """A proxy on the way, say, answers in its own words."""
    served.handler.instead += [lambda _request: (status, {}, body)] * 6

    said = outcome(lambda: served.fast.read(URI))
    served.handler.instead[:] = [lambda _request: (status, {}, body)] * 3

    assert said == outcome(lambda: served.plain.read(URI))


def test_conditions_hold(served: Served) -> None:
    """If-None-Match and If-Match on writing, If-Match and versions on reading."""
    s3 = served.fast
    assert s3.put_if_absent(S3Uri("kept", "k"), b"one")
    assert not s3.put_if_absent(S3Uri("kept", "k"), b"two")
    first = served.memory.stored("kept", "k")
    assert first
    assert s3.put_if_same(S3Uri("kept", "k"), b"two", first.etag)
    assert not s3.put_if_same(S3Uri("kept", "k"), b"three", first.etag)
    assert b"".join(s3.open(S3Uri("kept", "k"), version_id=first.version_id, etag=first.etag)) == b"one"
    with pytest.raises(errors.ChangedError):
        s3.open(S3Uri("kept", "k"), etag=first.etag)
    assert served.by_obstore()


@given(st.integers(1, 3 * CHUNK_BYTES), st.data())
@settings(max_examples=20, deadline=None)
def test_ranges_and_large_bodies(any_served: Served, size: int, data: st.DataObject) -> None:
    """Any range comes whole and in chunks that are not too large."""
    body = bytes(range(256)) * (size // 256 + 1)
    first = data.draw(st.integers(0, len(body) - 1))
    last = data.draw(st.one_of(st.none(), st.integers(first, len(body) + 5)))
    any_served.memory.store("bucket", "large", body)

    chunks = list(any_served.fast.open(S3Uri("bucket", "large"), first_byte=first, last_byte=last))

    assert b"".join(chunks) == body[first : None if last is None else last + 1]
    assert max(map(len, chunks)) <= CHUNK_BYTES
    any_served.memory.remove("bucket", "large")


def test_a_body_that_breaks_off_is_read_on(served: Served) -> None:
    """The next request asks for what is left, if the object is still the same."""
    body = b"0123456789" * 100
    etag = served.memory.store("bucket", URI.key, body)

    def short(_request: Handler) -> Answer:
        return 200, {"ETag": etag, "Content-Length": str(len(body))}, body[:10]

    served.handler.instead.append(short)
    assert S3(served.fast.requests, fast()).read(URI) == body
    assert served.handler.seen[-1][2]["if-match"] == etag


def test_a_connection_that_is_closed_is_tried_again(served: Served) -> None:
    """A broken connection is S3's trouble, not the object's; once S3 has answered, obstore is asked again."""
    served.memory.store("bucket", URI.key, b"x")
    served.fast.read(URI)

    served.handler.instead.append(lambda _request: (0, {}, b""))
    assert S3(served.fast.requests, fast()).read(URI) == b"x"
    assert served.by_obstore()


def test_a_bucket_elsewhere_is_botocores(served: Served) -> None:
    """A redirect to another Region is followed by who knows how; from then on the bucket is not obstore's."""
    served.memory.store("bucket", URI.key, b"x")
    moved = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    other = Served(served.memory, served.handler)
    for _ in range(3):
        served.handler.instead.append(lambda _request: (301, {}, moved))
        assert other.fast.read(URI) == b"x"
    assert other.stores.store("bucket") is None
    assert other.fast.read(URI) == b"x"
    assert len(served.handler.seen) == 7
    assert not served.by_obstore()


def test_every_request_is_signed_and_names_millrace(served: Served) -> None:
    """Region and service as botocore signs them; the body's checksum goes along, which S3 compares."""
    served.fast.put(URI, b"x")
    headers = served.handler.seen[-1][2]
    assert "/eu-west-1/s3/aws4_request" in headers["authorization"]
    assert "x-amz-checksum-sha256" in headers["authorization"]
    assert headers["user-agent"] == "millrace"


def test_credentials_are_asked_for_again(served: Served) -> None:
    """Temporary credentials, a container's or an instance's, renew themselves behind botocore's back and obstore's."""

    class Renewed:
        """Credentials that are others each time."""

        times = 0

        def get_frozen_credentials(self) -> Any:
            self.times += 1
            found: Any = botocore.session.Session().get_credentials()
            return found.get_frozen_credentials()._replace(token=f"t{self.times}")

    renewed = Renewed()
    stores = BotocoreStores(served.botocore.client, renewed)
    S3(ObstoreRequests(served.botocore, stores), Backoff(attempts=1)).put(URI, b"x")

    assert served.handler.seen[-1][2]["x-amz-security-token"] == f"t{renewed.times}"


def test_without_credentials_botocore_says_so(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A job without credentials fails by CredentialsError, not by a request that is not signed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(errors.CredentialsError):
        connect(1).read(URI)
    assert not served.handler.seen


def test_an_owner_is_named_by_botocore(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the deployment names the buckets' owner, every request must say so, signed."""
    served.memory.store("bucket", URI.key, b"x")
    monkeypatch.setenv("MILLRACE_BUCKET_OWNER", "123456789012")
    assert connect(1).read(URI) == b"x"
    assert served.handler.seen[-1][2]["x-amz-expected-bucket-owner"] == "123456789012"
    monkeypatch.delenv("MILLRACE_BUCKET_OWNER")
    assert connect(1).read(URI) == b"x"
    assert "x-amz-expected-bucket-owner" not in served.handler.seen[-1][2]
    assert served.by_obstore()


def test_a_public_bucket_is_read_unsigned_by_obstore(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the deployment names an owner, which a public bucket's is not; listings are botocore's, unsigned."""
    served.memory.store("bucket", URI.key, b"x")
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", "bucket")
    for owner in ("", "123456789012"):
        monkeypatch.setenv("MILLRACE_BUCKET_OWNER", owner)
        assert connect(1).read(URI) == b"x"
        assert not {"authorization", "x-amz-expected-bucket-owner"} & served.handler.seen[-1][2].keys()
        assert served.by_obstore()
        assert connect(1).open(URI, first_byte=0, last_byte=0).length == 1
        assert "authorization" not in served.handler.seen[-1][2]


def test_nothing_is_written_without_a_signature(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a write to a public bucket gets the answer that S3 has for their credentials."""
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", "bucket")
    connect(1).put(URI, b"x")
    assert served.handler.seen[-1][2]["authorization"].startswith("AWS4-HMAC-SHA256")


def test_a_public_bucket_needs_no_credentials(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """There may be none at all."""
    served.memory.store("bucket", URI.key, b"x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MILLRACE_PUBLIC_BUCKETS", "bucket")
    assert connect(1).read(URI) == b"x"
    served.memory.store("bucket", "a//b", b"y")  # botocore's
    assert connect(1).read(S3Uri("bucket", "a//b")) == b"y"
    assert "authorization" not in served.handler.seen[-1][2]


def test_obstore_says_who_pays_for_one_bucket(served: Served) -> None:
    """Signed, by either client, and of no other bucket."""
    served.memory.store("bucket", URI.key, b"x")
    served.memory.store("kept", URI.key, b"y")
    s3 = connect(1).paying("bucket")
    for key in (URI.key, "a//b"):  # obstore's, botocore's
        served.memory.store("bucket", key, b"x")
        assert s3.read(S3Uri("bucket", key)) == b"x"
        headers = served.handler.seen[-1][2]
        assert headers["x-amz-request-payer"] == "requester"
        assert "x-amz-request-payer" in headers["authorization"]
    assert s3.read(S3Uri("kept", URI.key)) == b"y"
    assert "x-amz-request-payer" not in served.handler.seen[-1][2]
    assert connect(1).read(URI) == b"x"
    assert "x-amz-request-payer" not in served.handler.seen[-1][2]


def test_a_key_cannot_pass_for_an_answer() -> None:
    """Obstore's text may begin with the key; a status in it is not S3's."""
    key = "Error performing GET x in y - Server returned non-2xx status code: 200 OK: <Error/>"
    text = f"Object at location {key} not found: Error performing GET http://h/b/k in 1ms - Server returned non-2xx "
    found = storage_error_of(OSError(f"{text}status code: 404 Not Found: \n\nDebug source:\n"), "get", S3Uri("b", key))
    assert isinstance(found, errors.ObjectNotFoundError)
    assert (found.code, found.http_status) == ("404", 404)
