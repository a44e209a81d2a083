"""Writing report.html: the page for people, beside the other files of a run's result."""

from __future__ import annotations

import json

from batch_jobs.job import Job
from millrace.layout import RunFolder, S3Uri
from millrace.report_page.figures import RunFigures
from millrace.report_page.page import report_page
from millrace.result import Result
from millrace.run_page import read_for_page

NAME = "report.html"


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
    page = report_page(result.plan, json.loads(result.to_json()), figures, read_for_page(job.s3, result.files))
    uri, content_type = folder.file(NAME), "text/html; charset=utf-8"
    if result.status == "FAILED":
        job.s3.put_if_absent(uri, page, content_type=content_type)
    else:
        job.s3.put(uri, page, content_type=content_type)
    return uri
