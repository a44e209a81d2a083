"""The wheel and the sdist: complete, and a working `millrace` in an environment where nothing else is."""

from __future__ import annotations

import csv
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
from tests.workflow.conftest import LocalStack
from tests.workflow.runs import Runs

pytestmark = pytest.mark.long
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PLACES: dict[str, str] = PACKAGES["package-dir"]
"""Where the packages are here, by their names there."""
CountWords = Callable[[Path], dict[str, str]]
NOT_SHIPPED = (".so", ".txt", ".in", ".pyc", "batch_jobs/Dockerfile")
"""What belongs to this machine, or to the image's build."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the sdist, built from a copy: a build leaves files beside the sources."""
    sources, made = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE", "batch_jobs", "console", "layer", "examples"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, sources / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(sources)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def wheel_of(dist: Path) -> Path:
    """The wheel."""
    (wheel,) = dist.glob("*.whl")
    return wheel


def environment(folder: Path, distribution: Path) -> Path:
    """Install a distribution, with what it says it needs and nothing else; the folder of its programs."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(folder / "bin/python"), str(distribution)], check=True)
    return folder / "bin"


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program outside of the checkout, with none of this environment's variables that would lead back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_", "VIRTUAL_"))}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**kept, **variables}, capture_output=True, text=True, check=False
    )


def test_nothing_is_missing(dist: Path) -> None:
    """Every module and data file of the packages is in the wheel, and every one of the wheel is in the sdist."""
    expected: set[str] = set()
    for package, place in PLACES.items():
        for file in (ROOT / place).rglob("*"):
            name = f"{package.replace('.', '/')}/{file.relative_to(ROOT / place).as_posix()}"
            if file.is_file() and "__pycache__" not in name and not name.endswith(NOT_SHIPPED):
                expected.add(name)
    with ZipFile(wheel_of(dist)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name and not name.endswith(".in")}
    assert names == expected
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for package, place in PLACES.items():
        start = package.replace(".", "/") + "/"
        here = {f"{place}/{name.removeprefix(start)}" for name in names if name.startswith(start)}
        inner = tuple(
            f"{place}/{other.removeprefix(package + '.')}/" for other in PLACES if other.startswith(f"{package}.")
        )
        assert {name for name in here if not name.startswith(inner)} <= packed


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
    deploying = run(millrace, "local", "deploy", cwd=tmp_path)
    assert deploying.returncode == 2
    assert "install Millrace from a checkout" in deploying.stderr

    assert count_words(programs) == {"one": "1", "two": "3", "three": "1"}

    address = {"AWS_ENDPOINT_URL": stack.endpoint_url}
    address |= embedded_aws.credentials(stack.endpoint_url).variables()
    estimated = run(millrace, "estimate", source, "--json", cwd=tmp_path, **address)
    assert estimated.returncode == 0, estimated.stderr
    assert json.loads(estimated.stdout)["items"] == 2
    examined = run(millrace, "doctor", cwd=tmp_path, **address)
    assert "Error" not in examined.stdout + examined.stderr, examined.stdout + examined.stderr
    assert "not compared" in examined.stdout


def test_the_sdist_works_alone(dist: Path, count_words: CountWords, tmp_path: Path) -> None:
    """What is built from the sdist counts words too."""
    (sdist,) = dist.glob("*.tar.gz")
    programs = environment(tmp_path / "empty", sdist)
    assert run(programs / "millrace", "--help", cwd=tmp_path).returncode == 0
    assert count_words(programs) == {"one": "1", "two": "3", "three": "1"}
