"""The second interpreter as a process: found, started, asked and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from console import embedded_aws

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv/second_engine"
INTERPRETER = Path(__file__).with_name("interpreter.py")
START_SECONDS = 120.0
SETTINGS = {
    "SERVICES": "stepfunctions", "STRICT_SERVICE_LOADING": "1", "DISABLE_EVENTS": "1", "DNS_ADDRESS": "0",
    "SKIP_SSL_CERT_DOWNLOAD": "1", "LS_LOG": "error", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
"""LocalStack's own: one service, no telemetry, no downloads."""


def client(url: str) -> Any:
    """A Step Functions client of the engine."""
    return boto3.client(
        "stepfunctions",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


@contextmanager
def running(folder: Path, *, tasks: str = "", mocks: Path | None = None, wait_scale: float = 0.01) -> Iterator[str]:
    """The engine for the length of a block; its address.

    Args:
        folder: Where it may write.
        tasks: The embedded AWS that its tasks go to; empty where all are mocked.
        mocks: A MockConfigFile.json.
        wait_scale: What its waits are multiplied by.
    """
    python = ENVIRONMENT / "bin/python"
    assert python.is_file(), f"{ENVIRONMENT} is not there: `make test-second-engine` makes it"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    signer = embedded_aws.credentials(tasks).variables() if tasks else {}
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        **SETTINGS, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **signer,
        "GATEWAY_LISTEN": address, "TASK_ENDPOINT_URL": tasks, "WAIT_SCALE": str(wait_scale),
        "STATE_DIR": str(folder), "TMPDIR": str(folder), "SFN_MOCK_CONFIG": str(mocks or ""),
    }  # fmt: skip
    log = folder / "engine.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), str(INTERPRETER)], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        _wait(process, address, log)
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"http://{address}/_localstack/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    ended = log.read_text(errors="replace")[-3000:]
    raise AssertionError(f"the second engine did not start:\n{ended}")


def python_for_it() -> str | None:
    """A Python of 3.13 or newer, if there is one here: on the path, or one that pyenv or uv keeps."""
    test = "import sys; sys.exit(sys.version_info < (3, 13))"
    kept = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    kept.append(Path.home() / ".local/share/uv/python")
    candidates = [shutil.which(f"python3.{minor}") for minor in (14, 13)] + [sys.executable]
    candidates += [str(path) for folder in kept for path in sorted(folder.glob("*3.1[34]*/bin/python3"))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", test], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


if __name__ == "__main__":
    found = python_for_it()
    if found is None:
        sys.exit("no Python 3.13 or newer was found here: the second engine needs one")
    sys.stdout.write(f"{found}\n")
