""".ci/containers ends in time and says plainly what it did, whatever the machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = [
    "bash", "sh", "timeout", "dirname", "mkdir", "rm", "sed", "tail", "tr", "cat",
    "sleep", "seq", "realpath", "awk", "sort",
]  # fmt: skip
ENGINE = """
case "$1 $2" in
  "info --format") echo true ;;
  "image inspect" | "pull --quiet") exit 1 ;;
esac"""
"""A Docker engine that answers, and reaches no registry."""
ROOT_OF_LINUX = {"id": "echo 0", "uname": "echo Linux"}


class Machine:
    """A checkout's few files, and a PATH with what the script needs and the programs of one's own beside it."""

    def __init__(self, folder: Path) -> None:
        """Copy the files; the programs are links to this machine's."""
        self.checkout = folder / "checkout"
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in NEEDED:
            (self.programs / name).symlink_to(shutil.which(name) or name)
        for name in (".ci/containers", "tests/container/engine.sh", "batch_jobs/Dockerfile"):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        self.put("tests/container/stand_in.sh", "exit 0")

    def put(self, name: str, lines: str) -> None:
        """Write a script: a program of the PATH, or a file of the checkout."""
        file = self.checkout / name if "/" in name else self.programs / name
        file.write_text(f"#!/bin/bash\n{lines}\n")
        file.chmod(0o755)

    def run(self, **variables: str) -> tuple[int, str]:
        """Run it; returns its exit code and what it said."""
        done = subprocess.run(
            [self.checkout / ".ci/containers"],
            env={"PATH": str(self.programs), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Linux machine without Docker, as root."""
    made = Machine(tmp_path)
    for name, lines in ROOT_OF_LINUX.items():
        made.put(name, lines)
    return made


NOT_RUN = [
    ({"id": "echo 1000"}, "no engine answers, and only root can start one"),
    ({"uname": "echo Darwin"}, "no engine answers; start Docker"),
    ({}, "there is no dockerd, and no apt-get to install it with"),
    ({"apt-get": "echo 'E: Unable to locate package'; exit 100"}, "Unable to locate package engine.sh: apt-get could"),
    ({"apt-get": "sleep 60"}, "apt-get could not install docker.io"),
    ({"docker": "exit 1", "dockerd": "echo no overlay >&2; exit 1"}, "no overlay engine.sh: dockerd did not start"),
    ({"docker": "exit 1", "dockerd": "exec sleep 60"}, ""),
    ({"docker": '[ "$1" != info ] || echo false'}, "the engine cannot limit memory on this kernel"),
    ({"docker": f'{ENGINE}\n[ "$1" != run ] || {{ echo no runc >&2; exit 125; }}'}, "does not work: no runc"),
    ({"docker": ENGINE, "tests/container/stand_in.sh": "echo no space; exit 1"}, "could not be made: no space"),
    (
        {"docker": ENGINE, "tests/container/stand_in.sh": "sleep 60"},
        "a stand-in for python:3.12-slim could not be made",
    ),
]
LIMITS = {"INSTALL_SECONDS": "1", "START_SECONDS": "3", "STAND_IN_SECONDS": "1", "TEST_SECONDS": "1"}


@pytest.mark.parametrize(("programs", "why"), NOT_RUN, ids=[f"{'+'.join(each)} {why}" for each, why in NOT_RUN])
def test_it_says_that_it_could_not_run(machine: Machine, programs: dict[str, str], why: str) -> None:
    """Where no engine can be had, or none that runs the image, it says so and why, in time, and the gate goes on."""
    machine.put("make", "echo MADE")
    for name, lines in programs.items():
        machine.put(name, lines)
    began = time.monotonic()
    code, said = machine.run(**LIMITS)
    assert (code, "=== CONTAINER TIER NOT RUN: " in said, "MADE" in said) == (0, True, False)
    assert why in said
    assert time.monotonic() - began < 30
    assert machine.run(**LIMITS, MILLRACE_NEED_CONTAINERS="1")[0] == 1


def test_it_runs_on_a_stand_in_where_no_registry_answers(machine: Machine) -> None:
    """The tests are told which image stands for the base, and so is who reads the output."""
    machine.put("docker", ENGINE)
    machine.put("make", 'echo "$1 on $MILLRACE_BASE_IMAGE"')
    code, said = machine.run()
    assert code == 0
    assert "=== container tier on a stand-in for python:3.12-slim" in said
    assert "test-container on millrace-stand-in" in said


def test_it_runs_on_the_base_itself_where_it_can(machine: Machine) -> None:
    """A base that the engine has is used as it is."""
    machine.put("docker", '[ "$1" != info ] || echo true')
    machine.put("make", 'echo "$1 on ${MILLRACE_BASE_IMAGE:-the base}"')
    code, said = machine.run()
    assert (code, "=== container tier on python:3.12-slim ===" in said) == (0, True)
    assert "test-container on the base" in said


@pytest.mark.parametrize(("make", "expected"), [("exit 2", 2), ("sleep 60", 124)], ids=["fail", "hang"])
def test_tests_that_fail_or_hang_fail_the_gate(machine: Machine, make: str, expected: int) -> None:
    """What could run and did not pass is no reason to go on."""
    machine.put("docker", '[ "$1" != info ] || echo true')
    machine.put("make", make)
    assert machine.run(**LIMITS)[0] == expected


def test_its_limits_leave_the_gate_time() -> None:
    """Of the gate's ninety minutes it takes forty-five at the very worst, and ten where nothing can run."""
    text = (ROOT / ".ci/containers").read_text()
    limits = {
        line.split("=")[0]: int(line.split(":-")[1].strip("}")) for line in text.splitlines() if "_SECONDS:-" in line
    }
    before = limits["START_SECONDS"] + 3 * limits["BASE_SECONDS"] + limits["STAND_IN_SECONDS"]
    assert before + limits["TEST_SECONDS"] < 45 * 60
    assert limits["START_SECONDS"] < 10 * 60
    assert os.access(ROOT / ".ci/containers", os.X_OK)
