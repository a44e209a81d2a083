"""`make links` finds every link that leads out of the docs, and says which are broken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checks.links import links, report

ANSWERS = {"/here": 200, "/moved": 302, "/gone": 404, "/private": 403, "/broken": 500}


class Site(BaseHTTPRequestHandler):
    """A site that knows no HEAD for one of its pages."""

    def do_HEAD(self) -> None:
        """As GET, but for a page."""
        self.respond(405 if self.path == "/no-head" else ANSWERS.get(self.path, 200))

    def do_GET(self) -> None:
        """A page, or what is wrong with it."""
        self.respond(ANSWERS.get(self.path, 200))

    def respond(self, status: int) -> None:
        """Send a status and nothing else."""
        self.send_response(status)
        if status == ANSWERS["/moved"]:
            self.send_header("Location", "/here")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A web site of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_links_are_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    """Of each form of Markdown, once for all its anchors and pages; what a block of code shows is no link."""
    one, other = tmp_path / "one.md", tmp_path / "other.md"
    one.write_text("[a](https://a.example/x#y), <https://b.example>\n\n[c]: https://c.example/\n[d](other.md)\n")
    other.write_text("[a](https://a.example/x)\n\n```sh\n[e](https://e.example)\n```\n")
    found = links([one, other])
    assert found == {"https://a.example/x": [one, other], "https://b.example": [one], "https://c.example/": [one]}


def test_what_is_broken_is_told_from_what_is_there(site: str) -> None:
    """A redirection and a page without HEAD are there; gone, failing and without a server is broken; 403 is unsure."""
    paths = (*ANSWERS, "/no-head")
    nowhere = "http://127.0.0.1:1/"
    lines, broken = report({**{site + path: [Path("page.md")] for path in paths}, nowhere: [Path("page.md")]})
    said = {line.split("http://", 1)[1].split("  ")[0].partition("/")[2]: line.partition(":")[0] for line in lines}
    assert broken == 3
    assert said == {
        "": "broken", "gone": "broken", "broken": "broken", "private": "unsure",
        "here": said["here"], "moved": said["moved"], "no-head": said["no-head"],
    }  # fmt: skip
    for path in ("/here", "/moved", "/no-head"):
        assert f"there        {site}{path}  (page.md)" in lines
