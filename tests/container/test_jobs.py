"""Jobs as containers, set up from the real job definition: what they may, and how they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from console.find.stack import Stack, stack_resources
from console.local.deployment import REPOSITORY
from tests.conformance.account import Account, until
from tests.container.conftest import docker

WHO = """
import json, os
def writable(folder):
    try:
        open(folder + "/probe", "w").close()
        return True
    except OSError as error:
        return error.strerror
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "root": writable("/opt/millrace"), "tmp": writable("/tmp"),
    "scratch": writable("/scratch"), "first": open("/proc/1/comm").read().strip(), "pid": os.getpid(),
    "index": os.environ["AWS_BATCH_JOB_ATTEMPT"], "level": os.environ["MILLRACE_LOG_LEVEL"],
}))
"""
ROLE = """
import json, os, boto3
print(json.dumps(boto3.client("sts", region_name=os.environ["AWS_REGION"]).get_caller_identity()["Arn"]))
"""
ORPHAN = """
import json, os, pathlib, subprocess, time
subprocess.run(["sh", "-c", "(sleep 0.3; exit 0) & exit 0"], start_new_session=True)
time.sleep(1)
states = [p.read_text().rpartition(")")[2].split()[0] for p in pathlib.Path("/proc").glob("[0-9]*/stat")]
print(json.dumps(states.count("Z")))
"""
GREEDY = "held = [bytearray(b'x' * (1 << 20)) for _ in range(4096)]"
SMALL = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]
POLITE = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(json.dumps("told"), flush=True) or 7))
print(json.dumps("up"), flush=True)
time.sleep(60)
"""
STUBBORN = POLITE.replace(
    'sys.exit(print(json.dumps("told"), flush=True) or 7)', 'print(json.dumps("told"), flush=True)'
).replace("time.sleep(60)", "[time.sleep(1) for _ in range(60)]")


def test_a_job_is_nobody_on_a_read_only_root(
    account: Account, probing: Callable[..., str], printed: Callable[[str], list[Any]]
) -> None:
    """It runs as 65534, may write to /scratch and to nothing of the image, has an init as its first process, and the
    variables of Batch and of the job definition.
    """
    job = account.ended(probing(WHO))
    assert (job["status"], job["container"].get("exitCode")) == ("SUCCEEDED", 0)
    (found,) = printed(job["jobId"])
    assert found.pop("pid") > 1
    assert found == {
        "uid": 65534, "gid": 65534, "root": "Read-only file system", "tmp": "Read-only file system", "scratch": True,
        "first": "docker-init", "index": "1", "level": "INFO",
    }  # fmt: skip


def test_a_job_acts_under_its_own_role(
    account: Account, stack: Stack, probing: Callable[..., str], printed: Callable[[str], list[Any]]
) -> None:
    """The credentials in the container are those of the job's role."""
    job = account.ended(probing(ROLE))
    (arn,) = printed(job["jobId"])
    found = stack_resources(account.client("cloudformation"), stack.name)
    (role,) = (each["PhysicalResourceId"] for each in found if each["LogicalResourceId"] == "MigrateJobRole")
    assert arn.partition(":assumed-role/")[2].partition("/")[0] == role


def test_more_memory_than_asked_for_is_the_end(account: Account, probing: Callable[..., str]) -> None:
    """A job that takes more memory than its definition says is killed: exit code 137, and Batch's own reason."""
    job = account.ended(probing(GREEDY, resourceRequirements=SMALL))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Essential container in task exited")
    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert job["attempts"][-1]["container"]["reason"] == job["container"]["reason"]


@pytest.mark.parametrize(
    ("source", "exit_code", "least_seconds"), [(POLITE, 7, 0), (STUBBORN, 137, 2)], ids=["heeds it", "does not"]
)
def test_terminate_is_sigterm_then_sigkill(
    account: Account,
    probing: Callable[..., str],
    printed: Callable[[str], list[Any]],
    *,
    source: str,
    exit_code: int,
    least_seconds: float,
) -> None:
    """TerminateJob sends SIGTERM through the init to the job, which may end as it likes; later it is killed."""
    job_id = probing(source)
    account.reached(job_id, "RUNNING")
    until("its first words", lambda: printed(job_id) == ["up"])
    began = time.monotonic()
    account.batch.terminate_job(jobId=job_id, reason="enough")
    job = account.ended(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "enough")
    assert job["container"]["exitCode"] == exit_code
    assert printed(job_id) == ["up", "told"]
    assert least_seconds <= time.monotonic() - began < 20


@pytest.mark.parametrize("init", [True, False], ids=["with an init", "without"])
def test_orphans_are_reaped_by_the_init(
    account: Account, probing: Callable[..., str], printed: Callable[[str], list[Any]], *, init: bool
) -> None:
    """What a command leaves behind is no zombie for long: the init of the job definition sees to it. Without one it
    would stay, as Python does not wait for what it did not start.
    """
    job = account.ended(probing(ORPHAN, linuxParameters={"initProcessEnabled": init}))
    assert printed(job["jobId"]) == [0 if init else 1]


def test_an_image_that_is_not_there_fails_the_start(account: Account, probing: Callable[..., str]) -> None:
    """A digest that the engine does not know is told in the words of ECS, and no exit code is made up."""
    missing = f"{REPOSITORY}@sha256:{'1' * 64}"
    job = account.ended(probing("", image=missing))
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")
    assert missing in job["container"]["reason"]
    assert "exitCode" not in job["container"]


def test_a_program_that_is_not_there_fails_the_start(account: Account, probing: Callable[..., str]) -> None:
    """As ECS does without an init, and unlike a program that ends with 127 by itself."""
    job = account.ended(probing("", command=["no-such-program"], linuxParameters={}))
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")


def test_nothing_is_left_behind(account: Account, probing: Callable[..., str]) -> None:
    """When a job has ended, its container and its scratch volume are gone."""
    before = docker("volume", "ls", "--quiet")
    job = account.ended(probing("open('/scratch/left', 'w').close()"))
    assert job["status"] == "SUCCEEDED"
    assert docker("ps", "--all", "--quiet", "--filter=label=millrace.local-aws") == ""
    assert docker("volume", "ls", "--quiet") == before
