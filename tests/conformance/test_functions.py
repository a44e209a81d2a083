"""Lambda functions of the embedded AWS: code unpacked once, workers that are copies of a process that has loaded it."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.account import ROLE, Account, unique, until

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
CODE = """
import os, sys, time
import shared
LOADED = []
def handler(event, context):
    if event == "fail":
        raise LookupError("what is it?")
    if event == "sleep":
        time.sleep(60)
    if event == "die":
        os._exit(3)
    LOADED.append(event)
    with open(f"/proc/{os.getppid()}/cmdline") as file:
        parent = file.read()
    return {
        "code": os.path.realpath(__file__), "root": os.path.realpath(os.environ["LAMBDA_TASK_ROOT"]),
        "layer": os.path.realpath(shared.__file__), "name": context.function_name, "own": os.environ.get("OWN"),
        "seen": LOADED, "directory": os.path.realpath(os.getcwd()), "pid": os.getpid(), "event": event,
        "copied": "process_template" in parent, "task": os.environ.get("OF_ANOTHER"),
        "open": [number for number in range(256) if os.path.exists(f"/proc/self/fd/{number}")],
    }
"""

pytestmark = [
    pytest.mark.embedded("how the embedded AWS starts functions is its own"),
    pytest.mark.skipif(sys.platform != "linux", reason="functions are copied on Linux alone"),
]


def archive(**files: str) -> bytes:
    """A zip file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in files.items():
            file.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


@pytest.fixture
def functions(account: Account) -> Any:
    """Makes functions with one layer, and calls them."""
    return Functions(account)


class Functions:
    """Functions with a layer."""

    def __init__(self, account: Account) -> None:
        """Publish the layer."""
        self.client = account.client("lambda")
        content = {"ZipFile": archive(**{"python/shared.py": f"NAME = {unique('layer')!r}\n"})}
        self.layer = self.client.publish_layer_version(LayerName=unique("layer"), Content=content)["LayerVersionArn"]

    def make(self, code: str = CODE, *, layers: int = 1, timeout: int = 20, **variables: str) -> str:
        """Make a function; returns its name."""
        name = unique("function")
        self.client.create_function(
            FunctionName=name, Runtime=RUNTIME, Role=ROLE, Handler="code.handler", Timeout=timeout,
            Code={"ZipFile": archive(**{"code.py": code, "shared.py": "NAME = 'of the function'\n"})},
            Environment={"Variables": variables}, Layers=[self.layer] * layers,
        )  # fmt: skip
        return name

    def deploy(self, account: Account, code: str) -> str:
        """Make a function in a stack of its own; returns its name."""
        name, stack = unique("function"), unique("stack")
        properties = {
            "FunctionName": name, "Runtime": RUNTIME, "Role": ROLE, "Handler": "index.handler",
            "Code": {"ZipFile": code}, "Layers": [self.layer],
        }  # fmt: skip
        template = {"Resources": {"Made": {"Type": "AWS::Lambda::Function", "Properties": properties}}}
        cloudformation = account.client("cloudformation")
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))

        def status() -> Any:
            return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

        until("the stack", lambda: status() == "CREATE_COMPLETE")
        return name

    def call(self, name: str, event: Any = None) -> Any:
        """Call a function; returns what it returns, or its error."""
        return json.load(self.client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"])


def test_functions_of_one_code_share_its_folder(functions: Functions) -> None:
    """Two functions of the same code and layer run the same files, so that they are compiled once; others do not."""
    first, second = functions.call(functions.make()), functions.call(functions.make())
    other = functions.call(functions.make(CODE + "\n"))
    assert first["code"] == second["code"]
    assert first["layer"] == second["layer"] == other["layer"]
    assert other["code"] != first["code"]
    assert first["code"] == f"{first['root']}/code.py"
    assert first["directory"] == first["root"]


def test_a_copied_function_is_as_one_of_its_own(functions: Functions) -> None:
    """Name, variables, module state and number are each function's own; the layer is found before its own modules."""
    one, two = functions.make(OWN="one", OF_ANOTHER="x"), functions.make(OWN="two")
    first, again, second = functions.call(one, "a"), functions.call(one, "b"), functions.call(two, ["ä", {"n": 1.5}])
    assert first["copied"], second["copied"]
    assert (first["name"], second["name"]) == (one, two)
    assert (first["own"], second["own"], first["task"], second["task"]) == ("one", "two", "x", None)
    assert (first["seen"], again["seen"], second["seen"]) == (["a"], ["a", "b"], [["ä", {"n": 1.5}]])
    assert first["pid"] == again["pid"] != second["pid"]
    assert first["open"] == second["open"] == [0, 1, 2]


def test_a_function_without_layers_is_no_copy(functions: Functions) -> None:
    """It could not have been loaded beforehand: it gets a process of its own."""
    assert not functions.call(functions.make(layers=0))["copied"]


@pytest.mark.parametrize(
    ("event", "error"),
    [("fail", "LookupError"), ("sleep", "timed out"), ("die", "died")],
)
def test_how_a_copied_function_fails(functions: Functions, event: str, error: str) -> None:
    """An exception, a time limit and a death are told as of any worker, and the next call has a new one."""
    name = functions.make(timeout=1 if event == "sleep" else 20)
    before = functions.call(name, "first")
    failed = functions.call(name, event)
    assert error in json.dumps(failed)
    after = functions.call(name, "then")
    assert (after["seen"], after["copied"]) == (["then"], True)
    assert after["pid"] != before["pid"]


def test_the_first_function_of_a_stack_starts_by_itself(functions: Functions, account: Account) -> None:
    """A function that CloudFormation makes has a worker before anybody calls it."""
    code = f"# {unique('marked')}\n{CODE}"
    name = functions.deploy(account, code)
    until("a worker", lambda: code in at_work())
    assert functions.call(name)["copied"]


def test_a_function_of_a_stack_that_does_not_start(functions: Functions, account: Account) -> None:
    """A function whose code cannot be loaded does no harm to its stack, and says so when it is called."""
    name = functions.deploy(account, f"raise LookupError({unique('broken')!r})")
    assert "broken-" in json.dumps(functions.call(name))


def at_work() -> str:
    """The code of all functions that have a worker."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"process_template" in (process / "cmdline").read_bytes():
                found.append((process / "cwd/index.py").read_text())
    return "".join(found)
