"""The server's settings: what the command line gave, with defaults."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
MOST_START_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every setting of one server."""

    port: int
    """TCP port on 127.0.0.1; 0 picks a free one."""
    job_python: Path = REPOSITORY / ".venv/bin/python"
    """The interpreter that stands for the project's image: `<job_python> -m batch_jobs` is its entry point."""
    executor: str = "process"
    """How jobs run: `process`, as processes of this machine, or `docker`, as containers of a Docker engine."""
    job_starts: str = "copy"
    """How processes of the project's image start: `copy`, of a process that has loaded its code, or `fresh`."""
    enforce_iam: bool = False
    """Check IAM policies on every request, and run jobs under their own roles."""
    max_jobs: int = os.cpu_count() or 1
    """Jobs at once, over all queues."""
    start_seconds: float = 0.0
    """How long a job stays in STARTING, holding its place: on Fargate some 45 s, here none unless asked for."""
    credentials_file: Path | None = None
    """Where this start's credentials go; None: into the server's own temporary folder."""
    workload_folders: Path | None = None
    """A folder of files, one for each run, that say where its user's own modules are; None: jobs import none."""
    log_file: Path | None = None
    """Where the server's own log goes; None: standard error."""
    attempt_seconds_scale: float = 1.0
    """Factor on attemptDurationSeconds, so that tests need not wait for the minimum of 60 seconds."""
    stop_grace_seconds: float = 30.0
    """Between SIGTERM and SIGKILL (30 seconds: Batch job timeouts)."""
    wait_scale: float = 1.0
    """Factor on the Wait states and the retry intervals of state machines."""
    ready_fd: int | None = None
    """A file descriptor to write the port into, and to close, once requests are answered."""
    mock_config: Path | None = None
    """A MockConfigFile.json of AWS Step Functions Local."""
    job_endpoint_url: str | None = None
    """Where jobs find AWS; None: this server. A test puts a proxy in between."""
    schedule_scale: float = 1.0
    """Factor on rate(...) of scheduled rules, so that a test need not wait for the minimum of a minute."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            ValueError: a number is out of its range.
        """
        if not 0 <= self.port <= 65535:
            msg = f"port must be 0 to 65535, not {self.port}"
            raise ValueError(msg)
        if self.max_jobs < 1:
            msg = f"max-jobs must be at least 1, not {self.max_jobs}"
            raise ValueError(msg)
        if not 0 <= self.start_seconds < MOST_START_SECONDS:
            msg = f"start-seconds must be 0 to {MOST_START_SECONDS}, not {self.start_seconds}"
            raise ValueError(msg)
        if self.attempt_seconds_scale <= 0 or self.stop_grace_seconds < 0 or self.wait_scale < 0:
            msg = "scales and the grace period can't be negative, and attempt-seconds-scale can't be 0"
            raise ValueError(msg)
        if self.schedule_scale <= 0:
            msg = f"schedule-scale must be more than 0, not {self.schedule_scale}"
            raise ValueError(msg)
        if self.job_endpoint_url is not None and not self.job_endpoint_url.startswith(("http://", "https://")):
            msg = f"job-endpoint-url must be http://... or https://..., not {self.job_endpoint_url}"
            raise ValueError(msg)


def parse_options(arguments: list[str]) -> Options:
    """Read the command line (without the program's name); exits with 2 and a usage line when it is wrong."""
    default = Options(port=0)
    parser = argparse.ArgumentParser(prog="python -m local_aws", description="The embedded AWS of Millrace.")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--job-python", type=Path, default=default.job_python, help="interpreter that runs batch_jobs")
    parser.add_argument("--executor", choices=["process", "docker"], default=default.executor, help="how jobs run")
    parser.add_argument(
        "--job-starts", choices=["copy", "fresh"], default=default.job_starts, help="how processes of jobs start"
    )
    parser.add_argument("--enforce-iam", action="store_true", help="check IAM policies; jobs run under their roles")
    parser.add_argument("--max-jobs", type=int, default=default.max_jobs, help="jobs at once")
    parser.add_argument(
        "--start-seconds", type=float, default=default.start_seconds, help="how long each start of a job takes"
    )
    parser.add_argument(
        "--credentials-file", type=Path, default=None, help="where the credentials of this start are written, mode 0600"
    )
    parser.add_argument(
        "--workload-folders", type=Path, default=None, help="where each run's file is that names folders of own modules"
    )
    parser.add_argument("--log-file", type=Path, default=None, help="where the server's own log goes")
    parser.add_argument("--mock-config", type=Path, default=None, help="MockConfigFile.json of Step Functions Local")
    parser.add_argument("--job-endpoint-url", default=None, help="where jobs find AWS: a proxy before this server")
    parser.add_argument("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    # For tests: they shorten waiting, never what is checked.
    parser.add_argument(
        "--attempt-seconds-scale", type=float, default=default.attempt_seconds_scale, help=argparse.SUPPRESS
    )
    parser.add_argument("--stop-grace-seconds", type=float, default=default.stop_grace_seconds, help=argparse.SUPPRESS)
    parser.add_argument("--wait-scale", type=float, default=default.wait_scale, help=argparse.SUPPRESS)
    parser.add_argument("--schedule-scale", type=float, default=default.schedule_scale, help=argparse.SUPPRESS)
    try:
        return Options(**vars(parser.parse_args(arguments)))
    except ValueError as error:
        parser.error(str(error))
