"""The contact sheet: one small HTML file to look at, which loads nothing and runs nothing."""

from __future__ import annotations

import html
import unicodedata
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

CELL = 128
"""The longest side of a picture on the sheet, in pixels."""

_STYLE = """
body { margin: 2rem; font: 14px/1.4 system-ui, sans-serif; color: #222; background: #fff; }
ul { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0; padding: 0; list-style: none; }
li { width: 9rem; text-align: center; }
img { max-width: 128px; height: auto; border: 1px solid #ccc; }
bdi { display: block; overflow-wrap: anywhere; font-size: 12px; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } img { border-color: #444; } }
"""


class Cell(NamedTuple):
    """One picture of the sheet, ordered by key.

    Attributes:
        key: The source object's key.
        jpeg: The picture, a JPEG.
        width: Its width in pixels.
        height: Its height in pixels.
    """

    key: str
    jpeg: bytes
    width: int
    height: int


def contact_sheet(cells: Iterable[Cell], images: int) -> bytes:
    """The HTML page.

    Keys are someone else's text. They are escaped, control characters and such as reverse the direction of writing are
    shown as U+XXXX, and the policy lets the browser load nothing and run no script.

    Args:
        cells: The pictures, in the order of their keys.
        images: How many pictures the run has.
    """
    items = [_item(cell) for cell in cells]
    style = b64encode(sha256(_STYLE.encode()).digest()).decode()
    shown = f"{len(items)} of {images:,} pictures, the first" if len(items) < images else f"{images:,} pictures"
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'sha256-{style}'">
<meta name="viewport" content="width=device-width">
<title>Contact sheet: {shown}</title>
<style>{_STYLE}</style>
<h1>Contact sheet</h1>
<p>{shown} in the order of their keys.</p>
<ul>
{"".join(items)}</ul>
</html>
""".encode()


def _item(cell: Cell) -> str:
    key = html.escape(_visible(cell.key))
    data = b64encode(cell.jpeg).decode()
    picture = f'<img src="data:image/jpeg;base64,{data}" width="{cell.width}" height="{cell.height}" alt="{key}">'
    return f"<li>{picture}<bdi>{key}</bdi></li>\n"


def _visible(key: str) -> str:
    """The key with every character that cannot be seen, or that changes the order of others, as U+XXXX."""
    return "".join(
        f"<U+{ord(character):04X}>" if unicodedata.category(character)[0] == "C" else character for character in key
    )
