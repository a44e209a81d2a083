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

from millrace.report.page.blocks import HEIGHT, WIDTH, Bands, Link, Name, Strip, number
from millrace.text import visible


def rendered(template: str, *, searches: bool = False, **values: Any) -> str:
    """A template with these values.

    Whatever a value holds comes out as text: markup is escaped, and characters that show nothing, or turn the reading
    direction, stand as their escapes.

    Args:
        template: Its name in `templates/`.
        searches: Whether the page has the script that searches a table; no other script can run.
        values: What it shows.
    """
    style = files(__package__).joinpath("templates/style.css").read_text("utf-8")
    script = files(__package__).joinpath("templates/search.js").read_text("utf-8") if searches else ""
    # Nothing is loaded, and nothing runs but the page's own few lines, where it has them.
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src 'sha256-{_digest(style)}'"
        + (f"; script-src 'sha256-{_digest(script)}'" if script else "")
    )
    return _environment().get_template(template).render(style=style, script=script, policy=policy, **values)


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


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
    environment.tests["link"] = lambda value: isinstance(value, Link)
    environment.tests["bands"] = lambda value: isinstance(value, Bands)
    return environment


def _as_text(value: object) -> object:
    """What an expression of a template comes to; Jinja escapes all of it but `Markup`."""
    if isinstance(value, Markup):
        return value
    return visible(str(value.value), value.limit) if isinstance(value, Name) else visible(str(value))
