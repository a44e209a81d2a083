"""A run is finished by the code that began it: the packaged modules, the image, one's own module and what it uses."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import batch_jobs
from batch_jobs import code_identity
from batch_jobs.workloads.registry import load_workload
from millrace.errors import MillraceError, RunIdentityError, WorkloadUnavailableError
from millrace.records.code import what_differs
from millrace.settings import JobSettings
from tests.run_in_memory import RunInMemory

SETTINGS = JobSettings(code_version="1")
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/millrace@sha256:"

OWN = """
from millrace.workload import Totals


class Mine:
    name = "mine"
    partial_suffix = ".json"
    item_suffixes = (".out",)

    def __init__(self, options):
        pass

    def migrate(self, item, body, outputs):
        with outputs.open(".out") as file:
            file.write(b"one")
        return {"items": 1}

    def partial(self):
        return Totals()

    def merge(self, partials, results):
        return Totals.merged(partials)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, where own modules are found."""
    own = tmp_path / "own"
    own.mkdir()
    of_ones_own(monkeypatch, own)
    return own


def of_ones_own(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Own modules are found in this folder from now on."""
    earlier = os.environ.get("MILLRACE_WORKLOAD_PATH")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in (earlier, str(folder))])
    monkeypatch.setenv("MILLRACE_WORKLOAD_PATH", str(folder))


@pytest.fixture(autouse=True)
def forget() -> Any:
    """Each test, as each job, imports its modules anew."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def anew(*names: str) -> None:
    """Forget modules, as another process knows none."""
    for name in [known for known in sys.modules if known.partition(".")[0] in names]:
        del sys.modules[name]


def identity(workload: str, folder: Path | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    """What a job that starts now would say."""
    if folder and monkeypatch:
        of_ones_own(monkeypatch, folder)
    anew(workload.partition(":")[0].partition(".")[0])
    return code_identity.code_identity(SETTINGS, workload)


def test_the_identity_names_jobs_image_and_own_code(folder: Path) -> None:
    """Each part has a digest, where there is such a part."""
    (folder / "mine_named.py").write_text(OWN)
    built_in = code_identity.code_identity(SETTINGS, "word-count")
    assert built_in.startswith("1+jobs.")
    assert len(built_in) == len("1+jobs.") + 16
    imaged = code_identity.code_identity(JobSettings(code_version="1", image=f"{IMAGE}{'ab' * 32}"), "word-count")
    assert imaged == f"{built_in}.image.{'ab' * 8}"
    assert identity("mine_named:Mine").startswith(f"{built_in}.own.")


def test_an_image_without_a_digest_says_nothing() -> None:
    """A tag can be another image tomorrow."""
    tagged = code_identity.code_identity(JobSettings(code_version="1", image="millrace:latest"), "copy")
    assert tagged == code_identity.code_identity(SETTINGS, "copy")


def test_the_image_is_read_from_the_job_definition() -> None:
    """The variable that the template sets."""
    assert JobSettings.from_environment({"MILLRACE_IMAGE": f"{IMAGE}00"}).image == f"{IMAGE}00"
    assert JobSettings.from_environment({}).image == ""


@pytest.mark.parametrize("changed", ["migrating/migrate.py", "native/word_table.c", "workloads/new.py"])
def test_a_changed_packaged_source_changes_the_identity(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the packages has the same digest, until a file of it differs; what is compiled does not count."""
    root = Path(batch_jobs.__path__[0])
    here = code_identity.code_identity(SETTINGS, "copy")
    copied = tmp_path / "elsewhere" / "batch_jobs"
    shutil.copytree(root, copied, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (copied / "__pycache__").mkdir()
    (copied / "__pycache__" / "migrate.cpython-311.pyc").write_bytes(b"other")
    monkeypatch.setattr(batch_jobs, "__path__", [str(copied)])
    code_identity.packaged.cache_clear()
    try:
        assert code_identity.code_identity(SETTINGS, "copy") == here
        with (copied / changed).open("a") as file:
            file.write("\n# changed\n")
        code_identity.packaged.cache_clear()
        assert code_identity.code_identity(SETTINGS, "copy") != here
    finally:
        code_identity.packaged.cache_clear()


def plain(folder: Path) -> None:
    """A module, and one beside it that it imports, a namespace package, and a file of data and a test."""
    (folder / "mine.py").write_text(f"import helper_of_mine\nfrom parts_of_mine.more import X\n{OWN}")
    (folder / "helper_of_mine.py").write_text("def late():\n    import late_of_mine\n")
    (folder / "late_of_mine.py").write_text("")
    (folder / "parts_of_mine").mkdir()
    (folder / "parts_of_mine" / "more.py").write_text("X = 1")
    (folder / "parts_of_mine" / "words.txt").write_text("a")


def package(folder: Path) -> None:
    """A package with data."""
    (folder / "mine" / "sub").mkdir(parents=True)
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "words.txt").write_text("a")
    (folder / "mine" / "sub" / "__init__.py").write_text(OWN)
    (folder / "mine" / "sub" / "other.py").write_text("")
    (folder / "beside_mine.py").write_text("")


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "module": (plain, "mine:Mine"),
    "package": (package, "mine.sub:Mine"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_own_code_in_another_folder_is_the_same_code(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caches, hidden files and what an editor keeps do not count, nor does the order in which files were made."""
    make, workload = KINDS[kind]
    one, other = tmp_path / "one", tmp_path / "deeper" / "other"
    one.mkdir()
    make(one)
    first = identity(workload, one, monkeypatch)
    assert list(one.rglob("__pycache__")) or sys.dont_write_bytecode
    for name in sorted((path.relative_to(one) for path in one.rglob("*") if path.is_file()), reverse=True):
        if "__pycache__" not in name.parts:
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one / name, other / name)
    for extra in (".hidden.py", "mine.py~", "notes.txt", "test_mine.py", "not-a-module.py"):
        (other / extra).write_text("import os")
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "mine.cpython-311.pyc").write_bytes(b"stale")
    (other / "data").mkdir()
    (other / "data" / "script.py").write_text("an object, not code")
    anew("helper_of_mine", "parts_of_mine")
    assert identity(workload, other, monkeypatch) == first


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("module", "mine.py"),
        ("module", "helper_of_mine.py"),
        ("module", "late_of_mine.py"),
        ("module", "parts_of_mine/more.py"),
        ("module", "parts_of_mine/words.txt"),
        ("module", "new_of_mine.py"),
        ("package", "mine/__init__.py"),
        ("package", "mine/words.txt"),
        ("package", "mine/sub/__init__.py"),
        ("package", "mine/sub/other.py"),
        ("package", "mine/sub/new.py"),
        ("package", "beside_mine.py"),
    ],
)
def test_whatever_changes_in_ones_own_code_changes_the_identity(kind: str, changed: str, folder: Path) -> None:
    """The module, what is beside it, what it imports wherever, and all files of its package."""
    make, workload = KINDS[kind]
    make(folder)
    before = identity(workload)
    with (folder / changed).open("a") as file:
        file.write("\n")
    assert identity(workload) != before


def test_what_others_installed_beside_it_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of libraries, the image's say, only the module and what it imports are one's own code."""
    libraries = tmp_path / "site-packages"
    libraries.mkdir()
    plain(libraries)
    (libraries / "mine.py").write_text(f"import library_of_others\n{(libraries / 'mine.py').read_text()}")
    (libraries / "library_of_others").mkdir()
    (libraries / "library_of_others" / "__init__.py").write_text("")
    info = libraries / "library_of_others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: library-of-others\nVersion: 1\n")
    (info / "RECORD").write_text("library_of_others/__init__.py,,\n")
    before = identity("mine:Mine", libraries, monkeypatch)
    (libraries / "library_of_others" / "__init__.py").write_text("X = 1")
    (libraries / "neighbour.py").write_text("X = 1")
    assert identity("mine:Mine") == before
    (libraries / "helper_of_mine.py").write_text("X = 1")
    assert identity("mine:Mine") != before


def test_a_class_from_another_folder_counts(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that only names another's class is of the other's code too."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "base_of_mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(base))
    (folder / "derived.py").write_text("from base_of_mine import Mine\nclass Derived(Mine):\n    pass\n")
    before = identity("derived:Derived")
    (base / "base_of_mine.py").write_text(f"{OWN}\n")
    assert identity("derived:Derived") != before


def test_a_module_without_a_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell whether it was changed."""
    module = type(sys)("made_up")
    exec(OWN, module.__dict__)
    module.Mine.__module__ = "made_up"
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(WorkloadUnavailableError, match=f"no module made_up in {folder}"):
        code_identity.code_identity(SETTINGS, "made_up:Mine")


def changed_between(folder: Path) -> RunInMemory:
    """A run of two shards, of which one was committed before the workload was changed."""
    (folder / "mine_changing.py").write_text(OWN)
    request = {"workload": "mine_changing:Mine", "shard": {"max_items": 1}}
    run = RunInMemory({"in/a": b"a", "in/b": b"b"}, request=request, load=load_workload)
    run.plan()
    run.migrate(0)
    (folder / "mine_changing.py").write_text(OWN.replace("one", "two!"))
    anew("mine_changing")
    return run


@pytest.mark.parametrize("job", ["plan", "migrate", "merge", "retry"])
def test_a_workload_that_was_changed_between_attempts_ends_the_run(job: str, folder: Path) -> None:
    """Resume, redrive and retry: exit code 2, both codes and what differs named, and no row of the new code."""
    run = changed_between(folder)
    before = run.client.bodies("result")
    jobs: dict[str, Callable[[], object]] = {
        "plan": run.plan,
        "migrate": lambda: run.migrate(1),
        "merge": run.merge,
        "retry": lambda: run.retry().plan(),
    }
    with pytest.raises(MillraceError) as caught:
        jobs[job]()
    assert isinstance(caught.value, RunIdentityError)
    assert caught.value.exit_code == 2
    assert json.loads(run.file("plan.json") or b"")["code_version"] in str(caught.value)
    assert "the code of the workload's own package or folder changed" in str(caught.value)
    assert str(caught.value).count("own.") == 2
    assert run.client.bodies("result") == before


def test_a_workload_that_was_changed_back_goes_on(folder: Path) -> None:
    """The code counts, not when it was written."""
    run = changed_between(folder)
    (folder / "mine_changing.py").write_text(OWN)
    anew("mine_changing")
    run.plan()
    run.migrate(1)
    run.merge()
    assert run.outputs() == {"a.out": b"one", "b.out": b"one"}


def test_what_differs_is_told_in_words() -> None:
    """Part by part, for identities of earlier versions too."""
    was = "1.0+local+jobs.aa.image.bb.own.cc"
    assert what_differs(was, was.replace("bb", "dd")) == "the image changed"
    assert what_differs(was, "1.0+local+jobs.ee.own.cc") == "the code of the jobs and the image changed"
    assert what_differs("0.1.0", "0.1.0+jobs.aa") == "the code of the jobs changed"
    assert what_differs("0.1.0+jobs.aa", "0.2.0+jobs.aa") == "Millrace's version changed"
