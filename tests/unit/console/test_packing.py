"""A user's code becomes a zip: which files, which workload, which packages, and always the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads.code_package import unpack
from console.__main__ import millrace
from console.find.stack import Stack
from console.operations.request_options import request_fields, send_code
from console.packing import files as files_module
from console.packing import package as package_module
from console.packing.dependencies import IMAGE_PYTHON, JOBS_REQUIREMENTS, JobMachine
from console.packing.files import packed_files
from console.packing.package import pack, upload, workload_of
from console.packing.place import find_code
from console.terminal import Terminal
from millrace.errors import CodePackageError
from millrace.layout import S3Uri
from millrace.request.code_package import PackageRecord
from millrace.s3.verbs import S3
from tests.in_memory_s3 import InMemoryS3Client

REPOSITORY = Path(__file__).parents[3]
HERE = JobMachine.this()
COUNT = "from millrace import workload\n\n@workload()\ndef count(body):\n    return {'lines': 1}\n"
TWO = COUNT + "\n\n@workload()\ndef other(body):\n    return {'lines': 2}\n"
CLASS = "class Mine:\n    def migrate(self, item, body, outputs): ...\n"
MADE = "from elsewhere import count\n"


def write(folder: Path, **texts: str) -> Path:
    """Write modules. Returns the folder."""
    for name, text in texts.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(body: bytes) -> list[str]:
    """The names in a zip."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return archive.namelist()


@pytest.mark.parametrize(
    ("texts", "given_", "workload", "found"),
    [
        ({"jobs": COUNT}, "jobs.py", None, "jobs:count"),
        ({"jobs": COUNT}, "jobs.py:count", None, "jobs:count"),
        ({"jobs": TWO}, "jobs.py:other", None, "jobs:other"),
        ({"jobs": TWO}, "jobs.py", "jobs:other", "jobs:other"),
        ({"jobs": TWO}, ".", "jobs:other", "jobs:other"),
        ({"jobs": COUNT, "more": "x = 1", "test_jobs": TWO}, ".", None, "jobs:count"),
        ({"jobs": COUNT, "more": CLASS}, ".:Mine", None, "more:Mine"),
        ({"jobs": COUNT, "more": COUNT}, ".:more:count", None, "more:count"),
        ({"jobs": MADE}, "jobs.py:count", None, "jobs:count"),
        ({"pack/jobs": COUNT, "pack/__init__": ""}, "pack/jobs.py", None, "pack.jobs:count"),
        ({"pack/jobs": COUNT}, ".", None, "pack.jobs:count"),
        ({"jobs": COUNT.replace("@workload()", "@millrace.workload(splits='lines')")}, "jobs.py", None, "jobs:count"),
    ],
)
def test_the_workload_is_found_without_an_import(
    texts: dict[str, str], given_: str, workload: str | None, found: str, tmp_path: Path
) -> None:
    """By file, by folder, by name; where there is one, no name is needed."""
    write(tmp_path, **texts)
    place = find_code(f"{tmp_path}/{given_}", workload)
    assert place.workload == found
    assert place.folder == tmp_path


@pytest.mark.parametrize(
    ("texts", "given_", "why"),
    [
        ({"jobs": TWO}, "jobs.py", r"several workloads, jobs:count, jobs:other; name one: --workload jobs:count"),
        ({"jobs": COUNT, "more": COUNT}, ".:count", "several workloads"),
        ({"jobs": TWO}, "jobs.py:third", "it has no workload third; it has count, other"),
        ({"jobs": "x = 1"}, "jobs.py", r"no function with @workload\(\) above it"),
        ({"jobs": COUNT}, ".:nothing:count", "there is no module nothing"),
        ({"jobs": COUNT}, "nothing.py", "there is no such file or folder"),
        ({"my-jobs": COUNT}, "my-jobs.py", "my-jobs:count cannot name a workload"),
        ({"jobs": "def f(:\n"}, "jobs.py", "Python cannot read it, line 1: invalid syntax"),
        ({"jobs": "x = 1\0"}, "jobs.py", "Python cannot read it"),
        ({"pack/jobs": COUNT, "pack/__init__": ""}, "pack", r"it is a package.*:pack\.MODULE:NAME"),
    ],
)
def test_what_is_no_workload_is_refused_by_name(
    texts: dict[str, str], given_: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is packed, with exit code 2 and what there is instead."""
    monkeypatch.chdir(write(tmp_path, **texts))
    with pytest.raises(CodePackageError, match=why) as caught:
        find_code(given_)
    assert caught.value.exit_code == 2


def test_a_home_folder_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's whole home would be uploaded."""
    monkeypatch.setenv("HOME", str(write(tmp_path, jobs=COUNT)))
    with pytest.raises(CodePackageError, match="put the module into a folder of its own"):
        find_code(str(tmp_path / "jobs.py"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of files that are tracked, ignored and hidden, rules in three folders."""
    texts = {
        ".gitignore": "*.log\n/data/\n!keep.log\n",
        "sub/.gitignore": "*.tmp\n!*.log\nonly/*\n!only/this\n",
        **dict.fromkeys(["a.py", "a.log", "keep.log", "data/x", "sub/data/x", "sub/b.log", "sub/c.tmp"], "x"),
        **dict.fromkeys(["sub/only/this", "sub/only/that", ".env", ".aws/credentials", "__pycache__/a.pyc"], "x"),
        **dict.fromkeys(["venv/pyvenv.cfg", "venv/lib/x.py", "b.pyc", "x.egg-info/y"], "x"),
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def test_what_git_would_track_is_packed(repository: Path) -> None:
    """As git itself lists it, but for hidden files, what Python makes, and virtual environments."""
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    made = re.compile(r"(^|/)(\.|__pycache__|venv/|.*\.pyc$|.*\.egg-info/)")
    packed = [label for label, _ in packed_files(repository)]
    assert packed == sorted(name for name in listed if not made.search(name))
    assert packed == ["a.py", "keep.log", "sub/b.log", "sub/data/x", "sub/only/this"]


def test_rules_above_the_folder_count_up_to_the_repositorys_top(repository: Path) -> None:
    """A folder inside a repository is packed as git sees it there."""
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "sub/.gitignore").unlink()
    assert [label for label, _ in packed_files(repository / "sub")] == ["c.tmp", "data/x", "only/that", "only/this"]
    shutil.rmtree(repository / ".git")
    assert "b.log" in [label for label, _ in packed_files(repository / "sub")]


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    """Within the folder a link is the file that it stands for; outside may be anything."""
    folder = write(tmp_path / "code", jobs=COUNT)
    (folder / "same.py").symlink_to("jobs.py")
    assert [label for label, _ in packed_files(folder)] == ["jobs.py", "same.py"]
    (folder / "other.py").symlink_to(write(tmp_path, outside=COUNT) / "outside.py")
    with pytest.raises(CodePackageError, match=r"other\.py is a link that leads out"):
        packed_files(folder)


def test_a_folder_of_two_gigabytes_is_refused_before_packing(tmp_path: Path) -> None:
    """By its size, with what is large in it; nothing of it is read."""
    folder = write(tmp_path, jobs=COUNT)
    (folder / "model").mkdir()
    with (folder / "model/weights.bin").open("wb") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(CodePackageError, match=r"the folder has 2\.0 GB in 2 files.*model \(2\.0 GB\)") as caught:
        pack(str(folder), None, HERE)
    assert caught.value.exit_code == 2


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted while the folder is read."""
    monkeypatch.setattr(files_module, "MAX_FILES", 2)
    write(tmp_path, jobs=COUNT, more="x = 1", third="x = 1")
    with pytest.raises(CodePackageError, match=r"in 3 files, and code may have 1\.0 GB in 2"):
        pack(str(tmp_path), None, HERE)


def test_a_large_zip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not shrink is found once it is packed."""
    monkeypatch.setattr(package_module, "MAX_PACKED_BYTES", 10_000)
    (write(tmp_path, jobs=COUNT) / "noise").write_bytes(random.Random(1).randbytes(20_000))
    with pytest.raises(CodePackageError, match=r"the zip has 20\.\d kB; the most is 10\.0 kB"):
        pack(str(tmp_path), None, HERE)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """Whenever and wherever they were written, in whatever order; another content, or mode, gives others."""
    one, other = write(tmp_path / "one", a=COUNT, b="x = 1"), tmp_path / "other"
    other.mkdir(mode=0o700)
    for name in ("b.py", "a.py"):
        shutil.copyfile(one / name, other / name)
        (other / name).chmod(0o600)
        os.utime(other / name, (1_000_000_000, 1_000_000_000))
    assert pack(f"{one}:count", None, HERE).sha256 == pack(f"{other}:count", None, HERE).sha256
    (other / "b.py").chmod(0o700)
    executable = pack(f"{other}:count", None, HERE).sha256
    (other / "b.py").write_text("x = 2")
    assert len({pack(f"{one}:count", None, HERE).sha256, executable, pack(f"{other}:count", None, HERE).sha256}) == 3


NAMES = st.text(st.characters(categories=["L", "N"], codec="utf-8"), min_size=1, max_size=8)


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=3000), max_size=6))
def test_what_is_packed_is_what_is_unpacked(contents: dict[str, bytes]) -> None:
    """Any names and any bytes: the job gets the folder as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(Path(scratch, "in"), jobs=COUNT)
        written = {"jobs.py": COUNT.encode()}
        for name, content in contents.items():
            path = folder / name
            if any(part.is_file() for part in path.parents) or path.is_dir():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written[name] = content
        zipped = Path(scratch, "code.zip")
        zipped.write_bytes(pack(f"{folder}/jobs.py", None, HERE).body)
        record = unpack(zipped, Path(scratch, "out"), "code.zip")
        out = Path(scratch, "out/code")
        found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert found == written
        assert record.workload == "jobs:count"


def wheel(folder: Path, name: str, version: str, requires: str = "", tag: str = "py3-none-any") -> None:
    """A wheel of one module."""
    info = f"{name}-{version}.dist-info"
    texts = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:VERSION\n",
    }
    texts[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*texts, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for each, text in texts.items():
            archive.writestr(each, text)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder of wheels that stands for a package index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "brought", "1.0")
    wheel(folder, "brought", "2.0", "further>=1")
    wheel(folder, "further", "1.5")
    wheel(folder, "elsewhere", "1.0", tag="cp312-cp312-win_amd64")
    (folder / "unbuilt-1.0.tar.gz").write_bytes(b"an sdist")
    return folder


def needing(folder: Path, wheels: Path, *lines: str) -> Path:
    """A folder with a module and with requirements from these wheels alone."""
    write(folder, jobs=COUNT)
    (folder / "requirements.txt").write_text("\n".join(["--no-index", f"--find-links {wheels}", *lines]) + "\n")
    return folder


def test_requirements_are_brought_as_wheels(tmp_path: Path, wheels: Path) -> None:
    """With what they need in turn, exact versions and hashes in the lock; no scripts, and no trace of this machine."""
    made = pack(str(needing(tmp_path / "code", wheels, "brought")), None, HERE)
    assert made.packages == 2
    with zipfile.ZipFile(io.BytesIO(made.body)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    lock = held["requirements.lock"].decode()
    wheel_hash = hashlib.sha256((wheels / "brought-2.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert "brought==2.0" in lock
    assert f"sha256:{wheel_hash}" in lock
    assert held["packages/brought.py"] == b"VERSION = '2.0'\n"
    assert held["packages/further.py"] == b"VERSION = '1.5'\n"
    assert b"packages/bin/" not in b"".join(name.encode() for name in held)
    assert [name for name, body in held.items() if str(tmp_path).encode() in body] == ["code/requirements.txt"]
    again = pack(str(needing(tmp_path / "again", wheels, "brought")), None, HERE)
    assert [*names(again.body)] == [*held]


@pytest.mark.parametrize("line", ["--find-links {}\nbrought==1.0", "{}/brought-1.0-py3-none-any.whl"])
def test_wheels_are_found_beside_the_requirements(tmp_path: Path, wheels: Path, line: str) -> None:
    """A folder, or a wheel, that is named from where the file is: as pip and the documents have it."""
    folder = write(tmp_path / "code", jobs=COUNT)
    beside = os.path.relpath(wheels, folder)
    (folder / "requirements.txt").write_text(f"--no-index\n{line.format(beside)}\n")
    made = pack(str(folder), None, HERE)
    assert "packages/brought-1.0.dist-info/METADATA" in names(made.body)


def test_inline_metadata_goes_before_requirements(tmp_path: Path, wheels: Path) -> None:
    """PEP 723: what the module itself says it needs is brought, and nothing else."""
    folder = needing(tmp_path / "code", wheels, "further")
    script = (
        f'# /// script\n# dependencies = ["brought @ {(wheels / "brought-1.0-py3-none-any.whl").as_uri()}"]\n# ///\n'
    )
    (folder / "jobs.py").write_text(script + COUNT)
    made = pack(str(folder / "jobs.py"), None, HERE)
    assert "packages/brought.py" in names(made.body)
    assert "packages/further.py" not in names(made.body)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ('requires-python = ">=3.99"', r"it needs Python >=3\.99, and the jobs have 3\."),
        ('requires-python = "new"', "which is no version specifier"),
        ('dependencies = ["millrace>=1"]', "it asks for millrace, which every job has"),
        ("dependencies = [", "its inline metadata is no TOML"),
    ],
)
def test_inline_metadata_that_does_not_fit(tmp_path: Path, metadata: str, why: str) -> None:
    """Another Python, Millrace itself, no TOML: refused before anything is resolved."""
    (tmp_path / "jobs.py").write_text(f"# /// script\n# {metadata}\n# ///\n{COUNT}")
    with pytest.raises(CodePackageError, match=why) as caught:
        pack(str(tmp_path / "jobs.py"), None, HERE)
    assert caught.value.exit_code == 2


def test_metadata_that_asks_for_nothing_brings_nothing(tmp_path: Path) -> None:
    """A version of Python that fits, with a comment and an empty line in the block."""
    block = '# /// script\n# requires-python = ">=3.11"\n#\n# # nothing\n# dependencies = []\n# ///\n'
    (tmp_path / "jobs.py").write_text(block + COUNT)
    made = pack(str(tmp_path / "jobs.py"), None, HERE)
    assert names(made.body) == ["millrace.json", "requirements.lock", "code/jobs.py"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("unbuilt", "unbuilt: there is no wheel for Python"),
        ("elsewhere", "elsewhere: there is no wheel for Python|elsewhere.* has no wheels"),
        ("brought>2", "they cannot be resolved"),
        ("nowhere-at-all", "they cannot be resolved"),
        ("millrace", "it asks for millrace, which every job has"),
        ("millrace>=1", "it asks for millrace, which every job has"),
        ("a line that is none", "they cannot be resolved"),
    ],
)
def test_requirements_that_cannot_be_met(tmp_path: Path, wheels: Path, line: str, why: str) -> None:
    """An sdist, another machine's wheel, no such version or package: refused by name, with exit code 2."""
    with pytest.raises(CodePackageError, match=why) as caught:
        pack(str(needing(tmp_path / "code", wheels, line)), None, HERE)
    assert caught.value.exit_code == 2


def test_what_the_jobs_work_with_has_their_version(tmp_path: Path, wheels: Path) -> None:
    """Another version of it could not be imported beside theirs: the error says which one the jobs have."""
    pinned = re.search(r"^obstore==(\S+)", JOBS_REQUIREMENTS.read_text(), re.MULTILINE)
    assert pinned is not None
    wheel(wheels, "obstore", "0.0.1")
    wheel(wheels, "obstore", pinned[1])
    made = pack(str(needing(tmp_path / "code", wheels, "obstore")), None, HERE)
    assert f"packages/obstore-{pinned[1]}.dist-info/METADATA" in names(made.body)
    with pytest.raises(
        CodePackageError, match=f"the jobs themselves work with obstore=={re.escape(pinned[1])}: ask for"
    ):
        pack(str(needing(tmp_path / "other", wheels, "obstore==0.0.1")), None, HERE)


def test_the_images_python_is_the_dockerfiles() -> None:
    """Packages for a stack on AWS are for the Python of the image that the project builds."""
    dockerfile = (REPOSITORY / "batch_jobs/Dockerfile").read_text()
    assert f"ARG BASE_IMAGE=python:{IMAGE_PYTHON}-slim" in dockerfile


def test_a_zip_is_uploaded_once(tmp_path: Path) -> None:
    """By its digest; one that is there is not sent again."""
    client = InMemoryS3Client("results")
    made = pack(str(write(tmp_path, jobs=COUNT)), None, HERE)
    uri, new = upload(made, S3(client.stub), S3Uri("results", "team/"))
    assert (uri, new) == (f"s3://results/team/_millrace/code/{made.sha256}.zip", True)
    assert client.bodies("results") == {f"team/_millrace/code/{made.sha256}.zip": made.body}
    assert upload(made, S3(client.stub), S3Uri("results", "team/")) == (uri, False)
    assert client.requests["put_object"] == 1


class AwsInMemory:
    """Stands in for `console.find.aws.Aws`."""

    def __init__(self, endpoint_url: str | None) -> None:
        self.client = InMemoryS3Client("results")
        self.s3, self.endpoint_url = S3(self.client.stub), endpoint_url


@pytest.mark.parametrize(
    ("compute", "endpoint_url", "job"),
    [
        ("FARGATE_SPOT", None, JobMachine(IMAGE_PYTHON, "x86_64")),
        ("FARGATE_ARM64", None, JobMachine(IMAGE_PYTHON, "aarch64")),
        ("FARGATE_SPOT", "http://127.0.0.1:1", HERE),
    ],
)
def test_packages_are_for_the_stacks_jobs(
    tmp_path: Path, wheels: Path, compute: str, endpoint_url: str | None, job: JobMachine
) -> None:
    """On AWS the image's Python and the architecture that the stack has, on the embedded AWS this machine's."""
    aws: Any = AwsInMemory(endpoint_url)
    given_ = {"code": str(needing(tmp_path / "code", wheels, "brought")), "code_python": None, "code_platform": None}
    stack = Stack("s", {"ResultBucketName": "results"}, {"Compute": compute, "ResultPrefix": "team/"})
    field = send_code(given_, aws, stack, Terminal())
    ((key, body),) = aws.client.bodies("results").items()
    assert field == {"code": f"s3://results/{key}"}
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert json.loads(archive.read("millrace.json")) == {
            "format": 1,
            "workload": "jobs:count",
            "python": job.python,
            "platform": job.machine,
        }


def test_results_in_the_codes_folder_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They would be sent along, and each run would make another zip; a table of the user's own is none."""
    folder = write(tmp_path, jobs=COUNT)
    for name in ("out/result.json", "out/report.csv", "out/_SUCCESS", "mine/report.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    given_ = {"code": str(folder / "jobs.py"), "code_python": None, "code_platform": None}
    aws: Any = AwsInMemory("http://127.0.0.1:1")
    send_code(given_, aws, Stack("s", {"ResultBucketName": "results"}), Terminal())
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert "out" in warned[0]
    assert "mine" not in warned[0]


def test_code_gives_the_request_its_workload(tmp_path: Path) -> None:
    """Options are read as those of the user's own workload, not as word-count's."""
    names_ = ("workload", "manifest", "target_bytes", "max_items", "max_shards")
    empty = dict.fromkeys((*names_, "tolerated_failure_percent", "tolerated_failure_count"))
    given_ = {**empty, "code": str(write(tmp_path, jobs=COUNT)), "options": ("limit=2",), "include": (), "exclude": ()}
    assert request_fields(given_) == {"workload": "jobs:count", "options": {"limit": 2}}


def zip_with(*entries: str | zipfile.ZipInfo) -> bytes:
    """A zip as `millrace package` makes it, but for entries of somebody else's."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("millrace.json", PackageRecord("jobs:count").to_json())
        archive.writestr("code/jobs.py", COUNT)
        for entry in entries:
            archive.writestr(entry, b"")
    return made.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    """A symbolic link in a zip."""
    found = zipfile.ZipInfo(name)
    found.external_attr = 0o120777 << 16
    return found


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("/etc/profile", "would lie outside its folder"),
        ("code/../../profile", "would lie outside its folder"),
        (link("code/link"), "is a link or a device"),
        ("code/Jobs.py", "differ only in upper and lower case"),
    ],
)
def test_a_ready_made_zip_with_a_bad_name_is_not_sent(tmp_path: Path, entry: str | zipfile.ZipInfo, why: str) -> None:
    """What the plan job would refuse, `--code some.zip` refuses before anything is uploaded; a sound one is taken."""
    zipped = tmp_path / "some.zip"
    zipped.write_bytes(zip_with())
    assert pack(str(zipped), None, HERE).workload == "jobs:count"
    zipped.write_bytes(zip_with(entry))
    with pytest.raises(CodePackageError, match=why) as caught:
        pack(str(zipped), None, HERE)
    assert caught.value.exit_code == 2
    assert caught.value.target == str(zipped)


def test_names_that_differ_in_their_case_are_not_packed(tmp_path: Path) -> None:
    """The same check holds for what the command packs itself: the jobs would refuse it."""
    folder = write(tmp_path, jobs=COUNT)
    (folder / "Jobs.py").write_text("")
    with pytest.raises(CodePackageError, match="differ only in upper and lower case"):
        pack(str(folder / "jobs.py"), None, HERE)


def test_the_verb_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes the zip and prints its digest; `--code` takes the zip as it is, and a zip of somebody's is refused."""
    monkeypatch.chdir(write(tmp_path, jobs=COUNT))
    for _ in range(2):  # the second is not packed into itself
        done = CliRunner().invoke(millrace, ["package", "jobs.py", "--output", "made.zip"])
        assert done.exit_code == 0, done.output
        assert hashlib.sha256(Path("made.zip").read_bytes()).hexdigest() in done.output
    assert names(Path("made.zip").read_bytes()) == ["millrace.json", "requirements.lock", "code/jobs.py"]
    assert workload_of("made.zip", None) == "jobs:count"
    assert pack("made.zip", None, HERE).body == Path("made.zip").read_bytes()
    with zipfile.ZipFile("foreign.zip", "w") as archive:
        archive.writestr("jobs.py", COUNT)
    with pytest.raises(CodePackageError, match=r"it has no millrace\.json; millrace package makes"):
        pack("foreign.zip", None, HERE)
    assert sys.modules.get("jobs") is None
