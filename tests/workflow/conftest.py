"""One embedded AWS for all workflow tests, with the real stack deployed on it once, as `millrace local deploy` does."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest

from console import embedded_aws
from console.__main__ import main
from console.checkout import ROOT, Checkout
from console.find.aws import LOCAL_REGION, Aws
from console.find.executions import new_name
from console.find.stack import LOCAL_STACK, Stack
from console.local.deployment import deploy
from millrace.aws.job_failures import log_tail
from tests.workflow.fault_proxy import FaultProxy
from tests.workflow.runs import Runs
from tests.workflow.sam import sam_deploy
from tests.workflow.strict_stack import PARAMETERS, Strict, keep_secrets
from tests.workflow.tables import Tables

RunToEnd = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class LocalStack:
    """The deployed stack.

    Attributes:
        stack: Its outputs, by name and as attributes.
        aws: Clients of the embedded AWS.
        endpoint_url: Its address.
        state_dir: Its state: what `--state-dir` must be for the command line to find it.
    """

    stack: Stack
    aws: Aws
    endpoint_url: str
    state_dir: Path


@pytest.fixture(scope="session")
def _proxy() -> Iterator[FaultProxy]:
    with FaultProxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, _proxy: FaultProxy) -> Iterator[LocalStack]:
    """The real template on an embedded AWS of this test session; its jobs reach it through the proxy."""
    state = tmp_path_factory.mktemp("embedded-aws")
    options = ["--stop-grace-seconds=1", "--max-jobs=4", "--schedule-scale=0.05", f"--job-endpoint-url={_proxy.url}"]
    with embedded_aws.running(0, state_dir=state, options=options) as server:
        _proxy.forward_to = server.endpoint_url
        deployed, _ = deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, print)
        yield LocalStack(deployed, Aws.embedded(server.endpoint_url), server.endpoint_url, state)


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    """The real template, with a schedule, on an embedded AWS of its own that enforces IAM."""
    state = tmp_path_factory.mktemp("strict")
    options = ["--enforce-iam", "--stop-grace-seconds=1", "--wait-scale=0.005", "--schedule-scale=0.02"]
    with embedded_aws.running(0, state_dir=state, options=options) as server:
        deploy(Checkout(ROOT, state), server.endpoint_url, server.pid, print)
        aws = Aws.embedded(server.endpoint_url)
        keep_secrets(aws)
        sam_deploy(server.endpoint_url, LOCAL_STACK, **PARAMETERS)
        yield Strict(Stack.find(aws, LOCAL_STACK), aws, server.endpoint_url)


@pytest.fixture(scope="session")
def s3(stack: LocalStack) -> Any:
    """A boto3 S3 client of the embedded AWS."""
    found = embedded_aws.credentials(stack.endpoint_url)
    return boto3.client(
        "s3",
        endpoint_url=stack.endpoint_url,
        region_name=LOCAL_REGION,
        aws_access_key_id=found.access_key,
        aws_secret_access_key=found.secret_key,
    )


@pytest.fixture(scope="session")
def tables(stack: LocalStack) -> Tables:
    """Makes DynamoDB tables on the embedded AWS, and reads them."""
    return Tables(stack.aws.client("dynamodb"))


@pytest.fixture(scope="session")
def run_to_end(stack: LocalStack) -> RunToEnd:
    """Start an execution and wait for its end.

    Call it with the execution's input, and `name` where it matters; it returns what DescribeExecution says, with
    `output` as JSON where there is one.
    """
    client = stack.aws.step_functions

    def run(request: Any, name: str | None = None, seconds: float = 120) -> dict[str, Any]:
        arn = client.start_execution(
            stateMachineArn=stack.stack.state_machine_arn, name=name or new_name(), input=json.dumps(request)
        )["executionArn"]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            described = dict(client.describe_execution(executionArn=arn))
            if described["status"] != "RUNNING":
                if "output" in described:
                    described["output"] = json.loads(str(described["output"]))
                return described
            time.sleep(0.1)
        pytest.fail(f"{arn} is still running after {seconds} s")

    return run


@pytest.fixture
def proxy(_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy between the jobs and the embedded AWS, its counts at zero; a test fails that broke the proxy itself."""
    _proxy.clear()
    yield _proxy
    errors = list(_proxy.errors)
    _proxy.clear()
    assert not errors, errors


@pytest.fixture(scope="session")
def runs(stack: LocalStack, s3: Any) -> Runs:
    """Starts executions, waits for them, ends their jobs, looks at what they wrote."""
    return Runs(stack.aws, s3, stack.stack.state_machine_arn, stack.stack.job_queue_arn)


@pytest.fixture
def command(stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command on the test's stack: its exit code and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words, f"--state-dir={stack.state_dir}"])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture(scope="session")
def job_logs(stack: LocalStack) -> Callable[[str], list[str]]:
    """The log lines of a Batch job's last attempt, by the job's id."""

    def lines(job_id: str) -> list[str]:
        return log_tail(stack.aws.logs, stack.aws.batch.describe_jobs(jobs=[job_id])["jobs"][0])

    return lines


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def source(stack: LocalStack, _numbers: Iterator[int]) -> str:
    """A fresh, empty source folder: `s3://bucket/source-7/`."""
    return f"s3://{stack.stack.source_bucket}/source-{next(_numbers)}/"


@pytest.fixture
def destination(stack: LocalStack, _numbers: Iterator[int]) -> str:
    """A fresh, empty destination folder."""
    return f"s3://{stack.stack.result_bucket}/destination-{next(_numbers)}/"


@pytest.fixture(scope="session")
def millrace(stack: LocalStack) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `millrace local VERB …` as a user would, on this session's embedded AWS."""

    def run(verb: str, *arguments: str, **given: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "console", "local", verb, "--state-dir", str(stack.state_dir), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **given,
        )

    return run
