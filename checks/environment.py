"""Variables that the template sets against those that the code reads: a name misspelt on one side is read as unset."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from checks.faults import Fault, SourceError
from checks.sources import TEMPLATE, Sources

SETTINGS = "layer/python/millrace/settings.py"
"""The only reader of the environment in layer, functions and jobs; a test holds it."""
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OF_LIBRARIES = ("AWS_", "POWERTOOLS_")
"""Variables that botocore and aws-lambda-powertools read by themselves."""


def check(sources: Sources) -> Iterator[Fault]:
    """Every variable of a function or a job definition is one that settings.py, or a library, reads."""
    read = _variables_read(sources)
    for where, name in _variables_set(sources):
        if name not in read and not name.startswith(OF_LIBRARIES):
            yield Fault(f"{TEMPLATE}: {where}", f"sets {name}, which {SETTINGS} does not read")


def _variables_set(sources: Sources) -> Iterator[tuple[str, str]]:
    for where, properties in sources.of_type("AWS::Serverless::Function").items():
        for name in properties.get("Environment", {}).get("Variables", {}):
            yield where, name
    for where, properties in sources.of_type("AWS::Batch::JobDefinition").items():
        for variable in properties.get("ContainerProperties", {}).get("Environment", []):
            yield where, variable["Name"]


def _variables_read(sources: Sources) -> set[str]:
    try:
        tree = ast.parse((sources.root / SETTINGS).read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{SETTINGS}: {error}") from error
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            constants = [part.value for part in node.args if isinstance(part, ast.Constant)]
            read |= {text for text in constants if isinstance(text, str) and VARIABLE.fullmatch(text)}
    return read
