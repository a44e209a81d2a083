"""Jobs as copies of a process that has loaded their code: nothing of one job, or of the template, is in another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.checkout import ROOT
from local_aws.executors.copied_processes import CopiedProcess, CopiedProcesses, Template
from tests.conformance.account import until

PROBE = """
import json, os, signal, sys, tempfile, random
told = {
    "argv": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd(), "name": __name__,
    "session": os.getsid(0) == os.getpid(), "stdin": os.readlink("/proc/self/fd/0"), "random": random.random(),
    "open": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1], "temporary": tempfile.gettempdir(),
    "signals": [signal.getsignal(each) == signal.SIG_DFL for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "threads": len(os.listdir("/proc/self/task")),
    "template": os.environ.get("OF_THE_TEMPLATE"), "started_with": open("/proc/self/environ").read(),
}
os.environ["LEFT_BEHIND"] = "x"
print(json.dumps(told))
"""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="jobs are copied on Linux alone"),
    pytest.mark.embedded("how the embedded AWS starts processes is its own"),
]


class Copies:
    """Copies of a template that finds its modules in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("batch_jobs", "layer/python", "work"):
            (folder / name).mkdir(parents=True)
        environment = {"PYTHONPATH": str(folder), "OF_THE_TEMPLATE": "x", "PATH": os.environ["PATH"]}
        self.copies = CopiedProcesses(Path(sys.executable), environment, folder)

    def start(self, program: str, *arguments: str, **environment: str) -> tuple[CopiedProcess, Callable[[], str]]:
        """Run a program as a module; returns the process, and what waits for all of its output."""
        probe = self.folder / "probe.py"
        if not probe.is_file() or probe.read_text() != program:  # others may be reading it
            probe.write_text(program)
        read, write = os.pipe()
        try:
            process = self.copies.start(
                "probe", arguments, environment=environment, directory=self.folder / "work", output=write
            )
        finally:
            os.close(write)

        def output() -> str:
            with os.fdopen(read) as pipe:
                return pipe.read()

        return process, output

    def told(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """What the probe says of its surroundings."""
        process, output = self.start(PROBE, *arguments, **environment)
        found: dict[str, Any] = json.loads(output())
        assert process.wait() == 0
        process.reap()
        return found


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    """A template of its own."""
    return Copies(tmp_path)


def test_a_copy_is_as_a_process_of_its_own(copies: Copies) -> None:
    """Arguments, variables, directory, session, signals, descriptors: its own; the template's secrets are nowhere."""
    first = copies.told("one", "two words", TMPDIR=str(copies.folder), SECRET="first")
    second = copies.told(TMPDIR=str(copies.folder / "work"), OTHER="é")
    assert (first["argv"], second["argv"]) == (["one", "two words"], [])
    assert first["environment"] == {"TMPDIR": str(copies.folder), "SECRET": "first"}
    assert second["environment"] == {"TMPDIR": str(copies.folder / "work"), "OTHER": "é"}
    assert (first["temporary"], second["temporary"]) == (str(copies.folder), str(copies.folder / "work"))
    assert first["random"] != second["random"]
    for told in (first, second):
        assert (told["name"], told["directory"]) == ("__main__", str(copies.folder / "work"))
        assert (told["session"], told["stdin"], told["open"]) == (True, os.devnull, [0, 1, 2])
        assert (told["signals"], told["blocked"], told["threads"]) == ([True] * 3, [], 1)
        assert (told["template"], "SECRET" in told["started_with"]) == (None, False)


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("raise SystemExit(3)", 3, ""), ("raise SystemExit", 0, ""), ("import sys; sys.exit('why')", 1, ""),
        ("1 / 0", 1, "ZeroDivisionError"), ("import os; os._exit(7)", 7, ""), ("import missing", 1, "No module named"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""), ("import os; os.kill(os.getpid(), 15)", -15, ""),
        ("import os; os.abort()", -6, ""), ("print('part', end='')", 0, "part"),
    ],
)  # fmt: skip
def test_how_a_copy_ends(copies: Copies, program: str, code: int, said: str) -> None:
    """Exit codes, signals and tracebacks are those of a process."""
    process, output = copies.start(program)
    assert said in output()
    assert process.wait() == code
    process.reap()


def test_signals_reach_a_copy_and_never_another(copies: Copies) -> None:
    """SIGTERM ends it as soon as it is started; after its end nothing is sent, and its number is its own until then."""
    process, output = copies.start("import time; time.sleep(60)")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert Path(f"/proc/{process.pid}").exists()  # not reaped: the number is nobody else's
    process.send_signal(signal.SIGKILL)
    process.reap()
    assert output() == ""
    until("its number is free", lambda: not Path(f"/proc/{process.pid}").exists())


def test_changed_code_is_loaded_anew(copies: Copies) -> None:
    """A job that starts after a change of the code runs the new code, whatever the template had loaded."""
    code = copies.folder / "batch_jobs/__init__.py"
    said = []
    for number in range(3):
        # Of another size each time: within a second, Python tells what it has compiled by that alone.
        code.write_text(f"NUMBER = {number}\n" + "\n" * number)
        time.sleep(0.01)
        process, output = copies.start("import batch_jobs; print(batch_jobs.NUMBER)")
        said.append(output().strip())
        process.wait()
        process.reap()
    assert said == ["0", "1", "2"]


def test_many_at_once(copies: Copies) -> None:
    """Forty copies that run side by side each end with their own code."""
    running = [copies.start("import sys, time; time.sleep(0.2); sys.exit(int(sys.argv[1]))", str(n)) for n in range(40)]
    assert [process.wait() for process, _ in running] == list(range(40))
    for process, output in running:
        process.reap()
        assert output() == ""


def test_a_template_that_is_killed(copies: Copies) -> None:
    """Its running jobs end with it, as if they were killed, and the next job has a new template."""
    process, output = copies.start("import os, time; print(os.getppid(), flush=True); time.sleep(60)")
    template = int(Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(template, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert output().strip() in {"", str(template), "1"}  # it may have been orphaned before it asked
    until("it is gone", lambda: not Path(f"/proc/{process.pid}").exists())
    assert copies.told()["argv"] == []


def test_what_a_module_opened_stays_open(tmp_path: Path) -> None:
    """A socket that a module opened when it was loaded is a copy's, too, whose other descriptors are its own three."""
    (tmp_path / "opener.py").write_text("import socket\nmade = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n")
    (tmp_path / "program.py").write_text(
        "import os, sys\nloaded = 'opener' in sys.modules\nimport opener\nopener.made.getsockname()\n"
        "there = [n for n in range(256) if os.path.exists(f'/proc/self/fd/{n}')]\n"
        "print(loaded, there == sorted([0, 1, 2, opener.made.fileno()]), sys.stdin.readline())\n"
    )
    template = Template(Path(sys.executable), {}, ["opener", "no_such_module"], [str(tmp_path)])
    for word in ("one", "two"):
        (read, asked), (answer, written) = os.pipe(), os.pipe()
        process = template.start(
            str(tmp_path / "program.py"), [], environment={}, directory=tmp_path, descriptors=(read, written, written)
        )
        os.close(read)
        os.close(written)
        with os.fdopen(asked, "w") as to, os.fdopen(answer) as said:
            to.write(f"{word}\n")
            to.close()
            assert said.read().split() == ["True", "True", word]
        assert process.wait() == 0
        process.reap()
    template.leave()


@pytest.mark.parametrize("place", ["copied_processes.LOADED_BY_JOBS", "function_processes.LOADED_BY_FUNCTIONS"])
def test_the_template_loads_what_there_is(place: str) -> None:
    """Each name that a template loads is a module; one that moved would cost each start its time again."""
    module, name = place.split(".")
    program = (
        f"import importlib, os, sys\nfrom local_aws.executors.{module} import {name}\n"
        f"for name in {name}: importlib.import_module(name)\n"
        "assert len(os.listdir('/proc/self/task')) == 1  # a copy has one thread alone"
    )
    folders = os.pathsep.join([str(ROOT), str(ROOT / "layer/python")])
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": folders}, check=True)
