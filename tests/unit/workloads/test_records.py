"""A workload is declared once, beside its code: who adds a folder has added a workload."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.workloads.registry import load_workload
from console.doctor.drift import packaged
from millrace.workload.contract import MergingInParts, RecordSplitting, ServerSideCopy, Splitting
from millrace.workload.registry import checked_options, workload_records

REPOSITORY = Path(__file__).parents[3]

GIVEN: dict[str, dict[str, object]] = {
    "command": {"command": ["cat", "{input}"], "output_suffixes": [".a", ".bc"], "parallel": 1},
    "csv-to-dynamodb": {"table": "rows"},
}
"""What must be given."""

TOY = {
    "__init__.py": '"""The workload `line-count`.\n\nNothing else."""\n',
    "record.py": """
from millrace.workload import Option, Pace, ReportPart, WorkloadRecord

RECORD = WorkloadRecord(
    name="line-count",
    title="how many lines there are",
    class_path="batch_jobs.workloads.line_count.workload:LineCount",
    options=(Option("least", 1, "The shortest line that counts, in bytes.", minimum=0),),
    item_suffixes=lambda _options: (".lines",),
    splits=lambda _options, _key: True,
    pace=Pace(seconds_per_item=0.125, bytes_per_second=1000, outputs=3),
    report=ReportPart(titles={"by_kind": "Lines of each kind"}),
)
""",
    "workload.py": """
from batch_jobs.workloads.line_count.record import RECORD
from millrace.workload import Totals, lines


class LineCount:
    name = RECORD.name
    partial_suffix = ".json"

    def __init__(self, options):
        self._least = options["least"]
        self._options = options
        self.item_suffixes = RECORD.item_suffixes(options)

    def splits(self, key):
        return RECORD.may_cut(self._options, key)

    def migrate(self, item, body, outputs):
        counted = sum(1 for line in lines(item, body) if len(line) >= self._least)
        if item.first_byte is None:
            with outputs.open(".lines", "text/plain") as file:
                file.write(b"%d" % counted)
        return {"counted": counted}

    def partial(self):
        return Totals()

    def merge(self, partials, results):
        return {"by_kind": Totals.merged(partials)}
""",
}

A_RUN = """
import json
from batch_jobs.workloads.registry import load_workload
from console.find.source_size import measure
from millrace.cost.known_pace import record_pace
from millrace.request.run_request import RunRequest
from millrace.s3.verbs import ListedObject
from tests.run_in_memory import RunInMemory

objects = {"in/large.txt": b"seven b\\n" * 300_000, "in/small.txt": b"one\\ntwo\\n\\n"}
asked = {"workload": "line-count", "options": {"least": 2}, "shard": {"target_bytes": 1_048_576}}
run = RunInMemory(objects, asked, load=load_workload)
plan = run.all()
listed = [ListedObject(key, len(body), '"e"', "STANDARD") for key, body in objects.items()]
request = RunRequest.parse({"source": "s3://source/in/", "destination": "s3://result/out/", **asked})
measured = measure(lambda chosen: chosen.items(listed), request, record_pace("line-count"), print)
print(json.dumps({
    "planned": plan.items,
    "estimated": measured.items,
    "pace": record_pace("line-count").seconds_per_item,
    "result": run.result(),
    "outputs": {key: body.decode() for key, body in run.outputs().items()},
    "page": run.file("report.html").decode(),
}))
"""

THE_JOBS_CODE = """
import json
from batch_jobs.code_identity import packaged
print(json.dumps({"jobs_code": packaged()}))
"""

WHAT_PREPARE_RUN_KNOWS = """
import json
from millrace.settings import FunctionSettings
print(json.dumps({"jobs_code": FunctionSettings.from_environment({}).jobs_code}))
"""

A_REQUEST = """
import json, sys
from millrace.errors import InvalidRunRequest
from millrace.request.run_request import RunRequest
from millrace.workload.registry import workload_records

asked = {"source": "s3://source/in/", "destination": "s3://result/out/", "workload": "line-count"}
try:
    RunRequest.parse({**asked, "options": {"most": 1}})
except InvalidRunRequest as error:
    refused = str(error)
print(json.dumps({
    "options": RunRequest.parse(asked).options,
    "refused": refused,
    "workloads": sorted(workload_records()),
    "loaded": sorted(sys.modules),
}))
"""


def python(script: str, *path: Path) -> dict[str, Any]:
    """What a script prints, with these folders on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, env=environment, cwd=path[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's code, and a folder more."""
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("batch_jobs", "layer", "console"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    toy = root / "batch_jobs/workloads/line_count"
    toy.mkdir()
    for name, text in TOY.items():
        (toy / name).write_text(text)
    return root


def test_a_folder_more_is_a_workload_more(checkout: Path) -> None:
    """Planned, cut, worked, merged, estimated and reported, with no line changed anywhere else."""
    told = python(A_RUN, checkout, checkout / "layer/python", REPOSITORY)
    assert told["planned"] == told["estimated"] == 4
    assert told["pace"] == 0.125
    assert told["outputs"] == {"small.txt.lines": "2"}
    assert '"counted": 300002' in json.dumps(told["result"])
    assert "Lines of each kind" in told["page"]
    assert "Result of line-count" in told["page"]


def test_the_layer_brings_the_records_to_prepare_run_and_no_more(checkout: Path, tmp_path: Path) -> None:
    """Built as `sam build` does it: the toy is known, its options are checked, nobody's code is there or loaded."""
    command = ["make", "--makefile", str(checkout / "layer/Makefile"), "build-MillraceLayer"]
    environment = {**os.environ, "ARTIFACTS_DIR": str(tmp_path / "layer")}
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
    built = tmp_path / "layer/python"
    told = python(A_REQUEST, built)
    assert told["options"] == {"least": 1}
    assert "options.most" in told["refused"]
    assert told["workloads"] == sorted([*workload_records(), "line-count"])
    assert {path.name for path in built.glob("batch_jobs/**/*.py")} == {"__init__.py", "record.py"}
    jobs_code = python(THE_JOBS_CODE, checkout, checkout / "layer/python", REPOSITORY)["jobs_code"]
    assert (built / "millrace/jobs_code.txt").read_text() == f"{jobs_code}\n"
    assert python(WHAT_PREPARE_RUN_KNOWS, built)["jobs_code"] == jobs_code
    assert not {"PIL", "numpy", "obstore", "re2", "pyarrow", "backports.zstd", "jinja2"} & set(told["loaded"])


def test_doctor_compares_what_the_layer_holds(tmp_path: Path) -> None:
    """The files that `millrace doctor` expects in the layer are those that its build puts there, records included."""
    command = ["make", "--makefile", str(REPOSITORY / "layer/Makefile"), "build-MillraceLayer"]
    subprocess.run(command, env={**os.environ, "ARTIFACTS_DIR": str(tmp_path)}, capture_output=True, check=True)
    assert set(packaged("layer")) == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}


@pytest.mark.parametrize("name", sorted(workload_records()))
def test_a_workload_is_what_its_record_says(name: str) -> None:
    """Its class has the record's name, item suffixes, ways to be cut, merged and copied."""
    record = workload_records()[name]
    options = checked_options(name, GIVEN.get(name, {}))
    if name == "command":
        options["command"] = ["cat", "{input}", "{output}", "{output2}"]
    workload = load_workload(name, options)
    assert workload.name == name
    assert tuple(workload.item_suffixes) == record.item_suffixes(options)
    assert isinstance(workload, RecordSplitting) is record.cuts_at_records
    for key in ("a", "a.csv", "a.gz", "a.ZIP"):
        assert (isinstance(workload, Splitting) and workload.splits(key)) is record.may_cut(options, key)
    assert isinstance(workload, MergingInParts) is (record.merge_seconds is not None)
    if isinstance(workload, MergingInParts) and record.merge_seconds is not None:
        assert workload.merge_seconds(7, 10**9) == record.merge_seconds(7, 10**9)
    copies = isinstance(workload, ServerSideCopy) and getattr(workload, "may_collide", True)
    assert record.compares_outputs(options) is copies


@pytest.mark.parametrize("name", sorted(workload_records()))
def test_every_workload_has_its_page_and_its_extra(name: str) -> None:
    """docs/workloads tells users of it; what it needs besides is in a file of requirements."""
    record = workload_records()[name]
    assert (REPOSITORY / f"docs/workloads/{name}.md").is_file()
    assert not record.extra or (REPOSITORY / f"batch_jobs/requirements-{record.extra}.txt").is_file()
    assert record.title
