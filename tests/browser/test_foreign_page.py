"""A page of another origin, in a real Chromium, while the embedded AWS is up: it can neither do nor read anything."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from console import embedded_aws
from tests.browser.chromium import Page

ATTEMPTS = """
(async () => {
  const url = URL_HERE, told = [];
  const body = JSON.stringify({FunctionName: "evil", Runtime: "python3.11", Handler: "a.b",
    Role: "arn:aws:iam::123456789012:role/any", Code: {ZipFile: "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}});
  const tries = [
    ["simple POST", "/2015-03-31/functions", {method: "POST", body, mode: "no-cors"}],
    ["readable POST", "/2015-03-31/functions", {method: "POST", body}],
    ["preflighted", "/evil-bucket", {method: "PUT", headers: {"x-amz-acl": "private"}}],
    ["query", "/?Action=CreateUser&UserName=evil", {method: "POST", mode: "no-cors",
      headers: {"Content-Type": "application/x-www-form-urlencoded"}}],
    ["forged key", "/2015-03-31/functions", {method: "POST", body, headers: {Authorization:
      "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"}}],
    ["control", "/_local_aws/batch/throttle", {method: "POST", body: '{"requests": 1000}', mode: "no-cors"}],
    ["reset", "/_ministack/reset", {method: "POST", mode: "no-cors"}],
    ["health", "/_local_aws/health", {}],
    ["list", "/", {}],
  ];
  for (const [name, path, options] of tries) {
    try {
      const answer = await fetch(url + path, options);
      told.push([name, answer.type, answer.status, await answer.text()]);
    } catch (error) { told.push([name, "error", 0, ""]); }
  }
  for (const [tag, place] of [["img", "src"], ["script", "src"], ["iframe", "src"]]) {
    const made = document.createElement(tag);
    const loaded = new Promise(resolve => { made.onload = resolve; made.onerror = resolve; });
    made[place] = url + "/?Action=CreateUser&UserName=evil-" + tag;
    document.body.append(made);
    await loaded;
  }
  const form = document.createElement("form");
  form.method = "post"; form.action = url + "/evil-by-form"; form.target = "elsewhere"; form.enctype = "text/plain";
  const frame = document.createElement("iframe");
  frame.name = "elsewhere"; document.body.append(frame, form);
  const sent = new Promise(resolve => { frame.onload = resolve; });
  form.submit(); await sent;
  return JSON.stringify(told);
})()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded_aws.EmbeddedAws]:
    """An embedded AWS."""
    with embedded_aws.running(0, state_dir=tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web site of another origin: an empty page."""
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title><body></body>")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/index.html"
        listening.shutdown()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_can_do_and_read_nothing(
    page: Page, server: embedded_aws.EmbeddedAws, site: str, name: str
) -> None:
    """It sends simple, preflighted and forged requests, images, scripts, frames and forms: no function, no user, no
    bucket and no fault is there afterwards, and no answer was readable; the owner's own client works as before.
    """
    page.open(site)
    url = f"http://{name}:{server.port}"
    told: list[Any] = json.loads(page.evaluate(ATTEMPTS.replace("URL_HERE", json.dumps(url))))

    assert len(told) == 9
    assert all((kind, status, text) in {("opaque", 0, ""), ("error", 0, "")} for _, kind, status, text in told), told
    found = embedded_aws.credentials(server.endpoint_url)
    session = boto3.Session(found.access_key, found.secret_key, region_name="us-east-1")
    clients: dict[str, Any] = {
        name: session.client(name, endpoint_url=server.endpoint_url) for name in ("lambda", "iam", "s3", "batch")
    }
    assert clients["lambda"].list_functions()["Functions"] == []
    assert clients["iam"].list_users()["Users"] == []
    assert clients["s3"].list_buckets()["Buckets"] == []
    assert clients["batch"].describe_job_queues()["jobQueues"] == []


def test_a_name_of_the_pages_own_that_leads_here(page: Page, server: embedded_aws.EmbeddedAws) -> None:
    """DNS rebinding: a page whose own host name is this machine's address is of the same origin, and gets nothing."""
    page.open(f"http://rebound.localhost:{server.port}/_local_aws/health")
    told = page.evaluate("fetch('/_local_aws/health').then(async answer => [answer.status, await answer.text()])")

    assert told[0] == 403
    assert "pid" not in json.loads(told[1])
