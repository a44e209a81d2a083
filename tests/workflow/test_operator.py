"""The operator's verbs, as the real command on the real stack."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from console.checkout import ROOT
from millrace.layout import RunFolder, S3Uri
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Run, Runs, until
from tests.workflow.texts import NOT_TEXT, texts

pytestmark = pytest.mark.long

Watcher = Callable[[str], str]
Operator = Callable[..., "subprocess.CompletedProcess[str]"]

SEVERAL = ("--seconds-per-item", "18")
"""Work for more than one child, where there are nine items."""

FLAG = "flag"
"""While there is no such file in the test's folder, the program of its `command` run does what it should not."""


def command_of(stack: LocalStack, *words: str) -> list[str]:
    """The command line of a verb on this session's stack."""
    return [sys.executable, "-m", "console", *words, "--state-dir", str(stack.state_dir)]


def interruptible(command: list[str]) -> subprocess.Popen[str]:
    """Start a command that Ctrl-C reaches, also where the tests themselves run in the background and ignore it."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is started here
    )


@pytest.fixture(scope="session")
def operator(stack: LocalStack) -> Operator:
    """Run `millrace VERB …` as an operator would."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = command_of(stack, *words)
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "\x1b" not in ended.stdout + ended.stderr
        return ended

    return run


@pytest.fixture(scope="session")
def watcher(stack: LocalStack) -> Watcher:
    """Watch the latest run until a line says this, press Ctrl-C, and return what is said then."""

    def watch(awaited: str) -> str:
        with interruptible(command_of(stack, "watch")) as process:
            assert process.stderr is not None
            assert any(awaited in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            _, noted = process.communicate(timeout=30)
        assert process.returncode == 130
        return noted

    return watch


@pytest.fixture
def folders(source: str, destination: str) -> tuple[str, str]:
    """A fresh source and a fresh destination."""
    return source, destination


def requested(tmp_path: Path, source: str, destination: str, action: str) -> str:
    """A file with the input of a run that does something first, with the key as $1, until the flag is there."""
    script = f'if [ ! -e "$2" ]; then {action}; fi; cp "$3" "$4"'
    flag = tmp_path / FLAG
    request = {
        "source": source,
        "destination": destination,
        "workload": "command",
        "options": {
            "command": ["sh", "-c", script, "sh", "{key}", str(flag), "{input}", "{output}"],
            "bad_item_exit_codes": ["1"],
            "parallel": 1,
        },
        "shard": {"max_items": 3},
    }
    path = tmp_path / "input.json"
    path.write_text(json.dumps(request))
    return str(path)


def rows(directory: Path) -> list[dict[str, str]]:
    """The rows of a report that was written to a folder."""
    return list(csv.DictReader(StringIO((directory / "report.csv").read_text(), newline="")))


def found(operator: Operator, run_id: str) -> Run:
    """The run as the other tests' functions know it."""
    document = json.loads(operator("status", run_id, "--json").stdout)
    return Run(document["execution_arn"], RunFolder(S3Uri.parse(document["run_folder"])))


def worker(runs: Runs, run: Run, shard: int) -> int:
    """The child that committed a shard: its own, or one that helped."""
    job: str = json.loads(runs.read(run.folder.commit(shard)) or b"")["job"]["id"]
    return int(job.rpartition(":")[2])


def test_a_run_from_estimate_to_report(
    operator: Operator, runs: Runs, source: str, destination: str, tmp_path: Path
) -> None:
    """What `run` did is what `estimate` foresaw, and what status, watch, list, logs and report say of it afterwards."""
    runs.put(source, {**texts(8), "bad.txt": NOT_TEXT, "bad/": b""})
    foreseen = json.loads(operator("estimate", source, "--max-items", "3", *SEVERAL, "--json").stdout)
    assert (foreseen["items"], foreseen["shards"], foreseen["skipped"]["folder_markers"]) == (9, 3, 1)
    assert "about $" in operator("estimate", source).stdout

    words = (
        *("--source", source, "--destination", destination, "--max-items", "3", *SEVERAL),
        *("--tolerated-failure-percent", "20"),
    )
    ended = operator("run", *words, "--id", f"letters-{tmp_path.name}", "--json")
    document = json.loads(ended.stdout)
    assert "Migrate: done, 3 of 3 shards done" in ended.stderr
    assert document["run_id"] == f"letters-{tmp_path.name}"
    assert (document["status"], document["error"], document["waiting"]) == ("SUCCEEDED", None, None)
    assert {step["name"]: step["status"] for step in document["steps"] if step["status"] != "succeeded"} == {
        "Plan": "skipped",
        "Merge": "skipped",
    }
    assert (document["planned"]["items"], document["children"]["succeeded"]) == (foreseen["items"], 3)
    assert document["planned"]["bytes"] == foreseen["bytes"]
    committed = document["committed"]
    assert (committed["shards"], committed["items"], committed["failed"], committed["reused_shards"]) == (3, 9, 1, 0)
    assert document["output"]["counts"]["succeeded"] == 8

    beginning = document["run_id"][:-1]
    status = json.loads(operator("status", beginning, "--json").stdout)
    cost = status.pop("cost")
    assert status.pop("then") is None
    assert status == document
    assert {stage: told["attempts"] for stage, told in cost["stages"].items()} == {"migrate-and-merge": 3}
    assert cost["estimated_dollars"] == pytest.approx(foreseen["dollars"]["total"], rel=0.01)
    assert "about $" in operator("status", beginning).stdout
    assert "9 of 9 items committed, 1 failed" in operator("status", beginning).stdout
    watched = operator("watch", document["execution_arn"])
    assert "9 items" in watched.stdout
    assert "NOT_TEXT" in watched.stdout
    listed = json.loads(operator("list", "--json", "--limit", "1").stdout)
    assert [each["name"] for each in listed] == [document["run_id"]]
    assert document["run_id"] in operator("list").stdout
    lines = [json.loads(line) for line in operator("logs", beginning, "--shard", "1", "--json").stdout.splitlines()]
    run = found(operator, beginning)
    assert {(line["step"], line["child"], line["attempt"]) for line in lines} == {("Migrate", worker(runs, run, 1), 1)}
    assert any(line["line"]["message"] == "shard committed" for line in lines)
    assert "shard committed" in operator("logs", beginning).stdout
    rejected = runs.file(run, "failures.jsonl")
    (bad,) = (json.loads(line)["shard"] for line in rejected.splitlines())
    failing = [json.loads(line) for line in operator("logs", beginning, "--failed", "--json").stdout.splitlines()]
    assert {(line["step"], line["child"]) for line in failing} == {("Migrate", worker(runs, run, bad))}

    told = operator("report", document["run_folder"], "--output", str(tmp_path))
    assert "9 items" in told.stdout
    for name in ("report.csv", "failures.jsonl"):
        assert (tmp_path / name).read_bytes() == runs.file(run, name)
    page = (tmp_path / "report.html").read_text()
    assert "Succeeded, with failures that the run tolerates" in page
    assert "s3://" in page.partition("words.csv")[2].partition("</tr>")[0]


def test_logs_are_followed_to_the_end(
    operator: Operator, runs: Runs, source: str, destination: str, tmp_path: Path
) -> None:
    """From the start of a run: each line of plan, shards and merge once, then the command ends with the run."""
    runs.put(source, texts(6))
    (tmp_path / "input.json").write_text(json.dumps({"plan": "job", "pace": {"seconds_per_item": 20}}))
    words = (
        *("--source", source, "--destination", destination, "--max-items", "3"),
        *("--input", str(tmp_path / "input.json")),
    )
    run_id = operator("start", *words).stdout.strip()
    told = [json.loads(line) for line in operator("logs", run_id, "--follow", "--json").stdout.splitlines()]
    lines = [line for line in told if line["line"] is not None]
    assert {"Plan", "Migrate", "Merge"} <= {line["step"] for line in lines}
    assert any(line["line"]["message"] == "merged" for line in lines)
    seen = Counter(json.dumps(line) for line in lines)
    assert set(seen.values()) == {1}
    assert json.loads(operator("status", run_id, "--json").stdout)["status"] == "SUCCEEDED"


def test_a_broken_child_is_found_and_redriven(
    operator: Operator, runs: Runs, source: str, destination: str, tmp_path: Path
) -> None:
    """Status, watch and logs lead to the child that broke, report says what was not run, and a redrive continues."""
    runs.put(source, texts(9))
    broken = 'case "$1" in *004.txt) echo no such luck >&2; exit 9 ;; esac'
    asked = requested(tmp_path, source, destination, broken)
    run_id = operator("start", "--input", asked).stdout.strip()
    ended = operator("watch", run_id, code=2)
    assert "child 1, the first of 1 failed of 3" in ended.stderr.splitlines()[-1]

    status = operator("status", run_id)
    assert "✗ Migrate" in status.stdout
    assert "child 1" in status.stdout
    assert "millrace resume" in status.stdout
    lines = [json.loads(line) for line in operator("logs", run_id, "--failed", "--json").stdout.splitlines()]
    assert {(line["step"], line["child"]) for line in lines} == {("Migrate", 1)}
    assert lines[-1]["line"]["level"] == "ERROR"
    told = operator("logs", run_id, "--failed").stdout
    assert "exit code 9" in told
    assert "no such luck" not in told  # a command's words may quote its object: they are logged at DEBUG alone

    document = json.loads(operator("report", run_id, "--output", str(tmp_path), "--json").stdout)
    assert document["shards"] == {"total": 3, "committed": 2}
    assert document["failures"] == {"NOT_RUN": 3}
    page = Path(document["files"]["report.html"]).read_text()
    assert "Failed before completion" in page
    assert "child 1, the first of 1 failed of 3" in page
    assert [Path(row["Key"]).stem for row in rows(tmp_path) if row["ErrorCode"] == "NOT_RUN"] == ["003", "004", "005"]

    (tmp_path / FLAG).touch()
    assert "none of the other options" in operator("resume", run_id, "--redrive", "--retry-failed", code=2).stderr
    redriven = json.loads(operator("resume", run_id, "--redrive", "--json").stdout)
    assert (redriven["status"], redriven["redrive_count"]) == ("SUCCEEDED", 1)
    assert redriven["execution_arn"].endswith(f":{run_id}")
    assert (redriven["committed"]["shards"], redriven["committed"]["reused_shards"]) == (3, 2)
    assert "is complete" in operator("resume", run_id).stderr
    assert json.loads(operator("resume", run_id, "--json").stdout)["steps"] == redriven["steps"]
    told = json.loads(operator("resume", redriven["run_folder"], "--json", "--no-watch").stdout)
    assert told["run_id"] == run_id


def test_a_run_cancelled_in_mid_array_goes_on_later(
    operator: Operator, watcher: Watcher, runs: Runs, folders: tuple[str, str], tmp_path: Path
) -> None:
    """Cancel leaves no job running and keeps commits; report shows what was not run; resume does that alone."""
    source, destination = folders
    runs.put(source, texts(18))
    slow = 'case "$1" in *000.txt) exit 1 ;; *00[1-5].txt) ;; *) sleep 100 ;; esac'
    run_id = operator("start", "--input", requested(tmp_path, source, destination, slow)).stdout.strip()
    run = found(operator, run_id)
    until("two commits", lambda: runs.committed(run) == [0, 1])

    noted = watcher("2 of 6 shards done")
    assert f"millrace cancel {run_id}" in noted
    assert json.loads(operator("status", "--json").stdout)["status"] == "RUNNING"
    assert "still running" in operator("report", "--output", str(tmp_path)).stderr

    cancelled = json.loads(operator("cancel", run_id, "--json").stdout)
    assert not [job for verb in ("plan", "migrate", "merge") for job in runs.unended(run, verb)]
    assert cancelled["shards"] == {"committed": 2, "total": 6}
    assert cancelled["stopped_executions"] == [run.execution]
    assert "its status is ABORTED" in operator("cancel", run_id, code=2).stderr
    stopped = operator("status", run_id).stdout
    assert "Aborted: cancelled" in stopped
    assert "2 of 6 shards done, 6 children cancelled" in stopped
    assert "shards failed" not in stopped
    document = json.loads(operator("status", run_id, "--json").stdout)
    assert (document["children"]["failed"], document["children"]["cancelled"]) == (0, 6)
    assert next(step["status"] for step in document["steps"] if step["name"] == "Migrate") == "cancelled"
    told = operator("report", run_id, "--output", str(tmp_path))
    assert "2 of 6 shards are committed" in told.stdout
    assert "Cancelled before completion" in (tmp_path / "report.html").read_text()
    assert "millrace resume" in told.stderr
    assert Counter(row["ErrorCode"] for row in rows(tmp_path)) == {"": 5, "COMMAND_FAILED": 1, "NOT_RUN": 12}

    (tmp_path / FLAG).touch()
    resumed = operator("resume", run_id, "--tolerated-failure-percent", "10")
    assert "2 of 6 shards (6 items) were done before" in resumed.stdout
    again = json.loads(operator("resume", run_id, "--retry-failed", "--json").stdout)
    assert again["run_id"] == run_id
    assert again["output"]["counts"]["failed"] == 0
    assert again["output"]["retry"]["items"] == 1
    assert json.loads(operator("status", run_id, "--json").stdout)["execution_arn"] == again["execution_arn"]
    assert "is complete" in operator("resume", run_id).stderr


def test_what_is_not_there_is_told(operator: Operator, destination: str) -> None:
    """A run that is unknown or ambiguous, or no run folder, is wrong usage; on a healthy stack no check fails."""
    assert "there is no such run" in operator("status", "nobodys-run", code=2).stderr
    names = [each["name"] for each in json.loads(operator("list", "--json").stdout)]
    if len({name[:1] for name in names}) < len(names):
        assert "runs start with it" in operator("status", "2", code=2).stderr
    assert "this is not a run folder" in operator("report", f"{destination}_millrace/x/", code=2).stderr
    found = json.loads(operator("doctor", "--json").stdout)
    assert {check["name"]: check["outcome"] for check in found if check["outcome"] == "fail"} == {}
    assert len(found) == 15
    shown = operator("doctor").stdout
    assert [check["name"] for check in found if f" {check['name']} " not in shown] == []
    (alarms,) = (check for check in found if check["name"] == "alarms")
    assert alarms["message"] == "CloudWatch may use the topic's key"
