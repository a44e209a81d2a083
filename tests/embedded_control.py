"""The embedded AWS's own endpoints, asked as whoever has its credentials does: signed."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from console import embedded_aws


def control(endpoint_url: str, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    """Ask `/_local_aws/path`, and return what the answer's JSON says; with a body it is a POST."""
    found = embedded_aws.credentials(endpoint_url)
    method = method or ("GET" if body is None else "POST")
    content = None if body is None else json.dumps(body).encode()
    request = AWSRequest(method, f"{endpoint_url}/_local_aws/{path}", {"Content-Type": "application/json"}, content)
    SigV4Auth(Credentials(found.access_key, found.secret_key), "millrace", "us-east-1").add_auth(request)
    sent = urllib.request.Request(str(request.url), content, dict(request.headers), method=method)
    with urllib.request.urlopen(sent) as answer:
        return json.load(answer)
