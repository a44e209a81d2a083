"""`python -m batch_jobs plan | migrate | merge | migrate-and-merge`: arguments, logging, signals, exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from batch_jobs.arguments import FROM_ENVIRONMENT, parse_arguments, request_given
from batch_jobs.host_faults import host_fault
from batch_jobs.job_log import error_text, hide, log_to_stderr, set_level
from millrace.errors import DamagedFileError, InvalidRunRequest, MillraceError, RunIdentityError
from millrace.json_text import read_json
from millrace.layout import RunFolder, S3Uri
from millrace.request.run_request import RunRequest, checked_count, checked_percent
from millrace.settings import JobSettings, log_level, take_workload_environment

log = logging.getLogger("batch_jobs")


def main(arguments: Sequence[str]) -> int:
    """Run one job.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit code.
    """
    log_to_stderr()
    try:
        given = parse_arguments(arguments)
    except MillraceError as error:
        return _failed(error, error.exit_code)
    try:
        _run(given)
    except MillraceError as error:
        # Whatever a full disk was taken for: another attempt may fare better.
        return _failed(error, error.exit_code if host_fault(error) is None else 1)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a native library's panic, a library's SystemExit: the job has its last line
        log.exception("unexpected error")
        return _failed(error, 1)
    return 0


def _run(given: argparse.Namespace) -> None:
    hide(take_workload_environment())  # before a workload is imported, and before anything of it is logged
    set_level(log_level())
    settings = JobSettings.from_environment()
    if given.verb == "plan" and given.request is None:
        request = RunRequest.parse(request_given(given))
        folder = RunFolder.of_plan(S3Uri.parse(given.plan, "plan"))
    elif given.verb == "plan":
        folder = RunFolder.of_request(S3Uri.parse(given.request, "request"))
    else:
        folder = RunFolder.of_plan(S3Uri.parse(given.plan, "plan"))
    # Imported only now: a command line that is refused need not wait for botocore.
    from batch_jobs.job import Job  # noqa: PLC0415
    from batch_jobs.merging.merge import merge  # noqa: PLC0415
    from batch_jobs.merging.merge_parts import merge_part  # noqa: PLC0415
    from batch_jobs.merging.migrate_and_merge import migrate_and_merge  # noqa: PLC0415
    from batch_jobs.migrating.migrate import migrate, migrate_shard  # noqa: PLC0415
    from batch_jobs.planning.plan import plan  # noqa: PLC0415
    from batch_jobs.s3.connection import connect  # noqa: PLC0415
    from batch_jobs.stop import Stop  # noqa: PLC0415

    stop = Stop(settings.attempt_seconds)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.request("SIGTERM"))
    job = Job(s3=connect(max(settings.concurrency, settings.most_in_flight) + 2), settings=settings, stop=stop)
    if given.verb == "plan":
        if given.request is not None:
            request = _read_request(folder, job.s3.read(folder.request), settings.code_version)
        plan(request, folder, job)
    elif given.verb == "migrate" and given.index is not None:
        migrate_shard(folder, given.index, job)
    elif given.verb == "migrate":
        migrate(folder, job)
    elif given.verb == "merge" and given.part is not None:
        merge_part(folder, settings.array_index if given.part == FROM_ENVIRONMENT else given.part, job)
    else:
        percent, count = given.tolerated_failure_percent, given.tolerated_failure_count
        tolerance = (
            None if percent is None else checked_percent(percent),
            None if count is None else checked_count(count),
        )
        if given.verb == "merge":
            merge(folder, job, *tolerance)
        else:
            migrate_and_merge(folder, job, *tolerance, size=given.size)


def _read_request(folder: RunFolder, text: bytes, code_version: str | None = None) -> RunRequest:
    """The request in run.json.

    Raises:
        DamagedFileError: It is not one.
        RunIdentityError: It was made by another version of the code than the given one.
    """
    try:
        document = read_json(text)
        given, asked_by = document["request"], document.get("code_version")
        queue = given.get("queue", RunRequest.queue)
        # The queues' names are the template's business: Prepare Run has checked this one.
        request = RunRequest.parse(given, queues=(queue,))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidRunRequest) as error:
        raise DamagedFileError(
            f"this is not a run request: {error}", operation="read the request", target=str(folder.request)
        ) from error
    if code_version is not None and asked_by not in {None, code_version}:
        raise RunIdentityError(
            f"code version was {asked_by}, is {code_version}: the functions that started the run have another "
            "version than this job; deploy functions and image of one version",
            operation="read the request",
            target=str(folder.request),
        )
    return request


def _failed(error: BaseException, exit_code: int) -> int:
    fields = {"error": type(error).__name__, "exit_code": exit_code}
    log.error("%s", error_text(error), extra={"fields": fields})
    return exit_code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without waiting for the threads of items that were dropped: they may still be reading.
    os._exit(code)
