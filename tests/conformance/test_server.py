"""The server as a process: ports, health, stopping, and that nothing outlives it."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from console import embedded_aws
from console.checkout import ROOT
from tests.conformance.account import Account, until
from tests.conformance.conftest import OPTIONS
from tests.conformance.test_jobs import is_running

pytestmark = pytest.mark.embedded("it is about the server's own process")

Start = Callable[..., embedded_aws.EmbeddedAws]


@pytest.fixture
def start(tmp_path: Path, server: embedded_aws.EmbeddedAws) -> Any:
    """Starts servers that go with the test; each has a state directory of its own. (`server`: skip without one.)"""
    used = []

    def begin(name: str = "state", port: int = 0, options: tuple[str, ...] = OPTIONS) -> embedded_aws.EmbeddedAws:
        used.append(tmp_path / name)
        return embedded_aws.start(port, state_dir=tmp_path / name, options=options)

    assert server.pid
    yield begin
    for state_dir in used:
        embedded_aws.stop(state_dir)


def test_health(server: embedded_aws.EmbeddedAws) -> None:
    """The health endpoint tells that it is ours, with Batch, and which process."""
    with urllib.request.urlopen(f"{server.endpoint_url}/_local_aws/health") as response:
        health = json.load(response)

    assert (health["service"], health["pid"], health["batch"]) == ("millrace-local-aws", server.pid, True)


def test_it_listens_on_loopback_only(server: embedded_aws.EmbeddedAws, account: Account) -> None:
    """One listener, on 127.0.0.1: no side ports, so that two servers can run."""
    with pytest.raises(ClientError, match="does not offer this"):
        account.client("iot").list_things()  # would load the service that binds a port of its own
    listeners = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [line.split()[3] for line in listeners if f"pid={server.pid}," in line]

    assert ours == [f"127.0.0.1:{server.port}"]


def test_two_servers_know_nothing_of_each_other(start: Start, account: Account, queue: str) -> None:
    """Each has its own port and its own resources."""
    other = Account(start().endpoint_url)

    assert other.endpoint_url != account.endpoint_url
    assert account.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
    assert other.batch.describe_job_queues()["jobQueues"] == []


def test_a_port_that_is_taken_by_another_program(start: Start) -> None:
    """The error names the port and says what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(embedded_aws.PortTakenError, match=f"port {port} .*another program.*choose another port"):
            start(port=port)


def test_a_port_that_is_taken_by_our_own(start: Start, server: embedded_aws.EmbeddedAws) -> None:
    """The error names the server that holds it; the program itself exits with 2."""
    with pytest.raises(embedded_aws.PortTakenError, match=f"embedded AWS .process {server.pid}"):
        start(port=server.port)
    python = str(embedded_aws.server_python())
    ended = subprocess.run(
        [python, "-m", "local_aws", "--port", str(server.port)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"port {server.port}" in ended.stderr


def test_starting_twice_is_starting_once(start: Start) -> None:
    """A second start of the same state directory returns the running server, and find() finds it."""
    first = start()

    assert start() == first
    assert embedded_aws.find(Path(first.log_file).parent) == first


def test_a_stale_file(start: Start) -> None:
    """A state file of a server that is gone, or whose pid is another process's now, is not believed."""
    state_dir = Path(start().log_file).parent
    embedded_aws.stop(state_dir)
    stale = {"endpoint_url": "http://127.0.0.1:1", "pid": os.getpid(), "port": 1, "log_file": "x"}
    (state_dir / "server.json").write_text(json.dumps(stale))

    assert embedded_aws.find(state_dir) is None
    assert not embedded_aws.stop(state_dir)
    assert start().port != 1


def test_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the server's environment the error names `make install`."""
    monkeypatch.setenv(embedded_aws.PYTHON_VARIABLE, str(tmp_path / "no-python"))
    with pytest.raises(embedded_aws.NotInstalledError, match="make install"):
        embedded_aws.start(0, state_dir=tmp_path)


def test_a_server_that_cannot_start(start: Start) -> None:
    """The error carries the end of the server's log."""
    with pytest.raises(embedded_aws.StartError, match="max-jobs must be at least 1"):
        start(options=("--max-jobs=0",))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_job_outlives_the_server(start: Start, number: signal.Signals) -> None:
    """Stopped or killed, the server takes its jobs, what they started, and its files along."""
    running = start()
    account = Account(running.endpoint_url)
    # The job leaves a process behind it that ignores SIGTERM.
    definition = account.shell("trap '' TERM; sleep 60 & echo $$ $!; wait")
    job_id = account.submit(account.queue(), definition)
    account.reached(job_id, "RUNNING")
    (line,) = until("the processes are known", lambda: account.output(job_id))
    processes = [int(pid) for pid in line.split()]
    assert all(is_running(pid) for pid in processes)
    directory = Path(f"/proc/{processes[0]}/cwd").readlink()
    os.kill(running.pid, number)

    for pid in [running.pid, *processes]:
        until(f"process {pid} is gone", partial(lambda each: not is_running(each), pid))
    until("the server's files are gone", lambda: not directory.parent.exists())


def test_a_start_takes_the_seconds_that_were_asked_for(start: Start) -> None:
    """The job is STARTING meanwhile, and its time counts from the end of the start."""
    account = Account(start(options=(*OPTIONS, "--start-seconds=2")).endpoint_url)
    queue = account.queue()
    job_id = account.submit(queue, account.shell("true"))
    account.reached(job_id, "STARTING")
    job = account.ended(job_id)
    assert job["status"] == "SUCCEEDED"
    assert job["startedAt"] - job["createdAt"] >= 2000


def test_a_job_that_starts_can_be_terminated(start: Start) -> None:
    """A child that is terminated while it starts does not wait for the end of its start."""
    account = Account(start(options=(*OPTIONS, "--start-seconds=100")).endpoint_url)
    queue = account.queue()
    array = account.submit(queue, account.shell("true"), arrayProperties={"size": 2})
    account.reached(f"{array}:0", "STARTING")
    account.batch.terminate_job(jobId=array, reason="enough")
    assert account.ended(array)["status"] == "FAILED"
    assert account.job(f"{array}:0")["statusReason"] == "enough"


def test_ministack_is_what_the_hooks_expect() -> None:
    """One message names whatever has moved in ministack since its version was pinned."""
    python = str(embedded_aws.server_python())
    program = "from local_aws.ministack.hooks import check_ministack; check_ministack()"
    ended = subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr.splitlines()[-1]


def test_a_moved_name_is_named() -> None:
    """The check says which name is gone."""
    python = str(embedded_aws.server_python())
    program = (
        "import ministack.services.eventbridge as e; del e._rules\n"
        "from local_aws.ministack.hooks import check_ministack; check_ministack()"
    )
    ended = subprocess.run([python, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "has no ministack.services.eventbridge._rules" in ended.stderr


def test_the_pinned_version_is_the_expected_one() -> None:
    """requirements.in and the hooks name the same ministack."""
    hooks = (ROOT / "local_aws/ministack/hooks.py").read_text()
    pinned = (ROOT / "local_aws/requirements.in").read_text()
    (version,) = [
        line.removeprefix("ministack==").split()[0] for line in pinned.splitlines() if line.startswith("ministack==")
    ]

    assert f'EXPECTED_VERSION = "{version}"' in hooks


def test_only_the_hooks_touch_ministack() -> None:
    """No other file of the package imports ministack."""
    importing = re.compile(r"import_module\(.ministack|^\s*(import|from) ministack", re.MULTILINE)
    package = ROOT / "local_aws"

    found = [path for path in package.rglob("*.py") if importing.search(path.read_text())]
    assert found == [package / "ministack/hooks.py"]
