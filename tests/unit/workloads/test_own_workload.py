"""A user's own workload: found by its class or its entry point, checked, and run by the jobs as any other."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.host_faults import host_fault
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    DamagedFileError,
    HostFaultError,
    InvalidRunRequest,
    WorkloadFaultError,
    WorkloadUnavailableError,
)
from millrace.request.run_request import RunRequest
from millrace.workload import Totals
from millrace.workload.options import Option
from millrace.workload.registry import checked_options, is_own_workload, known_workload, option_value
from tests.run_in_memory import RunInMemory

EXAMPLES = Path(__file__).parents[3] / "examples"
EXAMPLE = EXAMPLES / "class_workload"


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


@pytest.mark.parametrize("place", ["line_count:LineCount", "line_count:line_count"])
@pytest.mark.parametrize("named", ["by its place", "by its entry point"])
def test_a_run_of_ones_own_workload(place: str, named: str, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class or a function, by its name or by its entry point: planned, migrated, merged, outputs beside the keys."""
    if place == "line_count:line_count":
        monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", os.pathsep.join([str(installed), str(EXAMPLES / "own_workload")]))
    declare(installed, "acme", f"acme.line-count = {place}")
    name = place if named == "by its place" else "acme.line-count"
    objects = {"in/a": b"one\ntwo\n", "in/b": b"three"}
    run = RunInMemory(objects, request={"workload": name}, load=load_workload)
    run.all()
    assert run.outputs() == {"a.lines": b"2\n", "b.lines": b"0\n"}
    assert run.result()["result"] == {"bytes": 13, "lines": 2}


@pytest.mark.parametrize("example", ["own_workload", "class_workload"])
def test_the_examples_own_tests_pass(example: str, installed: Path) -> None:
    """As its author would run them, in its folder."""
    folder = EXAMPLES / example
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    alone = ("-p", "no:cacheprovider", f"--rootdir={installed}", "-c", os.devnull)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, str(folder / "test_line_count.py")],
        cwd=folder,
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
        ("line_count:Missing", "has no class or function Missing"),
        ("os:getcwd", "there is no module os in"),
        ("subprocess:Popen", "there is no module subprocess in"),
        ("sys:Mine", "there is no module sys in"),
        ("collections:Counter", "there is no module collections in"),
        (
            "batch_jobs.workloads.word_count.workload:WordCount",
            r"there is no module batch_jobs\.workloads\.word_count\.workload in",
        ),
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


@pytest.mark.parametrize(
    "text", ["import sys; sys.exit(0)", "raise ValueError('no')", "def broken(", "raise KeyboardInterrupt"]
)
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
    ("options", "why"),
    [
        ("Option('end', 'x', 'One.'), Option('end', 3, 'Two.')", "each another one: 'end' is not so"),
        ("Option(3, 'x', 'No name.'),", "each another one: 3 is not so"),
        ("Option('end', None, 'No type.'),", "the default of its option end is None"),
    ],
)
def test_options_that_cannot_be_given_are_told(options: str, why: str, installed: Path) -> None:
    """Of two with one name the first would be dropped in silence."""
    name = own(installed, "declared", f"options = ({options})")
    with pytest.raises(WorkloadUnavailableError, match=why):
        load_workload(name, {})


def test_a_list_as_default_is_checked_as_a_tuple_is(installed: Path) -> None:
    """Authors write either; what the user gives is a list of texts, or refused."""
    members = "options = [Option('words', [], 'Words.')]\ndef __init__(self, options):\n    self.options = options"
    name = own(installed, "listed", members)
    load_workload(name, {"words": ["a"]})
    with pytest.raises(InvalidRunRequest, match="a list of strings"):
        load_workload(name, {"words": [{"a": 1}]})


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
    rows = {outcome.key: outcome.message or "" for outcome in run.migrate().outcomes}
    assert rows["in/a"].endswith("(1f 8b: this is gzip)")
    assert rows["in/b"].endswith("(an unpaired surrogate)")
    assert rows["in/c"].startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9")
    assert rows["in/d"].endswith("(an unpaired surrogate)")


def own(folder: Path, module: str, members: str, base: str = "LineCount") -> str:
    """A module with a class of one's own; returns the workload's name."""
    body = "".join(f"    {line}\n" for line in members.splitlines())
    (folder / "line_count.py").write_text((EXAMPLE / "line_count.py").read_text())
    (folder / f"{module}.py").write_text(
        f"import errno, sys\nfrom line_count import LineCount, Option\nclass Mine({base}):\n{body}"
    )
    sys.modules.pop(module, None)  # of another test
    return f"{module}:Mine"


@pytest.mark.parametrize("minimum", [None, 0])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (0.5, 0.5), (0, 0.0), (2**70, 2.0**70)],
)
def test_an_option_that_is_a_number_takes_a_whole_one(value: float, expected: float, minimum: int | None) -> None:
    """JSON makes no difference between 1 and 1.0; the workload always gets a float."""
    checked = Option("ratio", 0.25, "A share.", minimum=minimum).check(value)
    assert checked == expected
    assert isinstance(checked, float)


@pytest.mark.parametrize("value", [True, False, "1", None, [1], float("nan"), float("inf"), -float("inf"), 10**400])
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    """Neither NaN nor infinity, nor true."""
    with pytest.raises(InvalidRunRequest, match=r"options\.ratio is .*; allowed: a finite number"):
        Option("ratio", 0.25, "A share.").check(value)


def test_a_number_has_bounds() -> None:
    """As a whole one has."""
    option = Option("ratio", 0.25, "A share.", minimum=0, maximum=0.5)
    assert option.check(0.5) == 0.5
    with pytest.raises(InvalidRunRequest, match=r"options\.ratio is 1\.0; allowed: 0 to 0\.5"):
        option.check(1)


@pytest.mark.parametrize("default", [None, 1j, b"x", {1}])
def test_an_option_with_a_default_of_another_kind_is_told(default: object, installed: Path) -> None:
    """Its type is the option's type: there must be a check for it."""
    name = own(installed, "kinds", f"options = (Option('x', {default!r}, 'What.'),)")
    with pytest.raises(WorkloadUnavailableError, match="the default of its option x is"):
        load_workload(name, {})


@pytest.mark.parametrize("suffixes", ["('.x')", "'.x'", "('.x', 1)", "{'.x'}", "None", "b'.x'"])
def test_suffixes_that_are_no_tuple_are_told(suffixes: str, installed: Path) -> None:
    """A forgotten comma makes a text of them, each letter a suffix."""
    name = own(installed, "suffixes", f"item_suffixes = {suffixes}")
    with pytest.raises(InvalidRunRequest, match="mind the comma") as caught:
        load_workload(name, {"end": "\n"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ("def __init__(self, options):\n    raise ValueError('no such model')", "__init__"),
        ("def __init__(self, options):\n    options['misspelt']", "__init__"),
        ("def __init__(self, options):\n    sys.exit(0)", "__init__"),
        ("def __init__(self):\n    pass", "__init__"),
        ("@property\ndef item_suffixes(self):\n    return self.missing", "item_suffixes"),
        ("@property\ndef partial_suffix(self):\n    raise KeyError('x')", "partial_suffix"),
        ("options = (Option('end', 'x', 'An end.', pattern='('),)", "options"),
        ("options = (Option('end', 'x', 'An end.', rule=lambda name, value: 1 / 0),)", "options"),
        ("def splits(self, key):\n    raise ValueError('no')", "splits"),
        ("def merge_seconds(self, shards, total_bytes):\n    return 1 / 0", "merge_seconds"),
    ],
)
def test_a_class_that_raises_before_any_item_ends_the_plan_once(members: str, part: str, installed: Path) -> None:
    """Exit code 2, which is not retried, with what was asked of the class and what it raised; nothing is planned."""
    name = own(installed, "raising", members)
    run = RunInMemory(
        {"in/a": b"x\n" * 2**20},
        request={"workload": name, "shard": {"target_bytes": 1}},
        load=load_workload,
    )
    with pytest.raises(WorkloadUnavailableError, match=f"its {part} raises ") as caught:
        run.plan()
    assert caught.value.exit_code == 2
    assert run.file("plan.json") is None


def test_a_begin_that_raises_ends_migrate_once(installed: Path) -> None:
    """Before the first item."""
    name = own(installed, "beginning", "def begin(self, plan):\n    raise ValueError('no')")
    run = RunInMemory({"in/a": b"x"}, request={"workload": name}, load=load_workload)
    run.plan()
    with pytest.raises(WorkloadUnavailableError, match="its begin raises ValueError: no"):
        run.migrate()


def test_a_full_disk_in_a_constructor_is_tried_again(installed: Path) -> None:
    """The host's fault is not the class's."""
    name = own(installed, "filling", "def __init__(self, options):\n    raise OSError(errno.ENOSPC, 'full')")
    with pytest.raises(WorkloadUnavailableError) as caught:
        load_workload(name, {})
    assert host_fault(caught.value) is not None


TRANSFERRING = """
def output_key(self, key):
    {output_key}

def transfer(self, item, source, destination, s3, check):
    {transfer}
"""


@pytest.mark.parametrize(
    ("output_key", "transfer"),
    [
        ("return key", "raise ValueError('no')"),
        ("return key", "sys.exit(0)"),
        ("return key", "return {}['missing']"),
        ("raise ValueError('no')", "pass"),
        ("return 5", "pass"),
        ("return '\\ud800'", "pass"),
    ],
)
def test_a_transfer_that_raises_is_its_items_row(output_key: str, transfer: str, installed: Path) -> None:
    """As a migrate that does: the other items go on, the shard is committed."""
    bad = TRANSFERRING.format(
        output_key=f"if key == 'a': {output_key}\n    return key", transfer=f"if item.key == 'in/a': {transfer}"
    )
    name = own(installed, "transferring", bad)
    run = RunInMemory({"in/a": b"a", "in/b": b"b"}, request={"workload": name}, load=load_workload)
    run.plan()
    codes = [outcome.error_code for outcome in run.migrate().outcomes]
    assert codes == ["WORKLOAD_FAILED", None]


def test_a_transfer_on_a_broken_host_is_no_row(installed: Path) -> None:
    """The attempt ends, and the next one continues."""
    lines = TRANSFERRING.format(output_key="return key", transfer="raise OSError(errno.ENOSPC, 'full')")
    run = RunInMemory({"in/a": b"a"}, request={"workload": own(installed, "full", lines)}, load=load_workload)
    run.plan()
    with pytest.raises(HostFaultError):
        run.migrate()


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("{'a': {1, 2}}", "set is not JSON serializable"),
        ("{'a': {'b': float('nan')}}", r"a\.b must be a finite number"),
        ("{'a': ['\\ud800']}", "a must be text of valid Unicode"),
        ("{('a', 'b'): 1}", "keys must be str"),
        ("{'\\ud800': 1}", "names of valid Unicode"),
        ("['a']", "a list, not an object"),
        ("None", "a NoneType, not an object"),
        ("looped()", "at most 64 levels"),
    ],
)
def test_a_result_that_json_cannot_hold_ends_the_merge_once(returned: str, why: str, installed: Path) -> None:
    """Exit code 2, before any file of the result is written."""
    name = own(installed, "returning", f"def merge(self, partials, results):\n    return {returned}")
    with (installed / "returning.py").open("a") as file:
        file.write("def looped():\n    made = {}\n    made['a'] = made\n    return made\n")
    run = RunInMemory({"in/a": b"x"}, request={"workload": name}, load=load_workload)
    run.plan()
    run.migrate()
    with pytest.raises(WorkloadFaultError, match=f"its merge returned what result.json cannot hold: .*{why}"):
        run.merge()
    assert run.file("result.json") is None
