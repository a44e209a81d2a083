"""A template that one reads before trusting it: so many lines and parameters, and no more."""

from __future__ import annotations

from collections.abc import Iterator

from checks.faults import Fault
from checks.sources import TEMPLATE, Sources

ROOT_LINES = 899
NESTED_LINES = 450
PARAMETERS = 30


def check(sources: Sources) -> Iterator[Fault]:
    """The root template, and each nested stack."""
    for name in (TEMPLATE, *sources.nested()):
        lines = len((sources.root / name).read_text("utf-8").splitlines())
        most = ROOT_LINES if name == TEMPLATE else NESTED_LINES
        if lines > most:
            yield Fault(name, f"has {lines} lines; the most is {most}: move what has another lifetime to stacks/")
    parameters = len(sources.file(TEMPLATE).get("Parameters", {}))
    if parameters > PARAMETERS:
        yield Fault(f"{TEMPLATE}: Parameters", f"there are {parameters}; the most is {PARAMETERS}: fix a value instead")
