"""`millrace local ui`."""

from __future__ import annotations

import logging
import socket

import click

from console.errors import PortInUseError
from console.find.target import Target
from console.terminal import Terminal
from console.verbs import local_target_options

DEFAULT_PORT = 4600


@click.command(short_help="Show the runs on a page in your browser.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The page's port on 127.0.0.1; 0 picks a free one.",
)
@click.option("--open", "open_page", is_flag=True, help="Show the page in the browser.")
@local_target_options
def ui(target: Target, port: int, *, open_page: bool) -> None:
    """Show runs on a page in your browser: their current states, their progress, links to their reports.

    The page changes nothing. It is served on 127.0.0.1 until Ctrl-C; runs continue without it. Without options it shows
    the embedded AWS of this checkout; --profile, --region, --stack or --config-env select AWS.

    Exit codes: 0 ended by Ctrl-C, 1 something broke.
    """
    from werkzeug.serving import make_server  # noqa: PLC0415 - `millrace local --help` must not wait for it

    from console.ui.pages import ui_pages  # noqa: PLC0415 - nor for this

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for every request

    target.stack  # noqa: B018 - fail now rather than on the page: no such stack
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PortInUseError(
            f"{error.strerror}; choose another by --port", operation="listen", target=f"127.0.0.1:{port}"
        ) from error
    with listening:
        port = listening.getsockname()[1]
        server = make_server("127.0.0.1", port, ui_pages(target, port), threaded=True, fd=listening.fileno())
        address = f"http://127.0.0.1:{port}/"
        Terminal().print(address)
        Terminal().note("Ctrl-C closes the page; runs continue.")
        if open_page:
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            Terminal().note("")
        finally:
            server.server_close()
