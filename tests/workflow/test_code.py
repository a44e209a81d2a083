"""Code that a run brings along: the real command packs and uploads it, and the jobs run it under their own roles."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import client
from console.checkout import ROOT, Checkout
from console.find.executions import new_name
from console.find.stack import LOCAL_STACK
from console.find.target import Target
from console.operations.starting import begin
from millrace.aws.job_failures import log_tail
from millrace.client import Start
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Run, Runs, a_child_each, exit_codes
from tests.workflow.strict_stack import Strict

pytestmark = pytest.mark.long

PERCENTILES = """
from collections import Counter

import brought
from millrace import Quantiles, workload


@workload(splits="lines")
def latencies(body):
    seconds, statuses = Quantiles(), Counter()
    for record in body.json_lines():
        seconds.add(record["seconds"])
        statuses[brought.text(record["status"])] += 1
    return {"requests": statuses.total(), "seconds": seconds, "statuses": statuses}
"""
FACTOR = """
from millrace import workload


@workload()
def lines(body):
    return {"lines": FACTOR * sum(1 for _ in body.lines())}
"""
NOTHING: dict[str, Any] = {
    **dict.fromkeys(["source", "destination", "workload", "manifest", "target_bytes", "max_items", "max_shards"]),
    **dict.fromkeys(["tolerated_failure_percent", "tolerated_failure_count", "code", "code_python", "code_platform"]),
    **dict.fromkeys(["options", "include", "exclude"], ()),
}
"""The options of a start that nobody gave."""


def with_brought(folder: Path) -> Path:
    """A folder with the percentile workload and its one requirement, a wheel beside it."""
    wheels = folder.parent / "wheels"
    wheels.mkdir()
    info = "brought-1.0.dist-info"
    texts = {
        "brought.py": "def text(status):\n    return str(status)\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(wheels / "brought-1.0-py3-none-any.whl", "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    folder.mkdir()
    (folder / "latency.py").write_text(PERCENTILES)
    (folder / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\nbrought==1.0\n")
    return folder


def logs() -> tuple[dict[str, bytes], list[float], Counter[str]]:
    """Objects of JSON lines, half of them gzip; all their seconds, and the requests by status."""
    chance = random.Random(20261129)
    objects: dict[str, bytes] = {}
    seconds: list[float] = []
    statuses: Counter[str] = Counter()
    for number in range(12):
        records = [
            {"seconds": chance.lognormvariate(-1, 1), "status": chance.choice([200, 200, 404, 500])}
            for _ in range(chance.randint(1, 400))
        ]
        seconds += [record["seconds"] for record in records]
        statuses.update(str(record["status"]) for record in records)
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        objects[f"{number:02d}.jsonl" + (".gz" if number % 2 else "")] = gzip.compress(text) if number % 2 else text
    return objects, sorted(seconds), statuses


def sent(target: Target, source: str, destination: str, code: Path, **given: Any) -> Run:
    """Start a run as `millrace start --code` does."""
    places = {"source": source, "destination": destination, "code": str(code)}
    found = begin(target, None, None, {**NOTHING, **places, **given})
    return Run(found.execution_arn, found.run.folder)


def result_of(runs: Runs, run: Run) -> dict[str, Any]:
    """The workload's part of the result of a run that succeeded."""
    runs.wait(run)
    return dict(json.loads(runs.file(run, "result.json"))["result"])


def test_percentiles_by_code_alone(strict: Strict, tmp_path: Path) -> None:
    """No image is built: module and dependency come with the run, under the deployed roles, and the numbers are those
    of an independent count. A second run finds the zip there.
    """
    objects, seconds, statuses = logs()
    folder, name = with_brought(tmp_path / "code"), new_name()
    target = Target(strict.aws, LOCAL_STACK)
    source, destination = f"s3://{strict.stack.source_bucket}/{name}/", f"s3://{strict.stack.result_bucket}/{name}/"
    strict.runs.put(source, objects)
    pace = a_child_each(3)["pace"]["seconds_per_item"]
    run = sent(target, source, destination, folder / "latency.py", max_items=3, seconds_per_item=pace)
    result = result_of(strict.runs, run)

    assert result["requests"] == len(seconds)
    _, *rows = csv.reader(strict.runs.file(run, "statuses.csv").decode().splitlines())
    assert {status: int(count) for status, count in rows} == dict(statuses)
    measured = result["seconds"]
    assert (measured["count"], measured["min"], measured["max"]) == (len(seconds), seconds[0], seconds[-1])
    for percent in (50, 90, 95, 99):
        low, high = (round(len(seconds) * each / 100) for each in (percent - 1, percent + 0.5))
        assert seconds[low] <= measured[f"p{percent}"] <= seconds[high]
    assert [len(strict.runs.jobs(run, verb)) for verb in ("plan", "migrate-and-merge-shards", "merge")] == [1, 1, 0]
    assert len(strict.runs.committed(run)) == 4

    code_of = [json.loads(strict.runs.file(run, "run.json"))["request"]["code"]]
    again = sent(target, source, f"{destination}again/", folder / "latency.py")
    assert result_of(strict.runs, again) == result
    code_of.append(json.loads(strict.runs.file(again, "run.json"))["request"]["code"])
    assert code_of[0] == code_of[1]
    assert code_of[0].startswith(f"s3://{strict.stack.result_bucket}/_millrace/code/")


def test_one_runs_code_is_not_anothers(
    stack: LocalStack, runs: Runs, source: str, destination: str, tmp_path: Path
) -> None:
    """Two runs of one module's name at once, of different code: each has its own; a run without code has neither."""
    runs.put(source, {f"{number}.txt": b"one\ntwo\n" for number in range(4)})
    target, begun = Target(stack.aws, LOCAL_STACK), []
    for factor in (1, 10):
        folder = tmp_path / str(factor)
        folder.mkdir()
        (folder / "counted.py").write_text(FACTOR.replace("FACTOR", str(factor)))
        begun.append(sent(target, source, f"{destination}{factor}/", folder, max_items=1))
    assert [result_of(runs, run) for run in begun] == [{"lines": 8}, {"lines": 80}]
    without = runs.start(source, f"{destination}none/", workload="counted:lines")
    runs.wait(without, "FAILED")
    assert exit_codes(runs.job(without, "plan")) == [2]


def test_code_that_fails_on_import_ends_the_run_at_once(
    stack: LocalStack, runs: Runs, source: str, destination: str, tmp_path: Path
) -> None:
    """The plan job says why, with exit code 2, and is not tried again."""
    runs.put(source, {"a.txt": b"one\n"})
    (tmp_path / "broken.py").write_text("import no_such_package\n" + FACTOR)
    run = sent(Target(stack.aws, LOCAL_STACK), source, destination, tmp_path / "broken.py")
    runs.wait(run, "FAILED")
    job = runs.job(run, "plan")
    assert exit_codes(job) == [2]
    last = json.loads(log_tail(stack.aws.logs, job)[-1])
    assert last["error"] == "WorkloadUnavailableError"
    assert "no_such_package" in last["message"]


def test_local_run_with_code(millrace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """As docs/workloads/your-own.md has it: the module's path alone, from any folder; a wrong name ends with code 2."""
    places = ("--source", "examples/log_analysis/logs", "--destination", str(tmp_path / "slow"))
    arguments = (*places, "--option", "limit=0.5")
    ended = millrace("run", *arguments, "--code", "examples/log_analysis/slow_requests.py:slow_requests")
    assert ended.returncode == 0, ended.stderr
    assert "Code slow_requests:slow_requests" in ended.stderr
    assert (tmp_path / "slow/rows.csv").read_text().count("\n") == 39
    wrong = millrace("run", *arguments, "--code", "examples/log_analysis/slow_requests.py:slow")
    assert wrong.returncode == 2
    assert "it has latencies, slow_requests" in wrong.stderr


HEAD = "from millrace import workload\n@workload()\ndef w(item, body, *, limit: float = 1.0):\n    "
BAD = {
    "import": (
        f"import no_such_package\n{HEAD}return None",
        2,
        "cannot be imported (No module named 'no_such_package')",
    ),
    "raises": (
        f"{HEAD}return None\nraise OSError('no such disk')",
        2,
        "fails when it is imported: OSError: no such disk",
    ),
    "no-workload": ("def w(body):\n    return None\n", 2, "does not have @workload() above its function w"),
    "kinds": (f"{HEAD}return {{'n': 1}} if item.key.endswith('a.txt') else [{{'a': 1}}]", 2, "one kind can be merged"),
    "large-row": (
        f"{HEAD}yield {{'a': 'x' * 1_100_000}}",
        3,
        "a row has 1,100,009 bytes as JSON; the most is 1,000,000",
    ),
    "never": (f"{HEAD.replace('()', '(item_seconds=1)', 1)}\n    while True: pass", 3, "ITEM_TIMED_OUT"),
    "option": (f"{HEAD}return None", 2, "options.limit is 'fast'; allowed: a finite number"),
    "absolute": (f"{HEAD}return None", 2, "the name '/etc/evil.py', which would lie outside its folder"),
    "bomb": (f"{HEAD}return None", 2, "it unpacks to more than 1,000,000,000 bytes"),
}
"""Code that cannot be used: the module, the exit code, and what the user is told."""


def with_member(package: Path, name: str, megabytes: int) -> None:
    """Add a file of zeros to a zip."""
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as member:
        for _ in range(megabytes):
            member.write(bytes(1_000_000))


@pytest.mark.parametrize("kind", BAD)
def test_what_the_user_is_told_of_bad_code(
    kind: str, millrace: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The command ends with the exit code and names what is wrong; no resume is offered where the code is at fault."""
    module, code, says = BAD[kind]
    texts, folder = tmp_path / "texts", tmp_path / "code"
    for place in (texts, folder):
        place.mkdir()
    for name in ("a.txt", "b.txt"):
        (texts / name).write_text("one\n")
    (folder / "jobs.py").write_text(module)
    given = folder / "jobs.py"
    if kind in ("absolute", "bomb"):
        given = tmp_path / "jobs.zip"
        command = [sys.executable, "-m", "console", "package", str(folder), "--output", str(given)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        with_member(given, "/etc/evil.py" if kind == "absolute" else "code/zeros", 1 if kind == "absolute" else 1001)
    workload = f"{given}:w" if kind == "no-workload" else str(given)
    options = ("--option", "limit=fast") if kind == "option" else ()
    ended = millrace(
        "run", "--source", str(texts), "--destination", str(tmp_path / "out"), "--code", workload, *options
    )
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == code, ended.stderr
    assert last.startswith("millrace: error: ")
    assert says in (ended.stdout + ended.stderr if code == 3 else last)
    assert ("millrace resume" in ended.stderr) == (code == 3)


def test_a_run_from_python(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started, waited for and read as `millrace.run` does it, on the embedded AWS; the results are in the folder."""
    monkeypatch.setattr(Checkout, "here", lambda *_state: Checkout(ROOT, stack.state_dir))
    (tmp_path / "counted.py").write_text(FACTOR.replace("FACTOR", "3"))
    places = (str(ROOT / "examples/log_analysis/logs"), str(tmp_path / "out"))
    run = client.start(Start(*places, None, str(tmp_path / "counted.py"), "local", {}, {"include": ["*.jsonl"]}))
    lines = (ROOT / "examples/log_analysis/logs/2026-03-01.jsonl").read_text().count("\n")
    assert run.wait(quiet=True).result == {"lines": 3 * lines}
    assert run.counts["items"] == 1
    assert list(run.failures()) == []
    assert (tmp_path / "out/result.json").is_file()
