"""A user's own workload: found by its class or its entry point, checked, and run by the jobs as any other."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.workloads.registry import load_workload
from millrace.errors import DamagedFileError, InvalidRunRequest, WorkloadUnavailableError
from millrace.request.run_request import RunRequest
from millrace.workload import Totals
from millrace.workload.registry import checked_options, is_own_workload, known_workload, option_value
from tests.run_in_memory import RunInMemory

EXAMPLE = Path(__file__).parents[3] / "examples" / "own_workload"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The example's module can be imported, and packages can be put into a folder that is searched too."""
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.delitem(sys.modules, "line_count", raising=False)
    return packages


def declare(packages: Path, package: str, *entries: str) -> None:
    """Install a package that declares entry points."""
    info = packages / f"{package}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text("\n".join(["[millrace.workloads]", *entries]))


@pytest.mark.parametrize("name", ["line_count:LineCount", "acme.line-count"])
def test_a_run_of_ones_own_workload(name: str, installed: Path) -> None:
    """By its class or by its entry point: planned, migrated and merged, its outputs beside their keys."""
    declare(installed, "acme", "acme.line-count = line_count:LineCount")
    objects = {"in/a": b"one\ntwo\n", "in/b": b"three"}
    run = RunInMemory(objects, request={"workload": name}, load=load_workload)
    run.all()
    assert run.outputs() == {"a.lines": b"2\n", "b.lines": b"0\n"}
    assert run.result()["result"] == {"bytes": 13, "lines": 2}


def test_the_examples_own_tests_pass(installed: Path) -> None:
    """As its author would run them, in its folder."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
    alone = ("-p", "no:cacheprovider", f"--rootdir={installed}", "-c", os.devnull)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, str(EXAMPLE / "test_line_count.py")],
        cwd=EXAMPLE,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_request_leaves_the_options_to_the_job() -> None:
    """The Lambda cannot know them: it passes them on; the job checks them and fills in defaults."""
    given = {"source": "s3://bucket/in/", "destination": "s3://bucket/out/", "workload": "line_count:LineCount"}
    assert RunRequest.parse({**given, "options": {"ends": 1}}).options == {"ends": 1}
    with pytest.raises(InvalidRunRequest, match=r"did you mean end\?"):
        load_workload("line_count:LineCount", {"ends": 1})
    with pytest.raises(InvalidRunRequest, match="a string"):
        load_workload("line_count:LineCount", {"end": 1})


@pytest.mark.parametrize(
    "name", ["word-count", "csv", "a:b:c", ":a", "a:", "a.", ".a", "a b.c", "a/b.c", "", "x" * 201]
)
def test_what_cannot_be_ones_own(name: str) -> None:
    """No dot and no colon, or not as Python and the entry points have them."""
    assert not is_own_workload(name)


@pytest.mark.parametrize("name", ["wordcount", "../a:B", 3, None, "os.system()"])
def test_an_unknown_workload_is_refused_with_what_is_allowed(name: object) -> None:
    """A slip in a built-in name is still found when the run is started."""
    with pytest.raises(InvalidRunRequest, match=r"package\.module:Class"):
        known_workload(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:Mine", "cannot be imported"),
        ("line_count:Missing", "has no class Missing"),
        ("os:getcwd", "has no class getcwd"),
        ("collections:Counter", "lacks partial_suffix, item_suffixes, migrate, partial, merge"),
        ("acme.missing", "here: acme.twice, acme.words"),
        ("acme.twice", "several packages declare it"),
    ],
)
def test_a_workload_that_is_not_there_is_told(name: str, why: str, installed: Path) -> None:
    """Exit code 2, with what was looked for and where; nothing but a workload's class is ever called."""
    declare(installed, "acme", "acme.words = a:B", "acme.twice = a:B")
    declare(installed, "other", "acme.twice = c:D")
    with pytest.raises(WorkloadUnavailableError, match=why) as caught:
        load_workload(name, {})
    assert caught.value.exit_code == 2


def test_a_module_that_fails_on_import_is_told(installed: Path) -> None:
    """What it could not import is named."""
    (installed / "needy.py").write_text("import no_such_package_of_ours")
    with pytest.raises(WorkloadUnavailableError, match="no_such_package_of_ours"):
        load_workload("needy:Mine", {})


@pytest.mark.parametrize("text", ["import sys; sys.exit(0)", "raise ValueError('no')", "def broken("])
def test_a_module_that_ends_or_fails_on_import_is_told(text: str, installed: Path) -> None:
    """Exit code 2, once: sys.exit(0) must not pass for a plan that was made."""
    (installed / "ending.py").write_text(text)
    with pytest.raises(WorkloadUnavailableError, match="fails when it is imported"):
        load_workload("ending:Mine", {})


def test_options_without_their_comma_are_told(installed: Path) -> None:
    """They are no tuple then."""
    (installed / "comma.py").write_text(
        "from line_count import LineCount, Option\n"
        "class Mine(LineCount):\n    options = (Option('end', 'x', 'What ends a line.'))\n"
    )
    with pytest.raises(WorkloadUnavailableError, match="needs a comma"):
        load_workload("comma:Mine", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a=3", ("a", 3)), ("a=true", ("a", True)), ('a=["x"]', ("a", ["x"])), ("a=x=y", ("a", "x=y")), ("a=", ("a", ""))],
)
def test_options_on_a_command_line(text: str, expected: tuple[str, Any]) -> None:
    """JSON where it is JSON, else text."""
    assert option_value("line_count:LineCount", text) == expected


def test_a_list_on_a_command_line_may_be_json() -> None:
    """An argument with a comma in it can be told only so."""
    assert option_value("command", 'command=["cut", "-d,", "{input}"]') == ("command", ["cut", "-d,", "{input}"])
    assert option_value("command", "output_suffixes=.a,.b") == ("output_suffixes", [".a", ".b"])


def test_an_empty_command_is_refused_when_the_run_is_started() -> None:
    """A list may have a least length."""
    with pytest.raises(InvalidRunRequest, match=r"options\.command"):
        checked_options("command", {})


@pytest.mark.parametrize("raw", [b"", b"[1]", b'{"a": 1.5}', b'{"a": true}', b"\xff"])
def test_totals_that_are_none_are_damaged(raw: bytes) -> None:
    """Only an object of whole numbers is a partial."""
    with pytest.raises(DamagedFileError):
        Totals().read(BytesIO(raw))


DECODING = """
from millrace.workload import lines
from millrace.workload import Totals


class Decoding:
    name = "decoding"
    partial_suffix = ".json"
    item_suffixes = ()

    def __init__(self, options):
        pass

    def migrate(self, item, body, outputs):
        texts = [line.decode() for line in lines(item, body)]
        return {"bytes": len("".join("\\ud800" if text == "!" else text for text in texts).encode())}

    def partial(self):
        return Totals()

    def merge(self, partials, results):
        return {}
"""


def test_lines_that_cannot_be_decoded_say_what_they_are(installed: Path) -> None:
    """Gzip under another name and half a surrogate pair are called so in the rows of one's own workload."""
    (installed / "decoding_lines.py").write_text(DECODING)
    objects = {
        "in/a": b"\x1f\x8b\x08\x00\n",
        "in/b": b"x\n\xed\xa0\x80\n",
        "in/c": b"caf\xe9",
        "in/d": b"!",
    }
    request = {"workload": "decoding_lines:Decoding", "tolerated_failure_percent": 100}
    run = RunInMemory(objects, request=request, load=load_workload)
    run.plan()
    rows = {outcome.key: outcome.message for outcome in run.migrate().outcomes}
    assert rows["in/a"].endswith("(1f 8b: this is gzip)")
    assert rows["in/b"].endswith("(an unpaired surrogate)")
    assert rows["in/c"].startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9")
    assert rows["in/d"].endswith("(an unpaired surrogate)")
