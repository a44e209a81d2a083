"""One name, one thing: the chain from a state to its file, its resource, its placeholder and its test.

State "Read Plan" = functions/read_plan.py = ReadPlanFunction = ${ReadPlanFunctionArn}
= tests/unit/functions/test_read_plan.py; state "Migrate Shards" = verb "migrate" = batch_jobs/migrating/migrate.py
= MigrateJobDefinition; state "Migrate And Merge" = verb "migrate-and-merge" = batch_jobs/merging/migrate_and_merge.py
= MigrateAndMergeJobDefinition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checks.faults import Fault
from checks.sources import TEMPLATE, Sources, StateMachine

INVOKE = "arn:aws:states:::lambda:invoke"
SUBMIT = "arn:aws:states:::batch:submitJob"
COMMAND = re.compile(r"States\.Array\('(?P<verb>[\w-]+)'")
VERB = re.compile(r"\w+(?: And \w+)*")
FUNCTION = "AWS::Serverless::Function"
JOB_DEFINITION = "AWS::Batch::JobDefinition"


def check(sources: Sources) -> Iterator[Fault]:
    """Every link of the chain, from the states on and from the files and resources back."""
    for machine in sources.machines:
        for name, state in machine.tasks():
            resource = state.get("Resource", "")
            if resource.startswith(INVOKE):
                yield from _invocation_faults(machine, name, state.get("Parameters", {}))
            elif resource.startswith(SUBMIT):
                yield from _submission_faults(machine, name, state.get("Parameters", {}))
    yield from _function_faults(sources)
    yield from _job_definition_faults(sources)


def _invocation_faults(machine: StateMachine, state: str, parameters: dict[str, Any]) -> Iterator[Fault]:
    wanted = f"${{{state.replace(' ', '')}FunctionArn}}"
    if parameters.get("FunctionName") != wanted:
        yield Fault(machine.where(state), f"calls {parameters.get('FunctionName')}; by its name it calls {wanted}")


def _submission_faults(machine: StateMachine, state: str, parameters: dict[str, Any]) -> Iterator[Fault]:
    where = machine.where(state)
    found_verb = VERB.match(state)
    verb = found_verb[0] if found_verb else state
    wanted = f"${{{verb.replace(' ', '')}JobDefinitionArn}}"
    if parameters.get("JobDefinition") != wanted:
        yield Fault(where, f"submits {parameters.get('JobDefinition')}; by its name it submits {wanted}")
    overrides = parameters.get("ContainerOverrides", {})
    command = COMMAND.match(str(overrides.get("Command.$", "")))
    found = command["verb"] if command else next(iter(overrides.get("Command", [])), None)
    word = verb.lower().replace(" ", "-")
    if found != word:
        yield Fault(where, f"its command starts with {found!r}; by its name it starts with {word!r}")


def _function_faults(sources: Sources) -> Iterator[Fault]:
    functions = sources.of_type(FUNCTION)
    modules = {path.stem for path in (sources.root / "functions").glob("*.py")} - {"__init__"}
    for resource, properties in functions.items():
        module = _snake_case(resource.removesuffix("Function"))
        where = f"{TEMPLATE}: {resource}"
        if not resource.endswith("Function"):
            yield Fault(where, "a function's resource is called VerbNounFunction")
        if module not in modules:
            yield Fault(where, f"there is no functions/{module}.py")
        if properties.get("Handler") != f"{module}.handler":
            yield Fault(where, f"its Handler is {properties.get('Handler')}; by its name it is {module}.handler")
        if not (sources.root / f"tests/unit/functions/test_{module}.py").is_file():
            yield Fault(where, f"there is no tests/unit/functions/test_{module}.py")
    for module in sorted(modules - {_snake_case(resource.removesuffix("Function")) for resource in functions}):
        yield Fault(f"functions/{module}.py", f"no function of {TEMPLATE} is named after it")


def _job_definition_faults(sources: Sources) -> Iterator[Fault]:
    for resource, properties in sources.of_type(JOB_DEFINITION).items():
        module = _snake_case(resource.removesuffix("JobDefinition"))
        verb = module.replace("_", "-")
        where = f"{TEMPLATE}: {resource}"
        if not resource.endswith("JobDefinition"):
            yield Fault(where, "a job definition's resource is called VerbJobDefinition")
        if not list(sources.root.glob(f"batch_jobs/*/{module}.py")):
            yield Fault(where, f"there is no {module}.py in a room of batch_jobs/")
        command = properties.get("ContainerProperties", {}).get("Command", [])
        if command[:1] != [verb]:
            yield Fault(where, f"its Command starts with {command[:1]}; by its name it starts with [{verb!r}]")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
