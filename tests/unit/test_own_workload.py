"""A user's own workload: found by its class or its entry point, checked, and run by the jobs as any other."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.workloads import load_workload
from batch_jobs.workloads.totals import Totals
from millrace.errors import DamagedFileError, InvalidRunRequest, WorkloadUnavailableError
from millrace.known_workloads import checked_options, is_own_workload, known_workload, option_value
from millrace.request import RunRequest
from tests.run_in_memory import RunInMemory

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_workload"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The run's code folders are that of the example's module, and one that packages can be put into."""
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", os.pathsep.join([str(packages), str(EXAMPLE)]))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for module in ("line_count", "needy", "ending", "comma", "queues", "installed_lines"):
        monkeypatch.delitem(sys.modules, module, raising=False)
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
        ("no_such_module:Mine", "there is no module no_such_module in"),
        ("line_count:Missing", "has no class Missing"),
        ("os:getcwd", "there is no module os in"),
        ("subprocess:Popen", "there is no module subprocess in"),
        ("sys:Mine", "there is no module sys in"),
        ("collections:Counter", "there is no module collections in"),
        ("batch_jobs.workloads.word_count:WordCount", r"there is no module batch_jobs\.workloads\.word_count in"),
        ("PIL.Image:Image", r"there is no module PIL\.Image in"),
        ("line_count:Option", "lacks partial_suffix, item_suffixes, migrate, partial, merge"),
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


@pytest.mark.parametrize("name", ["queue", "batch_jobs", "boto3", "sys"])
def test_a_module_that_is_hidden_is_told_and_nothing_of_it_runs(name: str, installed: Path) -> None:
    """Python's own modules, Millrace's and those of installed packages come first, so it would not be imported."""
    (installed / f"{name}.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(WorkloadUnavailableError, match="is hidden by another module of its name"):
        load_workload(f"{name}:Mine", {})


def test_a_built_in_workload_adds_no_folder() -> None:
    """Nothing is ever imported from the user's folders for it."""
    before = [*sys.path]
    load_workload("word-count", checked_options("word-count", {}))
    assert sys.path == before


def test_only_the_folder_that_holds_the_module_is_added_and_behind_everything() -> None:
    """Once, however often the workload is loaded."""
    before = [*sys.path]
    load_workload("line_count:LineCount", {})
    load_workload("line_count:LineCount", {})
    assert sys.path == [*before, str(EXAMPLE)]


def test_a_module_of_a_package_is_found_without_importing_the_package(installed: Path) -> None:
    """A package that does not have it is not imported to find that out; a folder alone is a package too."""
    (installed / "noisy").mkdir()
    (installed / "noisy/__init__.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(WorkloadUnavailableError, match=r"there is no module noisy\.missing in"):
        load_workload("noisy.missing:Mine", {})
    (installed / "bare/inner").mkdir(parents=True)
    (installed / "bare/inner/mine.py").write_text("from line_count import LineCount\n")
    (installed / "line_count.py").write_text((EXAMPLE / "line_count.py").read_text())
    assert load_workload("bare.inner.mine:LineCount", {}).partial_suffix == ".json"
    with pytest.raises(WorkloadUnavailableError, match=r"there is no module bare\.inner in"):
        load_workload("bare.inner:Mine", {})


@pytest.mark.parametrize("value", ["", ":", "no such thing!", ".line_count:LineCount", "line_count", "line_count:a.b"])
def test_an_entry_point_that_names_no_class_is_told(value: str, installed: Path) -> None:
    """Whatever the package's file holds, it is exit code 2, and another package's workload is found all the same."""
    declare(installed, "odd", f"acme.odd = {value}")
    declare(installed, "acme", "acme.lines = line_count : LineCount [extra]")
    with pytest.raises(WorkloadUnavailableError):
        load_workload("acme.odd", {})
    assert load_workload("acme.lines", {}).partial_suffix == ".json"


def test_without_a_code_folder_only_entry_points_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed says by its entry point what of it is a workload."""
    monkeypatch.delenv("MILLRACE_WORKLOAD_PATH")
    site = tmp_path / "site"
    site.mkdir()
    (site / "installed_lines.py").write_text((EXAMPLE / "line_count.py").read_text())
    declare(site, "acme", "acme.lines = installed_lines:LineCount")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(WorkloadUnavailableError, match="MILLRACE_WORKLOAD_PATH"):
        load_workload("installed_lines:LineCount", {})
    assert load_workload("acme.lines", {}).partial_suffix == ".json"


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
    (installed / "line_count.py").write_text((EXAMPLE / "line_count.py").read_text())
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
from batch_jobs.workloads.line_ranges import lines
from batch_jobs.workloads.totals import Totals


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
