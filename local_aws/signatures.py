"""AWS Signature Version 4, verified: who signed a request, and whether it is the request that was signed.

The rules stand in the IAM user guide, "Create a signed AWS API request": a canonical request, its digest with date and
scope as the string to sign, and a chain of HMACs as the key. A pre-signed URL carries the same in its query.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, unquote_plus, unquote_to_bytes

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")
"""A path that is encoded as it is."""
_CLOCK_DIFFERENCE = timedelta(minutes=15)
_LONGEST_EXPIRY = timedelta(days=7)
_CONTENT_DIGEST = "x-amz-content-sha256"
UNSIGNED = "UNSIGNED-PAYLOAD"


class SignatureRefusedError(Exception):
    """Raised for a request that is not signed, or not rightly.

    Attributes:
        code: The error code in the words of AWS.
        message: What is wrong.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep both."""
        super().__init__(code, message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came over the wire.

    Attributes:
        method: GET, say.
        path: Percent-encoded, without the query.
        query: Percent-encoded.
        headers: By lower-case name; what came more than once is joined by commas.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    def pairs(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded."""
        if not self.query:
            return []
        parts = [part.partition("=") for part in self.query.split("&") if part]
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says of its signature.

    Attributes:
        token: The session token; empty for credentials that have none.
        expires: How long a pre-signed URL is good for; None: it is not one.
    """

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    time: str
    token: str
    expires: timedelta | None

    def check_time(self, now: datetime) -> None:
        """Make sure that it was made a short while ago, or that its URL has not expired.

        Raises:
            SignatureRefusedError: It was not.
        """
        made = _moment(self.time)
        if made is None:
            raise SignatureRefusedError("IncompleteSignature", f"{self.time!r} is not a time of signing")
        if not self.time.startswith(self.date):
            raise SignatureRefusedError("SignatureDoesNotMatch", "the time of signing is not of the scope's day")
        if made > now + _CLOCK_DIFFERENCE or (self.expires is None and made < now - _CLOCK_DIFFERENCE):
            raise SignatureRefusedError("RequestTimeTooSkewed", f"signed at {self.time}, more than 15 minutes from now")
        if self.expires is not None and not timedelta(0) < self.expires <= _LONGEST_EXPIRY:
            raise SignatureRefusedError("AuthorizationQueryParametersError", "X-Amz-Expires must be 1 to 604,800")
        if self.expires is not None and now > made + self.expires:
            raise SignatureRefusedError("AccessDenied", "Request has expired")

    def payload_digest(self, request: Request) -> str | None:
        """The body's SHA-256 as it was signed, or a word that stands for it; None: that of the body itself."""
        if self.service == "s3":
            return request.headers.get(_CONTENT_DIGEST) or UNSIGNED
        return None

    def check(self, request: Request, secret: str, payload_digest: str) -> None:
        """Make sure that this request was signed with this secret.

        Raises:
            SignatureRefusedError: It was not.
        """
        canonical = _canonical(request, self, payload_digest)
        scope = f"{self.date}/{self.region}/{self.service}/aws4_request"
        text = f"{_ALGORITHM}\n{self.time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signed = hmac.digest(_key(secret, self.date, self.region, self.service), text.encode(), "sha256")
        if not hmac.compare_digest(signed.hex().encode(), self.value.encode()):
            raise SignatureRefusedError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and "
                "signing method.",
            )


def is_missing(request: Request) -> bool:
    """Whether a request does not even claim to be signed."""
    names = {name for name, _ in request.pairs()}
    return "authorization" not in request.headers and names.isdisjoint(("X-Amz-Algorithm", "AWSAccessKeyId"))


def read(request: Request) -> Signature:
    """What a request says of its signature.

    Raises:
        SignatureRefusedError: It has none, not all of one, or one of another kind; or a header that must be signed is
            not.
    """
    authorization = request.headers.get("authorization", "")
    query = dict(request.pairs())
    if authorization and "X-Amz-Algorithm" in query:
        raise SignatureRefusedError("InvalidArgument", "a request is signed in its header or in its query, not in both")
    if authorization:
        algorithm, _, rest = authorization.partition(" ")
        # All but the signature itself is the same from request to request.
        said, _, value = rest.rpartition("Signature=")
        scope, signed_headers, other = _fields(said if "," not in value else rest)
        found = Signature(
            *scope, signed_headers, value.strip() if "," not in value else other, request.headers.get("x-amz-date", ""),
            request.headers.get("x-amz-security-token", ""), None,
        )  # fmt: skip
    elif "X-Amz-Algorithm" in query:
        algorithm = query["X-Amz-Algorithm"]
        found = Signature(
            *_scope(query.get("X-Amz-Credential", "")), tuple(query.get("X-Amz-SignedHeaders", "").split(";")),
            query.get("X-Amz-Signature", ""), query.get("X-Amz-Date", ""),
            query.get("X-Amz-Security-Token", ""), _seconds(query.get("X-Amz-Expires", "")),
        )  # fmt: skip
    else:
        raise SignatureRefusedError(
            "MissingAuthenticationToken",
            "the request is not signed; the credentials are in the file that the embedded AWS made at its start",
        )
    if algorithm != _ALGORITHM:
        raise SignatureRefusedError("IncompleteSignature", f"Signature Version 4 only: not {algorithm[:40]!r}")
    _check_covers(request, found)
    return found


def _check_covers(request: Request, signature: Signature) -> None:
    """`host` and every `x-amz-` header that came must be signed: else they could be changed on the way."""
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if signature.service == "s3" and signature.expires is None and _CONTENT_DIGEST not in request.headers:
        raise SignatureRefusedError("InvalidRequest", f"Missing required header for this request: {_CONTENT_DIGEST}")
    missing = needed - set(signature.signed_headers)
    if missing:
        names = ", ".join(sorted(missing))
        raise SignatureRefusedError("AccessDenied", f"There were headers in the request which were not signed: {names}")


def _canonical(request: Request, signature: Signature, payload_digest: str) -> str:
    # S3's path is encoded once, that of every other service twice: what came over the wire, encoded once more.
    path = request.path
    if not _PLAIN.fullmatch(path):
        path = quote(unquote_to_bytes(path) if signature.service == "s3" else path, safe=f"/{_UNRESERVED}")
    encode: Callable[[str], str] = lambda text: quote(text, safe=_UNRESERVED)  # noqa: E731 - one word for one thing
    pairs = sorted((encode(name), encode(value)) for name, value in request.pairs() if name != "X-Amz-Signature")
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signature.signed_headers
    )
    lines: Sequence[str] = (
        request.method, path, query, headers, ";".join(signature.signed_headers), payload_digest,
    )  # fmt: skip
    return "\n".join(lines)


@lru_cache(64)
def _moment(text: str) -> datetime | None:
    """A time of signing; None: it is none."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


@lru_cache(64)
def _key(secret: str, *scope: str) -> bytes:
    """The key that requests of a day, a region and a service are signed with."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(64)
def _scope(credential: str) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request":
        raise SignatureRefusedError(
            "IncompleteSignature", "the credential must be KEY/DATE/REGION/SERVICE/aws4_request"
        )
    return parts[0], parts[1], parts[2], parts[3]


@lru_cache(64)
def _fields(said: str) -> tuple[tuple[str, str, str, str], tuple[str, ...], str]:
    """The credential's scope, the names of the signed headers, and the signature, where it is among the fields."""
    fields = dict(_pair(part) for part in said.split(","))
    signed_headers = tuple(fields.get("SignedHeaders", "").split(";"))
    return _scope(fields.get("Credential", "")), signed_headers, fields.get("Signature", "")


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else timedelta(0)
