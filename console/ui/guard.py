"""What keeps every other page that a browser has open, and every other user of the machine, from `millrace ui`.

The Host header has to name this server, else another site's name could lead here (DNS rebinding). Without the token of
this start, which the address carries once and a cookie after that, nothing is shown. Whatever changes something is a
POST, and a POST needs the token in its form and this page's own origin. Other sites may link to a page and no more;
nothing that a page shows may run or load anything.

Behind a company's login the proxy says who asks, and the page needs no token to be shown; its forms do all the same.
"""

from __future__ import annotations

import getpass
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, abort, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from console.errors import RunNotFoundError
from millrace.errors import InvalidRunRequest, MillraceError

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:"
)
REPORT_POLICY = f"{_NOTHING}; sandbox; style-src 'unsafe-inline'; img-src data:"
"""For report.html, whose own policy then allows its own style sheet alone."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" a browser sends `Origin: null` with the page's own forms (Fetch Standard, 3.2).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

LOCAL_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Access:
    """Who may use the page, and for what.

    Attributes:
        port: The port that it listens at.
        origin: Behind a proxy, the address that browsers know: `https://runs.example.com`; empty on a machine of one's
            own.
        user_header: Behind a proxy, the header in which it names the user.
        read_only: Whether nothing can be changed.
        token: The secret of this start.
    """

    port: int
    origin: str = ""
    user_header: str = "X-Forwarded-User"
    read_only: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that it answers to."""
        if self.origin:
            return (urlsplit(self.origin).netloc,)
        return tuple(f"{name}:{self.port}" for name in LOCAL_NAMES)

    @property
    def address(self) -> str:
        """Where a browser finds it; on a machine of one's own with the token."""
        return f"{self.origin}/" if self.origin else f"http://127.0.0.1:{self.port}/?token={self.token}"

    def user(self) -> str:
        """Who asks: as the proxy says, else the user of this machine; empty where nobody is known."""
        if self.origin:
            return request.headers.get(self.user_header, "")
        try:
            return getpass.getuser()
        except (OSError, KeyError):  # a container's user may have no name
            return ""

    def is_token(self, given: str | None) -> bool:
        """Whether a text is the token."""
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())


def guard(app: Flask, access: Access) -> None:
    """Guard every page of an application.

    Args:
        app: The application.
        access: Who may use it.
    """
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = 2**20
    cookie = f"millrace-{access.port}"

    @app.before_request
    def refuse_others() -> AnyResponse | None:
        if request.host not in access.hosts:
            abort(403, f"this page is {access.hosts[0]} and answers to no other name")
        # Every browser of today says where a request comes from; a program that does not is no page of another's.
        site = request.headers.get("Sec-Fetch-Site", "none")
        navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        if site not in ("none", "same-origin") and not navigates:
            abort(403, "another site asked for this")
        if request.method == "POST":
            _check_post(access)
        return _let_in(access, cookie)

    @app.after_request
    def add_headers(answer: Response) -> Response:
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers.update(HEADERS)
        return answer

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", message=error.description), error.code or 500

    @app.errorhandler(MillraceError)
    @app.errorhandler(BotoCoreError)
    @app.errorhandler(ClientError)
    def failed(error: Exception) -> tuple[str, int]:
        code = 404 if isinstance(error, RunNotFoundError) else 400 if isinstance(error, InvalidRunRequest) else 502
        return render_template("error.html", message=str(error)), code


def _check_post(access: Access) -> None:
    """Refuse what was not sent by a form of this page."""
    if access.read_only:
        abort(403, "this page shows and changes nothing: it was started with --read-only")
    own = [access.origin] if access.origin else [f"http://{host}" for host in access.hosts]
    if request.headers.get("Origin") not in own:
        abort(403, "only a form of this page may change anything")
    if not access.is_token(request.form.get("token")):
        abort(403, "the page was started anew since this form was shown: open it again")


def _let_in(access: Access, cookie: str) -> AnyResponse | None:
    """Let those in who have the token, and take it out of the address."""
    if access.origin or request.endpoint == "static":
        return None
    given = request.args.get("token")
    if access.is_token(given):
        answer = redirect(request.path, 303)
        answer.set_cookie(cookie, access.token, httponly=True, samesite="Lax")
        return answer
    if given is not None or not access.is_token(request.cookies.get(cookie)):
        abort(401, "open the address that millrace ui printed: it has the token of this start")
    return None
