"""The workload's own part of the page, from its part of result.json.

It is shown by its shape: a list of objects that have a name and a number as bars, any other list of objects as a table,
an object of numbers as bars, the rest as facts. A built-in workload's record adds headings and pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Any

from millrace.report.page.blocks import Bars, Block, Facts, Name, Pictures, Section, Table
from millrace.text import bytes_text
from millrace.workload.record import ReportPart
from millrace.workload.registry import workload_records

ReadFile = Callable[[str], bytes | None]
"""Reads one of the run's merged files; None where there is none, or it is too large to stand in a page."""

SHOWN_ROWS = 25
SHOWN_PICTURES = 60
CELL_CHARACTERS = 300

_DATA_URI = re.compile(r"data:image/(jpeg|png|webp|gif);base64,[A-Za-z0-9+/]+=*")


def workload_part(workload: str, result: Mapping[str, Any], read: ReadFile) -> Section:
    """The section on what the workload made.

    Args:
        workload: Its name.
        result: Its part of result.json.
        read: Reads the run's merged files.
    """
    record = workload_records().get(workload)
    part = record.report if record else ReportPart()
    pictures = _pictures(read, part.pictures) if part.pictures else []
    return Section("workload", f"Result of {workload}", [*pictures, *by_shape(result, part.titles)])


def by_shape(result: Mapping[str, Any], titles: Mapping[str, str] = MappingProxyType({})) -> list[Block]:
    """Facts, then bars and tables, in the order of the result.

    Args:
        result: The workload's part of result.json.
        titles: Headings for its fields; any other's is its name.
    """
    facts = {title: value for title, value in result.items() if not isinstance(value, list | dict)}
    blocks: list[Block] = (
        [Facts([(titles.get(each) or _title(each), _value(each, value)) for each, value in facts.items()])]
        if facts
        else []
    )
    for title, value in result.items():
        if isinstance(value, dict) and value:
            blocks.append(_of_object(titles.get(title) or _title(title), value))
        elif isinstance(value, list) and value:
            blocks.append(_of_list(titles.get(title) or _title(title), value))
    return blocks


def _of_object(title: str, value: Mapping[str, Any]) -> Block:
    if all(_is_number(each) for each in value.values()):
        rows = [(Name(label, CELL_CHARACTERS), float(number), f"{number:,}") for label, number in value.items()]
        return Bars(*_cut(title, rows), "Number")
    pairs = [(Name(label, CELL_CHARACTERS), _value(label, each)) for label, each in value.items()]
    caption, shown = _cut(title, pairs)
    return Table(caption, ("Name", "Value"), shown)


def _of_list(title: str, value: Sequence[Any]) -> Block:
    if all(isinstance(row, dict) for row in value):
        columns = list(dict.fromkeys(column for row in value[:SHOWN_ROWS] for column in row))
        numbers = [column for column in columns if all(_is_number(row.get(column)) for row in value)]
        if len(columns) == 2 and len(numbers) == 1 and columns[1] == numbers[0]:
            label, number = columns
            bars = [(Name(row[label], CELL_CHARACTERS), float(row[number]), f"{row[number]:,}") for row in value]
            return Bars(*_cut(title, bars), _title(number))
        cells = [tuple(_value(column, row.get(column, "")) for column in columns) for row in value]
        caption, shown = _cut(title, cells)
        numeric = [index for index, column in enumerate(columns) if column in numbers]
        return Table(caption, [_title(column) for column in columns], shown, numeric)
    caption, shown = _cut(title, [(_value("", each),) for each in value])
    return Table(caption, ("Value",), shown)


def _cut(title: str, rows: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    return (
        (title, rows)
        if len(rows) <= SHOWN_ROWS
        else (f"{title}: the first {SHOWN_ROWS} of {len(rows):,}", rows[:SHOWN_ROWS])
    )


def _title(field: str) -> str:
    return field.replace("_", " ").capitalize()


def _value(field: str, value: Any) -> str | Name:
    if _is_number(value):
        return bytes_text(value) if field == "bytes" or field.endswith("_bytes") else f"{value:,}"
    shown = "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Name(shown, CELL_CHARACTERS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pictures(read: ReadFile, name: str) -> list[Block]:
    """The first pictures of a page that the workload wrote, by its name."""
    sheet = read(name)
    if sheet is None:
        return []
    found = _Pictures()
    found.feed(sheet.decode(errors="replace"))
    shown = [(Name(key, CELL_CHARACTERS), source) for key, source in found.pictures[:SHOWN_PICTURES]]
    return [Pictures(shown)] if shown else []


class _Pictures(HTMLParser):
    """Takes the pictures out of a page: those that stand in it as data, with their alternative texts."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        source = given.get("src") or ""
        if tag == "img" and _DATA_URI.fullmatch(source):
            self.pictures.append((given.get("alt") or "", source))
