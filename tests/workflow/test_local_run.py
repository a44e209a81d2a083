"""`millrace local run`, the real command on the real stack: what it counts, what it writes, how it refuses."""

import contextlib
import csv
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import unicodedata
import venv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import embedded_aws
from console.checkout import DEFAULT_PORT, ROOT
from console.find.aws import Aws
from console.find.stack import LOCAL_STACK, Stack

Millrace = Callable[..., "subprocess.CompletedProcess[str]"]


def words_of(text: str) -> Counter[str]:
    """An independent count: runs of letters, marks and numbers by Unicode category, each lower-cased as a whole."""
    kept = ("".join(each if unicodedata.category(each)[0] in "LMN" else " " for each in text)).split(" ")
    return Counter(word.lower() for word in kept if word)


def words_csv(text: str) -> dict[str, int]:
    """The totals in a words.csv."""
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["word", "count"]
    return {word: int(number) for word, number in rows[1:]}


def last_line(ended: "subprocess.CompletedProcess[str]") -> str:
    """The last line on standard error."""
    return ended.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def two_thousand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Counter[str]]]:
    """A folder of 2,000 generated files of mixed size, in several scripts and folders, and the count of each."""
    chance = random.Random(20261121)
    alphabets = [
        "abcdefghij",
        "ABCÉÈÀßœ",
        "абвгдежз",
        "αβγδεζης",
        "你我他的是不",
        "कखगािी्",
        "اأبتثج",
        "0123456789٣٤",
        "e\u0301a\u0308",
    ]
    words = ["".join(chance.choices(chance.choice(alphabets), k=chance.randint(1, 9))) for _ in range(600)]
    between = [" ", "\n", ", ", "_", "-", "\r\n", "\t", ". ", "'", "\u00a0", "\u2028"]
    folder, counts = tmp_path_factory.mktemp("two-thousand"), {}
    for number in range(2000):
        length = 0 if number % 97 == 0 else int(chance.paretovariate(1.1) * 3)
        text = "".join(chance.choice(words) + chance.choice(between) for _ in range(min(length, 20_000)))
        key = f"{number % 7}/{number:04d} é&+%.txt"
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(text.encode())
        counts[key] = words_of(text)
    return folder, counts


@pytest.mark.long
def test_the_demo(millrace: Millrace, tmp_path: Path) -> None:
    """The README's first command counts the examples right, shows them, and a second one has nothing to build."""
    arguments = ("--source", "examples/documents", "--destination", str(tmp_path / "demo"))
    millrace("run", *arguments)
    ended = millrace("run", *arguments)

    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "demo" / "result.json").read_text())
    documents = [path for path in (ROOT / "examples/documents").iterdir() if path.suffix == ".txt"]
    plain = sum((words_of(path.read_text()) for path in documents), Counter[str]())
    totals = words_csv((tmp_path / "demo" / "words.csv").read_text())
    assert all(totals[word] >= number for word, number in plain.items())
    top = result["result"]["top"][0]
    assert re.search(rf"{top['word']}\s+{top['count']}", ended.stdout)
    assert f"{result['counts']['items']} items" in ended.stdout
    assert "millrace local down" in ended.stdout
    assert (tmp_path / "demo" / "_SUCCESS").exists()
    assert (tmp_path / "demo" / f"{documents[0].name}.words.txt").exists()
    assert "0 new or changed" in ended.stderr
    assert "the folder was not empty" in ended.stdout
    assert "sam" not in ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr


@pytest.mark.long
def test_two_thousand_files_in_one_shard(
    millrace: Millrace, two_thousand: tuple[Path, dict[str, Counter[str]]], tmp_path: Path
) -> None:
    """With one shard every total is right, and so is every file that comes back into the folder."""
    folder, counts = two_thousand
    ended = millrace(
        "run", "--source", str(folder), "--destination", str(tmp_path / "out"), "--max-items", "5000", "--json"
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["counts"] == {
        "items": 2000,
        "succeeded": 2000,
        "failed": 0,
        "shards": 1,
        "bytes": sum(path.stat().st_size for path in folder.rglob("*.txt")),
    }
    assert words_csv((tmp_path / "out/words.csv").read_text()) == sum(counts.values(), Counter())
    for key, expected in counts.items():
        lines = (tmp_path / "out" / f"{key}.words.txt").read_text().splitlines()
        found = {word: int(number) for word, _, number in (line.rpartition(":") for line in lines)}
        assert found == expected, key


@pytest.mark.parametrize(
    ("shards", "limits"),
    [(2, ("--max-items", "10", "--max-shards", "2")), pytest.param(40, ("--max-items", "50"), marks=pytest.mark.long)],
)
def test_two_thousand_files_in_many_shards(
    millrace: Millrace,
    two_thousand: tuple[Path, dict[str, Counter[str]]],
    destination: str,
    s3: Any,
    *,
    shards: int,
    limits: tuple[str, ...],
) -> None:
    """However the same files are cut into shards, the totals are the same."""
    folder, counts = two_thousand
    several = ("--seconds-per-item", "0.1")  # work for more than one child
    ended = millrace("run", "--source", str(folder), "--destination", destination, "--json", *limits, *several)
    assert ended.returncode == 0, ended.stderr
    assert f"{shards} of {shards} shards done" in ended.stderr
    result = json.loads(ended.stdout)
    assert result["counts"]["shards"] == shards
    bucket, _, key = result["files"]["words.csv"].removeprefix("s3://").partition("/")
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert words_csv(text) == sum(counts.values(), Counter())


def test_an_empty_folder(millrace: Millrace, tmp_path: Path) -> None:
    """No files, no shards: the command exits with 2 and says so; with --allow-empty a successful, empty result."""
    (tmp_path / "empty").mkdir()
    arguments = ("--source", str(tmp_path / "empty"), "--destination", str(tmp_path / "out"))
    refused = millrace("run", *arguments)
    assert refused.returncode == 2
    assert "there is no file in" in last_line(refused)
    assert "--allow-empty" in last_line(refused)
    ended = millrace("run", *arguments, "--allow-empty")
    assert ended.returncode == 0, ended.stderr
    assert "Migrate: nothing to do" in ended.stderr
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["counts"] == {"items": 0, "succeeded": 0, "failed": 0, "bytes": 0, "shards": 0}
    assert (tmp_path / "out/words.csv").read_bytes().strip() == b"word,count"


ODD_KEYS = [
    "plain.txt",
    "a b+c#d%20.txt",
    "a//b",
    "../up",
    "/abs",
    "a/./b",
    "new\nline",
    "e\u0301",
    "é",
    "folder/",
    "&<>\"'",
]


def test_odd_keys(millrace: Millrace, source: str, s3: Any, tmp_path: Path) -> None:
    """Every key is worked; those that are no file names are not written as files, and named; none leaves the folder."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=prefix + key, Body=b"one two two")
    longest = "k" * (1024 - len(prefix))
    s3.put_object(Bucket=bucket, Key=prefix + longest, Body=b"one two two")
    s3.put_object(Bucket=bucket, Key=prefix + "marker/", Body=b"")
    s3.put_object(Bucket=bucket, Key=prefix + "empty.txt", Body=b"")
    out = tmp_path / "below" / "out"

    ended = millrace("run", "--source", source, "--destination", str(out), "--tolerated-failure-percent", "50")

    assert ended.returncode == 0, ended.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["counts"]["items"] == len(ODD_KEYS) + 2
    assert result["failures"] == {"KEY_NOT_USABLE": 1}
    assert "KEY_NOT_USABLE" in ended.stdout
    assert result["result"]["total_words"] == 3 * len(ODD_KEYS)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.words.txt")}
    refused = {"a//b", "../up", "/abs", "a/./b"}
    assert written == {f"{key}.words.txt" for key in [*ODD_KEYS, "empty.txt"] if key not in refused}
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["out"]
    warning = next(line for line in ended.stderr.splitlines() if line.startswith("warning"))
    assert warning.startswith("warning: 4 objects cannot be a file here")
    assert all(f"{key}.words.txt" in warning for key in refused)


def test_too_many_failures_leave_the_report(millrace: Millrace, tmp_path: Path) -> None:
    """More bad files than tolerated: exit code 3, what succeeded is fetched, marked _INCOMPLETE; then it is accepted.

    The line that accepts it is the one that the command prints, and the folder has the complete result afterwards.
    """
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "good.txt").write_text("good words here")
    (folder / "bad\x1b[31m.txt").write_bytes(b"\xff\xfe\xfd")
    ended = millrace("run", "--source", str(folder), "--destination", str(out), "--max-items", "1")
    assert ended.returncode == 3
    assert last_line(ended).startswith("millrace: error: Migrate And Merge failed: TooManyFailuresError: ")
    assert "1 of 2 items failed" in last_line(ended)
    assert re.search(r"NOT_TEXT\s+1\s+.*bad\\x1b\[31m.txt", ended.stdout)
    assert "NOT_TEXT" in (out / "report.csv").read_text()
    assert len((out / "failures.jsonl").read_text().splitlines()) == 1
    assert words_csv((out / "words.csv").read_text()) == {"good": 1, "words": 1, "here": 1}
    assert (out / "good.txt.words.txt").exists()
    assert (out / "_INCOMPLETE").exists()
    assert not (out / "_SUCCESS").exists()
    accepting = re.search(r"^Accept +millrace (resume .*--tolerated-failure-percent 50.*)$", ended.stderr, re.MULTILINE)
    assert accepting is not None, ended.stderr
    shutil.rmtree(out)
    accepted = subprocess.run(
        [sys.executable, "-m", "console", *shlex.split(accepting[1])],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert accepted.returncode == 0, accepted.stderr
    assert (out / "_SUCCESS").exists()
    assert not (out / "_INCOMPLETE").exists()
    assert json.loads((out / "result.json").read_text())["status"] == "SUCCEEDED_WITH_FAILURES"
    assert words_csv((out / "words.csv").read_text()) == {"good": 1, "words": 1, "here": 1}


def test_a_run_is_resumed_and_a_broken_child_is_explained(millrace: Millrace, s3: Any, tmp_path: Path) -> None:
    """A failed array ends with its failed child's own error; the same run, repaired, continues to the same result."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text("water mill " * number)
    arguments = (
        *("--source", str(folder), "--destination", str(out), "--max-items", "2"),
        *("--seconds-per-item", "25"),  # work for a child a shard
    )
    first = json.loads(millrace("run", *arguments, "--json").stdout)
    bucket, _, key = first["files"]["words.csv"].removeprefix("s3://").partition("/")
    root = key.removesuffix("words.csv")
    planned = s3.list_objects_v2(Bucket=bucket, Prefix=f"{root}plan/")["Contents"][1]["Key"]
    plan = s3.get_object(Bucket=bucket, Key=planned)["Body"].read()
    s3.put_object(Bucket=bucket, Key=planned, Body=b"no plan\n")
    for shard in range(3):
        s3.delete_object(Bucket=bucket, Key=f"{root}shards/{shard:05d}.json")

    broken = millrace("run", *arguments, "--run-id", first["run_id"])

    assert broken.returncode == 2
    assert last_line(broken).startswith("millrace: error: Migrate And Merge Shards failed: DamagedFileError: ")
    assert re.search(r"\(child [0-2], the first of [1-3] failed of 3; job ", last_line(broken))
    assert "Array Child Job failed" not in broken.stderr

    s3.put_object(Bucket=bucket, Key=planned, Body=plan)
    before = (out / "words.csv").read_bytes()
    repaired = millrace("run", *arguments, "--run-id", first["run_id"], "--json")
    assert repaired.returncode == 0, repaired.stderr
    assert "0 new or changed" in repaired.stderr
    assert json.loads(repaired.stdout)["run_id"] == first["run_id"]
    assert (out / "words.csv").read_bytes() == before

    other = millrace("run", *arguments, "--run-id", first["run_id"], "--option", "top=1")
    assert other.returncode == 2
    assert last_line(other).startswith("millrace: error: Prepare Run failed: RunIdentityError: ")


def test_a_source_that_changes_during_the_run(millrace: Millrace, s3: Any, tmp_path: Path) -> None:
    """Files that changed or went after the plan fail alone, by their codes; no file was copied, none was touched."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("water mill " * (number + 1))
    arguments = ("--source", str(folder), "--destination", str(out), "--max-items", "2")
    first = json.loads(millrace("run", *arguments, "--json").stdout)
    bucket, _, key = first["files"]["words.csv"].removeprefix("s3://").partition("/")
    s3.delete_object(Bucket=bucket, Key=f"{key.removesuffix('words.csv')}shards/00001.json")
    (folder / "2.txt").write_text("winter mill" * 3)  # as many bytes
    (folder / "3.txt").unlink()
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}

    again = millrace("run", *arguments, "--run-id", first["run_id"], "--tolerated-failure-count", "2", "--json")

    assert "1 new or changed, 1 deleted" in again.stderr
    result = json.loads(again.stdout)
    assert result["failures"] == {"SOURCE_CHANGED": 1, "NOT_FOUND": 1}
    assert result["counts"]["succeeded"] == 2
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_ctrl_c_leaves_the_run_going(stack: Any, tmp_path: Path) -> None:
    """Ctrl-C ends the watching alone and says how to come back; the line that it says finds the run and its result."""
    folder, out, gate = tmp_path / "in", tmp_path / "out", tmp_path / "gate"
    folder.mkdir()
    gate.touch()
    for number in range(4):
        (folder / f"{number}.txt").write_text("water mill " * number)
    waiting = ["sh", "-c", f"while [ -e {gate} ]; do sleep 0.1; done; cat $0", "{input}"]
    command = [sys.executable, "-m", "console", "local", "run", "--state-dir", str(stack.state_dir), "--max-items", "2"]
    command += ["--source", str(folder), "--destination", str(out), "--workload", "command"]
    command += ["--option", f"command={json.dumps(waiting)}", "--option", "output_suffixes=.copy"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # Ctrl-C reaches it also where the tests themselves run in the background and ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("Migrate"):
                process.send_signal(signal.SIGINT)
                break
        said += process.stderr.readlines()
    assert process.returncode == 130
    run_id = re.search(r"--run-id (\S+)", "".join(said))
    assert run_id is not None, said
    assert f"stop it   millrace cancel {run_id[1]} --state-dir={stack.state_dir}\n" in "".join(said)
    back = [*command, "--run-id", run_id[1]]
    with subprocess.Popen(back, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as again:
        assert again.stderr is not None
        said = []
        for line in again.stderr:
            said.append(line)
            if "is running; watching it" in line:
                gate.unlink()
    assert again.returncode == 0, said
    assert not gate.exists(), said
    assert json.loads((out / "result.json").read_text())["counts"]["succeeded"] == 4


def test_a_missing_bucket(millrace: Millrace, destination: str) -> None:
    """A bucket that does not exist is none of the stack's, and refused before anything is started."""
    ended = millrace("run", "--source", "s3://no-such-bucket-here/x/", "--destination", destination)
    assert ended.returncode == 2
    assert last_line(ended).startswith(
        "millrace: error: source is 's3://no-such-bucket-here/x/'; allowed: a folder of "
    )


def test_foreign_buckets_are_refused(millrace: Millrace, stack: Any, s3: Any, source: str, destination: str) -> None:
    """A bucket that is there and not the stack's is refused as a source and as a destination, as documented."""
    s3.create_bucket(Bucket="somebody-elses")
    s3.put_object(Bucket="somebody-elses", Key="a.txt", Body=b"one")
    for *given, does in (
        ("s3://somebody-elses/", destination, "reads"),
        (source, "s3://somebody-elses/out/", "writes"),
    ):
        ended = millrace("run", "--source", given[0], "--destination", given[1])
        assert ended.returncode == 2
        assert f"which this stack {does}" in last_line(ended)
        words = ["run", "--source", given[0], "--destination", given[1], "--state-dir", str(stack.state_dir)]
        run = subprocess.run([sys.executable, "-m", "console", *words], capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert f"which this stack {does}" in last_line(run)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="somebody-elses")["Contents"]] == ["a.txt"]


@pytest.mark.long
def test_a_deployment_takes_parameters(tmp_path: Path) -> None:
    """A parameter reaches the stack and stays with later deployments; a slip, or one of our own, starts nothing."""
    command = [sys.executable, "-m", "console", "local"]
    state = ["--state-dir", str(tmp_path / "state")]

    def deploy(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, "deploy", *state, "--port", "0", *words], capture_output=True, text=True, check=False
        )

    for wrong in ("MaxvCpus", "Image=x", "Max vCpus=4", "A=b\nc"):
        refused = deploy("--parameter", wrong)
        assert refused.returncode == 2, wrong
        assert "parameter is" in last_line(refused)
    assert not (tmp_path / "state").exists()
    try:
        made = deploy("--parameter", "MaxvCpus=3", "--parameter", "NotificationEmail=somebody@example.com")
        assert made.returncode == 0, made.stderr
        again = deploy()
        server = embedded_aws.find(tmp_path / "state")
        assert server is not None
        stack = Stack.find(Aws.embedded(server.endpoint_url), LOCAL_STACK)
    finally:
        subprocess.run([*command, "down", *state], check=True, capture_output=True)
    assert again.returncode == 0
    assert "is deployed" not in again.stderr
    assert stack.parameters["MaxvCpus"] == "3"
    assert stack.parameters["NotificationEmail"] == "somebody@example.com"


def test_an_unknown_run_id(millrace: Millrace, source: str, destination: str) -> None:
    """Going on with a run that never was is refused by name."""
    ended = millrace("run", "--source", source, "--destination", destination, "--run-id", "never-was")
    assert ended.returncode == 2
    assert "run_id is 'never-was'; allowed: the id of an earlier run" in last_line(ended)


def test_a_run_id_used_before(run_to_end: Any, source: str, destination: str, s3: Any) -> None:
    """An execution of a name whose run folder is another's is refused, and is told how to resume that run."""
    bucket, _, prefix = destination.removeprefix("s3://").partition("/")
    run_json = json.dumps({"run_id": "taken", "execution_arn": "arn:other", "started_at": "2026", "request": {}})
    s3.put_object(Bucket=bucket, Key=f"{prefix}_millrace/taken/run.json", Body=run_json.encode())
    ended = run_to_end({"source": source, "destination": destination}, name="taken")
    assert ended["status"] == "FAILED"
    assert ended["error"] == "InvalidRunRequest"
    assert "a name that no earlier run had" in ended["cause"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--source", "s3:/bucket/x", "--destination", "out"), "source is 's3:/bucket/x'; allowed: an S3 URI"),
        (("--source", "missing", "--destination", "out"), "there is no such folder"),
        (("--source", "in", "--destination", "in/out"), "neither may be inside the other"),
        (("--source", "s3://some-bucket/a/", "--destination", "s3://some-bucket/a/b/"), "neither may be inside"),
        (("--source", "in", "--destination", "out", "--workload", "word-cuont"), "workload is 'word-cuont'; allowed"),
        (("--source", "in", "--destination", "out", "--option", "topp=3"), "did you mean top?"),
        (("--source", "in", "--destination", "out", "--option", "top"), "option is 'top'; allowed: NAME=VALUE"),
        (("--source", "in", "--destination", "out", "--max-shards", "100001"), "shard.max_shards is 100001"),
        (("--source", "in", "--destination", "out", "--max-items", "many"), "'many' is not a valid integer"),
        (("--source", "in"), "Missing option '--destination'"),
    ],
)
def test_a_bad_request_starts_nothing(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """A slip in the command costs no server and no deployment: one line, exit code 2."""
    (tmp_path / "in").mkdir()
    ended = subprocess.run(
        [Path(sys.executable).with_name("millrace"), "local", "run", "--state-dir", "state", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("millrace: error: ")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_taken_port(tmp_path: Path) -> None:
    """A port that another program holds is an error that says so and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "console", "local", "up", "--state-dir", str(tmp_path), "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert last_line(ended).startswith(f"millrace: error: port {port} on 127.0.0.1 is taken")
    assert "--port" in last_line(ended)


def test_a_taken_usual_port(tmp_path: Path) -> None:
    """Where nobody asked for a port and another program holds the usual one, a free one is taken, and told."""
    with contextlib.ExitStack() as cleanup:
        with contextlib.suppress(OSError):  # another program has it already
            cleanup.enter_context(socket.create_server(("127.0.0.1", DEFAULT_PORT)))
        command = [sys.executable, "-m", "console", "local"]
        state = ["--state-dir", str(tmp_path)]
        up = subprocess.run([*command, "up", *state], capture_output=True, text=True, check=False)
        subprocess.run([*command, "down", *state], capture_output=True, check=True)
    assert up.returncode == 0, up.stderr
    assert f"Port {DEFAULT_PORT} is taken; a free one is used instead." in up.stderr
    port = re.match(r"export AWS_ENDPOINT_URL=http://127\.0\.0\.1:(\d+) ", up.stdout)
    assert port is not None
    assert int(port[1]) != DEFAULT_PORT


def test_sam_missing(tmp_path: Path) -> None:
    """Without sam on the PATH or beside the interpreter, a deployment says what to install."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (Path(packages) / "ours.pth").write_text("\n".join([*ours, str(ROOT), str(ROOT / "layer/python")]) + "\n")
    assert shutil.which("sam", path="/usr/bin:/bin") is None
    command = [str(python), "-m", "console", "local"]
    state = ("--state-dir", str(tmp_path / "state"))
    try:
        ended = subprocess.run(
            [*command, "deploy", *state, "--port", "0"],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run([*command, "down", *state], check=True, capture_output=True)
    assert ended.returncode == 1
    assert last_line(ended).startswith("millrace: error: find the command sam: ")
    assert "make install" in last_line(ended)


def test_status_and_down(tmp_path: Path) -> None:
    """`up`, `status` and `down` say what is there, and what `down` takes with it."""
    state = ("--state-dir", str(tmp_path / "state"))

    def local(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "console", "local", *arguments, *state]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    assert "is down" in local("status").stdout
    up = local("up", "--port", "0").stdout
    assert re.fullmatch(
        r"export AWS_ENDPOINT_URL=http://127\.0\.0\.1:\d+ AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 "
        r"AWS_ACCESS_KEY_ID=\w{20} AWS_SECRET_ACCESS_KEY=[\w-]{40} AWS_SESSION_TOKEN=\n",
        up,
    )
    assert "already up" in local("up").stderr
    assert "not deployed" in local("status").stdout
    assert "Everything in it is gone" in local("down").stderr
    assert "is not up" in local("down").stderr


def test_up_with_iam(tmp_path: Path) -> None:
    """`up --enforce-iam` starts a server that checks policies; one that runs without is not taken for it."""

    def local(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "console", "local", *arguments, "--state-dir", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        assert local("up", "--port", "0", "--enforce-iam").returncode == 0
        server = embedded_aws.find(tmp_path)
        assert server is not None
        assert "--enforce-iam" in Path(f"/proc/{server.pid}/cmdline").read_text().split("\0")
        refused = local("up", "--enforce-iam")
    finally:
        local("down")
    assert refused.returncode == 2
    assert "millrace local down" in last_line(refused)


def test_a_copy_and_the_runs_own_files_stay_apart(millrace: Millrace, tmp_path: Path) -> None:
    """Every Spark output has a `_SUCCESS`: it arrives as it is, and so does the user's own file that was there."""
    source, destination = tmp_path / "source", tmp_path / "destination"
    wanted = {"report.csv": "my own\n", "result.json": '{"mine":1}\n', "_SUCCESS": "", "sub/a.txt": "x"}
    for name, text in wanted.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (destination / ".git").mkdir(parents=True)
    (destination / ".git/config").write_text("mine")
    (destination / "sub").mkdir()
    (destination / "sub/a.txt").write_text("mine")
    ended = millrace("run", "--source", str(source), "--destination", str(destination), "--workload", "copy")
    assert ended.returncode == 0, ended.stderr
    kept = {".git/config": "mine", "sub/a.txt": "mine"}
    for name, text in (wanted | kept).items():
        assert (destination / name).read_text() == text
    (run,) = (destination / "_millrace").iterdir()
    assert json.loads((run / "result.json").read_text())["counts"]["succeeded"] == 4
    assert (run / "_SUCCESS").read_text().startswith("sha256:")
    assert "_millrace/" in ended.stderr
    assert "sub/a.txt (a file that no run wrote" in ended.stderr
    there = [
        path for path in destination.rglob("*") if path.is_file() and str(path.relative_to(destination)) not in kept
    ]
    assert f"({len(there)} files" in ended.stdout


@pytest.mark.long
def test_whatever_the_users_aws_is_a_local_run_succeeds(tmp_path: Path) -> None:
    """From the start of the embedded AWS to the last notification: a useless profile, file, proxy and endpoint."""
    home, source, state = tmp_path / "home", tmp_path / "source", tmp_path / "state"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws/config").write_text("[default\nnot a configuration")
    source.mkdir()
    (source / "a.txt").write_text("one two two")
    hostile = {
        "HOME": str(home),
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_CA_BUNDLE": "/no/such/file",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }

    def local(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "console", "local", *words, "--state-dir", str(state)]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | hostile, capture_output=True, text=True, timeout=240, check=False
        )

    try:
        ended = local("run", "--source", str(source), "--destination", str(tmp_path / "out"), "--port", "0")
        assert ended.returncode == 0, ended.stderr
        assert words_csv((tmp_path / "out/words.csv").read_text()) == {"one": 1, "two": 2}
    finally:
        assert local("down").returncode == 0


RECORDING = "open({marker!r}, 'a').write(__name__ + chr(10))\n"


def _run_in(folder: Path, state_dir: Path, destination: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`millrace local run` on the files of a folder, from that folder."""
    given = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MILLRACE_WORKLOAD_PATH"}}
    command = [str(Path(sys.executable).with_name("millrace")), "local", "run", "--state-dir", str(state_dir)]
    return subprocess.run(
        [*command, "--source", "data", "--destination", str(destination), "--json", *words],
        cwd=folder, env=given, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_modules_beside_the_data_are_not_imported_and_moving_needs_no_down(stack: Any, tmp_path: Path) -> None:
    """Built-in workloads import nothing from there; own ones of one name run in two folders in turn, each its own code.

    `queue.py` and `json.py` would break any job, and `sitecustomize.py` and `usercustomize.py` run in every Python.
    """
    marker = str(tmp_path / "imported")
    for name, result in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        (folder / "data/a.txt").write_text("some words\n")
        for module in ("queue", "json", "sitecustomize", "usercustomize", "millrace", "batch_jobs", "word_count"):
            (folder / f"{module}.py").write_text(RECORDING.format(marker=marker) + "raise SystemExit('wrong one')\n")
        (folder / "beside.py").write_text(f"NUMBER = {result}\n")
        text = (ROOT / "examples/own_workload/line_count.py").read_text()
        (folder / "mine.py").write_text(
            text.replace("\n\n@workload", "\nimport json, queue\nfrom beside import NUMBER\n\n@workload", 1).replace(
                '{"lines": lines', '{"number": NUMBER, "lines": lines'
            )
        )
    for name, result in (("one", 1), ("two", 2), ("one", 1)):
        built_in = _run_in(tmp_path / name, stack.state_dir, tmp_path / "out-built-in")
        assert built_in.returncode == 0, built_in.stderr
        own = _run_in(tmp_path / name, stack.state_dir, tmp_path / f"out-{name}", "--workload", "mine:line_count")
        assert own.returncode == 0, own.stderr
        assert json.loads(own.stdout)["result"]["number"] == result
    assert not Path(marker).exists(), Path(marker).read_text()


def test_a_name_that_python_has_is_refused_in_a_run(stack: Any, tmp_path: Path) -> None:
    """Without importing it, exit code 2, with what is wrong."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("some words\n")
    for name in ("os:getcwd", "subprocess:Popen", "batch_jobs.workloads.word_count.workload:WordCount"):
        ended = _run_in(tmp_path, stack.state_dir, tmp_path / "out", "--workload", name)
        assert ended.returncode == 2, ended.stderr
        assert f"there is no module {name.partition(':')[0]} in" in ended.stderr
