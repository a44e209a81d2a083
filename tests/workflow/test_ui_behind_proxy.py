"""The pages of `millrace ui --behind-proxy` behind a login: who is let in, what is live, and what a form needs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode, urlsplit

import pytest
from werkzeug.serving import make_server

from console.find.target import Target
from console.ui.guard import Access
from console.ui.pages import ui_pages
from tests.workflow.conftest import LocalStack
from tests.workflow.login_proxy import LOGIN, USER, LoginProxy
from tests.workflow.runs import Runs
from tests.workflow.texts import texts

pytestmark = pytest.mark.long


@contextmanager
def behind_login(stack: LocalStack, *, read_only: bool = False) -> Iterator[str]:
    """The pages, with a login before them; where browsers find them."""
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    with LoginProxy(server.port) as proxy:
        target = Target(stack.aws, stack.stack.name, f"--state-dir={stack.state_dir}")
        server.app = ui_pages(target, Access(server.port, proxy.origin, read_only=read_only))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy.origin
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def asked(origin: str, path: str, form: dict[str, str] | None = None, **headers: str) -> HTTPResponse:
    """What somebody who is logged in is answered."""
    connection = HTTPConnection(urlsplit(origin).netloc, timeout=60)
    sent = {"Authorization": LOGIN, "Content-Type": "application/x-www-form-urlencoded", **headers}
    connection.request("POST" if form else "GET", path, urlencode(form) if form else None, sent)
    return connection.getresponse()


def test_a_team_uses_the_page_behind_its_login(stack: LocalStack, runs: Runs, source: str, destination: str) -> None:
    """Without a login nothing, under another name nothing; a form starts a run in the name of the user that the proxy
    named, only with the token and from the page's origin; its page is live while the run is at work.
    """
    runs.put(source, texts(3))
    with behind_login(stack) as origin:
        assert asked(origin, "/", Authorization="none").status == 401
        assert asked(origin, "/", Host="runs.example.com").status == 403
        assert b"<h1>Runs</h1>" in asked(origin, "/").read()
        token = re.findall(rb'name="token" value="([^"]+)"', asked(origin, "/start").read())[0].decode()
        form = {
            "sent": "1", "do": "start", "token": token, "source": source, "destination": destination,
            "workload": "command", "option.command": "sh\n-c\nsleep 3; cp $1 $2\nsh\n{input}\n{output}",
        }  # fmt: skip
        assert asked(origin, "/start", form).status == 403
        assert asked(origin, "/start", form, Origin="https://evil.example").status == 403
        assert asked(origin, "/start", {**form, "token": "guessed"}, Origin=origin).status == 403
        pretended = {"X-Forwarded-User": "root"}
        started = asked(origin, "/start", form, Origin=origin, **pretended)
        assert started.status == 303, started.read().decode()
        place = started.headers["Location"]
        arn = f"{stack.stack.state_machine_arn.replace(':stateMachine:', ':execution:')}:{place.rpartition('/')[2]}"
        execution = stack.aws.step_functions.describe_execution(executionArn=arn)
        assert json.loads(execution["input"])["tags"] == {"started-by": USER}

        events = asked(origin, f"{place}/events")
        assert events.headers["X-Accel-Buffering"] == "no"
        told = iter(events)
        first = next(line for line in told if line.startswith(b"data: "))
        assert b"RUNNING" in first  # it came through before the stream, and the run, had ended
        assert b"event: end\n" in told


def test_who_only_watches_changes_nothing(stack: LocalStack) -> None:
    """With --read-only the list is there, no form is, and a POST from the page's own origin is refused."""
    with behind_login(stack, read_only=True) as origin:
        page = asked(origin, "/").read()
        assert b"<h1>Runs</h1>" in page
        assert b"/start" not in page
        assert asked(origin, "/start").status == 404
        assert asked(origin, "/start", {"token": "any"}, Origin=origin).status == 403
