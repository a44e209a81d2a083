"""Writing report.html: the page for people, beside the other files of a run's result."""

from __future__ import annotations

import json
from collections.abc import Callable

from millrace.errors import ObjectNotFoundError
from millrace.layout import RunFolder
from millrace.records.figures import RunFigures
from millrace.records.result import Result
from millrace.report.page.document import report_page
from millrace.report.run_page import read_for_page
from millrace.s3.verbs import S3

NAME = "report.html"
TYPE = "text/html; charset=utf-8"


def page_of(result: Result, figures: RunFigures, s3: S3) -> bytes:
    """The page of a result.

    Args:
        result: What result.json will say.
        figures: What the commits add up to.
        s3: Where the run's merged files are.
    """
    return report_page(result.plan, json.loads(result.to_json()), figures, read_for_page(s3, result.files))


def write_page(folder: RunFolder, page: bytes, s3: S3) -> None:
    """Write the page of a result, unless it is there."""
    uri = folder.file(NAME)
    try:
        if s3.read(uri) == page:
            return
    except ObjectNotFoundError:
        pass
    s3.put(uri, page, content_type=TYPE)


def write_failed_page(folder: RunFolder, page: bytes, accepted: Callable[[], bytes], s3: S3) -> None:
    """Write the page of a run with too many failures.

    A copy of merge with less tolerance that continues after another has made the result leaves that one's page.

    Args:
        folder: The run's folder, or the retry's.
        page: The page.
        accepted: Makes the page of a merge that tolerates all.
        s3: Where to.
    """
    uri = folder.file(NAME)
    if s3.put_if_absent(uri, page, content_type=TYPE):
        return
    with s3.open(uri) as chunks:
        etag, there = chunks.etag, b"".join(chunks)
    if there not in (page, accepted()):
        s3.put_if_same(uri, page, etag, content_type=TYPE)
