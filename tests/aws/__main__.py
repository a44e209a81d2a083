"""`make test-aws`: the stages in their order, on an account; PLAN=1: what would be made, and the dollars.

`python -m tests.aws --rehearse` runs all but stage 0 against embedded AWSs of its own, as if each were the account.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from console import embedded_aws
from tests.aws.expenses import plan_text
from tests.aws.target import Target, TargetError

STAGES = {
    "0": ["tests/aws/test_0_static.py"],
    "questions": ["tests/aws/test_1_questions.py"],
    "1": ["tests/conformance"],
    "2": ["tests/aws/test_2_product.py"],
}
REHEARSED = ("questions", "1", "2")
"""What needs no service that the embedded AWS lacks."""
REHEARSAL = ("--stop-grace-seconds=0.5", "--wait-scale=0.02", "--max-jobs=4", f"--job-python={sys.executable}")
SCALES = {"2": "--schedule-scale=0.05"}
"""How else a stage's embedded AWS hurries: stage 2 has a schedule, the others wait for attempts that are too long."""
NOTHING_MEANT = 5
"""pytest's exit code where no test has the name that was asked for."""


def run(stage: str, pytest_arguments: list[str], environ: dict[str, str]) -> int:
    """Run a stage in a pytest of its own: what it made is deleted when it ends. Returns pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.aws.plugin", "-m", "not long", "--numprocesses=0"]
    command += ["--timeout=3600", *STAGES[stage], *pytest_arguments]
    return subprocess.run(command, env=environ, check=False).returncode


def rehearse(stage: str, pytest_arguments: list[str]) -> int:
    """The same on an embedded AWS of its own."""
    with tempfile.TemporaryDirectory() as folder:
        options = [*REHEARSAL, SCALES.get(stage, "--attempt-seconds-scale=0.01")]
        with embedded_aws.running(0, state_dir=Path(folder), options=options) as server:
            environ = {
                **os.environ, **embedded_aws.credentials(server.endpoint_url).variables(),
                "MILLRACE_AWS_ACCOUNT": "123456789012", "MILLRACE_AWS_REGION": embedded_aws.REGION,
                "MILLRACE_AWS_ENDPOINT_URL": server.endpoint_url, "MILLRACE_AWS_RUN": "rehearsal",
            }  # fmt: skip
            return run(stage, pytest_arguments, environ)


def whole(codes: list[int], *, parts: bool) -> int:
    """The exit code of all stages; where only parts were asked for, a stage may have none of them, but not every one.

    Args:
        codes: pytest's exit code of each stage.
        parts: Whether only parts were asked for.
    """
    passed = {0, NOTHING_MEANT} if parts and 0 in codes else {0}
    return int(not set(codes) <= passed)


def main() -> int:
    """Exit codes: 0 all passed, 1 something failed, 2 the account or the caller is not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws", description=__doc__.partition("\n")[0])
    parser.add_argument("--plan", action="store_true", help="list what would be made, with the dollars; make nothing")
    parser.add_argument("--rehearse", action="store_true", help="on an embedded AWS, as if it were the account")
    parser.add_argument("--stages", nargs="+", choices=STAGES, help="only these")
    parser.add_argument("--only", metavar="PARTS", help="only the tests of these names, as in 'reuse or uploads'")
    given, pytest_arguments = parser.parse_known_args()
    if given.only:
        pytest_arguments += ["-k", given.only]
    if given.plan:
        sys.stdout.write(plan_text() + "\n")
        return 0
    if given.rehearse:
        codes = [rehearse(stage, pytest_arguments) for stage in given.stages or REHEARSED]
        return whole(codes, parts=bool(given.only))
    name = f"test-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        Target.read().check()
    except TargetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(plan_text() + f"\nEverything is tagged millrace-test={name}. Interrupt now to stop.\n")
    environ = {**os.environ, "MILLRACE_AWS_RUN": name}
    return whole([run(stage, pytest_arguments, environ) for stage in given.stages or STAGES], parts=bool(given.only))


if __name__ == "__main__":
    sys.exit(main())
