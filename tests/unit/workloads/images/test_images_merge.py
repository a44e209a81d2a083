"""The workload `images` over a run: sums, partials, the contact sheet."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from itertools import permutations
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batch_jobs.workloads.images.contact_sheet import Cell, contact_sheet
from batch_jobs.workloads.images.reading import PixelBudget
from batch_jobs.workloads.images.totals import ImageTotals, Pictured
from batch_jobs.workloads.registry import load_workload
from millrace.errors import DamagedFileError
from tests.run_in_memory import RunInMemory

EXAMPLES = Path(__file__).parents[4] / "examples" / "images"


def pictured(key: str) -> Pictured:
    """One picture's contribution."""
    return Pictured("JPEG", 12, 34, 5, Cell(key, key.encode(), 4, 3))


def partial_of(*keys: str, cells: int = 3) -> bytes:
    """The partial of pictures with these keys."""
    totals = ImageTotals(cells)
    for key in keys:
        totals.add(pictured(key))
    totals.write(file := BytesIO())
    return file.getvalue()


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_example_pictures_come_back(concurrency: int) -> None:
    """Thumbnails, sepia, metadata and the contact sheet of a folder; the text named .jpg has its row."""
    objects = {f"in/{path.name}": path.read_bytes() for path in EXAMPLES.iterdir() if path.suffix != ".py"}
    request = {"workload": "images", "options": {"filter": "sepia"}, "shard": {"max_items": 3}}
    run = RunInMemory(objects, request=request, concurrency=concurrency, load=load_workload)
    plan = run.plan()
    rows = {row.key: row.error_code for n in range(plan.shards) for row in run.migrate(n).outcomes}
    run.merge(100)

    assert {key for key, code in rows.items() if code} == {"in/not-a-picture.jpg"}
    assert rows["in/not-a-picture.jpg"] == "NOT_AN_IMAGE"
    result = run.result()["result"]
    assert result["formats"] == {"GIF": 1, "JPEG": 2, "PNG": 1, "TIFF": 1, "WEBP": 1}
    assert (result["images"], result["shown"]) == (6, 6)
    assert result["bytes"] == sum(map(len, objects.values())) - len(objects["in/not-a-picture.jpg"])
    suffixes = (".thumbnail.jpg", ".sepia.jpg", ".metadata.json")
    names = [key[3:] for key, code in rows.items() if not code]
    assert set(run.outputs()) == {name + suffix for name in names for suffix in suffixes}
    sheet = (run.file("contact-sheet.html") or b"").decode()
    assert re.findall("<bdi>(.*?)</bdi>", sheet) == [f"in/{name}" for name in sorted(names)]
    for data in re.findall('base64,([^"]*)" width', sheet):
        assert max(Image.open(BytesIO(b64decode(data))).size) <= 128


def test_a_partial_is_the_same_in_whatever_order_pictures_come() -> None:
    """And keeps those of the least keys."""
    partials = {partial_of(*order) for order in permutations("edcba")}
    (partial,) = partials
    assert [json.loads(line)["key"] for line in partial.splitlines()[1:]] == ["a", "b", "c"]


def test_partials_add_up() -> None:
    """Sums of all pictures, cells of the first ones of all shards; also in a progress file read back."""
    totals = ImageTotals(3)
    for raw in (partial_of("d", "a", "x"), partial_of("c", "b", "y", "z")):
        totals.read(BytesIO(raw))
    assert totals.formats == {"JPEG": 7}
    assert totals.sums == {"pixels": 84, "bytes": 238, "thumbnail_bytes": 35}
    assert [cell.key for cell in totals.cells] == ["a", "b", "c"]
    totals.write(file := BytesIO())
    again = ImageTotals(3)
    again.read(BytesIO(file.getvalue()))
    assert (again.cells, again.sums) == (totals.cells, totals.sums)


def test_a_run_without_a_contact_sheet() -> None:
    """0 means none, and no file."""
    assert partial_of("a", "b", cells=0).count(b"\n") == 1
    run = RunInMemory({}, request={"workload": "images", "options": {"contact_sheet": 0}}, load=load_workload)
    run.all()
    assert run.file("contact-sheet.html") is None
    assert run.result()["result"]["images"] == 0


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", partial_of("a")[:-5], partial_of("a").replace(b'"width"', b'"w"')])
def test_what_is_no_partial_is_damaged(raw: bytes) -> None:
    """Empty, something else, cut off."""
    with pytest.raises(DamagedFileError):
        ImageTotals(3).read(BytesIO(raw))


class Elements(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


@given(
    st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["<script>alert(1)</script>", '" onload="x'])
)
def test_a_hostile_key_is_only_text(key: str) -> None:
    """Whatever the key, the page has the same elements and attributes."""
    page, plain = Elements(), Elements()
    page.feed(contact_sheet([Cell(key, b"jpeg", 4, 3)], 1).decode())
    plain.feed(contact_sheet([Cell("plain", b"jpeg", 4, 3)], 1).decode())
    assert (page.tags, page.attributes) == (plain.tags, plain.attributes)


def test_what_reverses_or_hides_text_is_shown_as_its_code() -> None:
    """A right-to-left override cannot make `gpj.exe` of a name."""
    page = contact_sheet([Cell("a\u202egpj.exe\0\n", b"", 4, 3)], 1).decode()
    assert "a&lt;U+202E&gt;gpj.exe&lt;U+0000&gt;&lt;U+000A&gt;" in page


def test_the_sheet_says_how_many_there_are() -> None:
    """It does not pretend to be all."""
    assert b"<p>1 of 2,000 pictures, the first in the order of their keys" in contact_sheet(
        [Cell("a", b"", 4, 3)], 2000
    )


def test_large_pictures_wait_for_each_other() -> None:
    """What is held stays within the limit; one that is larger than the limit gets in alone."""
    budget, held, most = PixelBudget(100), [0], [0]

    def work(size: int) -> None:
        with budget.hold(size):
            held[0] += size
            most[0] = max(most[0], held[0] if size <= 100 else 0)
            held[0] -= size

    threads = [Thread(target=work, args=(size,)) for size in (60, 60, 40, 300, 10, 90) * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert most[0] <= 100
