"""Writing report.html: the page for people, beside the other files of a run's result."""

from __future__ import annotations

import json

from batch_jobs.job import Job
from millrace.layout import RunFolder, S3Uri
from millrace.report_page.figures import RunFigures
from millrace.report_page.page import report_page
from millrace.result import Result

NAME = "report.html"

PAGE_FILE_BYTES = 4 * 2**20
"""The largest file of a workload's that the page shows something of."""


def write_page(folder: RunFolder, result: Result, figures: RunFigures, job: Job) -> S3Uri:
    """Write the page of a result.

    A page that tells of too many failures is written only where there is none: a copy of merge with less tolerance,
    that goes on after another has made the result, leaves that one's page.

    Args:
        folder: The run's folder, or the retry's.
        result: What result.json will say.
        figures: What the commits add up to.
        job: The job's surroundings.

    Returns:
        Where it is.
    """

    def read(name: str) -> bytes | None:
        if name not in result.files:
            return None
        uri = S3Uri.parse(result.files[name])
        return job.s3.read(uri) if job.s3.head(uri).size <= PAGE_FILE_BYTES else None

    page = report_page(result.plan, json.loads(result.to_json()), figures, read)
    uri, content_type = folder.file(NAME), "text/html; charset=utf-8"
    if result.status == "FAILED":
        job.s3.put_if_absent(uri, page, content_type=content_type)
    else:
        job.s3.put(uri, page, content_type=content_type)
    return uri
