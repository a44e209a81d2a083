"""Imports point one way, and one file reads the environment."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
AWS_SDK = {"boto3", "botocore", "s3transfer"}
OURS = {"millrace", "functions", "notification", "batch_jobs", "console", "local_aws", "checks", "tests"}
FUNCTION_MODULES = {path.stem for path in (REPOSITORY / "functions").glob("*.py")}

FOLDERS: dict[str, tuple[str, set[str]]] = {
    "layer": ("layer/python/millrace", {"millrace"}),
    "functions": ("functions", {"millrace", "notification"}),
    "jobs": ("batch_jobs", {"millrace", "batch_jobs"}),
    "console": ("console", {"millrace", "console"}),
    "local_aws": ("local_aws", {"local_aws"}),
    "checks": ("checks", {"checks"}),
}
"""Each part's folder, and which of our own packages it may import."""
SETTINGS = "layer/python/millrace/settings.py"
READ_NO_ENVIRONMENT = ("layer/python/millrace", "functions", "batch_jobs")


def _files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below one, but for what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                yield other
                yield from _run_time_nodes(other)
            continue
        yield child
        yield from _run_time_nodes(child)


def imported(source: str, *, types_too: bool = True) -> set[str]:
    """The top-level packages that a file imports; a relative import counts as the name "."."""
    tree = ast.parse(source)
    names: set[str] = set()
    for node in ast.walk(tree) if types_too else _run_time_nodes(tree):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(level=0, module=str(module)):
                names.add(module.partition(".")[0])
            case ast.ImportFrom():
                names.add(".")
            case ast.Call(args=[ast.Constant(value=str(module)), *_]) if ast.unparse(node.func).endswith(
                "import_module"
            ):
                names.add(module.partition(".")[0])
    return names


def reads_the_environment(source: str) -> bool:
    """Whether a file touches os.environ or os.getenv, under whatever name it imports them."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="environ" | "environb" | "getenv" | "getenvb" | "putenv" | "unsetenv"):
                return True
            case ast.ImportFrom(module="os", names=aliases):
                if {alias.name for alias in aliases} & {"environ", "environb", "getenv", "getenvb"}:
                    return True
    return False


@pytest.mark.parametrize("part", FOLDERS)
def test_imports_point_one_way(part: str) -> None:
    """functions, batch_jobs and console import millrace; nothing imports sideways or back."""
    folder, allowed = FOLDERS[part]
    files = _files(folder)
    assert files
    forbidden = (OURS | FUNCTION_MODULES | {"."}) - allowed
    found = {str(file.relative_to(REPOSITORY)): imported(file.read_text("utf-8")) & forbidden for file in files}
    assert {file: names for file, names in found.items() if names} == {}


REPORT_PAGE = "millrace.report.page"


def _module(file: Path) -> str:
    return ".".join(file.relative_to(REPOSITORY / "layer/python").with_suffix("").parts).removesuffix(".__init__")


def test_the_layer_needs_the_standard_library_and_boto3_alone() -> None:
    """The layer goes into every Lambda and into the image: at run time it imports nothing that boto3 does not bring.

    But for report.html, which jobs and console make and no Lambda does, for Zstandard, when a job unpacks it, and for
    quantiles, where a user's own workload wants them.
    """
    allowed = set(sys.stdlib_module_names) | AWS_SDK | {"millrace"}
    found = {
        _module(file): imported(file.read_text("utf-8"), types_too=False) - allowed
        for file in _files(FOLDERS["layer"][0])
    }
    assert {file: names for file, names in found.items() if names} == {
        f"{REPORT_PAGE}.rendering": {"jinja2", "markupsafe"},
        "millrace.workload.compressed": {"backports", "compression"} - set(sys.stdlib_module_names),
        "millrace.workload.quantiles": {"datasketches"},
    }


def test_no_function_makes_the_report_page() -> None:
    """Importing every function loads neither Jinja nor what needs it: they are not in the Lambdas."""
    program = "import sys\n" + "\n".join(f"import {module}" for module in sorted(FUNCTION_MODULES - {"__init__"}))
    program += "\nassert not {'jinja2', 'markupsafe'} & set(sys.modules), 'loaded'"
    environment = {
        "PYTHONPATH": f"{REPOSITORY}/functions:{REPOSITORY}/layer/python",
        "POWERTOOLS_TRACE_DISABLED": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_functions_need_what_their_zip_holds() -> None:
    """A Lambda imports the layer, the runtime's boto3 and functions/requirements.txt, and nothing else."""
    allowed = set(sys.stdlib_module_names) | AWS_SDK | {"millrace", "notification", "aws_lambda_powertools"}
    found = {file.name: imported(file.read_text("utf-8"), types_too=False) - allowed for file in _files("functions")}
    assert {file: names for file, names in found.items() if names} == {}


def test_settings_alone_reads_the_environment() -> None:
    """In layer, functions and jobs, what the deployment decides comes in through millrace/settings.py."""
    readers = {
        str(file.relative_to(REPOSITORY))
        for folder in READ_NO_ENVIRONMENT
        for file in _files(folder)
        if reads_the_environment(file.read_text("utf-8"))
    }
    assert readers == {SETTINGS}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import console.find.aws", {"console"}),
        ("from console import aws", {"console"}),
        ("def f():\n    from console.find.aws import x", {"console"}),
        ("from . import plan", {"."}),
        ("import importlib\nimportlib.import_module('console.find.aws')", {"importlib", "console"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import console", {"typing", "console"}),
    ],
)
def test_sees_an_import_in_every_form(source: str, names: set[str]) -> None:
    """An import inside a function, by name or for types alone is an import."""
    assert imported(source) == names


def test_leaves_out_what_only_type_checkers_read() -> None:
    """What is under TYPE_CHECKING needs no package at run time; its else branch does."""
    source = "if TYPE_CHECKING:\n    import mypy_boto3_s3\nelse:\n    import json"
    assert imported(source, types_too=False) == {"json"}


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os as o\no.getenv('A')",
        "from os import environ",
        "from os import getenv as g",
    ],
)
def test_sees_the_environment_read_in_every_form(source: str) -> None:
    """os.environ and os.getenv are seen under other names as well."""
    assert reads_the_environment(source)


def test_leaves_other_uses_of_os_alone() -> None:
    """A parameter that is called environ, or another function of os, reads nothing."""
    assert not reads_the_environment("import os\ndef f(environ):\n    return environ.get('A'), os.cpu_count()")


def test_no_job_and_no_lambda_reaches_for_private_names() -> None:
    """Ruff refuses `client._endpoint` and its kin (SLF001), and no file that is deployed asks to be let off."""
    folders = ("batch_jobs", "functions", "layer")
    files = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 50
    assert [path.name for path in files if "SLF001" in path.read_text(encoding="utf-8")] == []


def _rooms_and_imports() -> dict[str, set[str]]:
    """Which rooms each room imports. A room is a folder; a module at the top of a part stands for itself."""
    files = {
        ".".join(path.relative_to(REPOSITORY / root).with_suffix("").parts).removesuffix(".__init__"): (path, top)
        for root, top in (("layer/python", "millrace"), (".", "batch_jobs"), (".", "console"), (".", "local_aws"))
        for path in (REPOSITORY / root / top).rglob("*.py")
    }

    def room(module: str) -> str:
        path, top = files[module]
        folder = path.parent
        return module if folder.name == top and path.name != "__init__.py" else str(folder.relative_to(REPOSITORY))

    arrows: dict[str, set[str]] = {}
    for module, (path, _top) in files.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(level=0, module=str(source), names=names):
                    targets = [
                        f"{source}.{name.name}" if f"{source}.{name.name}" in files else source for name in names
                    ]
                case ast.Import(names=names):
                    targets = [name.name for name in names]
                case _:
                    continue
            found = {room(target) for target in targets if target in files}
            arrows.setdefault(room(module), set()).update(found - {room(module)})
    return arrows


def test_rooms_import_one_way() -> None:
    """Between rooms, too, imports have a direction: no room needs one that needs it."""
    order = list(TopologicalSorter(_rooms_and_imports()).static_order())
    assert "layer/python/millrace/records" in order


def test_the_wheel_has_every_package() -> None:
    """Each package of the layer, the jobs and the command line is listed in pyproject.toml, and no other."""
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    tops = {"layer/python/millrace": "millrace", "batch_jobs": "batch_jobs", "console": "millrace._launch.console"}
    expected = {
        ".".join([name, *init.parent.relative_to(REPOSITORY / top).parts])
        for top, name in tops.items()
        for init in (REPOSITORY / top).rglob("__init__.py")
    }
    apart = {"millrace._launch", "millrace._launch.console.own_workload", "millrace._launch.project"}
    assert set(listed) - apart == expected
