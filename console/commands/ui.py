"""`millrace ui`."""

from __future__ import annotations

import logging
import signal
import socket
from urllib.parse import urlsplit

import click

from console.errors import PortInUseError
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import page_options, target_options

LOOPBACK = "127.0.0.1"
_OWN_PORTS = {"https": ":443", "http": ":80"}


@click.command(short_help="Show runs on a page in your browser, and start, cancel and resume them there.")
@page_options
@click.option(
    "--behind-proxy",
    "origin",
    metavar="ORIGIN",
    help="The page's address at your company's login, https://runs.example.com: the proxy lets people in, not a token.",
)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="With --behind-proxy: the address that the proxy reaches it at. [default: 127.0.0.1]",
)
@click.option(
    "--user-header",
    metavar="NAME",
    help="With --behind-proxy: the header that names the user. [default: X-Forwarded-User]",
)
@target_options
def ui(
    target: Target,
    port: int,
    origin: str | None,
    listen: str | None,
    user_header: str | None,
    *,
    open_page: bool,
    read_only: bool,
) -> None:
    """Show runs on a page in your browser, followed live; start, cancel, resume, rerun and redrive them there.

    The address that it prints has a token of this start: without it nothing is shown. The page is served on 127.0.0.1
    until Ctrl-C or SIGTERM; runs continue without it. docs/ui.md says how to put it behind your company's login.

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 something broke, 2 wrong usage.
    """
    if origin is None and (listen or user_header):
        raise click.UsageError("--listen and --user-header go with --behind-proxy.")
    serve(
        target,
        port,
        open_page=open_page,
        read_only=read_only,
        origin=origin_of(origin),
        listen=listen or LOOPBACK,
        user_header=user_header or "X-Forwarded-User",
    )


def serve(
    target: Target,
    port: int,
    *,
    open_page: bool,
    read_only: bool,
    origin: str = "",
    listen: str = LOOPBACK,
    user_header: str = "X-Forwarded-User",
) -> None:
    """Serve the page until Ctrl-C, or SIGTERM: the first process of a container would take no notice of that.

    Args:
        target: Whose runs.
        port: The port; 0 for a free one.
        open_page: Show it in the browser.
        read_only: Whether nothing can be changed.
        origin: Behind a proxy, the address that browsers know; else empty.
        listen: The address to listen at.
        user_header: Behind a proxy, the header in which it names the user.

    Raises:
        PortInUseError: Something else listens there.
    """
    from werkzeug.serving import make_server  # noqa: PLC0415 - `millrace --help` must not wait for it

    from console.ui.guard import Access  # noqa: PLC0415 - nor for this
    from console.ui.pages import ui_pages  # noqa: PLC0415 - nor for this

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for every request

    target.stack  # noqa: B018 - fail now rather than on the page: no such stack
    try:
        listening = socket.create_server((listen, port))
    except OSError as error:
        raise PortInUseError(
            f"{error.strerror}; choose another by --port", operation="listen", target=f"{listen}:{port}"
        ) from error
    with listening:
        port = listening.getsockname()[1]
        access = Access(port, origin, user_header, read_only)
        server = make_server(listen, port, ui_pages(target, access), threaded=True, fd=listening.fileno())
        Terminal().print(access.address)
        Terminal().note("Ctrl-C closes the page; runs continue.")
        if open_page:
            click.launch(access.address)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            Terminal().note("")
        finally:
            server.server_close()


def origin_of(given: str | None) -> str:
    """The origin that browsers know the page by.

    Raises:
        UsageError: It is no origin.
    """
    if given is None:
        return ""
    parts = urlsplit(given)
    beside = parts.path.removeprefix("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in _OWN_PORTS or not parts.hostname or beside:
        raise click.UsageError(f"--behind-proxy is {given!r}; it is an origin, https://runs.example.com")
    # Browsers leave the port out where it is the scheme's own.
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(_OWN_PORTS[parts.scheme])}"
