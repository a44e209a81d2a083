"""What obstore raises, as the error that botocore would have raised for the same answer of S3."""

from __future__ import annotations

import re
from http.client import responses
from typing import Any
from xml.etree import ElementTree as ET

from botocore.exceptions import ClientError, HTTPClientError

_REFUSED = re.compile(
    r"Error performing [A-Z]+ \S+ in \S+ - Server returned non-2xx status code: (\d{3})[^:]*: (.*)", re.DOTALL
)
_UNREACHED = re.compile(r"HTTP error: ([^\n]*)")

_BOTOCORE_KNOWS = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"}
)
"""The bucket lies in another Region: botocore follows, once it is told so."""


def botocore_error(error: Exception, operation: str, key: str) -> ClientError | HTTPClientError | None:
    """The error that botocore would have raised.

    Args:
        error: Obstore's. Its text holds the status and the body of S3's answer, and an account of itself below them.
        operation: The API's name of the call: "GetObject".
        key: The object's key, which the text may begin with.

    Returns:
        ClientError where S3 refused, HTTPClientError where it was not reached; None where botocore should be asked.
    """
    text = str(error).partition("\n\nDebug source:\n")[0]
    text = text.partition(key)[2] or text  # whatever a key says, it is no status
    refused = _REFUSED.search(text)
    if refused:
        return _refusal(int(refused[1]), refused[2], operation)
    unreached = _UNREACHED.search(text)
    return HTTPClientError(error=unreached[1]) if unreached else None


def _refusal(status: int, body: str, operation: str) -> ClientError | None:
    # As botocore has it where there is no body to say more.
    code, message = str(status), responses.get(status, "")
    if body:
        try:
            root = ET.fromstring(body)  # noqa: S314 - S3's answer over TLS, no DTD in it
        except ET.ParseError:
            return None
        code, message = root.findtext("Code", ""), root.findtext("Message", "")
    if status < 400 or not code or code in _BOTOCORE_KNOWS:
        return None
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
