"""The wheel and the sdist: complete, and a working `millrace` in an environment where nothing else is."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from console import embedded_aws
from console.checkout import ROOT
from console.find.aws import LOCAL_REGION
from console.local.deployment import DEPLOYED_FROM, STAND_IN_IMAGE
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Runs

pytestmark = pytest.mark.long
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PLACES: dict[str, str] = PACKAGES["package-dir"]
"""Where the packages are here, by their names there."""
PROJECT = "millrace._launch.project"
"""What `millrace deploy` and `millrace local` build, as it is in a checkout."""
CountWords = Callable[[Path], dict[str, str]]
NOT_SHIPPED = (".so", ".txt", ".in", ".pyc", "batch_jobs/Dockerfile")
"""What belongs to this machine, or to the image's build."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the sdist, built from a copy: a build leaves files beside the sources."""
    sources, made = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, sources / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(sources)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def wheel_of(dist: Path) -> Path:
    """The wheel."""
    (wheel,) = dist.glob("*.whl")
    return wheel


def environment(folder: Path, distribution: Path, python: str = sys.executable) -> Path:
    """Install a distribution, with what it says it needs and nothing else; the folder of its programs."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", python, str(folder)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(folder / "bin/python"), str(distribution)], check=True)
    return folder / "bin"


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program outside of the checkout, with none of this environment's variables that would lead back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_", "VIRTUAL_"))}
    kept["XDG_CACHE_HOME"] = str(cwd / "cache")
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**kept, **variables}, capture_output=True, text=True, check=False
    )


def test_nothing_is_missing(dist: Path) -> None:
    """Every module and data file of the packages is in the wheel, and every one of the wheel is in the sdist."""
    expected: set[str] = set()
    for package, place in PLACES.items():
        if package == PROJECT:
            continue
        for file in (ROOT / place).rglob("*"):
            name = f"{package.replace('.', '/')}/{file.relative_to(ROOT / place).as_posix()}"
            if file.is_file() and "__pycache__" not in name and not name.endswith(NOT_SHIPPED):
                expected.add(name)
    with ZipFile(wheel_of(dist)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name and not name.endswith(".in")}
    names = {name for name in names if not name.startswith(f"{PROJECT.replace('.', '/')}/")}
    assert names == expected
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for package, place in PLACES.items():
        if package == PROJECT:
            continue
        start = package.replace(".", "/") + "/"
        here = {f"{place}/{name.removeprefix(start)}" for name in names if name.startswith(start)}
        inner = tuple(
            f"{place}/{other.removeprefix(package + '.')}/" for other in PLACES if other.startswith(f"{package}.")
        )
        assert {name for name in here if not name.startswith(inner)} <= packed


def test_the_project_is_whole(dist: Path) -> None:
    """The wheel carries every file that a deployment and the embedded AWS are made from, and nothing made from them."""
    start = f"{PROJECT.replace('.', '/')}/"
    with ZipFile(wheel_of(dist)) as wheel:
        carried = {name.removeprefix(start) for name in wheel.namelist() if name.startswith(start)}
    listed = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        *DEPLOYED_FROM,
        "local_aws",
        "image",
    ]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    expected = {name for name in names if name and (ROOT / name).is_file()}
    assert carried - expected == {"LICENSE", "pyproject.toml", "console/requirements-sam.txt"}
    assert expected <= carried


def test_no_name_is_anothers(dist: Path) -> None:
    """The wheel installs two top-level packages, both of names that are ours alone; `console` is another's."""
    with ZipFile(wheel_of(dist)) as wheel:
        top = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert top == {"millrace", "batch_jobs"}


def test_an_index_would_take_it(dist: Path) -> None:
    """Twine finds nothing wrong with the metadata or the README."""
    files = [str(file) for file in dist.iterdir()]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == 2


@pytest.fixture
def count_words(stack: LocalStack, runs: Runs, source: str, destination: str, tmp_path: Path) -> CountWords:
    """Plan, migrate and merge with an environment's own modules, given its programs: the rows of words.csv."""
    variables = embedded_aws.credentials(stack.endpoint_url).variables()
    variables |= {"AWS_ENDPOINT_URL": stack.endpoint_url, "AWS_REGION": LOCAL_REGION}
    runs.put(source, {"a.txt": b"one two two", "b.txt": b"two three"})
    folder = f"{destination}_millrace/from-a-wheel/"
    runs.put(folder, {"run.json": json.dumps({"request": {"source": source, "destination": destination}}).encode()})
    plan = ("--plan", f"{folder}plan.json")

    def count(programs: Path) -> dict[str, str]:
        for verb in (("plan", "--request", f"{folder}run.json"), ("migrate", *plan), ("merge", *plan)):
            job = run(programs / "python", "-m", "batch_jobs", *verb, cwd=tmp_path, **variables)
            assert job.returncode == 0, job.stdout + job.stderr
        bucket, _, key = folder.removeprefix("s3://").partition("/")
        text = stack.aws.client("s3").get_object(Bucket=bucket, Key=f"{key}words.csv")["Body"].read().decode()
        return dict(list(csv.reader(text.splitlines()))[1:])

    return count


def test_the_wheel_works_alone(
    dist: Path, stack: LocalStack, source: str, count_words: CountWords, tmp_path: Path
) -> None:
    """In an empty environment: the help of every verb, an estimate, a new workload, and a word count by its jobs."""
    programs = environment(tmp_path / "empty", wheel_of(dist))
    millrace = programs / "millrace"
    assert "estimate" in run(millrace, "--help", cwd=tmp_path).stdout
    for verb in (["run"], ["doctor"], ["report"], ["local", "ui"], ["local", "run"], ["estimate"], ["logs"]):
        told = run(millrace, *verb, "--help", cwd=tmp_path)
        assert told.returncode == 0, told.stderr
    begun = run(millrace, "new-workload", "count-links", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    assert (tmp_path / "count_links" / "test_count_links.py").is_file()
    packed = run(millrace, "package", "count_links", "--output", "links.zip", cwd=tmp_path)
    assert packed.returncode == 0, packed.stderr
    assert (tmp_path / "links.zip").is_file()

    assert count_words(programs) == {"one": "1", "two": "3", "three": "1"}

    address = {"AWS_ENDPOINT_URL": stack.endpoint_url}
    address |= embedded_aws.credentials(stack.endpoint_url).variables()
    estimated = run(millrace, "estimate", source, "--json", cwd=tmp_path, **address)
    assert estimated.returncode == 0, estimated.stderr
    assert json.loads(estimated.stdout)["items"] == 2
    examined = run(millrace, "doctor", cwd=tmp_path, **address)
    assert "Error" not in examined.stdout + examined.stderr, examined.stdout + examined.stderr
    assert "those of this millrace" in examined.stdout


OWN_CODE = """
from millrace import workload

@workload(splits="lines")
def lines(item, body, outputs):
    return {"lines": sum(1 for _ in body.lines())}
"""


def pythons() -> list[str]:
    """The Pythons of this machine that the project is for: the one of these tests, and a newer one of each kind."""
    found = [sys.executable]
    for minor in range(sys.version_info.minor + 1, 15):
        name = f"python3.{minor}"
        places = [shutil.which(name), *map(str, Path.home().glob(f".pyenv/versions/*/bin/{name}"))]
        found += [place for place in places if place is not None and _starts(place)][:1]
    return found


def _starts(python: str) -> bool:
    """Whether it is an interpreter, and no stand-in for one that is not there."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("python", pythons())
def test_own_code_runs_outside_any_checkout(dist: Path, tmp_path: Path, python: str) -> None:
    """The wheel alone brings up an embedded AWS, deploys the stack there, and runs a function over a folder's files;
    where there is a C compiler, it compiles the library of word-count.
    """
    millrace = environment(tmp_path / "empty", wheel_of(dist), python) / "millrace"
    work = tmp_path / "work"
    (work / "texts").mkdir(parents=True)
    (work / "counting.py").write_text(OWN_CODE)
    (work / "texts/a.txt").write_text("1\n2\n3\n")
    (work / "texts/b.txt.gz").write_bytes(gzip.compress(b"4\n5\n"))
    words = ["--source", "texts", "--destination", "results", "--workload", "counting:lines", "--json"]
    try:
        ran = run(millrace, "local", "run", *words, "--port", "0", cwd=work)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["result"] == {"lines": 5}
        compiled = list((work / "cache").rglob("batch_jobs/native/*.so"))
        assert bool(compiled) is (shutil.which("cc") is not None)
        assert compiled or "counts in Python here" in ran.stderr
        exports = run(millrace, "local", "up", cwd=work)
        variables = dict(word.split("=", 1) for word in exports.stdout.split()[1:])
        deployed = run(
            millrace, "deploy", "--stack", "by-the-wheel", "--image", STAND_IN_IMAGE, "--yes",
            cwd=work, **variables,
        )  # fmt: skip
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        examined = run(millrace, "doctor", "--stack", "by-the-wheel", cwd=work, **variables)
        assert "by-the-wheel is CREATE_COMPLETE" in examined.stdout, examined.stdout + examined.stderr
    finally:
        run(millrace, "local", "down", cwd=work)


def test_the_sdist_works_alone(dist: Path, count_words: CountWords, tmp_path: Path) -> None:
    """What is built from the sdist counts words too."""
    (sdist,) = dist.glob("*.tar.gz")
    programs = environment(tmp_path / "empty", sdist)
    assert run(programs / "millrace", "--help", cwd=tmp_path).returncode == 0
    assert count_words(programs) == {"one": "1", "two": "3", "three": "1"}
