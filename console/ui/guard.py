"""What keeps every other page that a browser has open from `millrace local ui`.

The Host header has to name this server, else another site's name could lead here (DNS rebinding). Other sites
may link to a page and no more. There is no verb but GET, and nothing that a page shows may run or load anything.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from console.errors import RunNotFoundError
from millrace.errors import MillraceError

_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICY = f"{_NOTHING}; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:"
REPORT_POLICY = f"{_NOTHING}; sandbox; style-src 'unsafe-inline'; img-src data:"
"""For report.html, whose own policy then allows its own style sheet alone."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def guard(app: Flask, port: int) -> None:
    """Guard every page of an application.

    Args:
        app: The application.
        port: The port of 127.0.0.1 that it answers at.
    """
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False

    @app.before_request
    def refuse_others() -> None:
        if request.host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            abort(403, f"this page is http://127.0.0.1:{port}/ and answers to no other name")
        # Every browser of today says where a request comes from; a program that does not is no page of another's.
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and request.headers.get("Sec-Fetch-Mode") != "navigate":
            abort(403, "another site asked for this")

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
        return render_template("error.html", message=str(error)), 404 if isinstance(error, RunNotFoundError) else 502
