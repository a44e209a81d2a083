"""`python -m checks [NAME ...]`: run all checks, or those named, over the checkout in the current folder.

Exit codes: 0 nothing found, 1 faults found, 2 wrong usage, or a file or a linter is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from checks import environment, names, rooms
from checks.faults import Fault, SourceError, ToolError
from checks.security import linters as security
from checks.sources import Sources
from checks.statemachine import retries, state_language, state_rules, substitutions, task_arguments
from checks.template import cloudformation, deploy_failures, job_definitions, parameter_rules, replacement, sizes

CHECKS: dict[str, Callable[[Sources], Iterable[Fault]]] = {
    "cloudformation": cloudformation.check,
    "deploy_failures": deploy_failures.check,
    "environment": environment.check,
    "job_definitions": job_definitions.check,
    "names": names.check,
    "parameter_rules": parameter_rules.check,
    "replacement": replacement.check,
    "retries": retries.check,
    "rooms": rooms.check,
    "security": security.check,
    "sizes": sizes.check,
    "state_language": state_language.check,
    "state_rules": state_rules.check,
    "substitutions": substitutions.check,
    "task_arguments": task_arguments.check,
}


def main(arguments: list[str]) -> int:
    """Run the checks that `arguments` name and print what they find, a line each."""
    parser = argparse.ArgumentParser(prog="python -m checks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(CHECKS)}; none runs all")
    chosen = parser.parse_args(arguments).names or list(CHECKS)
    unknown = sorted(set(chosen) - set(CHECKS))
    if unknown:
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    sources = Sources(Path.cwd())
    try:
        found = {name: list(CHECKS[name](sources)) for name in chosen}
    except (SourceError, ToolError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for name, faults in found.items():
        for fault in faults:
            sys.stdout.write(f"{name}: {fault}\n")
    total = sum(map(len, found.values()))
    sys.stdout.write(f"{len(chosen)} checks, {total} faults\n")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
