"""From blocks to HTML: the templates, with every value escaped, and the policy that lets nothing run."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from millrace.report.page.blocks import HEIGHT, WIDTH, Bands, Name, Strip, number
from millrace.text import visible


def rendered(template: str, **values: Any) -> str:
    """A template with these values.

    Whatever a value holds comes out as text: markup is escaped, and characters that show nothing, or turn the reading
    direction, stand as their escapes.

    Args:
        template: Its name in `templates/`.
        values: What it shows.
    """
    style = files(__package__).joinpath("templates/style.css").read_text("utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "  # nothing is loaded, nothing runs
        f"style-src 'sha256-{digest}'"
    )
    return _environment().get_template(template).render(style=style, policy=policy, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_as_text,
        keep_trailing_newline=True,
    )
    environment.globals.update(width=WIDTH, height=HEIGHT)
    environment.filters.update(number=number, path_segment=lambda name: quote(name, safe=""))
    environment.tests.update(name=lambda value: isinstance(value, Name), strip=lambda value: isinstance(value, Strip))
    environment.tests["bands"] = lambda value: isinstance(value, Bands)
    return environment


def _as_text(value: object) -> object:
    """What an expression of a template comes to; Jinja escapes all of it but `Markup`."""
    if isinstance(value, Markup):
        return value
    return visible(str(value.value), value.limit) if isinstance(value, Name) else visible(str(value))
