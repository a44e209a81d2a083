"""The house: no folder too full to take in at a glance, each saying what belongs in it, all of them on the map."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from checks.faults import Fault
from checks.sources import Sources

TOP_FOLDERS = (
    "layer/python/millrace",
    "functions",
    "batch_jobs",
    "console",
    "local_aws",
    "checks",
    "image",
    "benchmarks",
)
MAP = "docs/architecture.md"
MOST_MODULES = 15


def check(sources: Sources) -> Iterator[Fault]:
    """Every folder that holds Python modules, tests aside."""
    on_the_map = (sources.root / MAP).read_text("utf-8")
    for top in TOP_FOLDERS:
        for folder in _rooms(sources.root / top):
            where = folder.relative_to(sources.root).as_posix()
            modules = [path for path in folder.glob("*.py") if path.stem not in {"__init__", "__main__"}]
            if len(modules) > MOST_MODULES:
                yield Fault(where, f"holds {len(modules)} modules; the most is {MOST_MODULES}: make rooms")
            if where == "functions":
                continue  # a Lambda's zip is no package: each file in it is a function
            text = _docstring(folder / "__init__.py")
            if not text:
                yield Fault(where, "its __init__.py says nothing; two lines say what belongs here and what does not")
            elif where not in TOP_FOLDERS and len([line for line in text.splitlines() if line.strip()]) < 2:
                yield Fault(where, "its __init__.py does not say what belongs elsewhere; a second line does")
            # A built-in workload has its page in docs/workloads instead: adding one touches one folder.
            if f"`{where}/`" not in on_the_map and not (folder / "record.py").is_file():
                yield Fault(where, f"is missing in the table of rooms in {MAP}")


def _rooms(top: Path) -> Iterator[Path]:
    return (folder for folder in [top, *sorted(top.rglob("*"))] if folder.is_dir() and any(folder.glob("*.py")))


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" if path.is_file() else ""
