"""Start, find and stop the embedded AWS server.

The server (`python -m local_aws`) runs in an environment of its own and stays up when the caller exits.
Which one it is stands in `<state_dir>/server.json`; the credentials that it made for itself at its start, which every
request must be signed with, in `<state_dir>/credentials`, which only its owner can read. Where a user's own modules are
stands in `<state_dir>/workload-folders`, in a file for each run of an own workload.

EmbeddedAwsError
    NotInstalledError  its environment is missing
    PortTakenError     another process listens on the port
    StartError         it did not come up
    CredentialsUnknownError  nothing says which credentials it takes
"""

import configparser
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from console.checkout import project_root, usual_state

PYTHON_VARIABLE = "MILLRACE_LOCAL_AWS_PYTHON"
"""Names another interpreter with the server's packages."""
REGION = "us-east-1"
"""The region that the embedded AWS plays."""
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_HEALTH_SECONDS = 3.0
_STATE_FILE = "server.json"
_LOG_FILE = "server.log"
_CREDENTIALS_FILE = "credentials"
_FOLDERS = "workload-folders"
_SHOWN_LOG_LINES = 15
_USAGE_EXIT_CODE = 2  # of the server: wrong options, or the port is taken
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks the server itself: a proxy of the environment knows nothing of this machine's loopback."""
_known: dict[str, "Credentials"] = {}
"""The credentials of the servers that this process started or found, by address."""
_state_dirs: dict[str, Path] = {}
"""Where the state of these servers is, by address."""
_started: dict[int, subprocess.Popen[bytes]] = {}
"""The servers that this very process started, by pid: they become its zombies if it outlives them."""


class EmbeddedAwsError(Exception):
    """Base of all errors here."""


class NotInstalledError(EmbeddedAwsError):
    """Raised when the server's environment does not exist."""


class PortTakenError(EmbeddedAwsError):
    """Raised when another process listens on the port."""


class CredentialsUnknownError(EmbeddedAwsError):
    """Raised when nothing says which credentials a server takes."""


class StartError(EmbeddedAwsError):
    """Raised when the server ended while starting, or was not ready in time; carries the last lines of its log."""


@dataclass(frozen=True)
class Credentials:
    """What requests to a server are signed with."""

    access_key: str
    secret_key: str = field(repr=False)

    def variables(self) -> dict[str, str]:
        """As environment variables; the empty token takes the place of one that the caller's own credentials have."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": "",
        }


@dataclass(frozen=True)
class EmbeddedAws:
    """A running server."""

    endpoint_url: str
    """What AWS_ENDPOINT_URL must be."""
    pid: int
    port: int
    log_file: str


def start(port: int, *, state_dir: Path, options: Sequence[str] = (), seconds: float = START_SECONDS) -> EmbeddedAws:
    """Start a server, or return the one of this state directory when it runs.

    Args:
        port: TCP port on 127.0.0.1; 0 picks a free one. A server that runs already keeps its own.
        state_dir: where server.json and server.log go; made if missing.
        options: further options of `python -m local_aws`.
        seconds: how long it may take to become ready.

    Raises:
        NotInstalledError: the server's environment does not exist.
        PortTakenError: another process listens on the port.
        StartError: it ended while starting, or was not ready in time.
    """
    running = find(state_dir)
    if running is not None:
        return running
    root, python = project_root(), server_python()
    if not python.exists():
        msg = f"{python} does not exist; `make install` makes the environment of the embedded AWS"
        raise NotInstalledError(msg)
    state_dir.mkdir(parents=True, exist_ok=True)
    log_file = state_dir / _LOG_FILE
    ready_read, ready_write = os.pipe()
    with contextlib.ExitStack() as cleanup, log_file.open("wb") as log:
        cleanup.callback(os.close, ready_read)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own server
                [
                    str(python),
                    "-m",
                    "local_aws",
                    "--port",
                    str(port),
                    "--ready-fd",
                    str(ready_write),
                    "--credentials-file",
                    str((state_dir / _CREDENTIALS_FILE).absolute()),
                    "--workload-folders",
                    str((state_dir / _FOLDERS).absolute()),
                    *options,
                ],
                cwd=root,
                env=_environment(root),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[ready_write],
                start_new_session=True,  # it stays when the caller's terminal goes
            )
        finally:
            os.close(ready_write)
        bound_port = _wait_until_ready(process, ready_read, log_file, seconds)
    _started[process.pid] = process
    server = EmbeddedAws(f"http://127.0.0.1:{bound_port}", process.pid, bound_port, str(log_file))
    temporary = state_dir / f"{_STATE_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(server), indent=2) + "\n")
    temporary.replace(state_dir / _STATE_FILE)
    _remember(server, state_dir)
    return server


def server_python(environ: Mapping[str, str] = os.environ) -> Path:
    """The interpreter of the environment that the server runs in; it need not be there."""
    return Path(environ.get(PYTHON_VARIABLE) or project_root() / ".venv/local_aws/bin/python")


def find(state_dir: Path) -> EmbeddedAws | None:
    """The server of this state directory if it runs; a file that is stale is removed."""
    path = state_dir / _STATE_FILE
    try:
        server = EmbeddedAws(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        server = None
    # The pid alone proves nothing, as its number may be another process's by now: the server itself must answer.
    if server is not None and _answers(server):
        _remember(server, state_dir)
        return server
    path.unlink(missing_ok=True)
    return None


def credentials(endpoint_url: str, environ: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials of a server that this process started or found, or that `$(millrace local up)` exported.

    Raises:
        CredentialsUnknownError: it is neither.
    """
    known = _known.get(endpoint_url)
    if known is not None:
        return known
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret and environ.get("AWS_ENDPOINT_URL") == endpoint_url:
        return Credentials(key, secret)
    msg = f"the credentials of the embedded AWS at {endpoint_url} are not known here; run: $(millrace local up)"
    raise CredentialsUnknownError(msg)


def exports(endpoint_url: str) -> str:
    """What the aws command, and ours, need to know of a server, as words for `export`.

    Raises:
        CredentialsUnknownError: its credentials are not known.
    """
    words = {
        "AWS_ENDPOINT_URL": endpoint_url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
        **credentials(endpoint_url).variables(),
    }  # fmt: skip
    return " ".join(f"{name}={value}" for name, value in words.items())


def _remember(server: EmbeddedAws, state_dir: Path) -> None:
    """Read a server's credentials, where its file is there, and keep where its state is."""
    _state_dirs[server.endpoint_url] = state_dir
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(state_dir / _CREDENTIALS_FILE)
    if parser.has_section("default"):
        found = parser["default"]
        _known[server.endpoint_url] = Credentials(found["aws_access_key_id"], found["aws_secret_access_key"])


def stop(state_dir: Path, *, seconds: float = STOP_SECONDS) -> bool:
    """Stop the server of this state directory with all jobs; False: none was running.

    A server that has not ended in time is killed; its jobs end all the same.
    """
    server = find(state_dir)
    if server is None:
        _reap()  # it may have ended by itself
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(server.pid, number)
        except ProcessLookupError:
            break
        if _ended(server.pid, seconds):
            break
    _reap()
    _known.pop(server.endpoint_url, None)
    (state_dir / _STATE_FILE).unlink(missing_ok=True)
    (state_dir / _CREDENTIALS_FILE).unlink(missing_ok=True)
    shutil.rmtree(state_dir / _FOLDERS, ignore_errors=True)
    return True


@contextlib.contextmanager
def running(port: int, *, state_dir: Path, options: Sequence[str] = ()) -> Iterator[EmbeddedAws]:
    """A server for the length of a `with` block."""
    server = start(port, state_dir=state_dir, options=options)
    try:
        yield server
    finally:
        stop(state_dir)


def keep_workload_folders(endpoint_url: str, run_id: str, environ: Mapping[str, str] = os.environ) -> None:
    """Note for the jobs of a run where modules of the user's own are: the working directory, and PYTHONPATH.

    Args:
        endpoint_url: The server's address. Nothing is noted for one whose state is not known here: a run without a
            note takes the latest one.
        run_id: The run.
        environ: Where PYTHONPATH is.
    """
    if endpoint_url not in _state_dirs:
        find(usual_state())  # as after `$(millrace local up)` in this shell
    state_dir = _state_dirs.get(endpoint_url)
    if state_dir is None:
        return
    folders = [Path.cwd(), *map(Path, filter(None, environ.get("PYTHONPATH", "").split(os.pathsep)))]
    note = state_dir / _FOLDERS / run_id
    note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_name(f".{run_id}.{os.getpid()}")
    temporary.write_bytes(os.fsencode(os.pathsep.join(str(folder.absolute()) for folder in folders)))
    temporary.replace(note)


def _environment(root: Path) -> dict[str, str]:
    """The caller's environment without the variables that configure Python; modules are imported from `root`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "MILLRACE_WORKLOAD_PATH"}
    }
    return kept | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}


def _wait_until_ready(process: subprocess.Popen[bytes], ready: int, log_file: Path, seconds: float) -> int:
    """The port, which the server writes into the pipe once it answers; the pipe closes when the server ends."""
    readable, _, _ = select.select([ready], [], [], seconds)
    text = os.read(ready, 16).decode() if readable else ""
    if text.strip():
        return int(text)
    log = "\n".join(log_file.read_text(errors="replace").splitlines()[-_SHOWN_LOG_LINES:])
    if not readable:
        process.kill()
        process.wait()
        msg = f"the embedded AWS was not ready after {seconds:g} seconds; {log_file} ends with:\n{log}"
        raise StartError(msg)
    code = process.wait()
    taken = [line for line in log.splitlines() if " is taken" in line]
    if code == _USAGE_EXIT_CODE and taken:
        raise PortTakenError(taken[-1].removeprefix("local_aws: "))
    msg = f"the embedded AWS ended with exit code {code}; {log_file} ends with:\n{log}"
    raise StartError(msg)


def _answers(server: EmbeddedAws) -> bool:
    """Whether this very server listens on its port; one that is too busy to answer in time counts as there."""
    url = f"{server.endpoint_url}/_local_aws/health"
    try:
        with _OPENER.open(url, timeout=_HEALTH_SECONDS) as response:
            return bool(json.load(response).get("pid") == server.pid)
    except TimeoutError:
        return _exists(server.pid)
    except (OSError, ValueError, AttributeError):
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _reap() -> None:
    """Forget the servers of this process that have ended, which leaves no zombie of them."""
    for pid, process in list(_started.items()):
        if process.poll() is not None:
            _started.pop(pid, None)


def _ended(pid: int, seconds: float) -> bool:
    """Whether the process has ended within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _reap()
        if not _exists(pid):
            return True
        time.sleep(0.02)  # there is no portable way to wait for a process that is not a child
    return False
