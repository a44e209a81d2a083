"""The page for a team as a container, made of the Dockerfile that docs/ui.md shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from console import embedded_aws
from console.checkout import ROOT
from console.find.aws import LOCAL_REGION
from console.find.stack import Stack
from tests.container.conftest import BASE, NETWORK, docker
from tests.workflow.runs import until

PORT = 4600
ORIGIN = "runs.example.com"


def done(*arguments: str) -> None:
    """Run a module of Python, which must exit 0."""
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def page(stack: Stack, server: embedded_aws.EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container of the image, with a root file system that nothing can write to; its name."""
    folder = tmp_path_factory.mktemp("ui")
    wheels = folder / "build/dist"
    done("-m", "build", "--wheel", "--no-isolation", f"--outdir={wheels}", str(ROOT))
    if BASE:  # its pip asks no registry
        done("-m", "pip", "download", "--quiet", f"--dest={wheels}", *map(str, wheels.iterdir()))
    (shown,) = re.findall(r"```dockerfile\n(.*?)```", Path("docs/ui.md").read_text(), re.DOTALL)
    (folder / "Dockerfile").write_text(shown.replace("FROM python:3.12-slim", f"FROM {BASE}") if BASE else shown)
    docker("build", f"--network={NETWORK}", "--tag=millrace-test-ui", str(folder))
    shutil.rmtree(folder / "build")
    found = embedded_aws.credentials(server.endpoint_url)
    environment = {
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": found.access_key,
        "AWS_SECRET_ACCESS_KEY": found.secret_key,
    }
    options = [f"--env={name}={value}" for name, value in environment.items()]
    command = ["--stack", stack.name, "--region", LOCAL_REGION, "--behind-proxy", f"https://{ORIGIN}"]
    name = docker("run", "--detach", "--read-only", "--network=host", *options, "millrace-test-ui", *command)
    yield name
    docker("rm", "--force", name)


def asked(host: str) -> tuple[int, bytes]:
    """The answer to whoever asks for the list of runs by this name; 0 while nothing listens."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionError:
        return 0, b""
    finally:
        connection.close()


def test_the_page_runs_in_a_container(page: str) -> None:
    """It lists the stack's runs by the proxy's name alone, writes no file, and SIGTERM ends it with exit code 0."""
    status, body = until("the page", lambda: (found := asked(ORIGIN))[0] and found)
    assert (status, b"<h1>Runs</h1>" in body) == (200, True), body.decode() + docker("logs", page)
    assert asked("127.0.0.1")[0] == 403
    docker("stop", "--time=20", page)
    assert docker("inspect", "--format={{.State.ExitCode}}", page) == "0", docker("logs", page)
