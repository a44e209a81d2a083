"""A run's code from outside: the zip that a run names is what is run, and a bad one is refused before anything is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.workloads import code_package
from batch_jobs.workloads.code_package import take_code, taken_code
from batch_jobs.workloads.own import own_class
from batch_jobs.workloads.registry import load_workload
from millrace.errors import (
    CodePackageError,
    InvalidRunRequest,
    MillraceError,
    RunIdentityError,
    WorkloadUnavailableError,
)
from millrace.layout import S3Uri
from millrace.request import code_zip
from millrace.request.code_package import PackageRecord, code_uri
from millrace.s3.verbs import S3
from millrace.settings import machine
from tests.in_memory_s3 import InMemoryS3Client
from tests.run_in_memory import RESULT, SOURCE, RunInMemory

COUNT = b"""
from millrace import workload


@workload()
def lines(body):
    return {"lines": sum(1 for _ in body.lines())}
"""
TWICE = COUNT.replace(b"sum(1", b"sum(2")
NAME = "sent_lines:lines"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def nothing_taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins and ends without code from outside, and with the path of modules as it was."""
    monkeypatch.delitem(sys.modules, "brought", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("MILLRACE_WORKLOAD_PATH", raising=False)
    yield
    take_code(None, S3(InMemoryS3Client(RESULT).stub))
    sys.modules.pop("brought", None)


def zipped(files: dict[str, bytes], record: bytes | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of code with these files, and with millrace.json."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("millrace.json", PackageRecord(NAME).to_json() if record is None else record)
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, method)
    return file.getvalue()


def put(client: InMemoryS3Client, body: bytes, sha256: str | None = None) -> str:
    """The URI of a zip in the result bucket."""
    uri = code_uri(S3Uri(RESULT, ""), sha256 or hashlib.sha256(body).hexdigest())
    client.store(RESULT, uri.key, body)
    return str(uri)


def run_of(client: InMemoryS3Client, body: bytes, **request: Any) -> RunInMemory:
    """A run over one object of two lines, of the code in this zip."""
    given = {"workload": NAME, "code": put(client, body), **request}
    return RunInMemory({"in/a": b"one\ntwo\n"}, given, load=load_workload, client=client)


@pytest.fixture
def client() -> InMemoryS3Client:
    """The run's S3."""
    return InMemoryS3Client(SOURCE, RESULT)


def test_a_run_of_code_from_outside(client: InMemoryS3Client) -> None:
    """Every job takes the zip that the request names, and the plan names its digest."""
    body = zipped({"code/sent_lines.py": COUNT})
    run = run_of(client, body)
    plan = run.all()
    assert run.result()["result"] == {"lines": 2}
    assert plan.code == run.request["code"]
    assert plan.code_version.endswith(f".code.{hashlib.sha256(body).hexdigest()[:16]}")


def test_a_run_is_finished_by_its_own_code(client: InMemoryS3Client) -> None:
    """The same request with other code cannot use the plan; the plan's own jobs continue with what they had."""
    run = run_of(client, zipped({"code/sent_lines.py": COUNT}))
    plan = run.plan()
    other = run_of(client, zipped({"code/sent_lines.py": TWICE}))
    other.objects.clear()
    with pytest.raises(RunIdentityError, match=r"the zip of the workload's code changed"):
        other.plan()
    run.migrate()
    run.merge()
    assert run.result()["result"] == {"lines": 2}
    assert plan.code_version in str(run.file("plan.json"))


def test_one_runs_code_is_gone_with_the_next_run(client: InMemoryS3Client) -> None:
    """A process that takes other code, or none, has neither the files nor the folders of the code before."""
    before = [*sys.path]
    take_code(put(client, zipped({"code/sent_lines.py": COUNT})), S3(client.stub))
    first = taken_code()
    assert first is not None
    assert Path(first.modules, "sent_lines.py").is_file()
    take_code(put(client, zipped({"code/sent_other.py": COUNT})), S3(client.stub))
    assert not Path(first.modules).exists()
    assert first.modules not in sys.path
    with pytest.raises(WorkloadUnavailableError, match="there is no module sent_lines in"):
        own_class(NAME)
    take_code(None, S3(client.stub))
    assert taken_code() is None
    assert sorted(sys.path) == sorted(before)


def package(name: str, version: str, body: bytes) -> dict[str, bytes]:
    """The files of an installed package of one module."""
    info = f"packages/{name}-{version}.dist-info"
    return {
        f"packages/{name}.py": body,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/RECORD": f"{name}.py,,\n{name}-{version}.dist-info/METADATA,,\n".encode(),
    }


def install(folder: Path, files: dict[str, bytes]) -> None:
    """Put a package into a folder, as the image's packages are."""
    for name, body in files.items():
        path = folder / name.removeprefix("packages/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


WITH_BROUGHT = COUNT.replace(b"from millrace", b"import brought\nfrom millrace").replace(b"sum(1", b"sum(brought.N")


def test_the_zips_version_of_a_dependency_wins(client: InMemoryS3Client, tmp_path: Path) -> None:
    """The image has version 1 of a package, the zip version 2: the workload imports version 2."""
    install(tmp_path, package("brought", "1", b"N = 1\n"))
    sys.path.append(str(tmp_path))
    run = run_of(client, zipped({"code/sent_lines.py": WITH_BROUGHT, **package("brought", "2", b"N = 2\n")}))
    run.all()
    assert run.result()["result"] == {"lines": 4}


def test_the_jobs_own_packages_are_not_replaced(client: InMemoryS3Client, tmp_path: Path) -> None:
    """What the job has imported already stays: the same version is no matter, another one is refused by name."""
    install(tmp_path, package("brought", "1", b"N = 1\n"))
    sys.path.append(str(tmp_path))
    assert __import__("brought").N == 1
    run = run_of(client, zipped({"code/sent_lines.py": WITH_BROUGHT, **package("brought", "1", b"N = 1\n")}))
    run.all()
    assert run.result()["result"] == {"lines": 2}
    with pytest.raises(CodePackageError, match=r"Put into its requirements: brought==1 \(the zip has 2\)") as caught:
        run_of(client, zipped({"code/sent_lines.py": WITH_BROUGHT, **package("brought", "2", b"N = 2\n")})).plan()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"raise OSError('no such disk')", "fails when it is imported: OSError: no such disk"),
        (b"import sent_nothing", "cannot be imported"),
        (b"def lines(body): ...", "does not have @workload\\(\\) above its function"),
        (b"other = 1", "has no class or function"),
    ],
)
def test_a_module_that_cannot_be_used(client: InMemoryS3Client, body: bytes, why: str) -> None:
    """One that fails on import, or lacks the name, ends the plan job before anything is listed, with exit code 2."""
    run = run_of(client, zipped({"code/sent_lines.py": body}))
    with pytest.raises(WorkloadUnavailableError, match=why) as caught:
        run.plan()
    assert caught.value.exit_code == 2
    assert run.run_files() == {}


@pytest.mark.parametrize("module", ["queue", "json", "millrace", "batch_jobs"])
def test_what_is_pythons_or_millraces_is_never_replaced(client: InMemoryS3Client, module: str) -> None:
    """A module of such a name hides nothing, and is refused as a workload."""
    run = run_of(client, zipped({f"code/{module}.py": COUNT}), workload=f"{module}:lines")
    with pytest.raises(WorkloadUnavailableError, match="hidden by another module"):
        run.plan()


def linked() -> bytes:
    """A zip with a symbolic link in it."""
    file = io.BytesIO(zipped({"code/sent_lines.py": COUNT}))
    with zipfile.ZipFile(file, "a") as archive:
        link = zipfile.ZipInfo("code/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return file.getvalue()


def damaged() -> bytes:
    """A zip one byte of whose content was changed."""
    body = bytearray(zipped({"code/sent_lines.py": COUNT}))
    place = body.index(b"code/sent_lines.py") + len("code/sent_lines.py") + 5
    body[place] ^= 0xFF
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (lambda: zipped({"/code/sent_lines.py": COUNT}), "would lie outside"),
        (lambda: zipped({"code/../../sent_lines.py": COUNT}), "would lie outside"),
        (lambda: zipped({"..\\sent_lines.py": COUNT}), "would lie outside"),
        (lambda: zipped({"C:/sent_lines.py": COUNT}), "would lie outside"),
        (linked, "code/link is a link or a device"),
        (lambda: zipped({"code/Lines.py": b"", "code/lines.py": b""}), "differ only in upper and lower case"),
        (damaged, "it cannot be unpacked"),
        (lambda: b"no zip", "it cannot be unpacked"),
        (lambda: b"", "it cannot be unpacked"),
        (lambda: zipped({"code/sent_lines.py": COUNT})[:-30], "it cannot be unpacked"),
        (lambda: zipped({"code/a": b"", "code/a/b": b""}), "it cannot be unpacked"),
        (lambda: zipped({f"code/{'a' * 300}": b""}), "it cannot be unpacked"),
        (lambda: zipped({"code/a": b"x"}, method=zipfile.ZIP_BZIP2), "compressed in a way"),
        (lambda: zipped({}, record=b"[]"), "millrace.json cannot be read"),
        (lambda: zipped({}, record=b'{"workload": "a:b", "format": 2}'), "it has the format 2"),
        (lambda: zipped({}, PackageRecord(NAME, "2.7", machine()).to_json()), "--code-python"),
        (lambda: zipped({}, PackageRecord(NAME, HERE, "sparc").to_json()), f"--code-platform {machine()}"),
    ],
)
def test_a_bad_zip_is_refused(client: InMemoryS3Client, body: Callable[[], bytes], why: str) -> None:
    """Names that lead elsewhere, links, damage, other formats and machines: exit code 2, nothing imported or left."""
    with pytest.raises(CodePackageError, match=why) as caught:
        take_code(put(client, body()), S3(client.stub))
    assert caught.value.exit_code == 2
    assert taken_code() is None


SOUND = zipped({"code/sent_lines.py": COUNT, "code/b": b"x" * 500})


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_refused_or_does_no_harm(changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed: the zip is unpacked into its folder, or refused as no zip of code."""
    body = bytearray(SOUND)
    for place, byte in changes:
        body[place] = byte
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "in")
        folder.mkdir()
        (folder / "code.zip").write_bytes(body)
        with contextlib.suppress(CodePackageError), warnings.catch_warnings(action="ignore"):
            code_package.unpack(folder / "code.zip", folder, "code.zip")
        assert [path.name for path in Path(scratch).iterdir()] == ["in"]
        assert {path.name for path in folder.iterdir()} <= {"code", "packages", "code.zip"}


def test_a_zip_without_a_record_is_refused(client: InMemoryS3Client) -> None:
    """Somebody's zip that millrace did not pack."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sent_lines.py", COUNT)
    with pytest.raises(CodePackageError, match=r"it has no millrace\.json"):
        take_code(put(client, file.getvalue()), S3(client.stub))


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [
        ((code_package, "MAX_UNPACKED_BYTES"), 1_000_000, "it unpacks to more than 1,000,000 bytes"),
        ((code_package, "MAX_PACKED_BYTES"), 1000, "it is larger than 1,000 bytes"),
        ((code_zip, "MAX_FILES"), 1, "it holds 2 files; the most is 1"),
    ],
)
def test_a_zip_bomb_is_refused(
    client: InMemoryS3Client, monkeypatch: pytest.MonkeyPatch, limit: tuple[ModuleType, str], most: int, why: str
) -> None:
    """Two megabytes of zeros in a few thousand bytes: each limit holds, and what was written is gone."""
    monkeypatch.setattr(*limit, most)
    with pytest.raises(CodePackageError, match=why):
        take_code(put(client, zipped({"code/zeros": bytes(2_000_000)})), S3(client.stub))


def test_a_size_that_lies_does_not_help(client: InMemoryS3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that come out count, not what the zip says of them."""
    monkeypatch.setattr(code_package, "MAX_UNPACKED_BYTES", 1_000_000)
    body = bytearray(zipped({"code/zeros": bytes(2_000_000)}))
    for place in range(len(body)):
        if body[place : place + 4] == (2_000_000).to_bytes(4, "little"):
            body[place : place + 4] = (100).to_bytes(4, "little")
    with pytest.raises(CodePackageError):
        take_code(put(client, bytes(body)), S3(client.stub))


def test_a_zip_that_was_altered_is_refused(client: InMemoryS3Client) -> None:
    """The bytes must have the digest that the name says, whatever they are."""
    code = put(client, zipped({"code/sent_lines.py": TWICE}), hashlib.sha256(b"something else").hexdigest())
    with pytest.raises(CodePackageError, match="so it was altered"):
        take_code(code, S3(client.stub))


def test_a_zip_that_is_missing_is_refused(client: InMemoryS3Client) -> None:
    """One that was deleted after the run was planned ends the job with exit code 2, and with the command that helps."""
    run = run_of(client, zipped({"code/sent_lines.py": COUNT}))
    run.plan()
    take_code(None, S3(client.stub))
    client.remove(RESULT, S3Uri.parse(run.request["code"]).key)
    with pytest.raises(CodePackageError, match="it is not there; upload it again: millrace run --code"):
        run.migrate()


@pytest.mark.parametrize("job", ["plan", "migrate"])
def test_code_from_outside_can_be_turned_off(client: InMemoryS3Client, job: str) -> None:
    """Where AllowedWorkloads has neither * nor code, each job refuses before it fetches the zip."""
    run = run_of(client, zipped({"code/sent_lines.py": COUNT}))
    for allowed in (("*",), ("code", "sent_lines:*")):
        assert run.plan(allowed_workloads=allowed).items == 1
    take_code(None, S3(client.stub))
    fetched: list[str] = []
    client.before = lambda verb, _bucket, key: fetched.append(key) if verb == "get" and "/code/" in key else None
    for allowed in (("sent_lines:*",), ("code*", "sent_lines:*"), ("c*", "s*")):
        with pytest.raises(InvalidRunRequest, match="has neither code nor"):
            getattr(run, job)(allowed_workloads=allowed)
    assert fetched == []


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"code": "s3://elsewhere/_millrace/code/" + "0" * 64 + ".zip"}, "code"),
        ({"code": f"s3://{RESULT}/_millrace/code/" + "0" * 63 + ".zip"}, "code"),
        ({"code": f"s3://{RESULT}/a_millrace/code/" + "0" * 64 + ".zip"}, "code"),
        ({"code": f"s3://{RESULT}/_millrace/" + "0" * 64 + ".zip"}, "code"),
        ({"code": f"s3://{RESULT}/_millrace/code/" + "0" * 64 + ".zip/"}, "code"),
        ({"code": f"s3://{RESULT}/data/_millrace/code/" + "0" * 64 + ".zip", "source": f"s3://{RESULT}/data/"}, "code"),
        ({"code": 7}, "code"),
        ({"code": ""}, "code"),
        ({"workload": "word-count"}, "workload"),
        ({"workload": "acme.lines"}, "workload"),
    ],
)
def test_what_the_request_may_name(client: InMemoryS3Client, request_: dict[str, Any], field: str) -> None:
    """Only a digest's zip in the destination's bucket, where no data is uploaded, with a workload of a module."""
    run = run_of(client, zipped({"code/sent_lines.py": COUNT}), **request_)
    with pytest.raises(MillraceError) as caught:
        run.plan()
    assert isinstance(caught.value, InvalidRunRequest)
    assert caught.value.field == field
