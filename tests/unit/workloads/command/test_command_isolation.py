"""The job's credentials are out of a command's reach: environment, memory, open files, and PID 1's likewise."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from millrace.errors import InvalidRunRequest
from millrace.settings import CREDENTIALS, command_environment

ROOT = Path(__file__).parents[4]

LOOK = """
import json, os, signal, sys
def ask(call):
    try:
        return repr(call())
    except OSError as error:
        return type(error).__name__
def read(path):
    with open(path, "rb") as file:
        return file.read()
found = {"environ": dict(os.environ), "fds": len(os.listdir("/proc/self/fd"))}
for name, pid in (("job", os.getppid()), ("other", int(sys.argv[1]))):
    found[name] = {
        what: ask(lambda: read(f"/proc/{pid}/{what}")) for what in ("environ", "maps", "mem")
    } | {"fd": ask(lambda: os.listdir(f"/proc/{pid}/fd")), "signal": ask(lambda: os.kill(pid, 0))}
os.mkdir("a"), os.mkdir("b"), open("a/x", "w").close(), os.rename("a/x", "b/x"), os.link("b/x", "a/y")
print(json.dumps(found))
"""

JOB = """
import ctypes, os, subprocess, sys
from pathlib import Path
from batch_jobs.workloads.command.process import run
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    # A change of the user makes a process undumpable; one that this user starts is not.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
other = subprocess.Popen(["sleep", "60"])  # as the engine's init is: of this user, with this environment
try:
    with open("out", "wb") as out:
        command, environment = [sys.argv[2], "-c", sys.argv[1], str(other.pid)], {"PATH": "/usr/bin:/bin"}
        ended = run(command, folder=Path.cwd(), environment=environment, stdout=out, time_limit_seconds=30,
                    check=lambda: None)
finally:
    other.kill(), other.wait()
assert ended.returncode == 0, ended.stderr
sys.stdout.write(Path("out").read_text())
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def found() -> Iterator[dict[str, Any]]:
    """What a command sees of the job that started it, and of another process that has the job's environment.

    The job is nobody's, as in the image: root may trace everything.
    """
    python = sys.executable if os.getuid() else shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    assert python, "root's own interpreter may be closed to others: a python3 of the system is needed"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layer/python'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_SECRET_ACCESS_KEY": "the-jobs-own-secret",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/the-jobs-own-secret",
    }
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", JOB, LOOK, python], cwd=folder, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        yield json.loads(done.stdout)


def test_a_command_cannot_read_the_jobs_credentials(found: dict[str, Any]) -> None:
    """Neither the job's environment, memory nor files; it has no variable and no open file of the job."""
    assert not CREDENTIALS & set(found["environ"])
    assert found["fds"] == 4  # its three, and the listing's own
    for what in ("environ", "maps", "mem", "fd"):
        assert found["job"][what] == "PermissionError", what


def test_where_the_kernel_has_landlock_no_process_outside_is_readable(found: dict[str, Any]) -> None:
    """PID 1 is the engine's init, of the job's user and environment: a domain closes it, where a flag of ours cannot.

    A kernel without Landlock leaves it readable, and docs/security.md says so: there the test holds that sentence.
    """
    abi = ctypes.CDLL(None).syscall(444, None, 0, 1)

    assert (found["other"]["environ"] == "PermissionError") == (abi >= 2)
    assert ("the-jobs-own-secret" not in json.dumps(found)) == (abi >= 2)
    assert (found["job"]["signal"] == "PermissionError") == (abi >= 6)


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_no_command_is_given_a_variable_that_leads_to_credentials(name: str) -> None:
    """`environment` names variables of the job: not these. A value that the request itself holds is the user's own."""
    with pytest.raises(InvalidRunRequest, match="credentials"):
        command_environment([name], {name: "secret", "PATH": "/bin"})
    assert command_environment([f"{name}=mine"], {"PATH": "/bin"})[name] == "mine"
