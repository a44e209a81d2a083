"""Local mode takes nothing from the user's AWS configuration, whatever is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from console import embedded_aws
from console.checkout import Checkout
from console.find.aws import Aws
from console.local.deployment import _environment
from millrace.layout import S3Uri
from tests.in_memory_s3 import InMemoryS3Client
from tests.s3_server import serving

ROOT = Path(__file__).parents[3]

BROKEN = "[default\nthis is no configuration"
ACCELERATED = """[default]
region = eu-central-1
endpoint_url = http://127.0.0.1:9
services = mine
use_fips_endpoint = true
use_dualstack_endpoint = true
ca_bundle = /no/such/file
max_attempts = 0
retry_mode = nonsense
defaults_mode = nonsense
request_checksum_calculation = nonsense
s3 =
  use_accelerate_endpoint = true
  addressing_style = virtual
  payload_signing_enabled = nonsense
proxies_config =
  proxy_ca_bundle = /no/such/file
[services mine]
s3 =
  endpoint_url = http://127.0.0.1:9
"""

VARIABLES = {
    "a profile that is not there": {"AWS_PROFILE": "no-such-profile"},
    "a default profile that is not there": {"AWS_DEFAULT_PROFILE": "no-such-profile"},
    "other endpoints": {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
    "another region": {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"},
    "settings": {
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "many",
        "AWS_RETRY_MODE": "nonsense",
        "AWS_DEFAULTS_MODE": "nonsense",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "nonsense",
        "AWS_AUTH_SCHEME_PREFERENCE": "httpBearerAuth",
        "AWS_DATA_PATH": "/no/such/folder",
    },
    "certificates": {
        "AWS_CA_BUNDLE": "/no/such/file",
        "REQUESTS_CA_BUNDLE": "/no/such/file",
        "CURL_CA_BUNDLE": "/no/such/file",
        "SSL_CERT_FILE": "/no/such/file",
    },
    "proxies": dict.fromkeys(
        ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9"
    ),
    "credentials": {"AWS_ACCESS_KEY_ID": "mine", "AWS_SESSION_TOKEN": "mine", "AWS_SECRET_ACCESS_KEY": "mine"},
}

FILES = {
    "a broken file": BROKEN,
    "accelerate, other endpoints and worse": ACCELERATED,
    "bytes that are no text": "\udcff\udcfe",
}


def settle(case: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process, and those that it starts, such a user."""
    monkeypatch.setenv("HOME", str(home))
    for name, value in VARIABLES.get(case, {}).items():
        monkeypatch.setenv(name, value)
    if case in FILES:
        (home / ".aws").mkdir()
        for file in ("config", "credentials"):
            (home / ".aws" / file).write_text(FILES[case], "utf-8", "surrogateescape")
    if case == "models":
        (home / ".aws/models/s3/2099-01-01").mkdir(parents=True)
        (home / ".aws/models/s3/2099-01-01/service-2.json").write_text("{}")


OF_THE_SERVER = embedded_aws.Credentials("LOCALKEY", "secret")
"""What this process knows of the embedded AWS that it asks."""

CASES = [*VARIABLES, *FILES, "models"]


@pytest.mark.parametrize("case", CASES)
def test_the_command_takes_nothing_from_the_users_aws(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object goes to the embedded AWS and comes back, signed as its administrator, for its own region."""
    settle(case, tmp_path, monkeypatch)
    with serving(InMemoryS3Client("bucket")) as (url, handler):
        monkeypatch.setitem(embedded_aws._known, url, OF_THE_SERVER)
        s3 = Aws.embedded(url).s3
        uri = S3Uri("bucket", "a.txt")
        s3.put(uri, BytesIO(b"hello"))
        with s3.open(uri) as chunks:
            assert b"".join(chunks) == b"hello"
    for _, path, headers in handler.seen:
        assert path.startswith("/bucket/a.txt")
        assert f"Credential={OF_THE_SERVER.access_key}/" in headers["authorization"]
        assert "/us-east-1/s3/aws4_request" in headers["authorization"]
        assert "x-amz-security-token" not in headers


PROBE = """
import json, os, pathlib, sys
from local_aws.options import parse_options
from local_aws.credentials import Credentials
from local_aws.server import set_environment
set_environment(parse_options(["--port", "4566"]), pathlib.Path("/tmp"), Credentials("LOCALKEY", "secret"))
from local_aws.shapes import batch_model
batch_model()
json.dump(dict(os.environ), sys.stdout)
"""
"""What the server does before anything else, and the environment that its Lambda functions inherit."""

CALL = """
import boto3
client = boto3.client("s3")
print(client.meta.endpoint_url, client.meta.region_name, client._request_signer._credentials.access_key)
"""
"""What a Lambda function does."""


@pytest.mark.parametrize("case", CASES)
def test_functions_of_the_embedded_aws_take_nothing_from_it_either(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server starts whatever the user's configuration is, and what it starts finds only the embedded AWS."""
    settle(case, tmp_path, monkeypatch)
    python = ROOT / ".venv/local_aws/bin/python"
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    probed = subprocess.run([python, "-c", PROBE], env=given, capture_output=True, check=True)
    inherited = json.loads(probed.stdout)
    assert not [
        name for name in inherited if name.upper().endswith(("_PROXY", "_CA_BUNDLE")) or name == "SSL_CERT_FILE"
    ]
    assert "AWS_PROFILE" not in inherited
    region = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}  # Lambda sets both
    if case == "models":
        return  # a function's own boto3 reads ~/.aws/models, and nothing can turn that off
    called = subprocess.run([sys.executable, "-c", CALL], env=inherited | region, capture_output=True, check=True)
    assert called.stdout.split() == [b"http://127.0.0.1:4566", b"us-east-1", b"LOCALKEY"]


@pytest.mark.parametrize("case", CASES)
def test_sam_is_given_nothing_of_it(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It deploys on the embedded AWS only, and asks no proxy for it."""
    settle(case, tmp_path, monkeypatch)
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setitem(embedded_aws._known, "http://127.0.0.1:4599", OF_THE_SERVER)
    given = _environment(Checkout.here(), "http://127.0.0.1:4599")
    assert {name: value for name, value in given.items() if name.startswith("AWS_")} == {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": OF_THE_SERVER.access_key,
        "AWS_SECRET_ACCESS_KEY": OF_THE_SERVER.secret_key,
        "AWS_SESSION_TOKEN": "",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4599",
    }
    for name in ("NO_PROXY", "no_proxy"):
        assert given[name].split(",")[-2:] == ["127.0.0.1", "localhost"]
        assert "example.org" in given[name]
